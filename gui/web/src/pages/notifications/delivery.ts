// How far a receiver is: what the management daemons note of it, put into a word. A pure
// function.
import type { NotificationTarget } from '../../api/types';

export type Standing = 'unknown' | 'off' | 'never' | 'takes' | 'fails';

/** isLater says that one time is after another; none is before all. */
const isLater = (a: string | undefined, b: string | undefined) => !!a && (!b || Date.parse(a) > Date.parse(b));

/** standing says whether a receiver takes what it is sent: it does not while the newest error is newer than what it took last. */
export function standing(x: NotificationTarget | undefined): Standing {
  if (x?.disabled) return 'off';
  const d = x?.delivery;
  if (!d) return 'unknown';
  if (isLater(d.lastErrorAt, d.lastSentAt)) return 'fails';
  return d.lastSentAt ? 'takes' : 'never';
}
