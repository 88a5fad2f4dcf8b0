import { Alert } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { Link, useNavigate } from 'react-router';
import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import type { Fencing } from '../../api/types';
import { Actions } from '../../components/Actions';
import { Age } from '../../components/Age';
import { hosts, isRemote } from '../../components/hosts';
import { lines } from '../../components/lines';
import { ListTable, type Column } from '../../components/ListTable';
import { look } from '../../components/look';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { State } from '../../components/State';
import { fencing as t } from '../../texts/protect';
import { confirmRemote, nodeActions } from '../nodes/actions';

const r = t.request;
const history: Column<Fencing>[] = [
  { key: 'target', name: r.target, sort: (f) => f.target, header: true, cell: (f) => <Name to={nodePath(f.target)}>{f.target}</Name> },
  { key: 'op', name: r.op, sort: (f) => f.op, cell: (f) => f.op },
  {
    key: 'result',
    name: r.result,
    sort: (f) => f.result,
    cell: (f) => (
      <>
        <State of="result" is={f.result} /> {f.error && <div className="b-wrap b-clamp b-no">{f.error}</div>}
      </>
    ),
  },
  { key: 'reason', name: r.reason, cell: (f) => <span className="b-wrap">{f.reason}</span> },
  { key: 'device', name: r.device, sort: (f) => f.device ?? '', cell: (f) => f.device ?? '–' },
  { key: 'by', name: r.by, sort: (f) => f.executor ?? '', cell: (f) => f.executor ?? '–' },
  { key: 'asked', name: r.asked, sort: (f) => f.asked, cell: (f) => <Age time={f.asked} /> },
  {
    key: 'proof',
    name: r.proof,
    cell: (f) =>
      f.proof ? (
        <span className="b-wrap b-small" title={`${f.proof.id} · boot ${f.proof.bootId}`}>
          {t.proof(f.proof.kind, f.proof.device ?? '', f.proof.by)} {f.proof.void && <span className="b-no">{t.void}: {f.proof.void}</span>}
        </span>
      ) : (
        '–'
      ),
  },
];

/** Fencing: readiness, devices, levels, and what was fenced with which proof. */
export default function FencingPage() {
  const s = useSummary();
  const config = useConfig();
  const navigate = useNavigate();
  const n = t.node;
  const d = t.device;
  const topology = Object.entries(config.data?.config['fence-topology'] ?? {});
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} />
      <div className="b-stack">
        {!s.cluster.fencingRequired && <Alert variant="warning" isInline title={t.off} />}
        <Panel title={t.nodes}>
          <Table variant="compact" aria-label={t.nodes}>
            <Thead>
              <Tr>
                {[n.node, n.ready, n.reason].map((h) => (
                  <Th key={h}>{h}</Th>
                ))}
                <Th screenReaderText={t.title} />
              </Tr>
            </Thead>
            <Tbody>
              {hosts(s).map((x) => (
                <Tr key={x.name}>
                  <Td dataLabel={n.node}>
                    <Name to={nodePath(x.name)}>{x.name}</Name>
                  </Td>
                  <Td dataLabel={n.ready}>
                    <State of="readiness" is={x.fence} />
                  </Td>
                  <Td dataLabel={n.reason} className="b-wrap">
                    {x.fenceReason}
                  </Td>
                  <Td isActionCell>
                    <Actions kebab of={x.name} list={isRemote(x) ? [confirmRemote(x)] : nodeActions(x).filter((a) => a.key === 'fence' || a.key === 'confirm').map((a) => ({ ...a, divided: false }))} />
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        </Panel>
        <Panel title={t.devices} actions={<Link to="/fencing/new">{t.add}</Link>}>
          {(s.fenceDevices ?? []).length === 0 ? (
            <p className="b-subtle">{t.noDevices}</p>
          ) : (
            <Table variant="compact" aria-label={t.devices}>
              <Thead>
                <Tr>
                  {[d.id, d.agent, d.state, d.targets, d.checked, d.used].map((h) => (
                    <Th key={h}>{h}</Th>
                  ))}
                  <Th screenReaderText={t.title} />
                </Tr>
              </Thead>
              <Tbody>
                {s.fenceDevices!.map((x) => (
                  <Tr key={x.id}>
                    <Td dataLabel={d.id}>
                      <Name to={`/configuration/fence-device/${encodeURIComponent(x.id)}`}>{x.id}</Name>
                    </Td>
                    <Td dataLabel={d.agent}>{x.agent}</Td>
                    <Td dataLabel={d.state}>
                      <State of="device" is={x.state} title={x.reason} />
                      <div className="b-subtle b-small b-wrap">
                        {x.state !== 'available' && x.reason} {(x.checks ?? []).map((c) => t.checkFrom(c.node, c.ok) + (c.error ? ` (${c.error})` : '')).join(' · ')}
                      </div>
                    </Td>
                    <Td dataLabel={d.targets} className="b-wrap">
                      {hosts(s).every((n) => x.targets?.includes(n.name)) ? t.everyNode : (x.targets ?? []).join(', ')}
                    </Td>
                    <Td dataLabel={d.checked}>
                      <Age time={x.checked} />
                    </Td>
                    <Td dataLabel={d.used}>{x.succeeded}</Td>
                    <Td isActionCell>
                      <Actions
                        kebab
                        of={x.id}
                        list={[
                          { key: 'edit', label: t.edit, action: 'update', object: `fence-device/${x.id}`, run: () => void navigate(`/configuration/fence-device/${encodeURIComponent(x.id)}`) },
                          { key: 'test', label: t.test, action: 'read', object: `fence-device/${x.id}`, run: () => void navigate(`/fencing/${encodeURIComponent(x.id)}/test`) },
                          {
                            key: 'delete',
                            label: t.remove,
                            action: 'delete',
                            object: `fence-device/${x.id}`,
                            danger: true,
                            run: {
                              title: t.propose.remove(x.id),
                              danger: true,
                              edit: { kind: 'fence-device', id: x.id, base: config.data?.config['fence-devices']?.[x.id], generation: config.data?.generation ?? 0 },
                              cli: () => lines.fenceDeviceDelete(x.id),
                            },
                          },
                        ]}
                      />
                    </Td>
                  </Tr>
                ))}
              </Tbody>
            </Table>
          )}
        </Panel>
        <Panel title={t.topology} actions={<Link to="/configuration/fence-topology/new">{t.editLevels}</Link>}>
          {topology.length === 0 ? (
            <p className="b-subtle">{t.noTopology}</p>
          ) : (
            <ul className="b-list">
              {topology.map(([target, doc]) => (
                <li key={target}>
                  <Name to={`/configuration/fence-topology/${encodeURIComponent(target)}`}>{target}</Name>
                  <ol className="b-levels">
                    {((doc.levels as string[][] | undefined) ?? []).map((level, i) => (
                      <li key={i}>
                        <span className="b-subtle">{t.level(i + 1)}</span> <bdi className="b-wrap">{level.join(' + ')}</bdi>
                      </li>
                    ))}
                  </ol>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <Panel title={t.history}>
          <ListTable
            label={t.history}
            rows={s.fencing ?? []}
            columns={history}
            id={(f) => f.id}
            text={text}
            stateOf={stateOf}
            stateText={stateText}
            empty={<p className="b-subtle">{t.noHistory}</p>}
          />
        </Panel>
      </div>
    </>
  );
}

const text = (f: Fencing) => `${f.target} ${f.device ?? ''} ${f.reason ?? ''} ${f.executor ?? ''}`;
const stateOf = (f: Fencing) => f.result;
const stateText = (s: string) => look('result', s).text;
