import { expect, it } from 'vitest';
import type { Step } from '../../api/types';
import { layers } from './graph';

const step = (number: number, ...after: number[]) => ({ number, text: `s${number}`, after, why: { cause: '' } }) as Step;

it('puts a step behind all that it waits for', () => {
  expect(layers([step(0), step(1, 0), step(2), step(3, 1, 2), step(4, 99)]).map((p) => [p.layer, p.row])).toEqual([
    [0, 0],
    [1, 0],
    [0, 1],
    [2, 0],
    [0, 2],
  ]);
});

it('ends with a loop, too', () => {
  expect(layers([step(0, 1), step(1, 0)])).toHaveLength(2);
});
