import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { Link } from 'react-router';
import { useSummary } from '../../api/live';
import { Age } from '../../components/Age';
import { Facts } from '../../components/Facts';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { State } from '../../components/State';
import { bytes, nanos } from '../../components/time';
import { store as t } from '../../texts/protect';

/** The store and its members. */
export default function Store() {
  const s = useSummary().store;
  const f = t.facts;
  const c = t.columns;
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} state={<State of="store" is={s.state} />} />
      <div className="b-stack">
        <Panel title={s.reason || t.title}>
          <Facts
            columns={3}
            rows={[
              [f.leader, s.leader && <Name to={nodePath(s.leader)}>{s.leader}</Name>],
              [f.revision, String(s.revision)],
              [f.size, t.sizeOf(bytes(s.sizeBytes), bytes(s.quotaBytes))],
              [f.latency, nanos(s.latencyNs)],
              [
                f.backup,
                <Link to="/backup">
                  <Age time={s.lastBackup} />
                </Link>,
              ],
            ]}
          />
        </Panel>
        <Panel title={t.members}>
          <Table variant="compact" aria-label={t.members}>
            <Thead>
              <Tr>
                {[c.node, c.state, c.role, c.size, c.use, c.latency, c.alarm].map((h) => (
                  <Th key={h}>{h}</Th>
                ))}
              </Tr>
            </Thead>
            <Tbody>
              {(s.members ?? []).map((m) => (
                <Tr key={m.node}>
                  <Td dataLabel={c.node}>
                    <Name to={`/store/${encodeURIComponent(m.node)}`}>{m.node}</Name>
                  </Td>
                  <Td dataLabel={c.state}>
                    <State of="store" is={m.state} />
                  </Td>
                  <Td dataLabel={c.role}>{m.leader ? t.leader : t.follower}</Td>
                  <Td dataLabel={c.size}>{t.sizeOf(bytes(m.sizeBytes), bytes(m.quotaBytes))}</Td>
                  <Td dataLabel={c.use}>{bytes(m.inUseBytes)}</Td>
                  <Td dataLabel={c.latency}>{nanos(m.latencyNs)}</Td>
                  <Td dataLabel={c.alarm}>{m.alarm || '–'}</Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        </Panel>
      </div>
    </>
  );
}
