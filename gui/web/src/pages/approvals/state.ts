// How an approval stands: a pure function of it and the time.
import type { Approval } from '../../api/types';
import { approvals as t } from '../../texts/approvals';

/** standing says how an approval stands; one that nobody decided in time has run out. */
export function standing(a: Pick<Approval, 'state' | 'expires'>, now: number): { text: string; color: 'blue' | 'green' | 'red' | 'grey'; open: boolean } {
  if (a.state === 'waiting' && now > new Date(a.expires).getTime()) return { text: t.ranOut, color: 'grey', open: false };
  const colors = { waiting: 'blue', approved: 'blue', done: 'green', failed: 'red', rejected: 'grey' } as const;
  return { text: t.states[a.state] ?? a.state, color: colors[a.state] ?? 'grey', open: a.state === 'waiting' };
}
