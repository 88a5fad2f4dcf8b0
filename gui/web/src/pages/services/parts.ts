// What a first service consists of: a pure function of what was typed.
import type { Document } from '../../api/types';

export interface Typed {
  name: string;
  address: boolean;
  ip: string;
  mask: string;
  nic: string;
  disk: boolean;
  device: string;
  directory: string;
  fstype: string;
  options: string;
  agent: string;
  parameters: Record<string, string>;
}

export const nothing: Typed = { name: '', address: true, ip: '', mask: '', nic: '', disk: true, device: '', directory: '', fstype: 'xfs', options: '', agent: '', parameters: {} };

function set(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter(([, v]) => v !== ''));
}

/** parts makes the resources of a service: the group, and its members in the order in which they start. */
export function parts(t: Typed): Record<string, Document> {
  const out: Record<string, Document> = {};
  const members: string[] = [];
  const add = (suffix: string, document: Document) => {
    const id = `${t.name}-${suffix}`;
    out[id] = document;
    members.push(id);
  };
  if (t.disk) {
    add('fs', {
      agent: 'ocf:heartbeat:Filesystem',
      parameters: set({ device: t.device, directory: t.directory, fstype: t.fstype, options: t.options }),
      operations: [{ name: 'monitor', interval: '20s', timeout: '40s' }],
    });
  }
  if (t.address) {
    add('ip', { agent: 'ocf:heartbeat:IPaddr2', parameters: set({ ip: t.ip, cidr_netmask: t.mask, nic: t.nic }), operations: [{ name: 'monitor', interval: '10s', timeout: '20s' }] });
  }
  add('app', { agent: t.agent, ...(Object.keys(t.parameters).length > 0 ? { parameters: t.parameters } : {}), operations: [{ name: 'monitor', interval: '10s', timeout: '20s' }] });
  out[t.name] = { group: members };
  return out;
}

const address = /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]+)$/;

/** complete says which steps have what they need. */
export function complete(t: Typed): { what: boolean; address: boolean; disk: boolean; program: boolean } {
  return {
    what: /^[A-Za-z_][\w.-]*$/.test(t.name),
    address: !t.address || address.test(t.ip),
    disk: !t.disk || (t.device !== '' && t.directory.startsWith('/') && t.fstype !== ''),
    program: /^[\w-]+:./.test(t.agent),
  };
}
