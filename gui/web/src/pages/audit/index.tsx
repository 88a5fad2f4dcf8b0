import { Alert, Button, Form, FormGroup, FormSelect, FormSelectOption, Grid, GridItem, TextInput } from '@patternfly/react-core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useSearchParams } from 'react-router';
import { api, must } from '../../api/client';
import { useSummary } from '../../api/live';
import { useCan } from '../../api/queries';
import { useAllowed, Why } from '../../components/Actions';
import { CLI } from '../../components/CLI';
import { Document } from '../../components/Document';
import { Facts } from '../../components/Facts';
import { lines } from '../../components/lines';
import { ListTable, type Column } from '../../components/ListTable';
import { Name } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { audit as t } from '../../texts/audit';
import { common } from '../../texts/common';
import { cliOf, exportPath, isRecord, page, queryOf, searchOf, startOf, texts, times, type AuditRecord, type Field, type Search } from './search';

/** The audit log: how it stands, whether it is whole, and what is in it. */
export default function Audit() {
  const may = useCan('read', 'audit');
  const state = useQuery({ queryKey: ['audit', 'state'], queryFn: () => must(api.GET('/v1/audit/state')), staleTime: 0 });
  const verify = useMutation({ mutationFn: () => must(api.GET('/v1/audit/verify')) });
  const mayVerify = useAllowed('verify', 'audit');
  const f = t.facts;
  const s = state.data;
  const witnesses = Object.entries(s?.witnesses ?? {}).map(([node, problem]) => (problem ? `${node} (${problem})` : node));
  const v = verify.data;
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} />
      <div className="b-stack">
        <Panel
          title={t.state}
          actions={
            <Why text={mayVerify.why}>
              <Button variant="secondary" isAriaDisabled={mayVerify.isAriaDisabled} isLoading={verify.isPending} spinnerAriaLabel={t.verifying} onClick={() => verify.mutate()}>
                {t.verify}
              </Button>
            </Why>
          }
        >
          <div className="b-stack">
            {state.error && <ProblemAlert error={state.error} onRetry={() => void state.refetch()} />}
            {s && (
              <Facts
                columns={3}
                rows={[
                  [f.node, <Name>{s.node}</Name>],
                  [f.records, String(s.records)],
                  [f.signed, String(s.signed)],
                  [f.witnesses, witnesses.join(', ')],
                  [f.waiting, s.waiting ? String(s.waiting) : null],
                  [f.lost, s.lost ? String(s.lost) : null],
                  [f.problem, s.problem],
                ]}
              />
            )}
            {verify.error && <ProblemAlert error={verify.error} />}
            {v && (
              <Alert variant={v.whole ? 'success' : 'danger'} isInline title={v.whole ? t.whole(Number(v.records)) : t.broken} isLiveRegion>
                {v.reason && <p className="b-wrap">{v.reason}</p>}
                {!v.whole && v.firstBad && <p>{t.firstBad(Number(v.firstBad))}</p>}
                <p>{t.verdict(Number(v.signed), Number(v.witnessed))}</p>
                {(v.silent ?? []).length > 0 && <p className="b-wrap">{t.silent(v.silent!.join(', '))}</p>}
                <CLI args={lines.auditVerify()} />
              </Alert>
            )}
          </div>
        </Panel>
        {may.allowed ? s && <Records records={Number(s.records)} self={s.node} /> : may.reason !== '…' && <Alert variant="info" isInline title={t.mayNot}>{common.mayNot(may.reason)}</Alert>}
      </div>
    </>
  );
}

const c = t.columns;
const columns: Column<AuditRecord>[] = [
  { key: 'seq', name: c.seq, header: true, sort: (r) => r.seq, cell: (r) => r.seq },
  { key: 'time', name: c.time, cell: (r) => <Time time={r.time} /> },
  {
    key: 'user',
    name: c.user,
    sort: (r) => r.actor?.user ?? '',
    cell: (r) => (
      <>
        <Name>{r.actor?.user ?? '–'}</Name> {r.actor?.via && <span className="b-subtle b-small">{t.via(r.actor.via)}</span>}
      </>
    ),
  },
  {
    key: 'action',
    name: c.action,
    sort: (r) => `${r.action} ${r.object ?? ''}`,
    className: 'b-wrap',
    cell: (r) => (
      <>
        {r.action} {r.object && <bdi className="b-subtle">{r.object}</bdi>}
      </>
    ),
  },
  {
    key: 'result',
    name: c.result,
    sort: (r) => `${r.result ?? ''} ${r.phase}`,
    cell: (r) => (
      <>
        {r.phase}
        {r.result && <span className={r.result === 'success' ? 'b-subtle' : 'b-no'}>, {r.result}</span>}
      </>
    ),
  },
  { key: 'reason', name: c.reason, className: 'b-wrap b-wide', cell: (r) => <bdi>{r.reason}</bdi> },
];

