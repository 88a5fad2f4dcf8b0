import { Alert, Tab, Tabs, TabTitleText } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useNavigate, useParams, useSearchParams } from 'react-router';
import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import type { Instance, Resource } from '../../api/types';
import { Actions, type ActionSpec } from '../../components/Actions';
import { Age } from '../../components/Age';
import { Document } from '../../components/Document';
import { EventList } from '../../components/EventList';
import { Facts } from '../../components/Facts';
import { lines } from '../../components/lines';
import { Missing } from '../../components/Missing';
import { Name, nodePath, resourcePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { State } from '../../components/State';
import { nanos } from '../../components/time';
import { resources as t } from '../../texts/resources';
import { Changes } from '../history/Changes';
import { resourceActions } from './actions';
import { notes } from '.';
import { Explain } from './Why';

/** One resource: how it is, why it is there, and what can be done with it. */
export default function ResourceDetail() {
  const { id = '' } = useParams();
  const s = useSummary();
  const [params, setParams] = useSearchParams();
  const navigate = useNavigate();
  const config = useConfig();
  const r = (s.resources ?? []).find((x) => x.id === id);
  if (!r) return <Missing what={id} to="/resources" back={t.title} />;
  const document = config.data?.config.resources?.[id];
  const object = `resource/${id}`;
  const actions: ActionSpec[] = [
    { key: 'edit', label: t.actions.edit, action: 'update', object, run: () => void navigate(`${resourcePath(id)}/edit`) },
    ...resourceActions(r, s.nodes ?? []).map((a, i) => (i === 0 ? { ...a, divided: true } : a)),
    {
      key: 'delete',
      label: t.actions.remove,
      action: 'delete',
      object,
      danger: true,
      divided: true,
      run: {
        title: t.propose.remove(id),
        lead: t.propose.removeLead,
        danger: true,
        edit: { kind: 'resource', id, base: document, generation: config.data?.generation ?? 0 },
        cli: () => lines.resource('delete', id),
        onApplied: () => void navigate('/resources'),
      },
    },
  ];
  const tab = params.get('tab') ?? 'overview';
  return (
    <>
      <PageTitle
        title={id}
        parents={[{ text: t.title, to: '/resources' }, ...(r.parent ? [{ text: r.parent, to: resourcePath(r.parent) }] : [])]}
        state={
          <>
            <State of="resource" is={r.state} /> <span className="b-subtle">{notes(r).join(', ')}</span>
          </>
        }
        actions={<Actions of={id} list={actions} />}
        lead={r.description}
      />
      {r.reason && (
        <Alert variant={r.state === 'failed' || r.state === 'blocked' ? 'danger' : 'info'} isInline title={r.reason} className="b-below">
          {null}
        </Alert>
      )}
      <Tabs activeKey={tab} onSelect={(_, k) => setParams(k === 'overview' ? {} : { tab: String(k) }, { replace: true })} aria-label={id} unmountOnExit mountOnEnter>
        <Tab eventKey="overview" title={<TabTitleText>{t.tabs.overview}</TabTitleText>}>
          <div className="b-stack b-tab">
            <Panel title={t.tabs.overview}>
              <Overview r={r} all={s.resources ?? []} />
            </Panel>
            {r.kind === 'primitive' && (
              <Panel title={t.instances}>
                <Instances list={r.instances ?? []} />
              </Panel>
            )}
          </div>
        </Tab>
        <Tab eventKey="why" title={<TabTitleText>{t.tabs.why}</TabTitleText>}>
          <div className="b-tab">
            <Panel title={t.tabs.why}>
              <Explain id={id} />
            </Panel>
          </div>
        </Tab>
        {r.kind === 'primitive' && (
          <Tab eventKey="operations" title={<TabTitleText>{t.tabs.operations}</TabTitleText>}>
            <div className="b-tab">
              <Panel title={t.tabs.operations}>
                <Operations list={r.instances ?? []} />
              </Panel>
            </div>
          </Tab>
        )}
        <Tab eventKey="configuration" title={<TabTitleText>{t.tabs.configuration}</TabTitleText>}>
          <div className="b-tab">
            <Panel title={t.configuration.raw}>{document ? <Document value={document} /> : <p className="b-subtle">{t.configuration.none}</p>}</Panel>
          </div>
        </Tab>
        <Tab eventKey="history" title={<TabTitleText>{t.tabs.history}</TabTitleText>}>
          <div className="b-stack b-tab">
            <Panel title={t.tabs.history}>
              <EventList resource={id} />
            </Panel>
            <Changes of={`resource/${id}`} />
          </div>
        </Tab>
      </Tabs>
    </>
  );
}

function Overview({ r, all }: { r: Resource; all: Resource[] }) {
  const f = t.facts;
  const nodes = (list: string[] | null | undefined) => (list?.length ? list.map((n) => <Name key={n} to={nodePath(n)}>{n}</Name>) : null);
  return (
    <Facts
      rows={[
        [t.columns.kind, t.kinds[r.kind] ?? r.kind],
        [t.columns.agent, r.agent],
        [f.nodes, <span className="b-where">{nodes(r.nodes) ?? '–'}</span>],
        [f.promoted, r.promoted?.length ? <span className="b-where">{nodes(r.promoted)}</span> : null],
        [f.active, f.activeOf(r.active, r.expected)],
        [f.wanted, r.wanted],
        [f.since, <Age time={r.since} />],
        [f.failCount, String(r.failCount)],
        [
          f.members,
          r.members?.length ? (
            <ul className="b-plain">
              {r.members.map((m) => (
                <li key={m}>
                  <State of="resource" is={all.find((x) => x.id === m)?.state ?? 'unknown'} /> <Name to={resourcePath(m)}>{m}</Name>
                </li>
              ))}
            </ul>
          ) : null,
        ],
        [f.looked, r.looked ? f.lookedNodes(r.looked) : null],
      ]}
    />
  );
}

function Instances({ list }: { list: Instance[] }) {
  const c = t.instance;
  if (list.length === 0) return <p className="b-subtle">{t.noInstances}</p>;
  return (
    <Table variant="compact" aria-label={t.instances}>
      <Thead>
        <Tr>
          {[c.node, c.state, c.role, c.since, c.failures, c.reason].map((h) => (
            <Th key={h}>{h}</Th>
          ))}
        </Tr>
      </Thead>
      <Tbody>
        {list.map((i) => (
          <Tr key={`${i.instance} ${i.node}`}>
            <Td dataLabel={c.node}>
              <Name to={nodePath(i.node)}>{i.node}</Name> {i.instance.includes(':') && <span className="b-subtle">{i.instance}</span>}
            </Td>
            <Td dataLabel={c.state}>
              <State of="resource" is={i.state} /> {i.pending}
            </Td>
            <Td dataLabel={c.role}>{i.role}</Td>
            <Td dataLabel={c.since}>
              <Age time={i.since} />
            </Td>
            <Td dataLabel={c.failures}>{i.failCount ? String(i.failCount as number) : '–'}</Td>
            <Td dataLabel={c.reason} className="b-wrap">
              {i.reason}
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function Operations({ list }: { list: Instance[] }) {
  const c = t.operation;
  const rows = list.flatMap((i) => (i.operations ?? []).map((o) => ({ ...o, node: i.node })));
  rows.sort((a, b) => b.ended.localeCompare(a.ended));
  if (rows.length === 0) return <p className="b-subtle">{t.noOperations}</p>;
  return (
    <Table variant="compact" aria-label={t.tabs.operations}>
      <Thead>
        <Tr>
          {[c.op, c.node, c.result, c.ended, c.took, c.output].map((h) => (
            <Th key={h}>{h}</Th>
          ))}
        </Tr>
      </Thead>
      <Tbody>
        {rows.map((o, i) => (
          <Tr key={i}>
            <Td dataLabel={c.op}>
              {o.op} {o.interval && <span className="b-subtle">{c.every(String(o.interval))}</span>}
            </Td>
            <Td dataLabel={c.node}>
              <Name to={nodePath(o.node)}>{o.node}</Name>
            </Td>
            <Td dataLabel={c.result}>
              <State of="result" is={o.failed ? 'failed' : 'succeeded'}>
                {o.status === 'done' ? t.rc(o.rc, o.expected ?? 0) : o.status}
              </State>
            </Td>
            <Td dataLabel={c.ended}>
              <Age time={o.ended} />
            </Td>
            <Td dataLabel={c.took}>{nanos(o.execNs)}</Td>
            <Td dataLabel={c.output} className="b-wrap">
              <bdi>{[o.reason, o.output].filter(Boolean).join(' – ')}</bdi>
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
