import type { paths } from '../../api/schema';

type Init = paths['/v1/cluster/init']['post']['requestBody']['content']['application/json'];
type Join = paths['/v1/cluster/join']['post']['requestBody']['content']['application/json'];

export type Way = 'init' | 'join';

/** Typed is what stands in the form. */
export interface Typed {
  code: string;
  cluster: string;
  node: string;
  addresses: string;
  token: string;
  server: string;
}

export const nothing: Typed = { code: '', cluster: '', node: '', addresses: '', token: '', server: '' };

const listOf = (text: string) => text.split(/[\s,]+/).filter(Boolean);

/** tokenOf takes a token apart: what stands after "@" is the member to ask. */
function tokenOf(t: Typed): { token: string; server: string } {
  const text = t.token.trim();
  const i = text.indexOf('@');
  return i < 0 ? { token: text, server: t.server.trim() } : { token: text.slice(0, i), server: t.server.trim() || text.slice(i + 1) };
}

/** complete says whether there is enough to ask the node. */
export function complete(way: Way, t: Typed): boolean {
  if (!t.code.trim() || listOf(t.addresses).length === 0) return false;
  const k = tokenOf(t);
  return way === 'init' ? t.cluster.trim() !== '' : k.token !== '' && k.server !== '';
}

/** initOf is the request that makes a cluster. */
export function initOf(t: Typed): Init {
  return { code: t.code.trim(), cluster: t.cluster.trim(), node: t.node.trim() || undefined, addresses: listOf(t.addresses) };
}

/** joinOf is the request that lets this node join. */
export function joinOf(t: Typed): Join {
  return { code: t.code.trim(), ...tokenOf(t), node: t.node.trim() || undefined, addresses: listOf(t.addresses) };
}

/** cliOf is the command that does the same; root needs no code. */
export function cliOf(way: Way, t: Typed): string[] {
  const k = tokenOf(t);
  return [
    'cluster',
    way,
    ...(way === 'init' ? ['--name', t.cluster.trim() || 'NAME'] : []),
    ...(t.node.trim() ? ['--node', t.node.trim()] : []),
    '--address',
    listOf(t.addresses).join(',') || 'ADDRESS[,ADDRESS]',
    ...(way === 'join' ? [`${k.token || 'TOKEN'}@${k.server || 'MEMBER'}`] : []),
  ];
}
