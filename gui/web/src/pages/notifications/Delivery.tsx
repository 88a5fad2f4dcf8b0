import { useQuery } from '@tanstack/react-query';
import { api, must } from '../../api/client';
import { useFresh } from '../../api/fresh';
import type { NotificationTarget } from '../../api/types';
import { Age } from '../../components/Age';
import { ListTable, type Column } from '../../components/ListTable';
import { Name } from '../../components/Name';
import { Panel } from '../../components/Panel';
import { State } from '../../components/State';
import { notify } from '../../texts/notify';
import { standing } from './delivery';

const t = notify.delivery;

/** askEveryMs is how often it is asked how far the receivers are: that is no part of the state's stream. */
const askEveryMs = 5000;

/** useTargets reads who is told of events, and how far each is. */
export function useTargets(): NotificationTarget[] {
  const q = useQuery({
    queryKey: ['notification-targets'],
    queryFn: async () => (await must(api.GET('/v1/notification-targets', { params: { query: { limit: 1000 } } }))).items ?? [],
    placeholderData: (before) => before,
    refetchInterval: askEveryMs,
  });
  useFresh(q.refetch);
  return q.data ?? [];
}

const looks = { unknown: 'pending', off: 'withdrawn', never: 'pending', takes: 'succeeded', fails: 'failed' } as const;

/** Delivery says whether a receiver takes what it is sent, and what waits for it. */
export function Delivery({ of }: { of: NotificationTarget | undefined }) {
  const is = standing(of);
  const d = of?.delivery;
  if (is === 'off' || is === 'unknown') return <span className="b-subtle">{t.states[is]}</span>;
  return (
    <div className="b-delivery">
      {is === 'never' ? <span className="b-subtle">{t.states.never}</span> : <State of="result" is={looks[is]}>{t.states[is]}</State>}
      {d?.lastSentAt && (
        <div className="b-subtle b-small">
          {t.sent} <Age time={d.lastSentAt} />
        </div>
      )}
      {is === 'fails' && (
        <div className="b-reason b-wrap b-clamp b-small">
          <Age time={d?.lastErrorAt} />: <bdi>{d?.lastError}</bdi>
        </div>
      )}
      {!!d?.waiting && <div className="b-small">{t.waiting(d.waiting)}</div>}
      {!!d?.refused && <div className="b-small b-no">{t.refused(d.refused)}</div>}
      {!!d?.lost && <div className="b-small b-no">{t.lost(d.lost)}</div>}
    </div>
  );
}

const c = t.columns;
const columns: Column<NotificationTarget>[] = [
  { key: 'id', name: c.id, header: true, cell: (x) => <Name to={`/configuration/audit-rule/${encodeURIComponent(x.id)}`}>{x.id}</Name> },
  { key: 'address', name: c.address, className: 'b-wrap', cell: (x) => <bdi>{x.address}</bdi> },
  { key: 'node', name: c.node, cell: (x) => (x.node ? <Name>{x.node}</Name> : '–') },
  { key: 'delivery', name: c.delivery, cell: (x) => <Delivery of={x} /> },
];

/** Syslog lists the servers that get the audit log. */
export function Syslog({ targets }: { targets: NotificationTarget[] }) {
  return (
    <Panel title={t.syslog}>
      <ListTable label={t.syslog} rows={targets.filter((x) => x.kind === 'audit-rule')} columns={columns} id={(x) => x.id} text={(x) => `${x.id} ${x.address}`} empty={<p className="b-subtle">{t.noSyslog}</p>} />
    </Panel>
  );
}
