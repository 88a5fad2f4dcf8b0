import { useQuery } from '@tanstack/react-query';
import { useParams } from 'react-router';
import { useSummary } from '../../api/live';
import { problemOf } from '../../api/problem';
import { Actions } from '../../components/Actions';
import { differences } from '../../components/change/diff';
import { DiffTable } from '../../components/change/PlanView';
import { CLI } from '../../components/CLI';
import { Facts } from '../../components/Facts';
import { lines } from '../../components/lines';
import { Missing } from '../../components/Missing';
import { Name } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { common } from '../../texts/common';
import { generations as t } from '../../texts/history';
import { generationQuery, rollbackTo } from './read';

/** One generation of the configuration: what it changed, and the way back to it. */
export default function Generation() {
  const { n = '' } = useParams();
  if (!/^[0-9]{1,15}$/.test(n)) return <Missing what={n} to="/history" back={t.title} />;
  return <Known n={Number(n)} />;
}

function Known({ n }: { n: number }) {
  const current = Number(useSummary().cluster.generation);
  const q = useQuery(generationQuery(n));
  if (q.error && problemOf(q.error).status === 404) return <Missing what={t.name(n)} to="/history" back={t.title} />;
  const f = t.facts;
  const g = q.data;
  const changes = g?.changes ?? [];
  return (
    <>
      <PageTitle title={t.name(n)} parents={[{ text: t.title, to: '/history' }]} actions={g && <Actions of={t.name(n)} list={[rollbackTo(n, current)]} />} />
      {q.error && <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />}
      {q.isPending && <Waiting text={common.loading} />}
      {g && (
        <div className="b-stack">
          <Panel title={common.details}>
            <Facts
              rows={[
                [f.time, <Time time={g.time} />],
                [f.actor, <Name>{g.actor}</Name>],
                [
                  f.action,
                  <>
                    {g.action} <bdi>{g.object}</bdi>
                  </>,
                ],
                [f.request, g.requestId && <code>{g.requestId}</code>],
              ]}
            />
          </Panel>
          <Panel title={t.changes}>
            {changes.length === 0 && <p className="b-subtle">{t.noChanges}</p>}
            {changes.map((c) => (
              <DiffTable key={c.key} name={c.key.replace(/^config\//, '')} rows={differences(c.before ?? undefined, c.after ?? undefined)} />
            ))}
          </Panel>
          <CLI args={lines.history(n)} />
        </div>
      )}
    </>
  );
}
