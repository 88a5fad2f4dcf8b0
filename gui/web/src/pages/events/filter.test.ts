import { expect, it } from 'vitest';
import { cliOf, filterOf } from './filter';

const of = (s: string) => filterOf(new URLSearchParams(s));

it('reads the filters of an address', () => {
  expect(of('severity=major&node=n1&resource=web&code=BLY3001')).toEqual({ severity: 'major', node: 'n1', resource: 'web', code: 'BLY3001' });
  expect(of('resource=%3Cb%3E')).toMatchObject({ resource: '<b>' });
});

it('leaves out what the server would refuse', () => {
  expect(of(`severity=terrible&node=&resource=${'x'.repeat(201)}`)).toEqual({ severity: undefined, node: undefined, resource: undefined, code: undefined });
});

it('tells the command', () => {
  expect(cliOf(of('severity=minor&node=n1'))).toEqual(['events', '--severity', 'minor']);
  expect(cliOf({})).toEqual(['events']);
});
