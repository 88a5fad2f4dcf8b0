import { expect, it } from 'vitest';
import { groupsOf } from './groups';

it('reads groups as people type them', () => {
  expect(groupsOf(' belay-admin,, wheel ,belay-admin')).toEqual(['belay-admin', 'wheel']);
  expect(groupsOf('  ')).toEqual([]);
});
