import { useQuery } from '@tanstack/react-query';
import { api, must } from '../api/client';
import { useLive } from '../api/live';
import type { Event } from '../api/types';
import { history as t } from '../texts/history';
import { Age } from './Age';
import { ProblemAlert } from './ProblemAlert';
import { State } from './State';

/** How many events are shown, and among how many those of something special are looked for. */
const shownMax = 50;
const searchedMax = 5000;

interface Props {
  node?: string;
  resource?: string;
  /** Only events of these codes. */
  codes?: readonly string[];
  only?: (e: Event) => boolean;
}

async function newest(node: string | undefined, resource: string | undefined, limit: number, code?: string): Promise<Event[]> {
  const page = (await must(api.GET('/v1/events', { params: { query: { node, resource, code, limit } } as never }))) as { items?: Event[] | null };
  return page.items ?? [];
}

/** EventList shows the newest events of a node, a resource, or something else. */
export function EventList({ node, resource, codes, only }: Props) {
  const revision = useLive().summary?.revision;
  const q = useQuery({
    queryKey: ['events', node, resource, codes, revision],
    queryFn: async () => (codes ? (await Promise.all(codes.map((code) => newest(node, resource, searchedMax, code)))).flat().sort((a, b) => a.seq - b.seq) : newest(node, resource, shownMax)),
    placeholderData: (before) => before,
    staleTime: Infinity,
    gcTime: 10_000,
  });
  if (q.error) return <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />;
  const items = (q.data ?? [])
    .filter((e) => !only || only(e))
    .slice(-shownMax)
    .reverse();
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
