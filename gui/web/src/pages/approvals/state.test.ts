import { expect, it } from 'vitest';
import { standing } from './state';

it('tells what waits from what has run out', () => {
  const expires = '2030-01-01T00:00:00Z';
  const at = new Date(expires).getTime();
  expect(standing({ state: 'waiting', expires }, at - 1)).toMatchObject({ text: 'waits', open: true });
  expect(standing({ state: 'waiting', expires }, at + 1)).toMatchObject({ text: 'ran out', open: false });
  expect(standing({ state: 'done', expires }, at + 1)).toMatchObject({ text: 'done', open: false });
});
