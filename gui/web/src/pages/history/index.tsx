import { Label } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useSummary } from '../../api/live';
import type { GenerationInfo } from '../../api/types';
import { Actions } from '../../components/Actions';
import { CLI } from '../../components/CLI';
import { lines } from '../../components/lines';
import { ListTable, type Column } from '../../components/ListTable';
import { Name } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { ProblemAlert } from '../../components/ProblemAlert';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { common } from '../../texts/common';
import { generations as t } from '../../texts/history';
import { historyQuery, rollbackTo } from './read';

/** shownMax is how many changed documents of a generation are named. */
const shownMax = 6;

const c = t.columns;
function columns(current: number): Column<GenerationInfo>[] {
  return [
    {
      key: 'generation',
      name: c.generation,
      header: true,
      sort: (g) => g.generation,
      cell: (g) => (
        <>
          <Name to={`/history/${g.generation}`}>{String(g.generation)}</Name> {g.generation === current && <Label isCompact>{t.current}</Label>}
        </>
      ),
    },
    { key: 'time', name: c.time, cell: (g) => <Time time={g.time} /> },
    { key: 'actor', name: c.actor, sort: (g) => g.actor, cell: (g) => <Name>{g.actor}</Name> },
    {
      key: 'action',
      name: c.action,
      sort: (g) => g.action,
      className: 'b-wrap',
      cell: (g) => (
        <>
          {g.action} <bdi>{g.object}</bdi>
        </>
      ),
    },
    {
      key: 'changed',
      name: c.changed,
      className: 'b-wrap',
      cell: (g) => {
        const keys = g.keys ?? [];
        return (
          <span className="b-where">
            {keys.slice(0, shownMax).map((k) => (
              <Name key={k}>{k}</Name>
            ))}
            {keys.length > shownMax && <span className="b-subtle">{t.more(keys.length - shownMax)}</span>}
          </span>
        );
      },
    },
  ];
}

/** The generations of the configuration. */
export default function History() {
  const current = Number(useSummary().cluster.generation);
  const q = useQuery(historyQuery(current));
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} />
      <div className="b-stack">
        {q.error && <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />}
        {q.isPending ? (
          <Waiting text={common.loading} />
        ) : (
          <ListTable
            label={t.title}
            rows={[...(q.data ?? [])].reverse()}
            columns={columns(current)}
            id={id}
            text={text}
            actions={(g) => <Actions kebab of={t.name(g.generation)} list={[rollbackTo(g.generation, current)]} />}
            empty={<p className="b-subtle">{t.none}</p>}
          />
        )}
        <CLI args={lines.history()} />
      </div>
    </>
  );
}

const id = (g: GenerationInfo) => String(g.generation);
const text = (g: GenerationInfo) => `${g.generation} ${g.actor} ${g.action} ${g.object ?? ''} ${(g.keys ?? []).join(' ')}`;
