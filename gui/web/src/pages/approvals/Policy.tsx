import { Alert, Button, Checkbox, NumberInput } from '@patternfly/react-core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../../api/client';
import { problemOf } from '../../api/problem';
import { queries } from '../../api/queries';
import { useAllowed, Why } from '../../components/Actions';
import { Group } from '../../components/form/controls';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { REST } from '../../components/REST';
import { Waiting } from '../../shell/App';
import { approvals as t } from '../../texts/approvals';
import { common } from '../../texts/common';

interface Read {
  actions: string[];
  hours: number;
  tag: string; // of what was read: nobody's change in between is lost
}

async function read(): Promise<Read> {
  const a = await api.GET('/v1/settings/approval');
  if (!a.data) throw problemOf(a.error);
  return { actions: a.data.actions ?? [], hours: a.data.hours ?? 24, tag: a.response.headers.get('ETag') ?? '' };
}

/** Policy says which actions need a second person. */
export function Policy() {
  const [saved, setSaved] = useState('');
  // What the server answers may be a moment older than what was just saved.
  const q = useQuery({ queryKey: ['approval-policy', 'edit'], queryFn: read, staleTime: 0, refetchInterval: (x) => (x.state.data && x.state.data.tag === saved ? 500 : false) });
  return (
    <Panel title={t.policy}>
      {q.error && <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />}
      {q.isPending && <Waiting text={common.loading} />}
      {q.data && <Form key={q.data.tag} was={q.data} saving={q.data.tag === saved} saved={saved !== ''} onSaved={(tag) => (setSaved(tag), void q.refetch())} />}
    </Panel>
  );
}

function Form({ was, saving, saved, onSaved }: { was: Read; saving: boolean; saved: boolean; onSaved: (replaced: string) => void }) {
  const may = useAllowed('update', 'role/approval-policy');
  const [actions, setActions] = useState(was.actions);
  const [hours, setHours] = useState(was.hours);
  const body = { actions: [...new Set([...Object.keys(t.actions), ...actions])].filter((a) => actions.includes(a)), hours };
  const save = useMutation({
    mutationFn: () => api.PUT('/v1/settings/approval', { params: { header: { 'If-Match': was.tag } }, body }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ['approval-policy'] });
      onSaved(was.tag);
    },
  });
  const changed = hours !== was.hours || actions.length !== was.actions.length || actions.some((a) => !was.actions.includes(a));
  return (
    <form
      className="b-form"
      onSubmit={(e) => {
        e.preventDefault();
        if (changed && !may.isAriaDisabled && !save.isPending) save.mutate();
      }}
    >
      <p className="b-subtle">{t.policyLead}</p>
      <div className="b-checks" role="group" aria-label={t.policy}>
        {[...new Set([...Object.keys(t.actions), ...was.actions])].map((a) => (
          <Checkbox
            key={a}
            id={`second-${a}`}
            label={a}
            description={t.actions[a]}
            isChecked={actions.includes(a)}
            isDisabled={may.isAriaDisabled}
            onChange={(_, on) => setActions(on ? [...actions, a] : actions.filter((x) => x !== a))}
          />
        ))}
      </div>
      <Group id="second-hours" label={t.policyHours}>
        <NumberInput
          id="second-hours"
          inputName="hours"
          inputAriaLabel={t.policyHours}
          minusBtnAriaLabel={`− ${t.policyHours}`}
          plusBtnAriaLabel={`+ ${t.policyHours}`}
          min={1}
          max={168}
          value={hours}
          isDisabled={may.isAriaDisabled}
          onMinus={() => setHours(Math.max(1, hours - 1))}
          onPlus={() => setHours(Math.min(168, hours + 1))}
          onChange={(e) => setHours(Math.min(168, Math.max(1, Math.round(Number(e.currentTarget.value)) || 1)))}
        />
      </Group>
      {save.error && <ProblemAlert error={save.error} />}
      {saved && !saving && !changed && <Alert variant="success" isInline isPlain title={t.policySaved} isLiveRegion />}
      <div>
        <Why text={may.why}>
          <Button type="submit" isAriaDisabled={may.isAriaDisabled} isDisabled={!may.isAriaDisabled && (!changed || saving)} isLoading={save.isPending || saving}>
            {t.policySave}
          </Button>
        </Why>
      </div>
      <REST method="PUT" path="/v1/settings/approval" headers={[`If-Match: ${was.tag}`]} body={body} />
    </form>
  );
}
