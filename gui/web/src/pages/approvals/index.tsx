import { Label } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { api, must } from '../../api/client';
import { now } from '../../api/live';
import type { Approval } from '../../api/types';
import { Age } from '../../components/Age';
import { ListTable, type Column } from '../../components/ListTable';
import { Name } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { REST } from '../../components/REST';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { approvals as t } from '../../texts/approvals';
import { common } from '../../texts/common';
import { Policy } from './Policy';
import { standing } from './state';

const c = t.columns;
const columns: Column<Approval>[] = [
  { key: 'what', name: c.what, header: true, sort: (a) => t.name(a.change.action, a.change.object), cell: (a) => <Name to={`/approvals/${a.id}`}>{t.name(a.change.action, a.change.object)}</Name> },
  { key: 'state', name: c.state, cell: (a) => <Standing a={a} /> },
  { key: 'by', name: c.by, sort: (a) => a.requester.user, cell: (a) => <Name>{a.requester.user}</Name> },
  { key: 'asked', name: c.asked, sort: (a) => a.created, cell: (a) => <Time time={a.created} /> },
  { key: 'ends', name: c.ends, sort: (a) => a.expires, cell: (a) => (standing(a, now()).open ? <Age time={a.expires} /> : '–') },
];
const id = (a: Approval) => a.id;
const text = (a: Approval) => `${a.change.action} ${a.change.object} ${a.requester.user} ${a.by ?? ''}`;
const stateOf = (a: Approval) => standing(a, now()).text;

/** Standing shows how an approval stands. */
export function Standing({ a }: { a: Approval }) {
  const s = standing(a, now());
  return (
    <Label isCompact color={s.color}>
      {s.text}
    </Label>
  );
}

/** The changes that wait for a second person, and which ones do. */
export default function Approvals() {
  const q = useQuery({ queryKey: ['approvals'], queryFn: async () => (await must(api.GET('/v1/approvals'))) ?? [], staleTime: 0, refetchInterval: 5000 });
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} />
      <div className="b-stack">
        <Panel title={t.list}>
          {q.error && <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />}
          {q.isPending ? <Waiting text={common.loading} /> : q.data && <ListTable label={t.title} rows={q.data} columns={columns} id={id} text={text} stateOf={stateOf} empty={<p className="b-subtle b-below">{t.none}</p>} />}
          <REST method="GET" path="/v1/approvals" />
        </Panel>
        <Policy />
      </div>
    </>
  );
}
