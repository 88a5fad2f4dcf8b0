import { expect, it } from 'vitest';
import { differences, merge, patch } from './diff';

it('lists what differs, by path', () => {
  expect(differences({ a: 1, b: { c: 2, d: [1] } }, { a: 1, b: { d: [1, 2] }, e: 'x' })).toEqual([
    { path: 'b.c', before: 2, after: undefined },
    { path: 'b.d', before: [1], after: [1, 2] },
    { path: 'e', before: undefined, after: 'x' },
  ]);
  expect(differences({ a: [{ b: 1 }] }, { a: [{ b: 1 }] })).toEqual([]);
});

it('merges what two people changed', () => {
  const base = { agent: 'a', parameters: { ip: '1', nic: 'eth0' }, meta: { priority: 1 } };
  expect(merge(base, { ...base, parameters: { ip: '2', nic: 'eth0' } }, { agent: 'a', parameters: { ip: '1', nic: 'eth0' } })).toEqual({
    document: { agent: 'a', parameters: { ip: '2', nic: 'eth0' } },
    both: [],
  });
  expect(merge(base, { ...base, parameters: { ip: '2' } }, { ...base, parameters: { ip: '3', nic: 'eth0', mask: '24' } })).toEqual({
    document: { agent: 'a', parameters: { ip: '2', mask: '24' }, meta: { priority: 1 } },
    both: ['parameters.ip'],
  });
});

it('makes a merge patch', () => {
  expect(patch({ a: 1, b: { c: 1, d: 2 }, e: [1] }, { a: 1, b: { d: 3 }, e: [1, 2], f: 'x' })).toEqual({ b: { c: null, d: 3 }, e: [1, 2], f: 'x' });
  expect(patch({ a: 1 }, undefined)).toBe(null);
});
