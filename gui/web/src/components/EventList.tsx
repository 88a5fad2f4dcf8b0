import { useQuery } from '@tanstack/react-query';
import { api, must } from '../api/client';
import { useLive } from '../api/live';
import type { Event } from '../api/types';
import { history as t } from '../texts/history';
import { Age } from './Age';
import { ProblemAlert } from './ProblemAlert';
import { State } from './State';

/** EventList shows the newest events of a node or resource. */
export function EventList({ node, resource }: { node?: string; resource?: string }) {
  const revision = useLive().summary?.revision;
  const q = useQuery({
    queryKey: ['events', node, resource, revision],
    queryFn: async () => (await must(api.GET('/v1/events', { params: { query: { node, resource, limit: 50 } } as never }))) as { items?: Event[] | null },
    placeholderData: (before) => before,
    staleTime: Infinity,
    gcTime: 10_000,
  });
  if (q.error) return <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />;
  const items = [...(q.data?.items ?? [])].reverse();
  if (items.length === 0) return <p className="b-subtle">{q.isPending ? '' : t.noEvents}</p>;
  return (
    <ol className="b-events">
      {items.map((e) => (
        <li key={e.seq}>
          <span className="b-subtle">
            <Age time={e.time} />
          </span>
          <State of="severity" is={e.severity} />
          <span className="b-wrap">
            <bdi>{e.text}</bdi> <span className="b-subtle">{e.code}</span>
          </span>
        </li>
      ))}
    </ol>
  );
}
