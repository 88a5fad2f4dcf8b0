import { expect, it } from 'vitest';
import { cliOf, complete, initOf, joinOf, nothing } from './made';

it('makes requests and commands of what was typed', () => {
  const t = { ...nothing, code: ' abcd-efgh ', cluster: 'prod', addresses: '10.0.0.1, 10.1.0.1' };
  expect(complete('init', t)).toBe(true);
  expect(complete('init', { ...t, code: ' ' })).toBe(false);
  expect(complete('init', { ...t, addresses: ' , ' })).toBe(false);
  expect(initOf(t)).toEqual({ code: 'abcd-efgh', cluster: 'prod', node: undefined, addresses: ['10.0.0.1', '10.1.0.1'] });
  expect(cliOf('init', t).join(' ')).toBe('cluster init --name prod --address 10.0.0.1,10.1.0.1');
});

it('knows the member to ask from the token', () => {
  const t = { ...nothing, code: 'c', node: 'n2', addresses: '10.0.0.2', token: 'belay-1-x@[fd00::1]:7500' };
  expect(complete('join', t)).toBe(true);
  expect(complete('join', { ...t, token: 'belay-1-x' })).toBe(false);
  expect(complete('join', { ...t, token: 'belay-1-x', server: '10.0.0.1' })).toBe(true);
  expect(joinOf(t)).toMatchObject({ token: 'belay-1-x', server: '[fd00::1]:7500', node: 'n2' });
  expect(joinOf({ ...t, server: '10.0.0.9' }).server).toBe('10.0.0.9');
  expect(cliOf('join', t).join(' ')).toBe('cluster join --node n2 --address 10.0.0.2 belay-1-x@[fd00::1]:7500');
});
