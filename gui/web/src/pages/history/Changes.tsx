import { useQuery } from '@tanstack/react-query';
import { useSummary } from '../../api/live';
import { Age } from '../../components/Age';
import { Name } from '../../components/Name';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { generations as t } from '../../texts/history';
import { historyQuery } from './read';

/** How many changes of a document are shown. */
const shownMax = 20;

/** Changes says who changed a document of the configuration, and when. */
export function Changes({ of }: { of: string }) {
  const q = useQuery(historyQuery(Number(useSummary().cluster.generation)));
  const found = (q.data ?? []).filter((g) => g.keys?.includes(of)).sort((a, b) => b.generation - a.generation);
  return (
    <Panel title={t.ofDocument}>
      {q.error ? (
        <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />
      ) : found.length === 0 ? (
        <p className="b-subtle">{q.isPending ? '' : t.neverChanged}</p>
      ) : (
        <ol className="b-events b-events--plain">
          {found.slice(0, shownMax).map((g) => (
            <li key={g.generation}>
              <span className="b-subtle">
                <Age time={g.time} />
              </span>
              <span className="b-wrap">
                <bdi>{g.actor}</bdi>: {g.action} <bdi>{g.object}</bdi> · <Name to={`/history/${g.generation}`}>{t.name(g.generation)}</Name>
              </span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}
