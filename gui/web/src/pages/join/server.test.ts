import { expect, it } from 'vitest';
import { serverOf } from './server';

it('names whom the new node asks', () => {
  expect(serverOf({ addresses: ['10.0.0.1', '10.1.0.1'] })).toBe('@10.0.0.1');
  expect(serverOf({ addresses: ['fd00::1'], ports: { api: 7503 } })).toBe('@[fd00::1]:7503');
  expect(serverOf({ addresses: ['10.0.0.1'], ports: { api: 7403 } })).toBe('@10.0.0.1');
  expect(serverOf(undefined)).toBe('');
});
