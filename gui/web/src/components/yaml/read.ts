// Reads and writes YAML, and knows in which line a field stands. Pure.
import { isMap, isScalar, isSeq, LineCounter, parseDocument, stringify, type Node } from 'yaml';
import { yaml as t } from '../../texts/yaml';
import type { Schema } from '../form/schema';
import { validate, type Path } from './validate';

export interface LineFault {
  /** From 1. */
  line: number;
  path: string;
  text: string;
}

export interface Read {
  /** The document; undefined where the text is no YAML. */
  value?: Record<string, unknown>;
  faults: LineFault[];
}

/** read makes a document of a text, with all that is wrong with it. */
export function read(text: string, schema: Schema): Read {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const line = (offset: number) => lines.linePos(offset).line;
  if (doc.errors.length > 0) return { faults: doc.errors.map((e) => ({ line: line(e.pos[0]), path: '', text: e.message })) };
  let value: unknown;
  try {
    value = doc.toJS({ maxAliasCount: 100 });
  } catch (e) {
    return { faults: [{ line: 1, path: '', text: e instanceof Error ? e.message : String(e) }] };
  }
  value ??= {};
  if (typeof value !== 'object' || Array.isArray(value)) return { faults: [{ line: 1, path: '', text: t.notMap }] };
  const found = validate(value, schema).map((f) => ({ line: line(offsetOf(doc.contents, f.path)), path: f.path.join('.'), text: f.text }));
  return { value: value as Record<string, unknown>, faults: found.sort((a, b) => a.line - b.line) };
}

/** offsetOf is where the field of a path begins, or else what is nearest to it. */
function offsetOf(root: Node | null, path: Path): number {
  let at = root?.range?.[0] ?? 0;
  let node: unknown = root;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((p) => String(isScalar(p.key) ? p.key.value : p.key) === String(step));
      if (!pair) break;
      at = (pair.key as Node).range?.[0] ?? at;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      at = (node as Node | undefined)?.range?.[0] ?? at;
    } else break;
  }
  return at;
}

/** write is the text of a document. */
export function write(value: unknown): string {
  return stringify(value, { lineWidth: 0 });
}
