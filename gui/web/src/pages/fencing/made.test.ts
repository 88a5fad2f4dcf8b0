import { expect, it } from 'vitest';
import { complete, levels, made, nothing } from './made';

const typed = { ...nothing, name: 'pdu', agent: 'fence_apc', parameters: { ip: '10.0.0.9' } };

it('makes a device for every node, or for some with their plugs', () => {
  expect(made(typed, ['n1', 'n2'], {})).toEqual({ 'fence-devices': { pdu: { agent: 'fence_apc', parameters: { ip: '10.0.0.9' } } } });
  expect(made({ ...typed, all: false, targets: { n1: '7' } }, ['n1', 'n2'], {})['fence-devices']!.pdu).toMatchObject({ targets: { n1: '7' } });
});

it('puts the device where it is to be tried, and keeps the levels that there are', () => {
  const present = { n1: [['ipmi1'], ['sbd']] };
  expect(levels({ ...typed, place: 'last' }, ['n1', 'n2'], present)).toEqual({ n1: [['ipmi1'], ['sbd'], ['pdu']], n2: [['pdu']] });
  expect(levels({ ...typed, place: 'first' }, ['n1'], present)).toEqual({ n1: [['pdu'], ['ipmi1'], ['sbd']] });
  expect(levels({ ...typed, place: 'together', all: false, targets: { n1: '' } }, ['n1', 'n2'], present)).toEqual({ n1: [['ipmi1'], ['sbd', 'pdu']] });
  expect(present).toEqual({ n1: [['ipmi1'], ['sbd']] });
});

it('knows what is missing', () => {
  expect(complete(nothing)).toEqual({ device: false, targets: true });
  expect(complete({ ...typed, all: false })).toEqual({ device: true, targets: false });
  expect(complete({ ...typed, name: 'a b' }).device).toBe(false);
});
