import type { Transition } from '../../api/types';
import { duration, isZero } from '../../components/time';

/** stateOf says how a transition stands, by the states of its steps. */
export function stateOf(x: Pick<Transition, 'ended' | 'failed'>): 'running' | 'failed' | 'done' {
  if (isZero(x.ended)) return 'running';
  return Number(x.failed ?? 0) > 0 ? 'failed' : 'done';
}

/** between is the time from one moment to another; nothing where the other has not come. */
export function between(from: string, to: string | undefined): string {
  return isZero(to) ? '–' : duration(Math.max(0, new Date(to!).getTime() - new Date(from).getTime()));
}
