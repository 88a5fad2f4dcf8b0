import type { Node, Summary } from '../api/types';

/** hosts are all nodes that may run resources: the members, then the remote nodes. */
export function hosts(s: Summary): Node[] {
  return [...(s.nodes ?? []), ...(s.remotes ?? [])];
}

/** isRemote says that a node has no engine: it has no vote, no link, and no member of the store. */
export function isRemote(n: Node): boolean {
  return n.role === 'remote';
}
