// Agents, as their metadata describes them.
import { queryOptions, useQuery } from '@tanstack/react-query';
import { api, must } from '../../api/client';

export interface Parameter {
  name: string;
  type?: string;
  options?: string[];
  required?: boolean;
  unique?: boolean;
  hasDefault?: boolean;
  default?: string;
  deprecated?: boolean;
  replacedBy?: string[];
  secret?: boolean;
  shortDesc?: string;
  longDesc?: string;
}

export interface Agent {
  shortDesc?: string;
  longDesc?: string;
  parameters?: Parameter[];
}

export const agentsQuery = queryOptions({ queryKey: ['agents'], queryFn: () => must(api.GET('/v1/agents')), staleTime: 300_000 });

/** agentID is the name under which the API describes an agent: those that fence have a class of their own. */
export function agentID(agent: string, fence: boolean): string {
  return fence ? `fence:${agent}` : agent;
}

/** useAgent reads what is known of an agent on the node that answers. */
export function useAgent(id: string) {
  // A name that is still being typed is not asked for.
  const known = useQuery(agentsQuery).data?.includes(id) === true;
  return useQuery({
    queryKey: ['agent', id],
    queryFn: async (): Promise<Agent> => must<Agent>(api.GET('/v1/agents/{id}', { params: { path: { id } } }) as Promise<{ data?: Agent; response: Response }>),
    enabled: known,
    retry: false,
    staleTime: 300_000,
  });
}

export interface Sorted {
  basic: Parameter[];
  advanced: Parameter[];
  /** Parameters that are set, and that the agent does not know. */
  other: string[];
}

/** sortParameters says which parameters are shown at once: what is needed, and what is set. */
export function sortParameters(list: Parameter[], set: Record<string, string>, fence: boolean): Sorted {
  // The cluster itself says these to a fence agent.
  const ours = fence ? new Set(['action', 'plug', 'port', 'nodename']) : new Set<string>();
  const known = list.filter((p) => !ours.has(p.name) || p.name in set);
  const usable = known.filter((p) => !p.deprecated || p.name in set);
  const basic = usable.filter((p) => (p.required ?? false) || p.name in set);
  const names = new Set(list.map((p) => p.name));
  // Without a single one that is needed, the first few are what an agent is about.
  if (basic.length === 0) basic.push(...usable.slice(0, 5));
  return { basic, advanced: usable.filter((p) => !basic.includes(p)), other: Object.keys(set).filter((n) => !names.has(n)) };
}
