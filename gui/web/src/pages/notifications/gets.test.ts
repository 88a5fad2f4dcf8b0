import { expect, it } from 'vitest';
import { gets } from './gets';

it('knows which targets a test reaches', () => {
  expect(gets({}, 'indeterminate')).toBe(true);
  expect(gets({ 'min-severity': 'major' }, 'minor')).toBe(false);
  expect(gets({ 'min-severity': 'major' }, 'major')).toBe(true);
  expect(gets({}, 'indeterminate', 'warning')).toBe(false);
  expect(gets({ disabled: true }, 'critical')).toBe(false);
  expect(gets({ events: ['BLY3002'] }, 'critical')).toBe(false);
});
