import { expect, it } from 'vitest';
import { why, type Member } from './why';

const member = (node: string, more: Partial<Member> = {}) => ({ node, state: 'healthy', leader: false, sizeBytes: 1, inUseBytes: 1, quotaBytes: 100, latencyNs: 1, ...more });
const store = (...members: Member[]): Parameters<typeof why>[0] => ({ state: 'healthy', leader: members.find((m) => m.leader)?.node, members, latencyNs: 1, sizeBytes: 1, quotaBytes: 100, revision: 1 });

it('says who leads and whether it can write', () => {
  const a = member('a', { leader: true });
  const b = member('b');
  const all = store(a, b, member('c', { state: 'unhealthy', alarm: 'node c is offline' }));
  expect(why(all, a)[0]).toMatch(/leads/);
  expect(why(all, b)[0]).toBe('It answers, and follows a.');
  expect(why(all, b)[1]).toMatch(/^2 of 3 members are healthy, 2 are needed/);
  expect(why(all, all.members![2]!)[0]).toBe('node c is offline.');
});

it('says that it cannot write, and why a member counts as lost', () => {
  const lost = member('b', { state: 'unknown' });
  const all = store(member('a', { leader: true }), lost);
  expect(why(all, lost)).toEqual(['Nothing was heard of it yet.', 'Only 1 of 2 members is healthy, 2 are needed: changes wait; services go on.']);
});

it('warns before it is full', () => {
  expect(why(store(member('a')), member('a', { sizeBytes: 85 })).at(-1)).toMatch(/85 %/);
});
