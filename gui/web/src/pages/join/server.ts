import type { Document } from '../../api/types';

/** serverOf is what is appended to a token so that the new node knows whom to ask: "@" and the first address of the node that answers, with its port where that is not the usual one. */
export function serverOf(node: Document | undefined): string {
  const address = ((node?.addresses ?? []) as string[])[0];
  const port = (node?.ports as { api?: number } | undefined)?.api;
  if (!address) return '';
  if (!port || port === 7403) return `@${address}`;
  return address.includes(':') ? `@[${address}]:${port}` : `@${address}:${port}`;
}
