import { Alert, Progress as Bar } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { api, must } from '../../api/client';
import { useSummary } from '../../api/live';
import type { Job, Step } from '../../api/types';
import { change as t } from '../../texts/change';
import { PlanGraph } from './PlanGraph';
import type { Sent } from './proposal';

/** Progress follows a change until the cluster is as it wants. */
export function Progress({ sent }: { sent: Sent }) {
  const s = useSummary();
  const job = sent.job;
  const q = useQuery({
    queryKey: ['progress', job?.id ?? sent.result.requestId],
    queryFn: async (): Promise<{ state: Job['state']; reason?: string; left: Step[] }> => {
      if (job) {
        const j = await must(api.GET('/v1/jobs/{id}', { params: { path: { id: job.id } } }));
        return { state: j.state, reason: j.reason, left: j.left ?? [] };
      }
      const plan = await must(api.GET('/v1/plan'));
      return { state: 'running', left: plan.steps ?? [] };
    },
    refetchInterval: (query) => (query.state.data && query.state.data.state !== 'running' ? false : 700),
    staleTime: 0,
  });
  const left = q.data?.left ?? sent.result.plan.steps ?? [];
  const known = s.cluster.generation >= sent.result.generation;
  const state = job ? (q.data?.state ?? 'running') : q.data && known && left.length === 0 && (s.actions ?? []).length === 0 ? 'done' : 'running';
  const all = Math.max(sent.result.plan.steps?.length ?? 0, left.length);
  if (state === 'done') {
    return (
      <Alert variant="success" isInline title={t.doneTitle}>
        {t.doneBody}
      </Alert>
    );
  }
  if (state === 'not-as-wanted') {
    return (
      <Alert variant="warning" isInline title={t.notAsWanted}>
        <span className="b-wrap">{q.data?.reason}</span>
      </Alert>
    );
  }
  return (
    <div role="status">
      <Bar aria-label={t.runningTitle} title={t.runningTitle} value={all > 0 ? (100 * (all - left.length)) / all : 0} label={t.left(left.length)} />
      <p className="b-subtle">{t.inBackground}</p>
      {left.length > 0 && <PlanGraph steps={left} />}
    </div>
  );
}
