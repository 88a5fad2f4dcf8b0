export const history = {
  title: 'What happened',
  noEvents: 'No event is kept about it.',
} as const;

export const events = {
  title: 'Events',
  lead: 'What happened in the cluster, newest first. New ones appear by themselves.',
  none: 'No event matches, or none is kept.',
  columns: { time: 'When', severity: 'Severity', text: 'What', node: 'Node', resource: 'Resource', code: 'Code' },
  severity: 'At least as bad as',
  allSeverities: 'Every severity',
  atLeast: { warning: 'Warning or worse', minor: 'Minor or worse', major: 'Major or worse', critical: 'Critical only' },
  node: 'Node',
  allNodes: 'Every node',
  resource: 'Resource',
  allResources: 'Every resource',
  onlyCode: (code: string) => `Only ${code}`,
  clearCode: 'Show every code',
  newest: (shown: number, total: number) => `The newest ${shown} of ${total} are listed.`,
} as const;

export const generations = {
  title: 'Configuration history',
  lead: 'Each change of the configuration makes a generation. One can return to any that is kept.',
  none: 'No generation is kept.',
  columns: { generation: 'Generation', time: 'When', actor: 'By', action: 'What', changed: 'Changed' },
  current: 'now',
  more: (n: number) => `and ${n} more`,
  name: (n: number) => `Generation ${n}`,
  ofDocument: 'Who changed it',
  neverChanged: 'No generation that is kept changed it.',
  facts: { time: 'When', actor: 'By', action: 'What', request: 'Request' },
  changes: 'What it changed',
  noChanges: 'It changed no document.',
  rollback: 'Return to this…',
  isCurrent: 'it is the configuration of now',
  propose: (n: number) => `Return to generation ${n}`,
  proposeLead: 'The configuration becomes what it was then, as a new generation. Nothing of the history is lost.',
} as const;

export const transitions = {
  title: 'Transitions',
  lead: 'What the cluster did, step by step, and why. Each node remembers those that it saw.',
  none: 'The node that serves this page remembers no transition.',
  columns: { transition: 'Transition', began: 'Began', cause: 'Because', state: 'State', steps: 'Steps', took: 'Took', dc: 'Decided on', generation: 'Configuration' },
  name: (id: number) => `Transition ${id}`,
  running: 'In progress',
  done: 'Done',
  failed: (n: number) => (n === 1 ? '1 step failed' : `${n} steps failed`),
  because: 'Began because',
  graph: 'Its steps, from left to right',
  steps: 'Steps',
  noSteps: 'Its steps were not kept.',
  step: { number: 'No.', text: 'Step', state: 'State', ended: 'Ended after', why: 'Because' },
} as const;
