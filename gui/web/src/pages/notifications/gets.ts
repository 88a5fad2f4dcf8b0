import type { Document } from '../../api/types';

/** ranks are the severities from the least to the worst. */
export const ranks = ['indeterminate', 'warning', 'minor', 'major', 'critical'] as const;

export type Severity = (typeof ranks)[number];

/** testCode is the event that a test makes. */
const testCode = 'BLY3070';

/** gets says whether a target is sent a test of a severity; from is what a target takes that says nothing. */
export function gets(target: Document, severity: Severity, from?: Severity): boolean {
  const codes = (target.events ?? []) as string[];
  const min = (target['min-severity'] as Severity | undefined) ?? from;
  return target.disabled !== true && (codes.length === 0 || codes.includes(testCode)) && (!min || !ranks.includes(min) || ranks.indexOf(severity) >= ranks.indexOf(min));
}
