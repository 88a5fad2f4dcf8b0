// Reads that are not part of the state's stream, cached by TanStack Query.
import { QueryClient, queryOptions, useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { api, must } from './client';
import { useLive } from './live';
import { problemOf } from './problem';
import type { Config } from './types';

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // What is not there, or not allowed, will not be there a second later.
      retry: (count, e) => count < 3 && (problemOf(e).status === 0 || problemOf(e).status >= 500),
      staleTime: 30_000,
      refetchOnWindowFocus: false,
    },
    mutations: { retry: false },
  },
});

export const configQuery = queryOptions({
  queryKey: ['config'],
  queryFn: async () => (await must(api.GET('/v1/config'))) as unknown as Config,
});

/** useConfig returns the configuration, read again whenever its generation rises. */
export function useConfig() {
  const generation = useLive().summary?.cluster.generation;
  const q = useQuery(configQuery);
  const have = q.data?.generation;
  const { refetch } = q;
  useEffect(() => {
    if (have !== undefined && generation !== undefined && have < generation) void refetch();
  }, [have, generation, refetch]);
  return q;
}

/** useCan says whether the user may do something, and why not. */
export function useCan(action: string, object: string): { allowed: boolean; reason: string } {
  const q = useQuery({
    queryKey: ['can', action, object],
    queryFn: () => must(api.GET('/v1/can-i', { params: { query: { action, object } } })),
    staleTime: 60_000,
  });
  if (q.data) return { allowed: q.data.allowed, reason: q.data.reason };
  return { allowed: false, reason: q.error ? problemOf(q.error).message : '…' };
}
