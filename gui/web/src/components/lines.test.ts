import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Node, Resource } from '../api/types';
import { cliOf as auditLine } from '../pages/audit/search';
import { cliOf as eventsLine } from '../pages/events/filter';
import { nodeActions } from '../pages/nodes/actions';
import { resourceActions } from '../pages/resources/actions';
import { cliOf as setupLine, nothing } from '../pages/setup/made';
import { ticketActions } from '../pages/tickets/actions';
import { cliOf as simulateLine, nothing as nothingSupposed } from '../pages/what-if/scenario';
import type { ActionSpec } from './Actions';
import { lines } from './lines';

/** What each line is shown with. */
const samples: { [K in keyof typeof lines]: Parameters<(typeof lines)[K]>[] } = {
  alarmAcknowledge: [['BLY3032/web', false, 'I look after it'], ['BLY3032/web', true, '']],
  attributeDelete: [['rack', 'n1', true], ['rack', 'n1', false]],
  attributeSet: [['rack', '7 b', 'n1', true], ['rack', '', 'n1', false]],
  auditVerify: [[]],
  authReport: [[]],
  backup: [[''], ['/root/prod.backup']],
  checkTiming: [[]],
  clusterJoin: [['n4', '10.0.0.4, 10.1.0.4', 'belay-1-x@10.0.0.1']],
  clusterMaintenance: [[true], [false]],
  clusterToken: [['', '15m', true], ['n4', '1h', false]],
  constraintDelete: [['home']],
  eventsTest: [['major', 'a test']],
  fence: [['reboot', 'n1'], ['off', 'n1'], ['on', 'n1']],
  fenceConfirm: [['n1']],
  fenceDeviceDelete: [['power']],
  fenceStatus: [[]],
  getCluster: [[]],
  history: [[], [7]],
  node: [['standby', 'n1']],
  nodeMaintenance: [['n1', true]],
  nodeVoter: [['n1', false]],
  resource: [['delete', 'web']],
  resourceMaintenance: [['web', true]],
  resourceMove: [['web', 'n2']],
  restore: [['/root/prod.backup']],
  rollback: [[7]],
  statusLinks: [[]],
  statusStore: [[]],
  ticket: [['grant', 'k']],
  ticketShow: [['k']],
};

/** linesOf are those of a menu, with everything that may be chosen. */
function linesOf(list: ActionSpec[]): string[][] {
  return list.flatMap((a) => {
    const { run } = a;
    if (typeof run === 'function') return [];
    const chosen = run.choice ? run.choice.options.map((o) => o.value) : [''];
    return chosen.map((c) => run.cli(c, 'why')).filter((l) => typeof l !== 'string' && l.length > 0) as string[][];
  });
}

it('lists every line, for the command line to read', async () => {
  const node = (more: Partial<Node>) => ({ name: 'n1', admin: 'online', member: true, voter: true, ...more }) as Node;
  const resource = (more: Partial<Resource>) => ({ id: 'web', nodes: ['n1'], managed: true, wanted: 'Started', ...more }) as Resource;
  const others = [node({}), node({ name: 'n2', state: 'online' })];
  const all = [
    ...(Object.keys(lines) as (keyof typeof lines)[]).flatMap((k) => samples[k].map((args) => (lines[k] as (...a: unknown[]) => string[])(...args))),
    ...linesOf([...nodeActions(node({})), ...nodeActions(node({ admin: 'standby', voter: false })), ...nodeActions(node({ admin: 'maintenance' }))]),
    ...linesOf([...resourceActions(resource({}), others), ...resourceActions(resource({ managed: false, maintenance: true }), others)]),
    ...linesOf(ticketActions({ id: 'k', granted: true, standby: false }, undefined)),
    simulateLine({ ...nothingSupposed(), node: { n1: 'unclean' }, resource: { web: 'stop' }, ticket: { k: 'revoked' }, quorum: 'lost', fail: ['web:monitor@n1=7'], utilization: ['n1:cpu=4'] }),
    eventsLine({}),
    eventsLine({ severity: 'major' }),
    auditLine({}),
    auditLine({ user: 'root', node: 'n1', action: 'apply', object: 'cluster', result: 'succeeded', phase: 'outcome', from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z' }),
    setupLine('init', { ...nothing, cluster: 'prod', node: 'n1', addresses: '10.0.0.1' }),
    setupLine('join', { ...nothing, token: 'belay-1-x@10.0.0.1', addresses: '10.0.0.2' }),
  ];
  const once = [...new Set(all.map((l) => JSON.stringify(l)))].sort();
  await expect(`${once.join('\n')}\n`).toMatchFileSnapshot('./lines.jsonl');
});

it('finds no line that stands anywhere else', () => {
  const root = join(import.meta.dirname, '..');
  const found = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((f) => /\.tsx?$/.test(f) && !/\.test\.ts$/.test(f))
    .filter((f) => /args=\{\[|\bcli: \([^)]*\) => \['/.test(readFileSync(join(root, f), 'utf8')));
  expect(found).toEqual([]);
});
