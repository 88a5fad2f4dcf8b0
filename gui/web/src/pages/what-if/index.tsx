import { Alert, Button, Label } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useSearchParams } from 'react-router';
import { api, must } from '../../api/client';
import { useSummary } from '../../api/live';
import { useCan } from '../../api/queries';
import { Effects } from '../../components/change/PlanView';
import { CLI } from '../../components/CLI';
import { ListTable, type Column } from '../../components/ListTable';
import type { Tone } from '../../components/look';
import { Name, resourcePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { Waiting } from '../../shell/App';
import { common } from '../../texts/common';
import { whatIf as t } from '../../texts/what-if';
import { Explained } from '../resources/Why';
import { Add, Quick } from './Add';
import { Saves } from './Saves';
import { addressOf, cliOf, compare, partsOf, requestOf, scenarioOf, type Effect, type Row, type Scenario } from './scenario';

/** What would happen if: the scenario stands in the address, so that it can be sent to somebody. */
export default function WhatIf() {
  const [params, setParams] = useSearchParams();
  const address = addressOf(scenarioOf(params));
  const scenario = useMemo(() => scenarioOf(new URLSearchParams(address)), [address]);
  const may = useCan('simulate', 'cluster');
  const parts = partsOf(scenario);
  const suppose = (s: Scenario) => setParams(new URLSearchParams(addressOf(s)));
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} />
      <div className="b-stack">
        <Panel
          title={t.suppose}
          actions={
            parts.length > 0 && (
              <Button variant="link" isInline onClick={() => setParams({})}>
                {t.clear}
              </Button>
            )
          }
        >
          <div className="b-stack">
            {parts.length === 0 ? (
              <p className="b-subtle">{t.nothing}</p>
            ) : (
              <ul className="b-chips" aria-label={t.suppose}>
                {parts.map((p) => (
                  <li key={p.key}>
                    <Label color="orange" variant="filled" onClose={() => suppose(p.without)} closeBtnAriaLabel={t.remove(p.says)} textMaxWidth="60ch">
                      <bdi>{p.says}</bdi>
                    </Label>
                  </li>
                ))}
              </ul>
            )}
            <Quick scenario={scenario} onSuppose={suppose} />
            <Add scenario={scenario} onSuppose={suppose} />
          </div>
        </Panel>
        {!may.allowed && may.reason !== '…' && (
          <Alert variant="info" isInline title={t.mayNot}>
            {common.mayNot(may.reason)}
          </Alert>
        )}
        {may.allowed && parts.length > 0 && <Result scenario={scenario} of={params.get('of') ?? ''} />}
        <Saves scenario={scenario} empty={parts.length === 0} onSuppose={suppose} />
      </div>
    </>
  );
}

const tones: Record<Effect, Tone> = { stops: 'bad', moves: 'busy', role: 'busy', starts: 'good', down: 'off', stays: 'off' };
const colours: Partial<Record<Tone, 'red' | 'blue' | 'green' | 'grey'>> = { bad: 'red', busy: 'blue', good: 'green', off: 'grey' };

const c = t.columns;
const columns: Column<Row>[] = [
  { key: 'instance', name: c.instance, header: true, sort: (r) => r.instance, cell: (r) => <Name to={resourcePath(r.resource)}>{r.instance}</Name> },
  {
    key: 'effect',
    name: c.what,
    sort: (r) => r.effect,
    cell: (r) => (
      <Label isCompact variant="outline" color={colours[tones[r.effect]]}>
        {t.effects[r.effect]}
      </Label>
    ),
  },
  { key: 'now', name: c.now, sort: (r) => r.now, cell: (r) => <bdi>{r.now || '–'}</bdi> },
  { key: 'then', name: c.then, sort: (r) => r.then, cell: (r) => (r.then === r.now ? <span className="b-subtle">{r.then || '–'}</span> : <strong><bdi>{r.then || '–'}</bdi></strong>) },
  { key: 'why', name: c.why, className: 'b-wrap b-wide', cell: (r) => <bdi>{r.why}</bdi> },
];

const id = (r: Row) => r.instance;
const text = (r: Row) => `${r.instance} ${r.now} ${r.then}`;
const stateOf = (r: Row) => r.effect;
const stateText = (s: string) => t.effects[s as Effect] ?? s;

function Result({ scenario, of }: { scenario: Scenario; of: string }) {
  const s = useSummary();
  const [, setParams] = useSearchParams();
  const q = useQuery({
    queryKey: ['simulate', scenario, s.cluster.generation],
    queryFn: () => must(api.POST('/v1/simulate', { body: requestOf(scenario) })),
    placeholderData: (before) => before,
    staleTime: 10_000,
  });
  const rows = useMemo(() => compare(q.data?.placement ?? [], s.resources ?? []), [q.data, s.resources]);
  const scores = (q.data?.scores ?? []).filter((x) => x.instance === of);
  const show = (v: string | null) =>
    setParams((p) => {
      if (v === null) p.delete('of');
      else p.set('of', v);
      return p;
    });
  if (q.error) return <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />;
  if (!q.data) return <Waiting text={t.working} />;
  return (
    <>
      <Panel title={t.result}>
        <div className="b-plan" aria-busy={q.isFetching}>
          {q.data.quorum && <Alert variant={q.data.quorumLost ? 'danger' : 'warning'} isInline title={q.data.quorum} />}
          <Effects plan={q.data.plan} none={q.data.quorumLost ? t.byItself : t.nothingDone} />
          <p className="b-subtle b-small">{t.based(q.data.revision, q.data.generation)}</p>
          <CLI args={cliOf(scenario)} />
        </div>
      </Panel>
      {scores.length > 0 && (
        <Panel
          title={t.scoresOf(of)}
          actions={
            <Button variant="link" isInline onClick={() => show(null)}>
              {common.close}
            </Button>
          }
        >
          <Explained instances={scores} />
        </Panel>
      )}
      <Panel title={t.placement}>
        <ListTable
          label={t.placement}
          rows={rows}
          columns={columns}
          id={id}
          text={text}
          stateOf={stateOf}
          stateText={stateText}
          actions={(r) => (
            <Button variant="link" isInline aria-label={t.scoresOf(r.instance)} onClick={() => show(r.instance)}>
              {t.scores}
            </Button>
          )}
          empty={<p className="b-subtle">{t.none}</p>}
        />
      </Panel>
    </>
  );
}
