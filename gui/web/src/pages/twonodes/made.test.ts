import { expect, it } from 'vitest';
import { complete, deviceOf, made, nothing } from './made';

const pin = `sha256:${'A'.repeat(43)}=`;
const typed = { ...nothing, server: 'q1.example.org', pin };
const devices = { ipmi1: { agent: 'fence_ipmilan', targets: { n1: '' } }, ipmi2: { agent: 'fence_ipmilan', targets: { n2: '' }, delay: '3s' }, pdu: { agent: 'fence_apc' } };

it('lets the device wait that fences the node that is to survive, and no other', () => {
  expect(made({ ...typed, add: false, survivor: 'n1' }, ['n1', 'n2'], devices)).toEqual({ 'fence-devices': { ipmi1: { delay: '5s' }, ipmi2: { delay: null } } });
  expect(deviceOf('n1', { pdu: { agent: 'x' } })).toBeUndefined();
  expect(made({ ...typed, add: false, survivor: 'n1' }, ['n1', 'n2'], {})).toEqual({});
});

it('adds the tie-breaker, and options that were given', () => {
  expect(made({ ...typed, detection: '2s' }, ['n1', 'n2'], {})).toEqual({
    'quorum-devices': { q: { kind: 'quorumd', parameters: { servers: 'q1.example.org', fingerprint: pin } } },
    cluster: { options: { detection: '2s' } },
  });
});

it('knows what is missing', () => {
  expect(complete(nothing)).toEqual({ tie: false, delay: true, timing: true });
  expect(complete(typed)).toEqual({ tie: true, delay: true, timing: true });
  expect(complete({ ...typed, pin: 'sha256:short', survivor: 'n1', delay: '', detection: 'soon' })).toEqual({ tie: false, delay: false, timing: false });
});
