import { useParams } from 'react-router';
import { Link } from 'react-router';
import { useSummary } from '../../api/live';
import { Age } from '../../components/Age';
import { CLI } from '../../components/CLI';
import { EventList } from '../../components/EventList';
import { Facts } from '../../components/Facts';
import { lines } from '../../components/lines';
import { Missing } from '../../components/Missing';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { State } from '../../components/State';
import { bytes, nanos } from '../../components/time';
import { store as t } from '../../texts/protect';
import { NodeActions } from '../nodes/Menu';
import { why } from './why';

/** The events that tell of the store and its backups. */
const codes = ['BLY3039', 'BLY3040', 'BLY3041', 'BLY3042', 'BLY3043', 'BLY3044', 'BLY3046', 'BLY3047', 'BLY3064', 'BLY3065', 'BLY3066', 'BLY3071', 'BLY3075'] as const;

/** One member of the store. */
export default function StoreMember() {
  const { node = '' } = useParams();
  const s = useSummary();
  const m = (s.store.members ?? []).find((x) => x.node === node);
  const n = (s.nodes ?? []).find((x) => x.name === node);
  if (!m) return <Missing what={node} to="/store" back={t.title} />;
  const c = t.columns;
  return (
    <>
      <PageTitle title={node} parents={[{ text: t.title, to: '/store' }]} state={<State of="store" is={m.state} />} actions={n && <NodeActions n={n} />} lead={m.leader ? t.leader : t.follower} />
      <div className="b-stack">
        <Panel title={t.whyTitle}>
          <ul className="b-list">
            {why(s.store, m).map((text) => (
              <li key={text} className="b-wrap">
                <bdi>{text}</bdi>
              </li>
            ))}
          </ul>
        </Panel>
        <Panel title={t.member}>
          <Facts
            columns={3}
            rows={[
              [c.node, <Name to={nodePath(node)}>{node}</Name>],
              [c.role, m.leader ? t.leader : t.follower],
              [c.size, t.sizeOf(bytes(m.sizeBytes), bytes(m.quotaBytes))],
              [c.use, bytes(m.inUseBytes)],
              [c.latency, nanos(m.latencyNs)],
              [
                c.backup,
                <Link to="/backup">
                  <Age time={m.lastBackup} />
                </Link>,
              ],
              [c.reported, <Age time={m.reported} />],
            ]}
          />
        </Panel>
        <Panel title={t.history}>
          <EventList node={node} codes={codes} />
        </Panel>
        <CLI args={lines.statusStore()} />
      </div>
    </>
  );
}
