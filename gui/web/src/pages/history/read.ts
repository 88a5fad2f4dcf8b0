import { queryOptions } from '@tanstack/react-query';
import { api, must } from '../../api/client';
import type { ActionSpec } from '../../components/Actions';
import { lines } from '../../components/lines';
import { generations as t } from '../../texts/history';

/** historyQuery reads the generations that are kept; a new one makes it read again. */
export const historyQuery = (generation: number) =>
  queryOptions({
    queryKey: ['history', generation],
    queryFn: async () => (await must(api.GET('/v1/history'))) ?? [],
    placeholderData: (before) => before,
    staleTime: Infinity,
  });

/** generationQuery reads what a generation changed. That never changes. */
export const generationQuery = (n: number) =>
  queryOptions({
    queryKey: ['generation', n],
    queryFn: () => must(api.GET('/v1/history/{n}', { params: { path: { n } } })),
    staleTime: Infinity,
  });

/** rollbackTo is the return to a generation. */
export function rollbackTo(n: number, current: number): ActionSpec {
  const object = `generation/${n}`;
  return {
    key: 'rollback',
    label: t.rollback,
    action: 'rollback',
    object,
    pointless: n === current ? t.isCurrent : undefined,
    run: { title: t.propose(n), lead: t.proposeLead, danger: true, change: () => ({ action: 'rollback', object }), cli: () => lines.rollback(n) },
  };
}
