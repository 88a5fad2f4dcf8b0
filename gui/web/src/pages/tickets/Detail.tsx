import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useNavigate, useParams } from 'react-router';
import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import type { Ticket } from '../../api/types';
import { Actions } from '../../components/Actions';
import { Age } from '../../components/Age';
import { CLI } from '../../components/CLI';
import { lines } from '../../components/lines';
import { Facts } from '../../components/Facts';
import { Missing } from '../../components/Missing';
import { Name, resourcePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { State } from '../../components/State';
import { tickets as t } from '../../texts/protect';
import { Changes } from '../history/Changes';
import { ticketActions } from './actions';
import { needsOf, why } from './why';

/** TicketState says whether this cluster has a ticket. */
export function TicketState({ k }: { k: Ticket }) {
  const asked = !k.held && k.granted && !!k.arbitrator;
  return (
    <>
      <State of="resource" is={k.held ? 'running' : asked ? 'starting' : 'stopped'}>
        {k.held ? t.granted : asked ? t.asked : t.revoked}
      </State>{' '}
      {k.standby && (
        <State of="node" is="standby">
          {t.standby}
        </State>
      )}
    </>
  );
}

/** One ticket: what it lets run, and who granted it when. */
export default function TicketDetail() {
  const { id = '' } = useParams();
  const s = useSummary();
  const config = useConfig();
  const navigate = useNavigate();
  const k = (s.tickets ?? []).find((x) => x.id === id);
  if (!k) return <Missing what={id} to="/tickets" back={t.title} />;
  const needs = needsOf(id, s, config.data);
  const c = t.needs;
  return (
    <>
      <PageTitle title={id} parents={[{ text: t.title, to: '/tickets' }]} state={<TicketState k={k} />} actions={<Actions of={id} list={ticketActions(k, config.data, () => void navigate('/tickets'))} />} />
      <div className="b-stack">
        <Panel title={t.whyTitle}>
          <p>{config.data && why(k, needs.length)}</p>
          {k.reason && <p className="b-wrap"><bdi>{k.reason}</bdi></p>}
          {needs.length > 0 && (
            <div className="b-table">
              <Table variant="compact" aria-label={c.title}>
                <Thead>
                  <Tr>
                    {[c.resource, c.state, c.role, c.loss, c.constraint].map((h) => (
                      <Th key={h}>{h}</Th>
                    ))}
                  </Tr>
                </Thead>
                <Tbody>
                  {needs.map((n) => (
                    <Tr key={n.constraint}>
                      <Th scope="row" dataLabel={c.resource}>
                        <Name to={`${resourcePath(n.resource)}?tab=why`}>{n.resource}</Name>
                      </Th>
                      <Td dataLabel={c.state}>
                        <div>
                          <State of="resource" is={n.state} />
                          {n.reason && <div className="b-reason b-wrap">{n.reason}</div>}
                        </div>
                      </Td>
                      <Td dataLabel={c.role}>{n.role || c.anyRole}</Td>
                      <Td dataLabel={c.loss} className="b-wrap">
                        {t.losses[n.loss] ?? n.loss}
                      </Td>
                      <Td dataLabel={c.constraint}>
                        <Name to={`/configuration/constraint/${encodeURIComponent(n.constraint)}`}>{n.constraint}</Name>
                      </Td>
                    </Tr>
                  ))}
                </Tbody>
              </Table>
            </div>
          )}
        </Panel>
        {k.arbitrator && (
          <Panel title={t.byArbitrator}>
            <Facts
              columns={3}
              rows={[
                [t.facts.arbitrator, <Name to={`/configuration/quorum-device/${encodeURIComponent(k.arbitrator)}`}>{k.arbitrator}</Name>],
                [t.facts.holder, k.holder && <Name>{k.holder}</Name>],
                [t.facts.since, k.since && <Age time={k.since} />],
                [t.facts.renewed, k.renewed && <Age time={k.renewed} />],
                [t.facts.until, k.until && <Age time={k.until} />],
              ]}
            />
          </Panel>
        )}
        <Changes of={`ticket/${id}`} />
        <CLI args={lines.ticketShow(id)} />
      </div>
    </>
  );
}
