import { expect, it } from 'vitest';
import { bytes, duration, isZero, nanos } from './time';

it('writes lengths of time', () => {
  expect([0.4, 12.3, 999, 1000, 61_000, 3_600_000, 90_061_000, -5000, NaN].map(duration)).toEqual(['0.4 ms', '12 ms', '999 ms', '1 s', '1 min 1 s', '1 h', '1 d 1 h', '−5 s', '–']);
  expect(nanos(28_059_361)).toBe('28 ms');
  expect(nanos(undefined)).toBe('0 ms');
});

it('writes sizes', () => {
  expect([0, 1023, 1024, 20 * 1024, 3.25 * 1024 * 1024, undefined].map(bytes)).toEqual(['0 B', '1023 B', '1.0 KiB', '20 KiB', '3.3 MiB', '0 B']);
});

it('tells no time from a time', () => {
  expect([isZero(undefined), isZero('0001-01-01T00:00:00Z'), isZero('2026-01-01T00:00:00Z')]).toEqual([true, true, false]);
});
