import type { Document } from '../../api/types';
import { constraints as t } from '../../texts/protect';

export interface Row {
  id: string;
  kind: string;
  says: string;
  score: string;
  document: Document;
}

const text = (v: unknown): string => (typeof v === 'string' ? v : typeof v === 'number' ? String(v) : '');
const withRole = (name: unknown, role: unknown) => (role ? `${text(name)} (${text(role)})` : text(name));

/** row says in words what a constraint wants. */
export function row(id: string, document: Document): Row {
  const kind = Object.keys(t.kinds).find((k) => document[k]) ?? '';
  const c = (document[kind] ?? {}) as Document;
  const out = { id, kind, document, score: text(c.score), says: '' };
  switch (kind) {
    case 'location':
      out.says = [c.rule ? t.says.rule(withRole(c.resource ?? c['resource-pattern'], c.role)) : t.says.on(withRole(c.resource ?? c['resource-pattern'], c.role), text(c.node)), c['until-reached'] && t.says.until].filter(Boolean).join(', ');
      out.score = text(c.score) || text(c['score-attribute']);
      break;
    case 'colocation':
      out.says = t.says.with(withRole(c.resource, c.role), withRole(c.with, c['with-role']));
      break;
    case 'order':
      out.says = t.says.then(`${text(c['first-action']) || 'start'} ${text(c.first)}`, `${text(c['then-action']) || text(c['first-action']) || 'start'} ${text(c.then)}`);
      out.score = text(c.kind);
      break;
    case 'ticket':
      out.says = t.says.ticket(withRole(c.resource, c.role), text(c.ticket));
      out.score = text(c['loss-policy']);
  }
  return out;
}