function Records({ records, self }: { records: number; self: string }) {
  const [params, setParams] = useSearchParams();
  const mayExport = useAllowed('export', 'audit');
  const search = searchOf(params);
  // Records are added all the time; the list begins where it began.
  const [first] = useState(records);
  const after = startOf(params, search, first);
  const q = useQuery({
    queryKey: ['audit', 'page', search, after],
    queryFn: () => must(api.GET('/v1/audit', { params: { query: { ...queryOf(search), after, limit: page } as never } })),
    placeholderData: (before) => before,
    // Each read is a record of its own: it is read when somebody asks for it.
    staleTime: Infinity,
  });
  const rows = (q.data?.records ?? []).filter(isRecord).reverse();
  const chosen = rows.find((r) => String(r.seq) === params.get('record'));
  const next = Number(q.data?.next ?? 0);
  const go = (change: Record<string, string | null>) =>
    setParams((p) => {
      for (const [k, v] of Object.entries(change)) {
        if (v === null || v === '') p.delete(k);
        else p.set(k, v);
      }
      return p;
    });
  return (
    <>
      <Panel title={t.search}>
        <SearchForm key={JSON.stringify(search)} search={search} self={self} onSearch={(s) => setParams(s)} />
      </Panel>
      {chosen && (
        <Panel
          title={t.record(chosen.seq)}
          actions={
            <Button variant="link" onClick={() => go({ record: null })}>
              {common.close}
            </Button>
          }
        >
          <Document value={chosen} />
        </Panel>
      )}
      <Panel
        title={after > 0 ? t.recordsFrom(after) : t.records}
        actions={
          <div className="b-buttons">
            {Object.entries(t.formats).map(([format, name]) => (
              <Why key={format} text={mayExport.why}>
                <Button variant="link" component="a" href={mayExport.isAriaDisabled ? undefined : exportPath(format, search)} download isAriaDisabled={mayExport.isAriaDisabled} isInline title={name} aria-label={`${t.export}: ${name}`}>
                  {format.toUpperCase()}
                </Button>
              </Why>
            ))}
          </div>
        }
      >
        {q.error && <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />}
        {q.isPending ? (
          <Waiting text={common.loading} />
        ) : (
          <ListTable
            label={t.records}
            rows={rows}
            columns={columns}
            id={id}
            text={text}
            actions={(r) => (
              <Button variant="link" isInline aria-label={`${common.details}: ${t.record(r.seq)}`} onClick={() => go({ record: String(r.seq) })}>
                {common.details}
              </Button>
            )}
            empty={<p className="b-subtle">{t.none}</p>}
          />
        )}
        <div className="b-buttons">
          {after > 0 && (
            <Button variant="link" isInline onClick={() => go({ after: '0', page: null, record: null })}>
              {t.earlier}
            </Button>
          )}
          {next > 0 && (
            <Button variant="link" isInline onClick={() => go({ after: String(next), page: null, record: null })}>
              {t.later}
            </Button>
          )}
        </div>
      </Panel>
      <CLI args={cliOf(search)} />
    </>
  );
}

const id = (r: AuditRecord) => String(r.seq);
const text = (r: AuditRecord) => `${r.actor?.user ?? ''} ${r.action} ${r.object ?? ''} ${r.reason ?? ''}`;

function SearchForm({ search, self, onSearch }: { search: Search; self: string; onSearch: (s: Record<string, string>) => void }) {
  const nodes = (useSummary().nodes ?? []).map((n) => n.name);
  const [typed, setTyped] = useState(search);
  const set = (k: Field, v: string) => setTyped({ ...typed, [k]: v });
  const choices: Partial<Record<Field, [string, string][]>> = {
    node: nodes.filter((n) => n !== self).map((n) => [n, n]),
    result: Object.entries(t.results),
    phase: Object.entries(t.phases),
  };
  return (
    <Form
      onSubmit={(e) => {
        e.preventDefault();
        onSearch(Object.fromEntries(Object.entries(typed).filter(([, v]) => v?.trim())));
      }}
    >
      <Grid hasGutter sm={6} lg={4} xl={3}>
        {[...texts, ...times].map((k) => {
          const options = choices[k];
          const field = `audit-${k}`;
          return (
            <GridItem key={k}>
              <FormGroup label={t.fields[k]} fieldId={field}>
                {options ? (
                  <FormSelect id={field} value={typed[k] ?? ''} onChange={(_, v) => set(k, v)}>
                    <FormSelectOption value="" label={k === 'node' ? self : t.any} />
                    {options.map(([v, name]) => (
                      <FormSelectOption key={v} value={v} label={name} />
                    ))}
                  </FormSelect>
                ) : (
                  <TextInput id={field} type={k === 'from' || k === 'to' ? 'datetime-local' : 'text'} value={typed[k] ?? ''} placeholder={k === 'object' ? t.objectHelp : undefined} onChange={(_, v) => set(k, v)} />
                )}
              </FormGroup>
            </GridItem>
          );
        })}
      </Grid>
      <div className="b-buttons">
        <Button type="submit">{t.run}</Button>
        <Button variant="link" onClick={() => onSearch({})}>
          {t.clear}
        </Button>
      </div>
    </Form>
  );
}
