import { Alert, Button, Form, FormGroup, FormHelperText, HelperText, HelperTextItem, Label, LabelGroup, Tab, Tabs, TabTitleText, TextInput } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useQuery } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import { Link, useSearchParams } from 'react-router';
import { api, must } from '../../api/client';
import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import type { AccessRow } from '../../api/types';
import { Actions, useAllowed, Why, type ActionSpec } from '../../components/Actions';
import { CLI } from '../../components/CLI';
import { Document } from '../../components/Document';
import { lines } from '../../components/lines';
import { ListTable, type Column } from '../../components/ListTable';
import { Name } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { access as t } from '../../texts/access';
import { common } from '../../texts/common';
import { Certificates } from './Certificates';
import { groupsOf } from './groups';
import { Sessions } from './Sessions';
import { Tokens } from './Tokens';

/** Access: who holds what, who may do what, the roles, and who is logged in. */
export default function Access() {
  const [params, setParams] = useSearchParams();
  const tab = (key: keyof typeof t.tabs, body: ReactNode, actions?: ReactNode) => (
    <Tab eventKey={key} title={<TabTitleText>{t.tabs[key]}</TabTitleText>}>
      <div className="b-tab">
        <Panel title={t.tabs[key]} actions={actions}>
          {body}
        </Panel>
      </div>
    </Tab>
  );
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} />
      <Tabs activeKey={params.get('tab') ?? 'report'} onSelect={(_, k) => setParams(k === 'report' ? {} : { tab: String(k) }, { replace: true })} aria-label={t.title} unmountOnExit mountOnEnter>
        {tab('report', <Report />, <Link to="/configuration/role-binding/new">{t.bind}</Link>)}
        {tab('can', <Can />)}
        {tab('roles', <Roles />, <Link to="/configuration/role/new">{t.newRole}</Link>)}
        {tab('tokens', <Tokens />)}
        {tab('certificates', <Certificates />)}
        {tab('sessions', <Sessions />)}
      </Tabs>
    </>
  );
}

const c = t.report;
const columns: Column<AccessRow>[] = [
  { key: 'name', name: c.name, header: true, sort: (r) => r.name, cell: (r) => <Name>{r.name}</Name> },
  { key: 'kind', name: c.kind, sort: (r) => r.kind, cell: (r) => t.kinds[r.kind] ?? r.kind },
  { key: 'role', name: c.role, sort: (r) => r.role, cell: (r) => <Name>{r.role}</Name> },
  { key: 'duties', name: c.duties, cell: (r) => (r.duties ?? []).join(', ') },
  { key: 'on', name: c.on, className: 'b-wrap', cell: (r) => [...(r.resources ?? []), ...(r.nodes ?? [])].join(', ') || t.everything },
  { key: 'since', name: c.since, sort: (r) => r.since ?? '', cell: (r) => <Time time={r.since} /> },
  { key: 'by', name: c.by, sort: (r) => r.by ?? '', cell: (r) => <Name>{r.by || '–'}</Name> },
  { key: 'used', name: t.lastUse, sort: (r) => r.lastUsed ?? '', cell: (r) => <Time time={r.lastUsed} /> },
  { key: 'exception', name: c.exception, className: 'b-wrap', cell: (r) => <bdi>{r.exception || '–'}</bdi> },
];

/** documentActions deletes a role or a binding. */
function documentActions(kind: 'role' | 'role-binding', id: string, base: Record<string, unknown> | undefined, generation: number): ActionSpec[] {
  return [
    {
      key: 'remove',
      label: t.remove,
      action: 'delete',
      object: `${kind}/${id}`,
      danger: true,
      run: { title: kind === 'role' ? t.removeRole(id) : t.removeBinding(id), danger: true, edit: { kind, id, base, generation }, cli: () => [] },
    },
  ];
}

function Report() {
  const generation = useSummary().cluster.generation;
  const config = useConfig();
  // Who used what last is read from the audit logs, which is a record of its own: only if asked for.
  const [use, setUse] = useState(false);
  const mayRead = useAllowed('read', 'audit');
  const q = useQuery({ queryKey: ['access', generation, use], queryFn: () => must(api.GET('/v1/access', { params: { query: { use: use || undefined } } })), placeholderData: (before) => before });
  if (q.error) return <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />;
  if (q.isPending) return <Waiting text={common.loading} />;
  const rows = q.data.access ?? [];
  return (
    <>
      <ListTable
        label={t.tabs.report}
        rows={rows}
        columns={columns.filter((x) => (x.key === 'exception' ? rows.some((r) => r.exception) : x.key === 'used' ? use : true))}
        tools={
          <Why text={mayRead.why}>
            <Button variant="secondary" isAriaDisabled={mayRead.isAriaDisabled || use} isLoading={use && q.isFetching} onClick={() => setUse(true)}>
              {t.use}
            </Button>
          </Why>
        }
        id={rowId}
        text={rowText}
        actions={(r) => r.binding && <Actions kebab of={r.name} list={documentActions('role-binding', r.binding, config.data?.config['role-bindings']?.[r.binding], config.data?.generation ?? 0)} />}
        empty={<p className="b-subtle">{t.none}</p>}
      />
      <CLI args={lines.authReport()} />
    </>
  );
}

