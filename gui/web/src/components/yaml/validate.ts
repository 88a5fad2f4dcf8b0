// Checks a value against the JSON schema of the model: as much of JSON Schema as the
// model's has. Pure.
import { resolve, type Schema } from '../form/schema';
import { yaml as t } from '../../texts/yaml';

export type Path = (string | number)[];

export interface Fault {
  path: Path;
  text: string;
}

/** How many faults are worth listing. */
const most = 100;

function kindOf(v: unknown): string {
  if (v === null || v === undefined) return 'null';
  if (Array.isArray(v)) return 'array';
  if (typeof v === 'number') return Number.isInteger(v) ? 'integer' : 'number';
  return typeof v;
}

function fits(kind: string, wanted: string): boolean {
  return kind === wanted || (kind === 'integer' && wanted === 'number');
}

/** validate lists what is wrong with a value, the first hundred faults. */
export function validate(value: unknown, schema: Schema): Fault[] {
  const out: Fault[] = [];
  check(value, schema, [], out);
  return out.slice(0, most);
}

function check(v: unknown, raw: Schema, path: Path, out: Fault[]) {
  if (out.length >= most) return;
  const s = resolve(raw);
  const fault = (text: string, at = path) => out.push({ path: at, text });
  if (s.anyOf) {
    const tries = s.anyOf.map((a) => {
      const faults: Fault[] = [];
      check(v, a, path, faults);
      return faults;
    });
    if (tries.some((f) => f.length === 0)) return;
    const words = s.anyOf.filter((a) => a.const !== undefined).map((a) => String(a.const));
    fault(words.length > 0 ? t.oneOf(words) : s.description ? t.not(s.description) : (tries[0]![0]?.text ?? t.wrong));
    return;
  }
  if (s.const !== undefined && v !== s.const) return void fault(t.oneOf([JSON.stringify(s.const)]));
  const wanted = s.type === undefined ? [] : Array.isArray(s.type) ? s.type : [s.type];
  const kind = kindOf(v);
  if (wanted.length > 0 && !wanted.some((w) => fits(kind, w))) {
    const need = wanted.find((w) => w !== 'null')!;
    return void fault(need === 'string' && ['integer', 'number', 'boolean'].includes(kind) ? t.quote(String(v)) : t.type(t.types[need] ?? need, t.types[kind] ?? kind));
  }
  if (typeof v === 'string' && s.pattern && !new RegExp(s.pattern, 'u').test(v)) fault(s.description ? t.not(s.description) : t.wrong);
  if (typeof v === 'number' && s.minimum !== undefined && v < s.minimum) fault(t.least(s.minimum));
  if (typeof v === 'number' && s.maximum !== undefined && v > s.maximum) fault(t.most(s.maximum));
  if (Array.isArray(v) && s.items) v.forEach((x, i) => check(x, s.items!, [...path, i], out));
  if (kind === 'object') {
    const o = v as Record<string, unknown>;
    for (const r of s.required ?? []) if (!(r in o)) fault(t.missing(r));
    for (const [k, x] of Object.entries(o)) {
      const field = s.properties && Object.hasOwn(s.properties, k) ? s.properties[k] : undefined;
      if (field) check(x, field, [...path, k], out);
      else if (typeof s.additionalProperties === 'object') check(x, s.additionalProperties, [...path, k], out);
      else if (s.additionalProperties === false) fault(t.unknown(k, nearest(k, Object.keys(s.properties ?? {}))), [...path, k]);
    }
  }
}

/** nearest is the name that somebody meant who wrote another. */
export function nearest(word: string, names: string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(word.length / 3)) + 1;
  if (word.length > 60) return undefined;
  for (const n of names) {
    const d = distance(word, n);
    if (d < least) [best, least] = [n, d];
  }
  return best;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
