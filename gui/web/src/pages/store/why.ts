// Why a member of the store is as it is: a pure function.
import type { Summary } from '../../api/types';
import { store as t } from '../../texts/protect';

export type Member = NonNullable<Summary['store']['members']>[number];

/** fullFrom is the share of its quota from which a member counts as nearly full. */
const fullFrom = 0.8;

/** why says what is known of the cause, the most telling first. */
export function why(store: Summary['store'], m: Member): string[] {
  const w = t.why;
  const out: string[] = [];
  if (m.alarm) out.push(w.alarm(m.alarm));
  if (m.state === 'learner') out.push(w.learner);
  else if (m.state === 'healthy') out.push(m.leader ? w.leads : store.leader ? w.follows(store.leader) : w.noLeader);
  else if (!m.alarm) out.push(w.silent);
  const members = store.members ?? [];
  const healthy = members.filter((x) => x.state === 'healthy').length;
  const needed = Math.floor(members.length / 2) + 1;
  out.push(healthy >= needed ? w.writes(healthy, members.length, needed) : w.stalled(healthy, members.length, needed));
  if (m.quotaBytes > 0 && m.sizeBytes / m.quotaBytes >= fullFrom) out.push(w.full(Math.round((100 * m.sizeBytes) / m.quotaBytes)));
  return out;
}
