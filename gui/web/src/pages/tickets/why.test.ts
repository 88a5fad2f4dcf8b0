import { expect, it } from 'vitest';
import type { Config, Summary } from '../../api/types';
import { needsOf, why } from './why';

const config = {
  config: {
    constraints: {
      a: { ticket: { ticket: 'k', resource: 'web', 'loss-policy': 'fence' } },
      b: { ticket: { ticket: 'other', resource: 'web' } },
      c: { ticket: { ticket: 'k', resource: 'gone', role: 'Promoted' } },
      d: { order: { first: 'a', then: 'b' } },
    },
  },
} as unknown as Config;

it('lists what needs a ticket', () => {
  const s = { resources: [{ id: 'web', state: 'running' }] } as unknown as Summary;
  expect(needsOf('k', s, config)).toEqual([
    { constraint: 'a', resource: 'web', role: '', loss: 'fence', state: 'running', reason: '' },
    { constraint: 'c', resource: 'gone', role: 'Promoted', loss: 'stop', state: 'unknown', reason: '' },
  ]);
  expect(needsOf('k', s, undefined)).toEqual([]);
});

it('says what a ticket lets run', () => {
  const texts = new Set([why({ held: true, standby: false }, 1), why({ held: true, standby: true }, 1), why({ held: false, standby: false }, 1), why({ held: false, standby: false }, 0)]);
  expect(texts.size).toBe(4);
});