const rowId = (r: AccessRow) => `${r.kind} ${r.name} ${r.role} ${r.binding}`;
const rowText = (r: AccessRow) => `${r.name} ${r.role} ${r.binding} ${r.by ?? ''}`;

function Can() {
  const [params, setParams] = useSearchParams();
  const user = params.get('user') ?? '';
  const groups = groupsOf(params.get('group') ?? '');
  const [typed, setTyped] = useState({ user, group: groups.join(', ') });
  const q = useQuery({
    queryKey: ['access-table', user, groups],
    queryFn: () => must(api.GET('/v1/access/table', { params: { query: { user: user || undefined, group: groups.length > 0 ? groups.join(',') : undefined } as never } })),
    staleTime: 0,
  });
  const f = t.can;
  return (
    <div className="b-stack">
      <p className="b-subtle">{f.lead}</p>
      <Form
        isWidthLimited
        onSubmit={(e) => {
          e.preventDefault();
          setParams({ tab: 'can', ...(typed.user.trim() && { user: typed.user.trim() }), ...(typed.group.trim() && { group: groupsOf(typed.group).join(',') }) });
        }}
      >
        <FormGroup label={f.user} fieldId="can-user">
          <TextInput id="can-user" maxLength={128} value={typed.user} onChange={(_, v) => setTyped({ ...typed, user: v })} />
        </FormGroup>
        <FormGroup label={f.groups} fieldId="can-groups">
          <TextInput id="can-groups" aria-describedby="can-groups-help" value={typed.group} onChange={(_, v) => setTyped({ ...typed, group: v })} />
          <FormHelperText>
            <HelperText>
              <HelperTextItem id="can-groups-help">{f.groupsHelp}</HelperTextItem>
            </HelperText>
          </FormHelperText>
        </FormGroup>
        <div>
          <Button type="submit">{f.show}</Button>
        </div>
      </Form>
      {q.error && <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />}
      {q.data && (
        <>
          {q.data.conflict && <Alert variant="warning" isInline title={f.conflict}>{q.data.conflict}</Alert>}
          <p className="b-wrap">
            <strong>
              <bdi>{q.data.user || (q.data.groups ?? []).join(', ')}</bdi>
            </strong>{' '}
            {f.roles}: <bdi>{(q.data.roles ?? []).join(', ') || f.nothing}</bdi>
          </p>
          <Table variant="compact" aria-label={t.tabs.can}>
            <Thead>
              <Tr>
                <Th>{f.kind}</Th>
                <Th>{f.actions}</Th>
              </Tr>
            </Thead>
            <Tbody>
              {(q.data.rows ?? []).map((r) => (
                <Tr key={r.kind}>
                  <Td dataLabel={f.kind}>{r.kind}</Td>
                  <Td dataLabel={f.actions}>
                    {(r.actions ?? []).length === 0 ? (
                      <span className="b-subtle">{f.nothing}</span>
                    ) : (
                      <LabelGroup numLabels={8} aria-label={r.kind}>
                        {r.actions!.map((a) => (
                          <Label key={a} isCompact variant="outline">
                            {a}
                          </Label>
                        ))}
                      </LabelGroup>
                    )}
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        </>
      )}
    </div>
  );
}

function Roles() {
  const config = useConfig();
  if (config.error) return <ProblemAlert error={config.error} onRetry={() => void config.refetch()} />;
  if (!config.data) return <Waiting text={common.loading} />;
  const own = Object.entries(config.data.config.roles ?? {}).sort(([a], [b]) => a.localeCompare(b));
  return (
    <div className="b-stack">
      <p className="b-subtle">{t.builtIn}</p>
      {own.length === 0 && <p>{t.noRoles}</p>}
      {own.map(([id, doc]) => (
        <section key={id}>
          <h3>
            <Name to={`/configuration/role/${encodeURIComponent(id)}`}>{id}</Name> <Actions kebab of={id} list={documentActions('role', id, doc, config.data.generation)} />
          </h3>
          <Document value={doc} />
        </section>
      ))}
    </div>
  );
}
