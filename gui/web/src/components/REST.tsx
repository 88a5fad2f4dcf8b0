import { common } from '../texts/common';
import { CLI } from './CLI';
import { quote } from './quote';

/** REST shows the request that does the same, for what the command line does not do: it is root's, and root needs none of it. */
export function REST({ method, path, body, headers = [] }: { method: string; path: string; body?: unknown; headers?: string[] }) {
  const rest = [...headers.flatMap((h) => ['-H', h]), ...(body === undefined ? [] : ['--json', JSON.stringify(body)]), location.origin + path];
  return <CLI label={common.sameInREST} text={`curl -H "Authorization: Bearer $TOKEN" -X ${method} ${rest.map(quote).join(' ')}`} />;
}
