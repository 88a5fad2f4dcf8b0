import type { Document } from '../../api/types';

type Whole = Record<string, unknown>;

/** kept is a configuration that somebody typed, with a place for every section: one that is left out is empty, so that its documents are deleted one by one. */
export function kept(base: Whole, typed: Whole): Document {
  const out: Document = { ...typed };
  for (const section of Object.keys(base)) if (out[section] === undefined || out[section] === null) out[section] = {};
  return out;
}
