// Where the steps of a plan stand in its picture: a pure function.
import type { Step } from '../../api/types';

export interface Placed {
  step: Step;
  layer: number;
  row: number;
}

/** layers gives each step a column right of everything that it waits for. */
export function layers(steps: Step[]): Placed[] {
  const byNumber = new Map(steps.map((s) => [s.number, s]));
  const layer = new Map<number, number>();
  const visiting = new Set<number>();
  const find = (n: number): number => {
    const have = layer.get(n);
    if (have !== undefined) return have;
    const s = byNumber.get(n);
    // A plan has no loops; an answer that has one must not hang the page.
    if (!s || visiting.has(n)) return -1;
    visiting.add(n);
    const at = 1 + Math.max(-1, ...(s.after ?? []).map(find));
    visiting.delete(n);
    layer.set(n, at);
    return at;
  };
  const rows: number[] = [];
  return steps.map((step) => {
    const at = find(step.number);
    rows[at] = (rows[at] ?? -1) + 1;
    return { step, layer: at, row: rows[at] };
  });
}
