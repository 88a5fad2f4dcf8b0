// What is searched stands in the address: a pure reading of it.
export const texts = ['node', 'user', 'action', 'object', 'result', 'phase', 'changeRef'] as const;
export const times = ['from', 'to'] as const;
export type Field = (typeof texts)[number] | (typeof times)[number];
export type Search = Partial<Record<Field, string>>;

/** AuditRecord is what the pages show of a record. */
export interface AuditRecord {
  seq: number;
  time: string;
  phase: string;
  actor?: { user?: string; via?: string };
  action: string;
  object?: string;
  result?: string;
  reason?: string;
}

/** searchOf reads the search of an address. */
export function searchOf(p: URLSearchParams): Search {
  const out: Search = {};
  for (const k of [...texts, ...times]) {
    const v = p.get(k)?.trim();
    if (v) out[k] = v;
  }
  return out;
}

/** queryOf is what the server is asked: times that people typed become RFC 3339. */
export function queryOf(s: Search): Record<string, string> {
  const out: Record<string, string> = { ...s };
  for (const k of times) {
    if (!s[k]) continue;
    const t = new Date(s[k]);
    if (Number.isNaN(t.getTime())) delete out[k];
    else out[k] = t.toISOString();
  }
  return out;
}

/** page is how many records are asked for at once. */
export const page = 500;

/** startOf is after which record to begin: without a search, the newest ones are shown. */
export function startOf(p: URLSearchParams, s: Search, records: number): number {
  const after = Number(p.get('after') ?? NaN);
  if (Number.isSafeInteger(after) && after >= 0) return after;
  return Object.keys(s).length === 0 ? Math.max(0, records - page) : 0;
}

/** exportPath is the address of an export of what is searched. The log is that of the node that answers. */
export function exportPath(format: string, s: Search): string {
  const q = queryOf(s);
  delete q.node;
  return `/v1/audit/export?${new URLSearchParams({ format, ...q }).toString()}`;
}

/** isRecord tells records from what a later release may put there. */
export function isRecord(v: unknown): v is AuditRecord {
  return typeof v === 'object' && v !== null && typeof (v as AuditRecord).seq === 'number' && typeof (v as AuditRecord).action === 'string';
}

const flags: Record<Field, string> = { node: 'node', user: 'user', action: 'action', object: 'object', result: 'result', phase: 'phase', changeRef: 'change-ref', from: 'since', to: 'until' };

/** cliOf is the command that shows the same records. */
export function cliOf(s: Search): string[] {
  const q = queryOf(s);
  return ['audit', 'show', ...[...texts, ...times].flatMap((k) => (q[k] ? [`--${flags[k]}`, q[k]] : []))];
}
