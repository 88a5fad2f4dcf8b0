import { expect, it } from 'vitest';
import type { NotificationTarget } from '../../api/types';
import { standing } from './delivery';

const target = (delivery?: NotificationTarget['delivery'], disabled?: boolean): NotificationTarget => ({ kind: 'webhook', id: 'chat', address: 'https://x', delivery, disabled });
const early = '2026-03-01T12:00:00Z';
const late = '2026-03-01T12:00:00.5Z';

it('says whether a receiver takes what it is sent', () => {
  expect(standing(undefined)).toBe('unknown');
  expect(standing(target())).toBe('unknown');
  expect(standing(target({}))).toBe('never');
  expect(standing(target({ lastSentAt: early }))).toBe('takes');
  expect(standing(target({ lastErrorAt: early, lastError: 'refused' }))).toBe('fails');
  expect(standing(target({ lastSentAt: early, lastErrorAt: late }))).toBe('fails');
  expect(standing(target({ lastSentAt: late, lastErrorAt: early }))).toBe('takes');
  expect(standing(target({ lastErrorAt: late }, true))).toBe('off');
});
