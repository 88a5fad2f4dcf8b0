// How a state looks: one table for every page, so that the same thing has the same
// colour and sign everywhere. A sign stands beside every colour.
import BanIcon from '@patternfly/react-icons/dist/esm/icons/ban-icon';
import CheckCircleIcon from '@patternfly/react-icons/dist/esm/icons/check-circle-icon';
import ExclamationCircleIcon from '@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon';
import ExclamationTriangleIcon from '@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon';
import InfoCircleIcon from '@patternfly/react-icons/dist/esm/icons/info-circle-icon';
import MinusCircleIcon from '@patternfly/react-icons/dist/esm/icons/minus-circle-icon';
import PauseCircleIcon from '@patternfly/react-icons/dist/esm/icons/pause-circle-icon';
import PowerOffIcon from '@patternfly/react-icons/dist/esm/icons/power-off-icon';
import QuestionCircleIcon from '@patternfly/react-icons/dist/esm/icons/question-circle-icon';
import StarIcon from '@patternfly/react-icons/dist/esm/icons/star-icon';
import SyncAltIcon from '@patternfly/react-icons/dist/esm/icons/sync-alt-icon';
import WrenchIcon from '@patternfly/react-icons/dist/esm/icons/wrench-icon';
import type { ComponentType } from 'react';
import { states } from '../texts/states';

export type Tone = 'good' | 'busy' | 'warn' | 'bad' | 'off' | 'special';

export interface Look {
  tone: Tone;
  text: string;
  icon: ComponentType;
}

type Row = [Tone, ComponentType];

const good: Row = ['good', CheckCircleIcon];
const busy: Row = ['busy', SyncAltIcon];
const warn: Row = ['warn', ExclamationTriangleIcon];
const bad: Row = ['bad', ExclamationCircleIcon];
const off: Row = ['off', MinusCircleIcon];
const unknown: Row = ['off', QuestionCircleIcon];

const table = {
  cluster: { unknown, normal: good, degraded: warn, failed: bad, maintenance: ['special', WrenchIcon], 'no-quorum': bad },
  node: {
    unknown,
    online: good,
    offline: ['off', PowerOffIcon],
    joining: busy,
    leaving: busy,
    standby: ['special', PauseCircleIcon],
    maintenance: ['special', WrenchIcon],
    unclean: bad,
    fencing: ['bad', SyncAltIcon],
    fenced: ['off', PowerOffIcon],
    restarting: busy,
  },
  resource: {
    unknown,
    stopped: off,
    starting: busy,
    running: good,
    stopping: busy,
    migrating: busy,
    failed: bad,
    blocked: ['bad', BanIcon],
    unmanaged: ['special', PauseCircleIcon],
    promoted: ['good', StarIcon],
    'not-allowed': ['warn', BanIcon],
  },
  quorum: { unknown, quorate: good, inquorate: bad, 'not-required': good },
  link: { unknown, up: good, down: bad, degraded: warn, disabled: off },
  device: { unknown, available: good, failed: bad, disabled: off },
  readiness: { unknown, ready: good, failed: bad, none: warn, off },
  severity: { critical: bad, major: bad, minor: warn, warning: warn, info: ['busy', InfoCircleIcon], indeterminate: ['off', InfoCircleIcon], cleared: good },
  store: { unknown, healthy: good, unhealthy: bad, learner: busy },
  result: { pending: busy, succeeded: good, failed: bad, 'timed-out': bad, withdrawn: off, 'in-progress': busy },
  step: { waiting: off, asked: busy, running: busy, done: good, failed: bad, unseen: ['off', CheckCircleIcon] },
} satisfies Record<string, Record<string, Row>>;

export type Family = keyof typeof table;

/** look says how a state of a family looks; one that this release does not know is shown as it is called. */
export function look(family: Family, state: string): Look {
  const rows: Record<string, Row> = table[family];
  const texts: Record<string, string> = states[family];
  const [tone, icon] = (Object.hasOwn(rows, state) ? rows[state] : undefined) ?? unknown;
  return { tone, icon, text: (Object.hasOwn(texts, state) ? texts[state] : undefined) ?? state };
}

/** families lists the states that the table knows. */
export function families(): Record<string, string[]> {
  return Object.fromEntries(Object.entries(table).map(([f, rows]) => [f, Object.keys(rows)]));
}
