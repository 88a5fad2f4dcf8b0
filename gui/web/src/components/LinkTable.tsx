import type { Link } from '../api/types';
import { links as t } from '../texts/protect';
import { Age } from './Age';
import { ListTable, type Column } from './ListTable';
import { look } from './look';
import { Name, nodePath } from './Name';
import { State } from './State';
import { nanos } from './time';

const linkPath = (l: Link) => `/links/${[l.node, l.peer, String(l.link)].map(encodeURIComponent).join('/')}`;

const columns: Column<Link>[] = [
  { key: 'from', name: t.columns.from, sort: (l) => l.node, cell: (l) => <Name to={nodePath(l.node)}>{l.node}</Name> },
  { key: 'to', name: t.columns.to, sort: (l) => l.peer, cell: (l) => <Name to={nodePath(l.peer)}>{l.peer}</Name> },
  { key: 'link', name: t.columns.link, sort: (l) => l.link, header: true, cell: (l) => <Name to={linkPath(l)}>{t.number(l.link)}</Name> },
  { key: 'state', name: t.columns.state, sort: (l) => l.state, cell: (l) => <State of="link" is={l.state} /> },
  { key: 'rtt', name: t.columns.rtt, sort: (l) => l.rttNs, cell: (l) => (l.state === 'up' ? nanos(l.rttNs) : '–') },
  { key: 'loss', name: t.columns.loss, sort: (l) => l.loss, cell: (l) => `${(l.loss * 100).toFixed(l.loss > 0 && l.loss < 0.01 ? 2 : 0)} %` },
  { key: 'addresses', name: t.columns.addresses, cell: (l) => <Addresses l={l} /> },
  { key: 'rejected', name: t.columns.rejected, sort: (l) => l.rejected, cell: (l) => l.rejected },
  { key: 'since', name: t.columns.since, sort: (l) => l.since ?? '', cell: (l) => <Age time={l.since} /> },
];

function Addresses({ l }: { l: Link }) {
  return (
    <span className="b-wrap b-small">
      <span className="b-together">{l.address}</span> <span className="b-together">→ {l.peerAddress}</span>
    </span>
  );
}

const text = (l: Link) => `${l.node} ${l.peer} ${l.address ?? ''} ${l.peerAddress ?? ''}`;
const stateOf = (l: Link) => l.state;
const stateText = (s: string) => look('link', s).text;

/** LinkTable lists links as their nodes see them. */
export function LinkTable({ links }: { links: Link[] }) {
  return <ListTable label={t.title} rows={links} columns={columns} id={(l) => `${l.node} ${l.peer} ${l.link}`} text={text} stateOf={stateOf} stateText={stateText} empty={<p className="b-subtle">{t.none}</p>} />;
}
