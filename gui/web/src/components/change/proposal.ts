// What a page proposes, and how it is sent. No page sends a change by itself.
import { useSyncExternalStore } from 'react';
import { api, must, newKey } from '../../api/client';
import type { Change, ChangeResult, Document, Job } from '../../api/types';
import { quote } from '../quote';
import { patch } from './diff';

/** An edit of a document: what it was when the form was opened, and what it is to be. */
export interface Edit {
  kind: string;
  id: string;
  base?: Document; // undefined: it is to be created
  next?: Document; // undefined: it is to be deleted
  generation: number; // that base was read at
}

export interface Choice {
  label: string;
  options: { value: string; label: string; note?: string }[];
  initial: string;
}

/** Proposal is a change that somebody is about to see the plan of. */
export interface Proposal {
  title: string;
  lead?: string;
  danger?: boolean;
  /** Either a request, made of what was chosen, or an edit. */
  change?: (chosen: string, comment: string) => Pick<Change, 'action' | 'object' | 'value' | 'merge'>;
  edit?: Edit;
  choice?: Choice;
  /** The name of a comment that goes with the change, and has no effect on its plan. */
  comment?: string;
  /** The command that does the same. */
  cli: (chosen: string, comment: string) => string[] | string;
  /** Called once the change is made. */
  onApplied?: () => void;
  /** Called where the user would rather see what somebody else made of it. */
  onDiscard?: () => void;
}

/** Every proposal begins a dialog of its own. */
type Numbered = Proposal & { number: number };

let proposal: Numbered | undefined;
let count = 0;
const listeners = new Set<() => void>();

function set(p: Numbered | undefined) {
  proposal = p;
  for (const f of listeners) f();
}

/** propose opens the dialog with the plan. */
export function propose(p: Proposal) {
  set({ ...p, number: ++count });
}

export function dismiss() {
  set(undefined);
}

export function useProposal(): Numbered | undefined {
  return useSyncExternalStore(
    (f) => {
      listeners.add(f);
      return () => {
        listeners.delete(f);
      };
    },
    () => proposal,
  );
}

/** whole is the kind of an edit of the whole configuration. */
export const whole = 'configuration';

/** changeOf is the request of an edit. */
export function changeOf(e: Edit): Pick<Change, 'action' | 'object' | 'value' | 'merge'> {
  if (e.kind === whole) return { action: 'apply', object: 'cluster', merge: true, value: patch(e.base, e.next) };
  if (e.kind === 'cluster') return { action: 'apply', object: 'cluster', merge: true, value: { cluster: patch(e.base, e.next) } };
  const object = `${e.kind}/${e.id}`;
  if (!e.next) return { action: 'delete', object };
  return { action: e.base ? 'update' : 'create', object, value: e.next };
}

/** sections are the names of the kinds in a whole configuration. */
export const sections: Record<string, string> = {
  node: 'nodes',
  resource: 'resources',
  constraint: 'constraints',
  'fence-device': 'fence-devices',
  'fence-topology': 'fence-topology',
  'quorum-device': 'quorum-devices',
  ticket: 'tickets',
  role: 'roles',
  'role-binding': 'role-bindings',
  'snmp-user': 'snmp-users',
  'snmp-target': 'snmp-targets',
  'audit-rule': 'audit-rules',
  'remote-node': 'remote-nodes',
  'cim-destination': 'cim-destinations',
  'cim-filter': 'cim-filters',
  'cim-subscription': 'cim-subscriptions',
  webhook: 'webhooks',
  'mail-target': 'mail-targets',
};

/** cliOf is the command that makes an edit. */
export function cliOf(e: Edit): string {
  const part = e.kind === whole ? patch(e.base, e.next) : e.kind === 'cluster' ? { cluster: patch(e.base, e.next) } : { [sections[e.kind] ?? e.kind]: { [e.id]: e.next ?? null } };
  return `echo ${quote(JSON.stringify(part))} | belay apply --merge -f -`;
}

export interface Sent {
  result: ChangeResult;
  job?: Job;
}

export interface Sending {
  dryRun: boolean;
  planToken?: string;
  force?: boolean;
  changeRef?: string;
  key?: string;
}

const jobActions = /^(start|stop|restart|move|manage|unmanage|maintenance-on|maintenance-off|cleanup|refresh|standby|online|fence|fence-confirm|drain|remove|voter)$/;

/** send makes a change, or simulates it. Actions on nodes and resources answer with a job. */
export async function send(c: Pick<Change, 'action' | 'object' | 'value' | 'merge'>, generation: number | undefined, s: Sending): Promise<Sent> {
  const [kind, ...rest] = c.object.split('/');
  const headers = s.key ? { 'Idempotency-Key': s.key } : undefined;
  const query = { dryRun: s.dryRun || undefined, planToken: s.planToken, force: s.force || undefined, changeRef: s.changeRef || undefined };
  if (jobActions.test(c.action) && (kind === 'node' || kind === 'resource')) {
    const path = `/v1/${kind}s/{id}/actions/${c.action}` as '/v1/resources/{id}/actions/move';
    const job = await must(api.POST(path, { params: { path: { id: rest.join('/') }, query }, headers, ...(c.value === undefined ? {} : { body: c.value as Record<string, unknown> }) }));
    return { result: job.result!, job: job };
  }
  if (jobActions.test(c.action) && kind === 'cluster') {
    const path = `/v1/cluster/actions/${c.action}` as '/v1/cluster/actions/maintenance-on';
    const job = await must(api.POST(path, { params: { query }, headers }));
    return { result: job.result!, job: job };
  }
  const body = { ...c, ...query, expectedGeneration: generation } as Change;
  return { result: await must(api.POST('/v1/change', { body, headers })) };
}

export { newKey };
