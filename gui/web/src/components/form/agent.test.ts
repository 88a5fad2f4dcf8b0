import { expect, it } from 'vitest';
import { agentID, sortParameters } from './agent';

it('shows what an agent needs and what is set, and folds the rest', () => {
  const list = [{ name: 'ip', required: true }, { name: 'nic' }, { name: 'old', deprecated: true }, { name: 'mask' }];
  const s = sortParameters(list, { mask: '24', mine: 'x' }, false);
  expect([s.basic.map((p) => p.name), s.advanced.map((p) => p.name), s.other]).toEqual([['ip', 'mask'], ['nic'], ['mine']]);
  expect(sortParameters(list, { old: '1' }, false).basic.map((p) => p.name)).toEqual(['ip', 'old']);
});

it('leaves out what the cluster says to a fence agent itself', () => {
  const s = sortParameters([{ name: 'action', required: true }, { name: 'ip' }], {}, true);
  expect(s.basic.map((p) => p.name)).toEqual(['ip']);
  expect([agentID('fence_ipmilan', true), agentID('ocf:heartbeat:IPaddr2', false)]).toEqual(['fence:fence_ipmilan', 'ocf:heartbeat:IPaddr2']);
});
