// What the wizard of fencing makes of what was typed: a pure function.
import type { Document } from '../../api/types';

export type Place = 'none' | 'last' | 'first' | 'together';

export interface Typed {
  name: string;
  agent: string;
  parameters: Record<string, string>;
  all: boolean;
  /** Nodes that it fences, with what the device calls them. */
  targets: Record<string, string>;
  place: Place;
}

export const nothing: Typed = { name: '', agent: '', parameters: {}, all: true, targets: {}, place: 'none' };

type Levels = Record<string, string[][]>;

/** levels are the levels of each node that the device fences, with the device in its place. */
export function levels(t: Typed, nodes: string[], present: Levels): Levels {
  if (t.place === 'none') return {};
  const out: Levels = {};
  for (const node of t.all ? nodes : Object.keys(t.targets)) {
    const old = present[node] ?? [];
    const own = [[t.name]];
    out[node] = t.place === 'first' ? [...own, ...old] : t.place === 'last' || old.length === 0 ? [...old, ...own] : [...old.slice(0, -1), [...old.at(-1)!, t.name]];
  }
  return out;
}

/** made is the part of the configuration that is new. */
export function made(t: Typed, nodes: string[], present: Levels): Record<string, Record<string, Document>> {
  const device: Document = { agent: t.agent };
  if (Object.keys(t.parameters).length > 0) device.parameters = t.parameters;
  if (!t.all) device.targets = t.targets;
  const topology = Object.entries(levels(t, nodes, present)).map(([node, l]) => [node, { levels: l }]);
  return { 'fence-devices': { [t.name]: device }, ...(topology.length > 0 ? { 'fence-topology': Object.fromEntries(topology) as Record<string, Document> } : {}) };
}

/** complete says which steps have what they need. */
export function complete(t: Typed): { device: boolean; targets: boolean } {
  return { device: /^[A-Za-z_][\w.-]*$/.test(t.name) && t.agent !== '', targets: t.all || Object.keys(t.targets).length > 0 };
}
