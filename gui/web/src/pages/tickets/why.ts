// What needs a ticket, and what becomes of it without: pure functions.
import type { Config, Summary, Ticket } from '../../api/types';
import { tickets as t } from '../../texts/protect';

/** Need is a resource that needs a ticket. */
export interface Need {
  constraint: string;
  resource: string;
  role: string;
  loss: string;
  state: string; // of the resource
  reason: string;
}

/** needsOf lists what needs a ticket. */
export function needsOf(id: string, s: Summary, c: Config | undefined): Need[] {
  return Object.entries(c?.config.constraints ?? {}).flatMap(([constraint, d]) => {
    const k = d.ticket as { ticket?: string; resource?: string; role?: string; 'loss-policy'?: string } | undefined;
    if (k?.ticket !== id || !k.resource) return [];
    const r = (s.resources ?? []).find((x) => x.id === k.resource);
    return [{ constraint, resource: k.resource, role: k.role ?? '', loss: k['loss-policy'] ?? 'stop', state: r?.state ?? 'unknown', reason: r?.reason ?? '' }];
  });
}

/** why says what the ticket lets run, and what not. */
export function why(k: Pick<Ticket, 'held' | 'standby'>, needs: number): string {
  if (needs === 0) return t.why.unneeded;
  if (!k.held) return t.why.revoked;
  return k.standby ? t.why.standby : t.why.granted;
}
