import { Tab, Tabs, TabTitleText } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useParams, useSearchParams } from 'react-router';
import { useSummary } from '../../api/live';
import type { Summary } from '../../api/types';
import { Age } from '../../components/Age';
import { EventList } from '../../components/EventList';
import { Facts } from '../../components/Facts';
import { hosts, isRemote } from '../../components/hosts';
import { LinkTable } from '../../components/LinkTable';
import { Missing } from '../../components/Missing';
import { Name, nodePath, resourcePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { State } from '../../components/State';
import { nanos } from '../../components/time';
import { nodes as t } from '../../texts/nodes';
import { AttributeTable } from '../attributes/Table';
import { Changes } from '../history/Changes';
import { NodeActions } from './Menu';
import { roles } from '.';

/** One node. */
export default function NodeDetail() {
  const { name = '' } = useParams();
  const s = useSummary();
  const [params, setParams] = useSearchParams();
  const n = hosts(s).find((x) => x.name === name);
  if (!n) return <Missing what={name} to="/nodes" back={t.title} />;
  const remote = isRemote(n);
  const f = t.facts;
  const tab = (key: keyof typeof t.tabs, body: React.ReactNode) => (
    <Tab eventKey={key} title={<TabTitleText>{t.tabs[key]}</TabTitleText>}>
      <div className="b-tab">
        <Panel title={t.tabs[key]}>{body}</Panel>
      </div>
    </Tab>
  );
  return (
    <>
      <PageTitle title={name} parents={[{ text: t.title, to: '/nodes' }]} state={<State of="node" is={n.state} />} actions={<NodeActions n={n} />} lead={roles(n)} />
      <Tabs activeKey={params.get('tab') ?? 'overview'} onSelect={(_, k) => setParams(k === 'overview' ? {} : { tab: String(k) }, { replace: true })} aria-label={name} unmountOnExit mountOnEnter>
        {tab(
          'overview',
          <Facts
            rows={[
              [f.reason, n.reason],
              [f.connection, remote && <Name to={resourcePath(name)}>{name}</Name>],
              [f.host, n.host && <Name to={nodePath(n.host)}>{n.host}</Name>],
              [f.since, <Age time={n.since} />],
              [
                f.fence,
                <>
                  <State of="readiness" is={n.fence} /> {n.fenceReason}
                </>,
              ],
              [f.watchdog, n.watchdog ? [n.watchdog.device, n.watchdog.identity, n.watchdog.timeout].filter(Boolean).join(', ') : null],
              [f.proof, n.proof],
              [f.addresses, (n.addresses ?? []).join(', ')],
              [f.site, n.site],
              [f.votes, remote ? null : String(n.votes)],
              [f.health, n.health === 'unknown' ? f.healthUnknown : n.health],
              [f.version, n.version],
              [f.up, remote ? null : <Age time={n.upSince} />],
              [f.cores, n.cores ? String(n.cores) : null],
              [f.clock, remote ? null : nanos(n.clockOffsetNs)],
              [f.id, remote ? null : String(n.id)],
              [f.boot, n.bootId && <code>{n.bootId}</code>],
              [f.utilization, n.utilization && Object.entries(n.utilization).map(([k, v]) => `${k} ${v}`).join(', ')],
            ]}
          />,
        )}
        {tab('running', <Running s={s} node={name} />)}
        {tab('attributes', <AttributeTable nodes={[n]} />)}
        {!remote && tab('links', <LinkTable links={(s.links ?? []).filter((l) => l.node === name)} />)}
        <Tab eventKey="history" title={<TabTitleText>{t.tabs.history}</TabTitleText>}>
          <div className="b-stack b-tab">
            <Panel title={t.tabs.history}>
              <EventList node={name} />
            </Panel>
            <Changes of={`${remote ? 'remote-node' : 'node'}/${name}`} />
          </div>
        </Tab>
      </Tabs>
    </>
  );
}

function Running({ s, node }: { s: Summary; node: string }) {
  const rows = (s.resources ?? []).flatMap((r) => (r.instances ?? []).filter((i) => i.node === node && i.state !== 'stopped').map((i) => ({ r, i })));
  if (rows.length === 0) return <p className="b-subtle">{t.nothing}</p>;
  const c = t.running;
  return (
    <Table variant="compact" aria-label={t.tabs.running}>
      <Thead>
        <Tr>
          {[c.resource, c.state, c.since].map((h) => (
            <Th key={h}>{h}</Th>
          ))}
        </Tr>
      </Thead>
      <Tbody>
        {rows.map(({ r, i }) => (
          <Tr key={`${r.id} ${i.instance}`}>
            <Td dataLabel={c.resource}>
              <Name to={resourcePath(r.id)}>{i.instance}</Name>
            </Td>
            <Td dataLabel={c.state}>
              <State of="resource" is={i.state} /> <div className="b-reason b-wrap">{i.reason}</div>
            </Td>
            <Td dataLabel={c.since}>
              <Age time={i.since} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
