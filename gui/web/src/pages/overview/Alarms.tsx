import { Button, Pagination } from '@patternfly/react-core';
import { useState } from 'react';
import { Link } from 'react-router';
import { useSummary } from '../../api/live';
import type { Alarm } from '../../api/types';
import { useAllowed, Why } from '../../components/Actions';
import { Age } from '../../components/Age';
import { propose } from '../../components/change/proposal';
import { lines } from '../../components/lines';
import { Name, nodePath, resourcePath } from '../../components/Name';
import { State } from '../../components/State';
import { overview } from '../../texts/overview';
import { resourceActions } from '../resources/actions';

const t = overview.alarms;
const few = 4;
const perPage = 20;

/** Alarms lists what is wrong now, the worst first, each with what to do about it. */
export function Alarms({ alarms }: { alarms: Alarm[] }) {
  const [all, setAll] = useState(false);
  const [page, setPage] = useState(1);
  if (alarms.length === 0) return <p className="b-subtle">{t.none}</p>;
  const last = Math.max(1, Math.ceil(alarms.length / perPage));
  const from = all ? (Math.min(page, last) - 1) * perPage : 0;
  const shown = alarms.slice(from, from + (all ? perPage : few));
  return (
    <>
      <ul className="b-alarms">
        {shown.map((a) => (
          <li key={a.id} className={`b-alarm b-alarm--${a.severity}`}>
            <State of="severity" is={a.severity} />
            <div>
              <p className="b-alarm__title b-wrap">
                {a.title} <span className="b-subtle">{a.code}</span>
              </p>
              <p className="b-wrap b-clamp">
                <bdi>{a.text}</bdi>
              </p>
              {a.remedy && (
                <p className="b-wrap b-clamp">
                  <strong>{t.remedy}</strong> <bdi>{a.remedy}</bdi>
                </p>
              )}
              {a.acknowledged && (
                <p className="b-wrap b-clamp">
                  <bdi>{t.acknowledged(a.acknowledged.by)}</bdi> <Age time={a.acknowledged.time} />
                  {a.acknowledged.comment && <>: <bdi>{a.acknowledged.comment}</bdi></>}
                </p>
              )}
              <p className="b-subtle b-alarm__foot">
                <Age time={a.since} />
                {a.node && <Name to={nodePath(a.node)}>{a.node}</Name>}
                {a.resource && <Name to={resourcePath(a.resource)}>{a.resource}</Name>}
                {a.resource && <Repair id={a.resource} />}
                <Acknowledge a={a} />
              </p>
            </div>
          </li>
        ))}
      </ul>
      {all && alarms.length > perPage && (
        <Pagination itemCount={alarms.length} perPage={perPage} page={Math.min(page, last)} onSetPage={(_, n) => setPage(n)} isCompact perPageOptions={[]} titles={{ paginationAriaLabel: t.page }} />
      )}
      {alarms.length > few && (
        <Button variant="link" isInline onClick={() => setAll(!all)}>
          {all ? t.fewer : t.all(alarms.length)}
        </Button>
      )}
    </>
  );
}

/** Repair leads to what the agent said, and forgets the failure after the repair. */
function Repair({ id }: { id: string }) {
  const s = useSummary();
  const r = (s.resources ?? []).find((x) => x.id === id);
  const cleanup = r && resourceActions(r, s.nodes ?? []).find((x) => x.key === 'cleanup');
  const may = useAllowed('cleanup', `resource/${id}`);
  if (!r || !cleanup || !r.failCount) return null;
  return (
    <>
      {r.kind === 'primitive' && <Link to={`${resourcePath(id)}?tab=operations`}>{t.output}</Link>}
      <Why text={may.why}>
        <Button variant="link" isInline isAriaDisabled={may.isAriaDisabled} aria-label={`${cleanup.label}: ${id}`} onClick={() => !may.isAriaDisabled && typeof cleanup.run !== 'function' && propose(cleanup.run)}>
          {cleanup.label}
        </Button>
      </Why>
    </>
  );
}

/** Acknowledge notes that somebody looks after an alarm, or no longer does. */
function Acknowledge({ a }: { a: Alarm }) {
  const object = `alarm/${a.id}`;
  const may = useAllowed('acknowledge', object);
  const withdraw = !!a.acknowledged;
  const run = () =>
    propose({
      title: withdraw ? t.withdrawOf(a.id) : t.acknowledgeOf(a.id),
      lead: t.lead,
      comment: withdraw ? undefined : t.comment,
      change: (_, comment) => ({ action: 'acknowledge', object, value: withdraw ? { withdraw: true } : { comment } }),
      cli: (_, comment) => lines.alarmAcknowledge(a.id, withdraw, comment),
    });
  return (
    <Why text={may.why}>
      <Button variant="link" isInline isAriaDisabled={may.isAriaDisabled} aria-label={withdraw ? t.withdrawOf(a.id) : t.acknowledgeOf(a.id)} onClick={run}>
        {withdraw ? t.withdraw : t.acknowledge}
      </Button>
    </Why>
  );
}
