import { EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from '@patternfly/react-core';
import { Link } from 'react-router';
import { useSummary } from '../../api/live';
import type { Resource } from '../../api/types';
import { show } from '../../components/change/diff';
import { Actions } from '../../components/Actions';
import { Age } from '../../components/Age';
import { LinkButton } from '../../components/LinkButton';
import { ListTable, type Column } from '../../components/ListTable';
import { look } from '../../components/look';
import { Name, nodePath, resourcePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { State } from '../../components/State';
import { resources as t } from '../../texts/resources';
import { resourceActions } from './actions';

/** Notes are the short words beside a resource's state. */
export function notes(r: Resource): string[] {
  return [!r.managed && t.notManaged, r.maintenance && t.maintenance, r.orphan && t.orphan, r.wanted === 'Stopped' && t.wantedStopped].filter((x) => x !== false && x !== undefined);
}

const columns: Column<Resource>[] = [
  { key: 'id', name: t.columns.resource, header: true, sort: (r) => r.id, cell: (r) => <Name to={resourcePath(r.id)}>{r.id}</Name> },
  {
    key: 'state',
    name: t.columns.state,
    sort: (r) => r.state,
    cell: (r) => (
      <>
        <State of="resource" is={r.state} title={r.reason} /> <span className="b-subtle">{notes(r).join(', ')}</span>
        {r.reason && <div className="b-reason b-wrap b-clamp">{r.reason}</div>}
      </>
    ),
  },
  { key: 'where', name: t.columns.where, cell: (r) => <Where r={r} /> },
  { key: 'kind', name: t.columns.kind, sort: (r) => r.agent ?? r.kind, cell: (r) => <span className="b-wrap">{r.agent ?? t.kinds[r.kind] ?? r.kind}</span> },
  { key: 'since', name: t.columns.since, sort: (r) => r.since ?? '', cell: (r) => <Age time={r.since} /> },
  { key: 'failures', name: t.columns.failures, sort: (r) => Number(r.failCount), cell: (r) => (r.failCount ? show(r.failCount) : '–') },
];

function Where({ r }: { r: Resource }) {
  const nodes = r.nodes ?? [];
  if (nodes.length === 0) return <>–</>;
  return (
    <span className="b-where">
      {nodes.slice(0, 4).map((n) => (
        <Name key={n} to={nodePath(n)}>
          {n}
        </Name>
      ))}
      {nodes.length > 4 && <span className="b-subtle">+{nodes.length - 4}</span>}
    </span>
  );
}

const indent = (r: Resource) => `b-row b-depth-${Math.min(r.depth, 3)}`;

/** The list of resources: a tree, as long as it is not sorted by anything else. */
export default function Resources() {
  const s = useSummary();
  return (
    <>
      <PageTitle
        title={t.title}
        lead={t.lead}
        actions={
          <>
            <LinkButton to="/services/new" action="create" object="resource/*" variant="primary">
              {t.wizard}
            </LinkButton>
            <LinkButton to="/resources/new" action="create" object="resource/*">
              {t.create}
            </LinkButton>
          </>
        }
      />
      <ListTable
        label={t.title}
        rows={s.resources ?? []}
        columns={columns}
        id={(r) => r.id}
        text={text}
        stateOf={stateOf}
        stateText={stateText}
        rowClass={indent}
        actions={(r) => <Actions kebab of={r.id} list={resourceActions(r, s.nodes ?? [])} />}
        empty={
          <EmptyState headingLevel="h2" titleText={t.none}>
            <EmptyStateBody>{t.noneBody}</EmptyStateBody>
            <EmptyStateFooter>
              <EmptyStateActions>
                <Link to="/services/new">{t.wizard}</Link>
              </EmptyStateActions>
            </EmptyStateFooter>
          </EmptyState>
        }
      />
    </>
  );
}

const text = (r: Resource) => `${r.id} ${r.agent ?? ''} ${r.description ?? ''} ${(r.nodes ?? []).join(' ')}`;
const stateOf = (r: Resource) => r.state;
const stateText = (s: string) => look('resource', s).text;
