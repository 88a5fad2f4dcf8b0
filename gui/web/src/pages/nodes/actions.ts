import type { Node } from '../../api/types';
import type { ActionSpec } from '../../components/Actions';
import type { Proposal } from '../../components/change/proposal';
import { nodes as t } from '../../texts/nodes';

/** nodeActions is everything that can be done with a node. */
export function nodeActions(n: Node): ActionSpec[] {
  const object = `node/${n.name}`;
  const p = t.propose;
  const simple = (action: string, title: string, extra?: Partial<Proposal>): Proposal => ({ title, change: () => ({ action, object }), cli: () => ['node', action, n.name], ...extra });
  const standby = n.admin === 'standby';
  const maintenance = n.admin === 'maintenance';
  return [
    standby
      ? { key: 'online', label: t.actions.online, action: 'online', object, run: simple('online', p.online(n.name)) }
      : { key: 'standby', label: t.actions.standby, action: 'standby', object, run: simple('standby', p.standby(n.name)) },
    maintenance
      ? {
          key: 'maintenance-off',
          label: t.actions.maintenanceOff,
          action: 'maintenance-off',
          object,
          run: simple('maintenance-off', p.maintenanceOff(n.name), { cli: () => ['node', 'maintenance', n.name, 'off'] }),
        }
      : { key: 'maintenance-on', label: t.actions.maintenanceOn, action: 'maintenance-on', object, run: simple('maintenance-on', p.maintenanceOn(n.name), { cli: () => ['node', 'maintenance', n.name, 'on'] }) },
    { key: 'cleanup', label: t.actions.cleanup, action: 'cleanup', object, run: simple('cleanup', p.cleanup(n.name)) },
    { key: 'drain', label: t.actions.drain, action: 'drain', object, divided: true, pointless: n.member ? undefined : t.pointless.notMember, run: simple('drain', p.drain(n.name)) },
    {
      key: 'voter',
      label: n.voter ? t.actions.voterOff : t.actions.voterOn,
      action: 'voter',
      object,
      run: {
        title: n.voter ? p.voterOff(n.name) : p.voterOn(n.name),
        danger: n.voter,
        change: () => ({ action: 'voter', object, value: { voter: !n.voter } }),
        cli: () => ['node', 'voter', n.name, n.voter ? 'off' : 'on'],
      },
    },
    {
      key: 'fence',
      label: t.actions.fence,
      action: 'fence',
      object,
      danger: true,
      divided: true,
      run: {
        title: p.fence(n.name),
        lead: p.fenceLead,
        danger: true,
        choice: { label: p.fenceOp, options: Object.entries(p.ops).map(([value, label]) => ({ value, label })), initial: 'reboot' },
        change: (op) => ({ action: 'fence', object, value: { op } }),
        cli: (op) => ['fence', op, n.name],
      },
    },
    {
      key: 'confirm',
      label: t.actions.confirm,
      action: 'fence-confirm',
      object,
      danger: true,
      pointless: n.member ? t.pointless.member : undefined,
      run: { title: p.confirm(n.name), lead: p.confirmLead, danger: true, change: () => ({ action: 'fence-confirm', object }), cli: () => ['fence', 'confirm', n.name] },
    },
    { key: 'remove', label: t.actions.remove, action: 'remove', object, danger: true, run: simple('remove', p.remove(n.name), { danger: true, lead: p.removeLead }) },
  ];
}
