import { Card, CardBody, CardTitle } from '@patternfly/react-core';
import { Link } from 'react-router';
import { useSummary } from '../../api/live';
import type { Summary } from '../../api/types';
import { Age } from '../../components/Age';
import { look } from '../../components/look';
import { Name, nodePath, resourcePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { State } from '../../components/State';
import { nanos } from '../../components/time';
import { overview } from '../../texts/overview';
import { Alarms } from './Alarms';
import { Matrix } from './Matrix';
import { Topology } from './Topology';

/** Overview says in one sentence how the cluster is, and shows the rest as pictures. */
export default function Overview() {
  const s = useSummary();
  return (
    <>
      <PageTitle title={overview.title} />
      <Sentence s={s} />
      <div className="b-cards">
        <Card className="b-cards__side">
          <CardTitle component="h2">
            {overview.alarms.title} {(s.alarms?.length ?? 0) > 0 && <span className="b-count">{s.alarms!.length}</span>}
          </CardTitle>
          <CardBody>
            <Alarms alarms={s.alarms ?? []} />
          </CardBody>
        </Card>
        <Card className="b-cards__main">
          <CardTitle component="h2">{overview.topology.title}</CardTitle>
          <CardBody>
            <Topology />
          </CardBody>
        </Card>
        <Card className="b-cards__main">
          <CardTitle component="h2">{overview.matrix.title}</CardTitle>
          <CardBody>
            <Matrix s={s} />
          </CardBody>
        </Card>
        <div className="b-cards__side b-stack">
          <Card>
            <CardTitle component="h2">{overview.flight.title}</CardTitle>
            <CardBody>
              <Flight s={s} />
            </CardBody>
          </Card>
          <Card>
            <CardTitle component="h2">{overview.failovers.title}</CardTitle>
            <CardBody>
              <Moves s={s} />
            </CardBody>
          </Card>
        </div>
      </div>
    </>
  );
}

function Sentence({ s }: { s: Summary }) {
  const l = look('cluster', s.cluster.state);
  const c = s.cluster.counts;
  const f = overview.facts;
  const Icon = l.icon;
  const failed = [c.resourcesFailed > 0 && f.failed(c.resourcesFailed), c.resourcesChanging > 0 && f.changing(c.resourcesChanging)].filter(Boolean).join(', ');
  return (
    <section className={`b-sentence b-sentence--${l.tone}`} aria-label={overview.title}>
      <div className="b-sentence__what" aria-live="polite">
        <span className="b-sentence__sign">
          <Icon />
        </span>
        <div>
          <p className="b-sentence__state">{l.text}</p>
          <p className="b-wrap">{s.cluster.reason}</p>
        </div>
      </div>
      <dl className="b-facts">
        <Fact name={f.quorum} to="/quorum" value={f.votes(s.quorum.votes, s.quorum.expected)} note={s.quorum.reason} bad={s.quorum.state === 'inquorate'} />
        <Fact name={f.nodes} to="/nodes" value={f.of(c.nodesOnline, c.nodes)} note={[c.nodesUnclean > 0 ? f.unclean(c.nodesUnclean) : s.cluster.dc && `${f.dc}: ${s.cluster.dc}`, c.remotes > 0 && f.remotes(c.remotesOnline, c.remotes)].filter(Boolean).join(', ')} bad={c.nodesUnclean > 0} />
        <Fact
          name={f.resources}
          to="/resources"
          value={f.of(c.resourcesRunning, c.resources)}
          note={failed || (c.resourcesManaged < c.resources ? f.unmanaged(c.resources - c.resourcesManaged) : f.allManaged)}
          bad={c.resourcesFailed > 0}
        />
      </dl>
    </section>
  );
}

function Fact({ name, value, note, bad, to }: { name: string; value: string; note: string; bad?: boolean; to: string }) {
  return (
    <div className={bad ? 'b-fact b-fact--bad' : 'b-fact'}>
      <dt>
        <Link to={to}>{name}</Link>
      </dt>
      <dd>
        <span className="b-fact__value">{value}</span>
        <span className="b-fact__note b-wrap">{note}</span>
      </dd>
    </div>
  );
}

function Flight({ s }: { s: Summary }) {
  const actions = s.actions ?? [];
  if (actions.length === 0) return <p className="b-subtle">{overview.flight.none}</p>;
  return (
    <ul className="b-list">
      {actions.slice(0, 10).map((a) => (
        <li key={a.id}>
          <State of="result" is="in-progress">
            {a.state}
          </State>{' '}
          <bdi className="b-wrap">{a.text}</bdi> <span className="b-subtle">{a.why.cause}</span>
        </li>
      ))}
      {actions.length > 10 && <li className="b-subtle">{overview.topology.moreRunning(actions.length - 10)}</li>}
    </ul>
  );
}

function Moves({ s }: { s: Summary }) {
  const moves = (s.failovers ?? []).slice(0, 6);
  if (moves.length === 0) return <p className="b-subtle">{overview.failovers.none}</p>;
  return (
    <ul className="b-list b-moves">
      {moves.map((m) => (
        <li key={`${m.seq} ${m.resource}`}>
          <State of="result" is={m.result} /> <Name to={resourcePath(m.resource)}>{m.resource}</Name> {m.from && <Name to={nodePath(m.from)}>{m.from}</Name>} → {m.to && <Name to={nodePath(m.to)}>{m.to}</Name>}
          <div className="b-subtle">
            <Age time={m.time} />
            {m.durationNs > 0 && <> · {overview.failovers.without(nanos(m.durationNs))}</>}
            {m.reason && <> · {m.reason}</>}
          </div>
        </li>
      ))}
    </ul>
  );
}
