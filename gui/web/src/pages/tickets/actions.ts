import type { Config, Ticket } from '../../api/types';
import type { ActionSpec } from '../../components/Actions';
import type { Edit } from '../../components/change/proposal';
import { lines } from '../../components/lines';
import { tickets as t } from '../../texts/protect';

/** Held is what a ticket can be set to. */
type Held = Pick<Ticket, 'granted' | 'standby'>;

/** ticketActions is what can be done with a ticket: each is an edit of its document. */
export function ticketActions(r: Held & Pick<Ticket, 'id'>, c: Config | undefined, onRemoved?: () => void): ActionSpec[] {
  const base = c?.config.tickets?.[r.id];
  const object = `ticket/${r.id}`;
  const act = (key: keyof typeof t.actions & keyof typeof t.propose, change: Partial<Held>, pointless: string | undefined, danger?: boolean): ActionSpec => {
    const next = { ...base, granted: change.granted ?? r.granted, standby: change.standby ?? r.standby };
    const edit: Edit = { kind: 'ticket', id: r.id, base, next, generation: c?.generation ?? 0 };
    return { key, label: t.actions[key], action: 'update', object, danger, pointless, run: { title: t.propose[key](r.id), lead: key === 'grant' ? t.propose.grantLead : undefined, danger, edit, cli: () => lines.ticket(key, r.id) } };
  };
  const p = t.pointless;
  return [
    act('grant', { granted: true }, r.granted ? p.granted : undefined),
    act('standby', { standby: true }, r.standby ? p.standby : undefined),
    act('activate', { standby: false }, r.standby ? undefined : p.active),
    act('revoke', { granted: false }, r.granted ? undefined : p.revoked, true),
    {
      key: 'remove',
      label: t.actions.remove,
      action: 'delete',
      object,
      danger: true,
      divided: true,
      run: { title: t.propose.remove(r.id), danger: true, edit: { kind: 'ticket', id: r.id, base, generation: c?.generation ?? 0 }, cli: () => [], onApplied: onRemoved },
    },
  ];
}
