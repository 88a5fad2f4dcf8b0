import { expect, it } from 'vitest';
import { exportPath, isRecord, page, queryOf, searchOf, startOf } from './search';

const of = (s: string) => new URLSearchParams(s);

it('reads a search, and asks for it', () => {
  const s = searchOf(of('user=+admin+&action=&object=resource/&from=2030-01-02T03:04Z&to=nonsense&other=1'));
  expect(s).toEqual({ user: 'admin', object: 'resource/', from: '2030-01-02T03:04Z', to: 'nonsense' });
  expect(queryOf(s)).toEqual({ user: 'admin', object: 'resource/', from: '2030-01-02T03:04:00.000Z' });
});

it('begins with the newest, a search with the oldest', () => {
  expect(startOf(of(''), {}, page + 20)).toBe(20);
  expect(startOf(of(''), {}, 3)).toBe(0);
  expect(startOf(of(''), { user: 'x' }, page + 20)).toBe(0);
  expect(startOf(of('after=7'), {}, page + 20)).toBe(7);
  expect(startOf(of('after=-1'), {}, 3)).toBe(0);
});

it('exports what is searched, of the node that answers', () => {
  expect(exportPath('csv', { user: 'a&b', node: 'n2' })).toBe('/v1/audit/export?format=csv&user=a%26b');
});

it('knows a record', () => {
  expect(isRecord({ seq: 1, action: 'apply' })).toBe(true);
  expect(isRecord(null)).toBe(false);
  expect(isRecord({ seq: '1' })).toBe(false);
});
