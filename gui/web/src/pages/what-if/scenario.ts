// What is supposed, where it is kept, and what comes of it: pure functions.
import type { components } from '../../api/schema';
import type { Resource } from '../../api/types';
import { whatIf as t } from '../../texts/what-if';

type Simulating = components['schemas']['Simulating'];
export type Assignment = components['schemas']['GraphAssignment'];

/** Scenario is what is supposed: pairs of a name and a state, as the flags of "belay simulate" say them. */
export interface Scenario {
  node: Record<string, string>;
  resource: Record<string, string>;
  ticket: Record<string, string>;
  quorum: string;
  fail: string[];
  utilization: string[];
}

const maps = ['node', 'ticket', 'resource'] as const;
const lists = ['fail', 'utilization'] as const;
export type Mapped = (typeof maps)[number];

/** partsMax is how many things one may suppose at once. */
export const partsMax = 200;

export function nothing(): Scenario {
  return { node: {}, resource: {}, ticket: {}, quorum: '', fail: [], utilization: [] };
}

/** split parts "name=state" at its last sign: names may hold one. */
function split(v: string): [string, string] | undefined {
  const at = v.lastIndexOf('=');
  return at > 0 && at < v.length - 1 ? [v.slice(0, at), v.slice(at + 1)] : undefined;
}

/** scenarioOf reads the scenario of an address. */
export function scenarioOf(p: URLSearchParams): Scenario {
  const s = nothing();
  for (const kind of maps) {
    for (const v of p.getAll(kind).slice(0, partsMax)) {
      const part = split(v);
      if (part) s[kind][part[0]] = part[1];
    }
  }
  for (const kind of lists) s[kind] = p.getAll(kind).filter(Boolean).slice(0, partsMax);
  s.quorum = p.get('quorum') ?? '';
  return s;
}

/** addressOf is the search part of an address that holds the scenario. */
export function addressOf(s: Scenario): string {
  return new URLSearchParams(flags(s)).toString();
}

/** flags are the names and values of the command line, in an order that does not change. */
function flags(s: Scenario): [string, string][] {
  const out: [string, string][] = [];
  for (const kind of maps) for (const k of Object.keys(s[kind]).sort()) out.push([kind, `${k}=${s[kind][k]}`]);
  for (const kind of lists) for (const v of s[kind]) out.push([kind, v]);
  if (s.quorum) out.push(['quorum', s.quorum]);
  return out;
}

/** cliOf is the command that answers the same. */
export function cliOf(s: Scenario): string[] {
  return ['simulate', '--live', ...flags(s).flatMap(([k, v]) => [`--${k}`, v])];
}

/** requestOf is what the server is asked. */
export function requestOf(s: Scenario): Simulating {
  return { nodes: s.node, resources: s.resource, tickets: s.ticket, quorum: s.quorum || undefined, failures: s.fail, utilization: s.utilization, scores: true };
}

/** Part is one thing that is supposed. */
export interface Part {
  key: string;
  says: string;
  without: Scenario;
}

/** partsOf lists what is supposed, each with the scenario without it. */
export function partsOf(s: Scenario): Part[] {
  const out: Part[] = [];
  for (const kind of maps) {
    for (const [k, v] of Object.entries(s[kind]).sort(([a], [b]) => (a < b ? -1 : 1))) {
      const rest = Object.fromEntries(Object.entries(s[kind]).filter(([x]) => x !== k));
      out.push({ key: `${kind} ${k}`, says: t.says.thing(t.kinds[kind], k, t[kind][v] ?? v), without: { ...s, [kind]: rest } });
    }
  }
  for (const kind of lists) s[kind].forEach((v, i) => out.push({ key: `${kind} ${v}`, says: t.says[kind](v), without: { ...s, [kind]: s[kind].filter((_, n) => n !== i) } }));
  if (s.quorum) out.push({ key: 'quorum', says: t.says.quorum(t.quorum[s.quorum] ?? s.quorum), without: { ...s, quorum: '' } });
  return out;
}

/** withNodes supposes the same of several nodes. */
export function withNodes(s: Scenario, names: string[], state: string): Scenario {
  return { ...s, node: { ...s.node, ...Object.fromEntries(names.map((n) => [n, state])) } };
}

export type Effect = keyof typeof t.effects;

/** Row compares where an instance is to where it would be. */
export interface Row {
  instance: string;
  resource: string;
  now: string;
  then: string;
  effect: Effect;
  why: string;
}

const runs = new Set(['running', 'promoted', 'starting', 'stopping', 'migrating', 'unmanaged', 'failed']);

interface Running {
  instance: string;
  resource: string;
  node: string;
  role: string;
}

