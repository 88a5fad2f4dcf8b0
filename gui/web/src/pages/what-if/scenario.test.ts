import { describe, expect, it } from 'vitest';
import type { Resource } from '../../api/types';
import { addressOf, cliOf, compare, nothing, partsOf, read, readAll, requestOf, savedMax, scenarioOf, withNodes, write, writeAll, type Assignment } from './scenario';

const some = { ...nothing(), node: { n2: 'unclean', 'a=b': 'standby' }, ticket: { k: 'revoked' }, fail: ['web:monitor@n1=7'], quorum: 'lost' };

describe('a scenario', () => {
  it('stands in the address, and comes back from it', () => {
    expect(scenarioOf(new URLSearchParams(addressOf(some)))).toEqual(some);
    expect(scenarioOf(new URLSearchParams('node=x&node=%3Dy&node=z%3D&fail='))).toEqual(nothing());
  });
  it('is a command and a request', () => {
    expect(cliOf(some)).toEqual(['simulate', '--live', '--node', 'a=b=standby', '--node', 'n2=unclean', '--ticket', 'k=revoked', '--fail', 'web:monitor@n1=7', '--quorum', 'lost']);
    expect(requestOf(nothing()).quorum).toBeUndefined();
    expect(requestOf(some)).toMatchObject({ nodes: some.node, tickets: some.ticket, failures: some.fail, scores: true });
  });
  it('can be taken apart', () => {
    let s = some;
    expect(partsOf(s)).toHaveLength(5);
    while (partsOf(s).length > 0) s = partsOf(s)[0]!.without as typeof s;
    expect(s).toEqual(nothing());
    expect(withNodes(nothing(), ['a', 'b'], 'down').node).toEqual({ a: 'down', b: 'down' });
  });
});

describe('a saved scenario', () => {
  it('is read as it was written', () => {
    expect(read(JSON.parse(write({ name: 'x', scenario: some })))).toEqual({ name: 'x', scenario: some });
  });
  it('is nothing else than one', () => {
    for (const v of [null, 3, [], {}, { name: 'x' }, { name: 1, suppose: {} }, { name: 'x', suppose: { nodes: [] } }, { name: 'x', suppose: { nodes: { a: 1 } } }, { name: 'x', suppose: { failures: 'a' } }, { name: 'x', suppose: { quorum: 1 } }]) expect(read(v)).toBeUndefined();
  });
  it('replaces one of its name', () => {
    const one = readAll(writeAll([], { name: 'x', scenario: nothing() }));
    const two = readAll(writeAll(one, { name: 'x', scenario: some }));
    expect(two).toEqual([{ name: 'x', scenario: some }]);
    expect(readAll('{')).toEqual([]);
    expect(readAll(null)).toEqual([]);
    const many = Array.from({ length: savedMax + 3 }, (_, i) => ({ name: String(i), scenario: nothing() }));
    expect(readAll(writeAll(many))).toHaveLength(savedMax);
  });
});

it('compares where everything is to where it would be', () => {
  const instance = (id: string, node: string, role = 'Started', state = 'running') => ({ id, instances: [{ instance: id, node, role, state }] }) as unknown as Resource;
  const to = (instance: string, node: string, role = node ? 'Started' : 'Stopped') => ({ instance, resource: instance, node, role, score: 0, why: { cause: 'so' } }) as Assignment;
  const rows = compare(
    [to('a', 'n1'), to('b', 'n2'), to('c', ''), to('d', 'n1'), to('e', ''), to('f', 'n1', 'Promoted')],
    [instance('a', 'n1'), instance('b', 'n1'), instance('c', 'n1'), instance('e', 'n1', 'Stopped', 'stopped'), instance('f', 'n1', 'Unpromoted')],
  );
  expect(rows.map((r) => [r.instance, r.effect, r.now, r.then])).toEqual([
    ['c', 'stops', 'n1', ''],
    ['b', 'moves', 'n1', 'n2'],
    ['f', 'role', 'n1 (Unpromoted)', 'n1 (Promoted)'],
    ['d', 'starts', '', 'n1'],
    ['e', 'down', '', ''],
    ['a', 'stays', 'n1', 'n1'],
  ]);
});

it('knows the instances of a clone again, which have no number while they run', () => {
  const db = { id: 'db', instances: ['n1', 'n2', 'n3'].map((node) => ({ instance: 'db', node, role: 'Started', state: 'running' })) } as unknown as Resource;
  const to = (n: number, node: string) => ({ instance: `db:${n}`, resource: 'db', node, role: node ? 'Started' : 'Stopped', score: 0, why: { cause: '' } }) as Assignment;
  expect(compare([to(0, 'n1'), to(1, ''), to(2, 'n3')], [db]).map((r) => [r.instance, r.effect, r.now])).toEqual([
    ['db:1', 'stops', 'n2'],
    ['db:0', 'stays', 'n1'],
    ['db:2', 'stays', 'n3'],
  ]);
});
