import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useQuery } from '@tanstack/react-query';
import { useParams } from 'react-router';
import { api, must } from '../../api/client';
import { useFresh } from '../../api/fresh';
import { problemOf } from '../../api/problem';
import type { Transition } from '../../api/types';
import { PlanGraph } from '../../components/change/PlanGraph';
import { Facts } from '../../components/Facts';
import { Missing } from '../../components/Missing';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { State } from '../../components/State';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { common } from '../../texts/common';
import { transitions as t } from '../../texts/history';
import { TransitionState } from '.';
import { between } from './took';

/** One transition: its graph, and each step with its reason. */
export default function TransitionDetail() {
  const { id = '' } = useParams();
  if (!/^[0-9]{1,15}$/.test(id)) return <Missing what={id} to="/transitions" back={t.title} />;
  return <Known id={Number(id)} />;
}

function Known({ id }: { id: number }) {
  const q = useQuery({ queryKey: ['transition', id], queryFn: () => must(api.GET('/v1/transitions/{id}', { params: { path: { id } } })), gcTime: 10_000 });
  useFresh(q.refetch);
  if (q.error && problemOf(q.error).status === 404) return <Missing what={t.name(id)} to="/transitions" back={t.title} />;
  return (
    <>
      <PageTitle title={t.name(id)} parents={[{ text: t.title, to: '/transitions' }]} state={q.data && <TransitionState of={q.data} />} />
      {q.error && <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />}
      {q.isPending && <Waiting text={common.loading} />}
      {q.data && <Shown x={q.data} />}
    </>
  );
}

function Shown({ x }: { x: Transition }) {
  const c = t.columns;
  const s = t.step;
  const steps = x.steps ?? [];
  return (
    <div className="b-stack">
      <Panel title={common.details}>
        <Facts
          columns={3}
          rows={[
            [c.began, <Time time={x.began} />],
            [c.took, between(x.began, x.ended)],
            [t.because, <bdi>{x.cause || '–'}</bdi>],
            [c.dc, x.dc && <Name to={nodePath(x.dc)}>{x.dc}</Name>],
            [c.generation, <Name to={`/history/${x.generation}`}>{String(x.generation)}</Name>],
          ]}
        />
      </Panel>
      <Panel title={t.graph}>{steps.length === 0 ? <p className="b-subtle">{t.noSteps}</p> : <PlanGraph steps={steps} />}</Panel>
      {steps.length > 0 && (
        <Panel title={t.steps}>
          <Table variant="compact" aria-label={t.steps}>
            <Thead>
              <Tr>
                {[s.number, s.text, s.state, s.ended, s.why].map((h) => (
                  <Th key={h}>{h}</Th>
                ))}
              </Tr>
            </Thead>
            <Tbody>
              {steps.map((p) => (
                <Tr key={p.number}>
                  <Td dataLabel={s.number}>{p.number + 1}</Td>
                  <Td dataLabel={s.text} className="b-wrap">
                    <bdi>{p.text}</bdi>
                  </Td>
                  <Td dataLabel={s.state}>
                    <State of="step" is={p.state} />
                    {p.reason && <div className="b-wrap b-clamp b-no">{p.reason}</div>}
                  </Td>
                  <Td dataLabel={s.ended}>{between(x.began, p.ended)}</Td>
                  <Td dataLabel={s.why} className="b-wrap">
                    <bdi>{p.why.cause}</bdi>
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        </Panel>
      )}
    </div>
  );
}
