import { expect, it } from 'vitest';
import { complete, nothing, parts } from './parts';

const typed = { ...nothing, name: 'shop', ip: '10.0.0.9', mask: '24', device: '/dev/vg/shop', directory: '/srv/shop', agent: 'systemd:nginx' };

it('starts the file system first, then the address, then the program', () => {
  const p = parts(typed);
  expect(p.shop).toEqual({ group: ['shop-fs', 'shop-ip', 'shop-app'] });
  expect(p['shop-ip']).toMatchObject({ agent: 'ocf:heartbeat:IPaddr2', parameters: { ip: '10.0.0.9', cidr_netmask: '24' } });
  expect(p['shop-app']).toMatchObject({ agent: 'systemd:nginx' });
  expect(parts({ ...typed, disk: false, address: false }).shop).toEqual({ group: ['shop-app'] });
});

it('knows what is missing', () => {
  expect(complete(typed)).toEqual({ what: true, address: true, disk: true, program: true });
  expect(complete(nothing)).toEqual({ what: false, address: false, disk: false, program: false });
  expect(complete({ ...typed, name: 'a/b', ip: 'host', directory: 'srv' })).toEqual({ what: false, address: false, disk: false, program: true });
  expect(complete({ ...typed, ip: 'fd00::1' }).address).toBe(true);
});
