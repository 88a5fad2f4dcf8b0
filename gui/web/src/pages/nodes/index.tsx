import { useMemo } from 'react';
import { useSummary } from '../../api/live';
import { useWho } from '../../api/session';
import type { Node } from '../../api/types';
import { Age } from '../../components/Age';
import { hosts } from '../../components/hosts';
import { LinkButton } from '../../components/LinkButton';
import { ListTable, type Column } from '../../components/ListTable';
import { look } from '../../components/look';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { State } from '../../components/State';
import { nodes as t } from '../../texts/nodes';
import { NodeActions } from './Menu';

/** roles says what a node is in the cluster. */
export function roles(n: Node): string {
  return [t.roles[n.role] ?? n.role, n.voter && t.voter, n.host && t.at(n.host)].filter(Boolean).join(', ');
}

const columns: Column<Node>[] = [
  { key: 'name', name: t.columns.node, header: true, sort: (n) => n.name, cell: (n) => <Row n={n} /> },
  {
    key: 'state',
    name: t.columns.state,
    sort: (n) => n.state,
    cell: (n) => (
      <>
        <State of="node" is={n.state} title={n.reason} />
        {n.reason && <div className="b-reason b-wrap">{n.reason}</div>}
      </>
    ),
  },
  { key: 'role', name: t.columns.role, sort: roles, cell: roles },
  {
    key: 'running',
    name: t.columns.running,
    sort: (n) => n.running,
    cell: (n) => (
      <>
        {n.running} {n.failed > 0 && <span className="b-no">{t.failures(n.failed)}</span>}
      </>
    ),
  },
  { key: 'fence', name: t.columns.fence, sort: (n) => n.fence, cell: (n) => <State of="readiness" is={n.fence} title={n.fenceReason} /> },
  { key: 'version', name: t.columns.version, sort: (n) => n.version ?? '', cell: (n) => <span className="b-wrap b-small">{n.version ?? '–'}</span> },
  { key: 'up', name: t.columns.up, sort: (n) => n.upSince ?? '', cell: (n) => <Age time={n.upSince} /> },
];

function Row({ n }: { n: Node }) {
  const who = useWho();
  return (
    <>
      <Name to={nodePath(n.name)}>{n.name}</Name> {who.node === n.name && <span className="b-subtle b-small">{t.served}</span>}
    </>
  );
}

const text = (n: Node) => `${n.name} ${n.site ?? ''} ${(n.addresses ?? []).join(' ')} ${n.version ?? ''}`;
const stateOf = (n: Node) => n.state;
const stateText = (s: string) => look('node', s).text;

/** The list of nodes. */
export default function Nodes() {
  const s = useSummary();
  const rows = useMemo(() => hosts(s), [s]);
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} actions={<LinkButton to="/join" action="join" object="cluster">{t.add}</LinkButton>} />
      <ListTable
        label={t.title}
        rows={rows}
        columns={columns}
        id={(n) => n.name}
        text={text}
        stateOf={stateOf}
        stateText={stateText}
        actions={(n) => <NodeActions kebab n={n} />}
        empty={<p className="b-subtle">{t.none}</p>}
      />
    </>
  );
}