/** matched finds for every assignment what runs of it now. The instances of a clone that are all alike have no number while they run: there one that stays where it is counts as the same. */
function matched(placement: Assignment[], resources: Resource[]): (Running | undefined)[] {
  const running = resources.flatMap((r) => (r.instances ?? []).filter((i) => runs.has(i.state)).map((i): Running => ({ instance: i.instance, resource: r.id, node: i.node, role: i.role })));
  const free = new Map<string, Running[]>();
  for (const x of running) free.set(x.resource, [...(free.get(x.resource) ?? []), x]);
  const out = placement.map((): Running | undefined => undefined);
  const rules: ((x: Running, a: Assignment) => boolean)[] = [(x, a) => x.instance === a.instance, (x, a) => x.node === a.node, () => true];
  for (const rule of rules) {
    placement.forEach((a, i) => {
      const left = free.get(a.resource) ?? [];
      const at = out[i] ? -1 : left.findIndex((x) => rule(x, a));
      if (at >= 0) out[i] = left.splice(at, 1)[0];
    });
  }
  return out;
}

/** compare says for every instance what becomes of it; what changes comes first. */
export function compare(placement: Assignment[], resources: Resource[]): Row[] {
  const now = matched(placement, resources);
  const rows = placement.map((a, i): Row => {
    const was = now[i];
    const then = a.role === 'Stopped' ? '' : (a.node ?? '');
    let effect: Effect = 'down';
    if (was && then) effect = was.node !== then ? 'moves' : was.role !== a.role && was.role !== '' ? 'role' : 'stays';
    else if (was) effect = 'stops';
    else if (then) effect = 'starts';
    return { instance: a.instance, resource: a.resource, now: was ? t.at(was.node, was.role) : '', then: then && t.at(then, a.role), effect, why: a.blocked || a.why.cause || '' };
  });
  const order: Effect[] = ['stops', 'moves', 'role', 'starts', 'down', 'stays'];
  return rows.sort((a, b) => order.indexOf(a.effect) - order.indexOf(b.effect) || (a.instance < b.instance ? -1 : 1));
}

/** Saved is a scenario with a name. */
export interface Saved {
  name: string;
  scenario: Scenario;
}

/** savedMax is how many a browser keeps. */
export const savedMax = 50;

/** read makes a scenario of what stood in a file or in the browser; undefined where it is none. */
export function read(v: unknown): Saved | undefined {
  if (typeof v !== 'object' || v === null) return undefined;
  const { name, suppose } = v as { name?: unknown; suppose?: unknown };
  if (typeof name !== 'string' || typeof suppose !== 'object' || suppose === null) return undefined;
  const o = suppose as Record<string, unknown>;
  const texts = (x: unknown): string[] | undefined => (x === undefined || x === null ? [] : Array.isArray(x) && x.every((y) => typeof y === 'string') ? x.slice(0, partsMax) : undefined);
  const pairs = (x: unknown): Record<string, string> | undefined => {
    if (x === undefined || x === null) return {};
    if (typeof x !== 'object' || Array.isArray(x)) return undefined;
    const list = Object.entries(x as Record<string, unknown>);
    return list.every((e): e is [string, string] => typeof e[1] === 'string') ? Object.fromEntries(list.slice(0, partsMax)) : undefined;
  };
  const node = pairs(o.nodes);
  const resource = pairs(o.resources);
  const ticket = pairs(o.tickets);
  const fail = texts(o.failures);
  const utilization = texts(o.utilization);
  if (!node || !resource || !ticket || !fail || !utilization || (o.quorum !== undefined && typeof o.quorum !== 'string')) return undefined;
  return { name: name.slice(0, 100), scenario: { node, resource, ticket, fail, utilization, quorum: o.quorum ?? '' } };
}

/** write is the file of a scenario; what is in "suppose" can be sent to /v1/simulate as it is. */
export function write(s: Saved): string {
  return JSON.stringify({ name: s.name, suppose: { ...requestOf(s.scenario), scores: undefined } }, null, 2) + '\n';
}

/** readAll reads what the browser kept. */
export function readAll(text: string | null): Saved[] {
  try {
    const v = JSON.parse(text ?? '[]') as unknown;
    return Array.isArray(v) ? v.map(read).filter((x) => x !== undefined).slice(0, savedMax) : [];
  } catch {
    return [];
  }
}

/** writeAll is what the browser keeps: the newest of a name, and not too many. */
export function writeAll(list: Saved[], add?: Saved): string {
  const all = add ? [add, ...list.filter((s) => s.name !== add.name)] : list;
  return `[${all.slice(0, savedMax).map(write).join(',')}]`;
}
