import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { Link } from 'react-router';
import { useSummary } from '../../api/live';
import { EventList } from '../../components/EventList';
import { Facts } from '../../components/Facts';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { State } from '../../components/State';
import { quorum as t } from '../../texts/protect';

/** The events that tell of quorum and its devices. */
const codes = ['BLY3014', 'BLY3015', 'BLY3016', 'BLY3058', 'BLY3059', 'BLY3060'] as const;

/** The vote, who votes, and what breaks a tie. */
export default function Quorum() {
  const q = useSummary().quorum;
  const f = t.facts;
  const v = t.voter;
  const d = t.device;
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} state={<State of="quorum" is={q.state} />} actions={(q.voters ?? []).length === 2 && <Link to="/two-nodes">{t.twoNodes}</Link>} />
      <div className="b-stack">
        <Panel title={q.reason}>
          <Facts
            columns={3}
            rows={[
              [f.votes, t.of(q.votes, q.expected)],
              [f.needed, String(q.needed)],
              [f.policy, t.policies[q.policy] ?? q.policy],
              [f.epoch, String(q.epoch)],
            ]}
          />
        </Panel>
        <Panel title={t.voters}>
          <Table variant="compact" aria-label={t.voters}>
            <Thead>
              <Tr>
                {[v.node, v.vote, v.state, v.store].map((h) => (
                  <Th key={h}>{h}</Th>
                ))}
              </Tr>
            </Thead>
            <Tbody>
              {(q.voters ?? []).map((x) => (
                <Tr key={x.node}>
                  <Td dataLabel={v.node}>
                    <Name to={nodePath(x.node)}>{x.node}</Name>
                  </Td>
                  <Td dataLabel={v.vote}>
                    <State of="quorum" is={x.here ? 'quorate' : 'inquorate'}>
                      {x.here ? t.here : t.missing}
                    </State>
                  </Td>
                  <Td dataLabel={v.state}>
                    <State of="node" is={x.state} />
                  </Td>
                  <Td dataLabel={v.store}>{x.storeLeader && t.leader}</Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        </Panel>
        <Panel title={t.devices} actions={<Link to="/configuration/quorum-device/new">{t.add}</Link>}>
          {(q.devices ?? []).length === 0 ? (
            <p className="b-subtle">{t.noDevices}</p>
          ) : (
            <Table variant="compact" aria-label={t.devices}>
              <Thead>
                <Tr>
                  {[d.id, d.kind, d.answer, d.state].map((h) => (
                    <Th key={h}>{h}</Th>
                  ))}
                </Tr>
              </Thead>
              <Tbody>
                {q.devices!.map((x) => (
                  <Tr key={x.id}>
                    <Td dataLabel={d.id}>
                      <Name to={`/configuration/quorum-device/${encodeURIComponent(x.id)}`}>{x.id}</Name>
                    </Td>
                    <Td dataLabel={d.kind}>{x.kind}</Td>
                    <Td dataLabel={d.answer}>{x.asked ? String(x.answer ?? '') : '–'}</Td>
                    <Td dataLabel={d.state} className="b-wrap">
                      <State of="device" is={x.failed ? 'failed' : 'available'} /> {x.failed || x.reason}
                    </Td>
                  </Tr>
                ))}
              </Tbody>
            </Table>
          )}
        </Panel>
        <Panel title={t.history}>
          <EventList codes={codes} />
        </Panel>
      </div>
    </>
  );
}
