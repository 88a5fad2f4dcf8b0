import { expect, it } from 'vitest';
import { root } from '../form/schema';
import { read, write } from './read';
import { nearest } from './validate';

const good = `cluster:
  name: prod
resources:
  web:
    agent: systemd:nginx
    meta:
      priority: 7
    operations:
      - name: monitor
        interval: 10s
constraints:
  web-home:
    location: {resource: web, node: n1, score: INFINITY}
`;

it('reads what is right', () => {
  const r = read(good, root);
  expect(r.faults).toEqual([]);
  expect(r.value).toMatchObject({ resources: { web: { agent: 'systemd:nginx' } } });
});

it('tells the line of what is no YAML', () => {
  const r = read('cluster:\n  name: "prod\nresources: {}\n', root);
  expect(r.value).toBeUndefined();
  expect(r.faults[0]!.line).toBeGreaterThan(1);
  expect(read('a: 1\na: 2\n', root).faults[0]).toMatchObject({ line: 2 });
  expect(read('- 1\n', root).faults).toHaveLength(1);
});

it('tells the line of what the schema does not know', () => {
  const bad = good.replace('agent:', 'agnet:').replace('interval: 10s', 'interval: soon').replace('priority: 7', 'priority: high');
  const faults = read(bad, root).faults.map((f) => [f.line, f.path, f.text]);
  expect(faults).toEqual([
    [5, 'resources.web.agnet', 'There is no field agnet. Is agent meant?'],
    [7, 'resources.web.meta.priority', expect.any(String)],
    [10, 'resources.web.operations.0.interval', expect.any(String)],
  ]);
  expect(read('fence-devices:\n  ipmi:\n    agent: fence_ipmilan\n    parameters:\n      lanplus: 1\n', root).faults).toEqual([
    { line: 5, path: 'fence-devices.ipmi.parameters.lanplus', text: 'This is a text: write "1", in quotes.' },
  ]);
  expect(read('snmp-targets:\n  nms:\n    user: ops\n', root).faults).toEqual([{ line: 2, path: 'snmp-targets.nms', text: 'The field address is missing.' }]);
});

it('neither grows without end nor takes over what it reads', () => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]', ...'bcdefghi'.split('').map((c, i) => `${c}: &${c} [${Array(10).fill(`*${'abcdefgh'[i]!}`).join(', ')}]`)].join('\n');
  expect(read(bomb, root).value).toBeUndefined();
  const r = read('__proto__:\n  polluted: true\nresources:\n  constructor:\n    agent: a\n', root);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(r.faults.map((f) => f.path)).toContain('__proto__');
});

it('writes what it reads', () => {
  const odd = { a: 'yes', b: '10', c: 'x: y', d: 'two\nlines\n', e: '<b>', f: '\u202e', g: [], h: {}, i: '********', j: null };
  expect(read(write(odd), {}).value).toEqual(odd);
});

it('guesses what was meant, and only that', () => {
  expect(nearest('scroe', ['score', 'node'])).toBe('score');
  expect(nearest('xyz', ['score', 'node'])).toBeUndefined();
});
