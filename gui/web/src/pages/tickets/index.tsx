import { Link } from 'react-router';
import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import type { Config } from '../../api/types';
import { Actions, type ActionSpec } from '../../components/Actions';
import type { Edit } from '../../components/change/proposal';
import { ListTable, type Column } from '../../components/ListTable';
import { Name, resourcePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { State } from '../../components/State';
import { tickets as t } from '../../texts/protect';

interface Row {
  id: string;
  granted: boolean;
  standby: boolean;
  needed: string[];
}

const columns: Column<Row>[] = [
  { key: 'id', name: t.columns.ticket, header: true, sort: (r) => r.id, cell: (r) => <Name>{r.id}</Name> },
  {
    key: 'state',
    name: t.columns.state,
    cell: (r) => (
      <>
        <State of="resource" is={r.granted ? 'running' : 'stopped'}>
          {r.granted ? t.granted : t.revoked}
        </State>{' '}
        {r.standby && (
          <State of="node" is="standby">
            {t.standby}
          </State>
        )}
      </>
    ),
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

/** ticketActions is what can be done with a ticket: each is an edit of its document. */
function ticketActions(r: Row, c: Config | undefined): ActionSpec[] {
  const base = c?.config.tickets?.[r.id];
  const object = `ticket/${r.id}`;
  const act = (key: keyof typeof t.actions & keyof typeof t.propose, change: Partial<Row>, pointless: string | undefined, danger?: boolean): ActionSpec => {
    const next = { ...base, granted: change.granted ?? r.granted, standby: change.standby ?? r.standby };
    const edit: Edit = { kind: 'ticket', id: r.id, base, next, generation: c?.generation ?? 0 };
    return { key, label: t.actions[key], action: 'update', object, danger, pointless, run: { title: t.propose[key](r.id), lead: key === 'grant' ? t.propose.grantLead : undefined, danger, edit, cli: () => ['ticket', key, r.id] } };
  };
  const p = t.pointless;
  return [
    act('grant', { granted: true }, r.granted ? p.granted : undefined),
    act('standby', { standby: true }, r.standby ? p.standby : undefined),
    act('activate', { standby: false }, r.standby ? undefined : p.active),
    act('revoke', { granted: false }, r.granted ? undefined : p.revoked, true),
    {
      key: 'remove',
      label: t.actions.remove,
      action: 'delete',
      object,
      danger: true,
      divided: true,
      run: { title: t.propose.remove(r.id), danger: true, edit: { kind: 'ticket', id: r.id, base, generation: c?.generation ?? 0 }, cli: () => [] },
    },
  ];
}

/** The tickets. */
export default function Tickets() {
  const s = useSummary();
  const config = useConfig();
  const constraints = Object.values(config.data?.config.constraints ?? {}).map((c) => c.ticket as { ticket: string; resource: string } | undefined);
  const rows: Row[] = (s.tickets ?? []).map((x) => ({ ...x, needed: constraints.filter((c) => c?.ticket === x.id).map((c) => c!.resource) }));
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} actions={<Link to="/configuration/ticket/new">{t.add}</Link>} />
      <ListTable label={t.title} rows={rows} columns={columns} id={(r) => r.id} text={(r) => r.id} actions={(r) => <Actions kebab of={r.id} list={ticketActions(r, config.data)} />} empty={<p className="b-subtle">{t.none}</p>} />
    </>
  );
}
