import { useParams } from 'react-router';
import { useSummary } from '../../api/live';
import type { Event, Link as NodeLink } from '../../api/types';
import { Age } from '../../components/Age';
import { CLI } from '../../components/CLI';
import { EventList } from '../../components/EventList';
import { Facts } from '../../components/Facts';
import { lines } from '../../components/lines';
import { LinkTable } from '../../components/LinkTable';
import { Missing } from '../../components/Missing';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { State } from '../../components/State';
import { nanos } from '../../components/time';
import { links as t } from '../../texts/protect';
import { endsOf, why, worst } from './why';

/** The events that tell of links: down, and up again. */
const codes = ['BLY3010', 'BLY3011'] as const;

/** One link between two nodes, as both of them see it. */
export default function LinkDetail() {
  const { node = '', peer = '', link = '' } = useParams();
  const s = useSummary();
  const number = Number(link);
  const ends = endsOf(s, node, peer, number);
  if (!ends.here && !ends.there) return <Missing what={`${node} – ${peer}, ${link}`} to="/links" back={t.title} />;
  const title = t.one(number, node, peer);
  const between = (l: NodeLink) => (l.node === node && l.peer === peer) || (l.node === peer && l.peer === node);
  const about = (e: Event) => e.args?.link === link && ((e.node === node && e.args.peer === peer) || (e.node === peer && e.args.peer === node));
  return (
    <>
      <PageTitle title={title} parents={[{ text: t.title, to: '/links' }]} state={<State of="link" is={worst(ends)} />} />
      <div className="b-stack">
        <Panel title={t.whyTitle}>
          <ul className="b-list">
            {why(s, node, peer, number).map((text) => (
              <li key={text} className="b-wrap">
                <bdi>{text}</bdi>
              </li>
            ))}
          </ul>
        </Panel>
        {[ends.here, ends.there].map((l) => l && <End key={l.node} l={l} />)}
        <Panel title={t.others}>
          <LinkTable links={(s.links ?? []).filter((l) => between(l) && l.link !== number)} />
        </Panel>
        <Panel title={t.history}>
          <EventList codes={codes} only={about} />
        </Panel>
        <CLI args={lines.statusLinks()} />
      </div>
    </>
  );
}

/** End is how one node sees the link. */
function End({ l }: { l: NodeLink }) {
  const f = t.columns;
  return (
    <Panel title={t.seenBy(l.node)} actions={<Name to={nodePath(l.node)}>{l.node}</Name>}>
      <Facts
        columns={3}
        rows={[
          [f.state, <State of="link" is={l.state} />],
          [f.since, <Age time={l.since} />],
          [f.rtt, l.state === 'up' ? nanos(l.rttNs) : '–'],
          [f.loss, `${(l.loss * 100).toFixed(l.loss > 0 && l.loss < 0.01 ? 2 : 0)} %`],
          [f.addresses, `${l.address ?? ''} → ${l.peerAddress ?? ''}`],
          [f.traffic, t.packets(l.sent, l.received)],
          [f.rejected, String(l.rejected)],
        ]}
      />
    </Panel>
  );
}
