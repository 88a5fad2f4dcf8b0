import { Alert, Button, TextInput } from '@patternfly/react-core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useParams } from 'react-router';
import { api, must } from '../../api/client';
import { now } from '../../api/live';
import { problemOf } from '../../api/problem';
import { queries } from '../../api/queries';
import { useWho } from '../../api/session';
import type { Approval } from '../../api/types';
import { useAllowed, Why } from '../../components/Actions';
import { Age, useTick } from '../../components/Age';
import { Effects } from '../../components/change/PlanView';
import { Document } from '../../components/Document';
import { Facts } from '../../components/Facts';
import { Group } from '../../components/form/controls';
import { Missing } from '../../components/Missing';
import { Name } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { REST } from '../../components/REST';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { approvals as t } from '../../texts/approvals';
import { change } from '../../texts/change';
import { common } from '../../texts/common';
import { Standing } from '.';
import { standing } from './state';

/** One change that waits for a second person: what it would do, and the decision. */
export default function Detail() {
  const { id = '' } = useParams();
  const q = useQuery({
    queryKey: ['approvals', id],
    queryFn: () => must(api.GET('/v1/approvals/{id}', { params: { path: { id } } })),
    staleTime: 0,
    refetchInterval: (x) => (x.state.data && ['waiting', 'approved'].includes(x.state.data.state) ? 3000 : false),
  });
  if (q.error && problemOf(q.error).status === 404) return <Missing what={id} to="/approvals" back={t.title} />;
  const a = q.data;
  const f = t.facts;
  return (
    <>
      <PageTitle title={a ? t.name(a.change.action, a.change.object) : id} parents={[{ text: t.title, to: '/approvals' }]} state={a && <Standing a={a} />} />
      {q.error && <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />}
      {q.isPending && <Waiting text={common.loading} />}
      {a && (
        <div className="b-stack">
          <Panel title={common.details}>
            <Facts
              columns={3}
              rows={[
                [f.id, <code>{a.id}</code>],
                [f.by, <Name>{a.requester.user}</Name>],
                [f.asked, <Time time={a.created} />],
                [f.ends, a.state === 'waiting' && <Age time={a.expires} />],
                [f.decidedBy, a.by && <Name>{a.by}</Name>],
                [f.decided, a.by && <Time time={a.decided} />],
                [f.reason, a.reason && <bdi>{a.reason}</bdi>],
                [f.ref, a.change.changeRef && <bdi>{a.change.changeRef}</bdi>],
              ]}
            />
          </Panel>
          <Panel title={t.plan}>
            <div className="b-plan">
              <Effects plan={a.plan} none={change.nothing} />
            </div>
          </Panel>
          {a.change.value !== undefined && a.change.value !== null && (
            <Panel title={t.value}>
              <Document value={a.change.value} />
            </Panel>
          )}
          <Decision a={a} />
        </div>
      )}
    </>
  );
}

function Decision({ a }: { a: Approval }) {
  useTick();
  const own = useWho().user === a.requester.user;
  const may = useAllowed('approve', a.change.object);
  const [reason, setReason] = useState('');
  const decide = useMutation({
    mutationFn: (what: 'approve' | 'reject') => must(api.POST(`/v1/approvals/{id}/actions/${what}`, { params: { path: { id: a.id } }, body: reason.trim() ? { reason: reason.trim() } : {} })),
    onSettled: () => void queries.invalidateQueries({ queryKey: ['approvals'] }),
  });
  if (!standing(a, now()).open && !decide.error) return null;
  const no = own ? undefined : may.why;
  const notAgree = own ? common.mayNot(t.ownPointless) : may.why;
  return (
    <Panel title={t.decide}>
      <div className="b-form">
        {own ? <Alert variant="info" isInline isPlain title={t.own} /> : <p>{t.decideLead}</p>}
        <Group id="decision-reason" label={t.reason}>
          <TextInput id="decision-reason" value={reason} maxLength={500} onChange={(_, v) => setReason(v)} />
        </Group>
        {decide.error && <ProblemAlert error={decide.error} />}
        <div className="b-buttons">
          <Why text={notAgree}>
            <Button isAriaDisabled={!!notAgree} isLoading={decide.isPending && decide.variables === 'approve'} isDisabled={decide.isPending} onClick={() => decide.mutate('approve')}>
              {t.approve}
            </Button>
          </Why>
          <Why text={no}>
            <Button variant="secondary" isAriaDisabled={!!no} isLoading={decide.isPending && decide.variables === 'reject'} isDisabled={decide.isPending} onClick={() => decide.mutate('reject')}>
              {own ? t.withdraw : t.reject}
            </Button>
          </Why>
        </div>
        <REST method="POST" path={`/v1/approvals/${a.id}/actions/${own ? 'reject' : 'approve'}`} body={reason.trim() ? { reason: reason.trim() } : {}} />
      </div>
    </Panel>
  );
}
