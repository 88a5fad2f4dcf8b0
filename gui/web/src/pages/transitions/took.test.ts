import { expect, it } from 'vitest';
import { between, stateOf } from './took';

it('says how a transition stands', () => {
  expect(stateOf({})).toBe('running');
  expect(stateOf({ ended: '0001-01-01T00:00:00Z', failed: 1 })).toBe('running');
  expect(stateOf({ ended: '2030-01-01T00:00:00Z' })).toBe('done');
  expect(stateOf({ ended: '2030-01-01T00:00:00Z', failed: 2 })).toBe('failed');
});

it('says how long it took', () => {
  expect(between('2030-01-01T00:00:00Z', '2030-01-01T00:00:02.4Z')).toBe('2 s');
  expect(between('2030-01-01T00:00:00Z', undefined)).toBe('–');
  // A clock was set back.
  expect(between('2030-01-01T00:00:10Z', '2030-01-01T00:00:00Z')).toBe('0 ms');
});
