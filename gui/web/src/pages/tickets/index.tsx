import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import type { Ticket } from '../../api/types';
import { Actions } from '../../components/Actions';
import { LinkButton } from '../../components/LinkButton';
import { ListTable, type Column } from '../../components/ListTable';
import { Name, resourcePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { tickets as t } from '../../texts/protect';
import { ticketActions } from './actions';
import { TicketState } from './Detail';

interface Row extends Ticket {
  needed: string[];
}

const columns: Column<Row>[] = [
  { key: 'id', name: t.columns.ticket, header: true, sort: (r) => r.id, cell: (r) => <Name to={`/tickets/${encodeURIComponent(r.id)}`}>{r.id}</Name> },
  {
    key: 'state',
    name: t.columns.state,
    cell: (r) => <TicketState k={r} />,
  },
  {
    key: 'depends',
    name: t.columns.depends,
    cell: (r) => (
      <span className="b-where">
        {r.needed.map((n) => (
          <Name key={n} to={resourcePath(n)}>
            {n}
          </Name>
        ))}
      </span>
    ),
  },
];

/** The tickets. */
export default function Tickets() {
  const s = useSummary();
  const config = useConfig();
  const constraints = Object.values(config.data?.config.constraints ?? {}).map((c) => c.ticket as { ticket: string; resource: string } | undefined);
  const rows: Row[] = (s.tickets ?? []).map((x) => ({ ...x, needed: constraints.filter((c) => c?.ticket === x.id).map((c) => c!.resource) }));
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} actions={<LinkButton to="/configuration/ticket/new" action="create" object="ticket/*">{t.add}</LinkButton>} />
      <ListTable label={t.title} rows={rows} columns={columns} id={(r) => r.id} text={(r) => r.id} actions={(r) => <Actions kebab of={r.id} list={ticketActions(r, config.data)} />} empty={<p className="b-subtle">{t.none}</p>} />
    </>
  );
}
