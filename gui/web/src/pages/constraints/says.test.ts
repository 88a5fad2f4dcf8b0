import { expect, it } from 'vitest';
import { row } from './says';

it('says what a constraint wants', () => {
  const says = (d: Record<string, unknown>) => {
    const r = row('c', d);
    return [r.kind, r.says, r.score];
  };
  expect(says({ location: { resource: 'web', node: 'n1', score: 100, 'until-reached': true } })).toEqual(['location', 'web on n1, until it is there', '100']);
  expect(says({ location: { resource: 'web', score: 'INFINITY', rule: {} } })).toEqual(['location', 'web where a rule is true', 'INFINITY']);
  expect(says({ colocation: { resource: 'web', with: 'db', 'with-role': 'Promoted', score: -5 } })).toEqual(['colocation', 'web with db (Promoted)', '-5']);
  expect(says({ order: { first: 'db', 'first-action': 'promote', then: 'web', 'then-action': 'start' } })).toEqual(['order', 'promote db, then start web', '']);
  expect(says({ ticket: { resource: 'web', ticket: 'site-a', 'loss-policy': 'fence' } })).toEqual(['ticket', 'web needs ticket site-a', 'fence']);
  expect(says({})).toEqual(['', '', '']);
});
