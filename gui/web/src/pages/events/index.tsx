import { FormSelect, FormSelectOption, Label, ToolbarItem } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { Link, useSearchParams } from 'react-router';
import { api, must } from '../../api/client';
import { useFresh } from '../../api/fresh';
import { useSummary } from '../../api/live';
import type { Event } from '../../api/types';
import { CLI } from '../../components/CLI';
import { hosts } from '../../components/hosts';
import { ListTable, type Column } from '../../components/ListTable';
import { Name, nodePath, resourcePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { ProblemAlert } from '../../components/ProblemAlert';
import { State } from '../../components/State';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { common } from '../../texts/common';
import { events as t } from '../../texts/history';
import { cliOf, filterOf, severities } from './filter';

/** How many events are asked for. */
const limit = 1000;

const c = t.columns;
const columns: Column<Event>[] = [
  { key: 'time', name: c.time, cell: (e) => <Time time={e.time} /> },
  { key: 'severity', name: c.severity, cell: (e) => <State of="severity" is={e.severity} /> },
  { key: 'text', name: c.text, className: 'b-wrap b-wide', cell: (e) => <bdi>{e.text}</bdi> },
  { key: 'node', name: c.node, cell: (e) => (e.node ? <Name to={nodePath(e.node)}>{e.node}</Name> : '–') },
  { key: 'resource', name: c.resource, cell: (e) => (e.resource ? <Name to={resourcePath(e.resource)}>{e.resource}</Name> : '–') },
  {
    key: 'code',
    name: c.code,
    cell: (e) => (
      <Link to={`?code=${encodeURIComponent(e.code)}`} title={t.onlyCode(e.code)}>
        {e.code}
      </Link>
    ),
  },
];

interface Page {
  items?: Event[] | null;
  total?: number;
}

/** The events of the cluster. */
export default function Events() {
  const s = useSummary();
  const [params, setParams] = useSearchParams();
  const filter = filterOf(params);
  const q = useQuery({
    queryKey: ['events', 'page', filter],
    queryFn: async () => (await must(api.GET('/v1/events', { params: { query: { ...filter, limit } } as never }))) as Page,
    placeholderData: (before) => before,
    gcTime: 10_000,
  });
  useFresh(q.refetch);
  const set = (key: string, value: string) =>
    setParams(
      (p) => {
        p.delete('page');
        if (value) p.set(key, value);
        else p.delete(key);
        return p;
      },
      { replace: true },
    );
  // What the address names is offered also where it is gone.
  const names = (have: string[], chosen: string | undefined) => (chosen && !have.includes(chosen) ? [...have, chosen] : have);
  const select = (key: string, label: string, all: string, value: string | undefined, options: [string, string][]) => (
    <ToolbarItem key={key}>
      <FormSelect aria-label={label} value={value ?? ''} onChange={(_, v) => set(key, v)}>
        <FormSelectOption value="" label={all} />
        {options.map(([v, text]) => (
          <FormSelectOption key={v} value={v} label={text} />
        ))}
      </FormSelect>
    </ToolbarItem>
  );
  const same = (list: string[]): [string, string][] => list.map((x) => [x, x]);
  const rows = [...(q.data?.items ?? [])].reverse();
  const total = Number(q.data?.total ?? 0);
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
            rows={rows}
            columns={columns}
            id={id}
            text={text}
            empty={<p className="b-subtle">{t.none}</p>}
            tools={
              <>
                {select('severity', t.severity, t.allSeverities, filter.severity, severities.map((x) => [x, t.atLeast[x]]))}
                {select('node', t.node, t.allNodes, filter.node, same(names(hosts(s).map((n) => n.name), filter.node)))}
                {select('resource', t.resource, t.allResources, filter.resource, same(names((s.resources ?? []).map((r) => r.id), filter.resource)))}
                {filter.code && (
                  <ToolbarItem>
                    <Label onClose={() => set('code', '')} closeBtnAriaLabel={t.clearCode}>
                      {filter.code}
                    </Label>
                  </ToolbarItem>
                )}
              </>
            }
          />
        )}
        {total > rows.length && <p className="b-subtle">{t.newest(rows.length, total)}</p>}
        <CLI args={cliOf(filter)} />
      </div>
    </>
  );
}

const id = (e: Event) => `${e.seq}`;
const text = (e: Event) => `${e.text} ${e.code} ${e.source}`;
