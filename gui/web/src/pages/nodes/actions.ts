import type { Config, Node } from '../../api/types';
import type { ActionSpec } from '../../components/Actions';
import { cliOf, type Edit, type Proposal } from '../../components/change/proposal';
import { lines } from '../../components/lines';
import { nodes as t } from '../../texts/nodes';

/** nodeActions is everything that can be done with a node; go leads to the form of its settings. */
export function nodeActions(n: Node, go?: (path: string) => void): ActionSpec[] {
  const object = `node/${n.name}`;
  const p = t.propose;
  const simple = (action: string, title: string, extra?: Partial<Proposal>): Proposal => ({ title, change: () => ({ action, object }), cli: () => lines.node(action, n.name), ...extra });
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
          run: simple('maintenance-off', p.maintenanceOff(n.name), { cli: () => lines.nodeMaintenance(n.name, false) }),
        }
      : { key: 'maintenance-on', label: t.actions.maintenanceOn, action: 'maintenance-on', object, run: simple('maintenance-on', p.maintenanceOn(n.name), { cli: () => lines.nodeMaintenance(n.name, true) }) },
    ...(go ? [{ key: 'edit', label: t.actions.edit, action: 'update', object, run: () => go(`/configuration/node/${encodeURIComponent(n.name)}`) }] : []),
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
        cli: () => lines.nodeVoter(n.name, !n.voter),
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
        cli: (op) => lines.fence(op, n.name),
      },
    },
    confirm(n.name, n.member ? t.pointless.member : undefined),
    { key: 'remove', label: t.actions.remove, action: 'remove', object, danger: true, run: simple('remove', p.remove(n.name), { danger: true, lead: p.removeLead }) },
  ];
}

function confirm(node: string, pointless: string | undefined): ActionSpec {
  const object = `node/${node}`;
  const p = t.propose;
  return {
    key: 'confirm',
    label: t.actions.confirm,
    action: 'fence-confirm',
    object,
    danger: true,
    pointless,
    run: { title: p.confirm(node), lead: p.confirmLead, danger: true, change: () => ({ action: 'fence-confirm', object }), cli: () => lines.fenceConfirm(node) },
  };
}

/** confirmRemote confirms that a remote node is off, which no device of the members may be able to see to. */
export function confirmRemote(n: Node): ActionSpec {
  return confirm(n.name, n.state === 'online' ? t.pointless.answers : n.proof ? t.pointless.decided : undefined);
}

/** remoteActions is what can be done with a remote node: its settings are a document of their own, which it need not have. */
export function remoteActions(n: Node, c: Config | undefined, go: (path: string) => void): ActionSpec[] {
  const base = c?.config['remote-nodes']?.[n.name];
  const object = `remote-node/${n.name}`;
  const action = base ? 'update' : 'create';
  const p = t.propose;
  const set = (key: string, label: string, title: string, change: Record<string, boolean>): ActionSpec => {
    const edit: Edit = { kind: 'remote-node', id: n.name, base, next: { ...base, ...change }, generation: c?.generation ?? 0 };
    return { key, label, action, object, run: { title, edit, cli: () => cliOf(edit) } };
  };
  return [
    base?.standby === true ? set('online', t.actions.online, p.online(n.name), { standby: false }) : set('standby', t.actions.standby, p.standby(n.name), { standby: true }),
    base?.maintenance === true
      ? set('maintenance-off', t.actions.maintenanceOff, p.maintenanceOff(n.name), { maintenance: false })
      : set('maintenance-on', t.actions.maintenanceOn, p.maintenanceOn(n.name), { maintenance: true }),
    { key: 'edit', label: t.actions.edit, action, object, run: () => go(`/configuration/remote-node/${encodeURIComponent(n.name)}`) },
    { ...confirmRemote(n), divided: true },
  ];
}
