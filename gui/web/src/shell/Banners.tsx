import { Alert } from '@patternfly/react-core';
import { now, useLive } from '../api/live';
import { useTick } from '../components/Age';
import { ProblemAlert } from '../components/ProblemAlert';
import { duration } from '../components/time';
import { shell } from '../texts/shell';

/** Banners say above every page why what it shows may not be so, or why nothing can be changed. */
export function Banners() {
  const live = useLive();
  const tick = useTick();
  const { summary, connection } = live;
  const noQuorum = summary?.cluster.state === 'no-quorum';
  const out = [];
  if (connection === 'lost' && summary) {
    // now() is the server's clock, heard is the browser's.
    const age = now() - live.clockOffset - live.heard;
    out.push(
      <Alert key="lost" variant="danger" isInline title={shell.lostTitle}>
        {shell.lostBody(duration(Math.max(1000, age)))} {live.problem?.detail}
      </Alert>,
    );
  } else if (connection === 'lost') {
    out.push(<ProblemAlert key="none" error={live.problem} />);
  }
  if (connection !== 'lost' && (noQuorum || live.age > 0)) {
    out.push(
      <Alert key="age" variant="danger" isInline title={noQuorum ? shell.noQuorumTitle : shell.staleTitle}>
        {summary?.quorum.reason}. {live.age > 0 ? shell.ageBody(duration(live.age * 1000)) : shell.noQuorumBody}
      </Alert>,
    );
  }
  if (Math.abs(live.clockOffset) > 30_000) {
    out.push(
      <Alert key="clock" variant="warning" isInline title={shell.clockTitle}>
        {shell.clockBody(duration(Math.abs(live.clockOffset)))}
      </Alert>,
    );
  }
  return out.length > 0 ? (
    <div className="b-banners" data-tick={tick}>
      {out}
    </div>
  ) : null;
}
