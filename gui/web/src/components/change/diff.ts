// Comparing and merging documents: pure functions.
export type Value = unknown;

export interface Difference {
  path: string;
  before: Value;
  after: Value;
}

function isMap(v: Value): v is Record<string, Value> {
  return typeof v === 'object' && v !== null && !Array.isArray(v);
}

export function same(a: Value, b: Value): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((v, i) => same(v, b[i]));
  if (isMap(a) && isMap(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].every((k) => same(a[k], b[k]));
  }
  return false;
}

/** differences lists the fields in which two documents differ, by path. */
export function differences(before: Value, after: Value, path: string[] = []): Difference[] {
  if (same(before, after)) return [];
  if (isMap(before) && isMap(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return keys.flatMap((k) => differences(before[k], after[k], [...path, k]));
  }
  return [{ path: path.join('.'), before, after }];
}

/** The result of a merge: the document, and the paths that both sides changed to something else. */
export interface Merged {
  document: Value;
  both: string[];
}

/** merge applies what changed from base to mine onto theirs. Where both changed a field, mine counts. */
export function merge(base: Value, mine: Value, theirs: Value, path: string[] = []): Merged {
  if (same(mine, base) || same(mine, theirs)) return { document: theirs, both: [] };
  if (same(theirs, base)) return { document: mine, both: [] };
  if (isMap(mine) && isMap(theirs)) {
    const from = isMap(base) ? base : {};
    const out: Record<string, Value> = {};
    const both: string[] = [];
    for (const k of new Set([...Object.keys(theirs), ...Object.keys(mine)])) {
      const m = merge(from[k], mine[k], theirs[k], [...path, k]);
      if (m.document !== undefined) out[k] = m.document;
      both.push(...m.both);
    }
    return { document: out, both };
  }
  return { document: mine, both: [path.join('.')] };
}

/** patch is the merge patch (RFC 7396) that makes a document of another. */
export function patch(before: Value, after: Value): Value {
  if (!isMap(before) || !isMap(after)) return after ?? null;
  const out: Record<string, Value> = {};
  for (const k of new Set([...Object.keys(before), ...Object.keys(after)])) if (!same(before[k], after[k])) out[k] = k in before ? patch(before[k], after[k]) : after[k];
  return out;
}

/** show writes a value for people. */
export function show(v: Value): string {
  if (v === undefined) return '–';
  if (typeof v === 'string') return v;
  return JSON.stringify(v);
}
