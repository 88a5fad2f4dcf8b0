import { expect, it } from 'vitest';
import { patch } from '../../components/change/diff';
import { kept } from './kept';

it('deletes each document of a section that is left out', () => {
  const base = { cluster: { name: 'c' }, resources: { web: { agent: 'a' } }, tickets: { t: {} } };
  expect(patch(base, kept(base, { cluster: { name: 'c' }, tickets: null }))).toEqual({ resources: { web: null }, tickets: { t: null } });
  expect(patch(base, kept(base, base))).toEqual({});
});
