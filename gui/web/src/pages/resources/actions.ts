import type { Node, Resource } from '../../api/types';
import type { ActionSpec } from '../../components/Actions';
import type { Proposal } from '../../components/change/proposal';
import { lines } from '../../components/lines';
import { resources } from '../../texts/resources';

const t = resources;

/** resourceActions is everything that can be done with a resource besides editing it. */
export function resourceActions(r: Resource, nodes: Node[]): ActionSpec[] {
  const object = `resource/${r.id}`;
  const simple = (action: string, title: string, extra?: Partial<Proposal>): Proposal => ({ title, change: () => ({ action, object }), cli: () => lines.resource(action, r.id), ...extra });
  const maintenance = (on: boolean): Proposal => ({
    title: on ? t.propose.maintenanceOn(r.id) : t.propose.maintenanceOff(r.id),
    change: () => ({ action: on ? 'maintenance-on' : 'maintenance-off', object }),
    cli: () => lines.resourceMaintenance(r.id, on),
  });
  const stopped = r.wanted === 'Stopped';
  const others = nodes.filter((n) => n.member && n.state === 'online' && !r.nodes?.includes(n.name));
  const p = t.pointless;
  return [
    { key: 'start', label: t.actions.start, action: 'start', object, pointless: stopped ? undefined : p.started, run: simple('start', t.propose.start(r.id)) },
    { key: 'stop', label: t.actions.stop, action: 'stop', object, danger: true, pointless: stopped ? p.stopped : undefined, run: simple('stop', t.propose.stop(r.id), { danger: true }) },
    { key: 'restart', label: t.actions.restart, action: 'restart', object, danger: true, pointless: stopped || (r.nodes ?? []).length === 0 ? p.notRunning : undefined, run: simple('restart', t.propose.restart(r.id), { danger: true, lead: t.propose.restartLead }) },
    {
      key: 'move',
      label: t.actions.move,
      action: 'move',
      object,
      pointless: (r.nodes ?? []).length === 0 ? p.notRunning : others.length === 0 ? p.noNode : undefined,
      run: {
        title: t.propose.move(r.id),
        lead: t.propose.moveLead,
        choice: { label: t.propose.moveTo, options: others.map((n) => ({ value: n.name, label: n.name })), initial: others[0]?.name ?? '' },
        change: (node) => ({ action: 'move', object, value: { node } }),
        cli: (node) => lines.resourceMove(r.id, node),
      },
    },
    { key: 'cleanup', label: t.actions.cleanup, action: 'cleanup', object, divided: true, run: simple('cleanup', t.propose.cleanup(r.id)) },
    { key: 'refresh', label: t.actions.refresh, action: 'refresh', object, run: simple('refresh', t.propose.refresh(r.id)) },
    r.managed
      ? { key: 'unmanage', label: t.actions.unmanage, action: 'unmanage', object, divided: true, run: simple('unmanage', t.propose.unmanage(r.id)) }
      : { key: 'manage', label: t.actions.manage, action: 'manage', object, divided: true, run: simple('manage', t.propose.manage(r.id)) },
    r.maintenance
      ? { key: 'maintenance-off', label: t.actions.maintenanceOff, action: 'maintenance-off', object, run: maintenance(false) }
      : { key: 'maintenance-on', label: t.actions.maintenanceOn, action: 'maintenance-on', object, run: maintenance(true) },
  ];
}
