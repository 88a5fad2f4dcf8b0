import { useQuery } from '@tanstack/react-query';
import { api, must } from '../../api/client';
import { useFresh } from '../../api/fresh';
import type { Transition } from '../../api/types';
import { ListTable, type Column } from '../../components/ListTable';
import { look } from '../../components/look';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { ProblemAlert } from '../../components/ProblemAlert';
import { State } from '../../components/State';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { common } from '../../texts/common';
import { transitions as t } from '../../texts/history';
import { between, stateOf } from './took';

const c = t.columns;
const columns: Column<Transition>[] = [
  { key: 'transition', name: c.transition, header: true, sort: (x) => x.id, cell: (x) => <Name to={`/transitions/${x.id}`}>{String(x.id)}</Name> },
  { key: 'began', name: c.began, cell: (x) => <Time time={x.began} /> },
  { key: 'cause', name: c.cause, className: 'b-wrap b-wide', cell: (x) => <bdi>{x.cause || '–'}</bdi> },
  { key: 'state', name: c.state, cell: (x) => <TransitionState of={x} /> },
  { key: 'steps', name: c.steps, sort: (x) => x.count, cell: (x) => x.count },
  { key: 'took', name: c.took, cell: (x) => between(x.began, x.ended) },
  { key: 'dc', name: c.dc, sort: (x) => x.dc ?? '', cell: (x) => (x.dc ? <Name to={nodePath(x.dc)}>{x.dc}</Name> : '–') },
  { key: 'generation', name: c.generation, cell: (x) => <Name to={`/history/${x.generation}`}>{String(x.generation)}</Name> },
];

/** TransitionState is how a transition stands. */
export function TransitionState({ of: x }: { of: Transition }) {
  const s = stateOf(x);
  return (
    <State of="step" is={s}>
      {s === 'failed' ? t.failed(Number(x.failed)) : s === 'running' ? t.running : t.done}
    </State>
  );
}

/** The transitions of the past. */
export default function Transitions() {
  const q = useQuery({ queryKey: ['transitions'], queryFn: async () => (await must(api.GET('/v1/transitions'))) ?? [], gcTime: 10_000 });
  useFresh(q.refetch);
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
            rows={[...(q.data ?? [])].sort((a, b) => b.id - a.id)}
            columns={columns}
            id={id}
            text={text}
            stateOf={stateOf}
            stateText={stateText}
            empty={<p className="b-subtle">{t.none}</p>}
          />
        )}
      </div>
    </>
  );
}

const id = (x: Transition) => String(x.id);
const text = (x: Transition) => `${x.id} ${x.cause ?? ''} ${x.dc ?? ''}`;
const stateText = (s: string) => look('step', s).text;
