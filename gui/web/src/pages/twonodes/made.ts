// What the wizard of two nodes makes of what was typed: a pure function.
import type { Document } from '../../api/types';

export interface Typed {
  /** A tie-breaker is added. */
  add: boolean;
  name: string;
  server: string;
  pin: string;
  handover: string;
  survivor: string;
  delay: string;
  priority: string;
  detection: string;
}

export const nothing: Typed = { add: true, name: 'q', server: '', pin: '', handover: '', survivor: '', delay: '5s', priority: '', detection: '' };

type Documents = Record<string, Document>;

/** deviceOf is the fence device of a node alone, which can wait for it. */
export function deviceOf(node: string, devices: Documents): string | undefined {
  return Object.keys(devices).find((id) => {
    const targets = Object.keys(devices[id]!.targets ?? {});
    return targets.length === 1 && targets[0] === node;
  });
}

/** made is the part of the configuration that changes: a merge patch. */
export function made(t: Typed, nodes: string[], devices: Documents): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  if (t.add && t.name) {
    const parameters: Record<string, string> = { servers: t.server, fingerprint: t.pin };
    if (t.handover) parameters['hand-over-delay'] = t.handover;
    out['quorum-devices'] = { [t.name]: { kind: 'quorumd', parameters } };
  }
  const waiting: Record<string, unknown> = {};
  for (const node of nodes) {
    const id = deviceOf(node, devices);
    if (!id || !t.survivor) continue;
    if (node === t.survivor) waiting[id] = { delay: t.delay };
    else if (devices[id]!.delay !== undefined) waiting[id] = { delay: null };
  }
  if (Object.keys(waiting).length > 0) out['fence-devices'] = waiting;
  const options: Record<string, string> = {};
  if (t.detection) options.detection = t.detection;
  if (t.priority) options['priority-fencing-delay'] = t.priority;
  if (Object.keys(options).length > 0) out.cluster = { options };
  return out;
}

const duration = /^\d+(\.\d+)?(ms|s|m|h)?([\d.]+(ms|s))?$/;
const time = (v: string) => v === '' || duration.test(v);

/** complete says which steps have what they need. */
export function complete(t: Typed): { tie: boolean; delay: boolean; timing: boolean } {
  return {
    tie: !t.add || (/^[A-Za-z_][\w.-]*$/.test(t.name) && t.server.trim() !== '' && /^sha256:\S{43,}/.test(t.pin)),
    delay: time(t.priority) && (t.survivor === '' || (t.delay !== '' && time(t.delay))),
    timing: time(t.detection) && time(t.handover),
  };
}
