import { Alert, Button, Checkbox, Form, FormGroup, FormSelect, FormSelectOption, Modal, ModalBody, ModalFooter, ModalHeader, Skeleton, TextInput } from '@patternfly/react-core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { Link } from 'react-router';
import { api, must } from '../../api/client';
import { useLive } from '../../api/live';
import { codes, problemOf } from '../../api/problem';
import { configQuery, queries } from '../../api/queries';
import type { Config, Document } from '../../api/types';
import { change as t } from '../../texts/change';
import { common } from '../../texts/common';
import { CLI } from '../CLI';
import { ProblemAlert } from '../ProblemAlert';
import { differences, merge, type Difference } from './diff';
import { DiffTable, PlanView } from './PlanView';
import { Progress } from './Progress';
import { changeOf, cliOf, dismiss, newKey, sections, send, useProposal, whole, type Edit, type Proposal, type Sent } from './proposal';

/** ChangeDialog shows the plan of what is proposed, and makes it so. */
export default function ChangeDialog() {
  const p = useProposal();
  return p ? <Dialog key={p.number} proposal={p} /> : null;
}

/** What somebody else changed while the form was open. */
interface Conflict {
  who: string;
  theirs: Document | undefined;
  changed: Difference[];
  both: string[];
  merged: Edit;
}

function documentIn(c: Config, e: Edit): Document | undefined {
  if (e.kind === whole) return c.config;
  return e.kind === 'cluster' ? c.config.cluster : c.config[sections[e.kind] ?? e.kind]?.[e.id];
}

/** conflictOf compares what the form began with to what there is now. */
async function conflictOf(e: Edit): Promise<Conflict> {
  const [now, history] = await Promise.all([queries.fetchQuery({ ...configQuery, staleTime: 0 }), must(api.GET('/v1/history')).catch(() => [])]);
  const theirs = documentIn(now, e);
  const key = e.kind === 'cluster' ? 'cluster' : `${e.kind}/${e.id}`;
  const last = [...(history ?? [])].reverse().find((g) => (e.kind === whole || g.keys?.includes(key)) && g.generation > e.generation);
  const m = merge(e.base, e.next, theirs);
  return {
    who: last ? t.conflictWho(last.actor, `${last.action} ${last.object ?? ''}`) : '',
    theirs,
    changed: differences(e.base, theirs),
    both: m.both,
    merged: { ...e, base: theirs, next: m.document as Document | undefined, generation: now.generation },
  };
}

function Dialog({ proposal: p }: { proposal: Proposal }) {
  const [chosen, setChosen] = useState(p.choice?.initial ?? '');
  const [edit, setEdit] = useState(p.edit);
  const [ref, setRef] = useState('');
  const [comment, setComment] = useState('');
  const [force, setForce] = useState(false);
  const [note, setNote] = useState('');
  const [key] = useState(newKey);
  const [sent, setSent] = useState<Sent>();
  const connection = useLive().connection;
  const request = edit ? changeOf(edit) : p.change!(chosen, '');
  const generation = edit?.generation;

  const plan = useQuery({
    queryKey: ['plan', key, request, generation, force],
    queryFn: async () => {
      try {
        return { ...(await send(request, generation, { dryRun: true, force })), conflict: undefined };
      } catch (e) {
        const code = problemOf(e).code;
        if (!edit || (code !== codes.conflict && code !== codes.noMatch)) throw e;
        const conflict = await conflictOf(edit);
        return { conflict, result: undefined };
      }
    },
    staleTime: Infinity,
    gcTime: 0,
    retry: 1,
    enabled: !sent && (!p.choice || chosen !== ''),
  });
  const conflict = plan.data?.conflict;
  // What changed in between may be elsewhere: then only the plan is made anew.
  const elsewhere = conflict && conflict.changed.length === 0;
  useEffect(() => {
    if (!elsewhere) return;
    // eslint-disable-next-line react-hooks/set-state-in-effect -- the answer decides what is asked next
    setEdit(conflict.merged);
    setNote(t.conflictElsewhere);
  }, [elsewhere, conflict]);

  const policy = useQuery({ queryKey: ['approval-policy'], queryFn: () => must(api.GET('/v1/settings/approval')) });
  const needsApproval = (policy.data?.actions ?? []).includes(request.action);

  const apply = useMutation({
    mutationFn: () => send(edit ? request : p.change!(chosen, comment), generation, { dryRun: false, planToken: plan.data?.result?.planToken, force, changeRef: ref, key }),
    onSuccess: (s) => {
      setSent(s);
      void queries.invalidateQueries({ queryKey: ['config'] });
      void queries.invalidateQueries({ queryKey: ['explain'] });
      p.onApplied?.();
    },
    onError: (e) => {
      const code = problemOf(e).code;
      if (code === codes.planChanged) {
        setNote(t.planChanged);
        void plan.refetch();
      } else if (code === codes.conflict || code === codes.noMatch) {
        void plan.refetch();
      } else if (code === codes.approval) {
        p.onApplied?.();
      }
    },
  });
  const failure = apply.error ? problemOf(apply.error) : undefined;
  const approval = failure?.code === codes.approval ? failure.approval : undefined;
  const shownFailure = failure && ![codes.approval, codes.planChanged, codes.conflict, codes.noMatch].includes(failure.code as never) ? failure : undefined;
  const ready = !!plan.data?.result && !plan.isFetching;
  // A merged edit is another one than the page has a command for.
  const own = edit && edit !== p.edit ? [] : p.cli(chosen, comment);
  const cli = edit && own.length === 0 ? cliOf(edit) : own;

  return (
    <Modal isOpen variant="large" onClose={apply.isPending ? undefined : dismiss} aria-labelledby="change-title">
      <ModalHeader title={p.title} labelId="change-title" description={p.lead} titleIconVariant={p.danger ? 'danger' : undefined} />
      <ModalBody>
        <div className="b-change">
          {sent ? (
            <Progress sent={sent} />
          ) : approval ? (
            <Alert variant="info" isInline title={t.sentTitle}>
              <p>{t.sentBody(approval)}</p>
              <Link to={`/approvals/${approval}`} onClick={dismiss}>
                {t.toApproval}
              </Link>
            </Alert>
          ) : (
            <>
              {p.choice && (
                <Form onSubmit={(e) => e.preventDefault()}>
                  <FormGroup label={p.choice.label} fieldId="change-choice">
                    <FormSelect id="change-choice" value={chosen} onChange={(_, v) => setChosen(v)}>
                      {p.choice.options.map((o) => (
                        <FormSelectOption key={o.value} value={o.value} label={o.note ? `${o.label} – ${o.note}` : o.label} />
                      ))}
                    </FormSelect>
                  </FormGroup>
                </Form>
              )}
              {p.comment && (
                <Form onSubmit={(e) => e.preventDefault()}>
                  <FormGroup label={p.comment} fieldId="change-comment">
                    <TextInput id="change-comment" value={comment} onChange={(_, v) => setComment(v)} maxLength={500} />
                  </FormGroup>
                </Form>
              )}
              {note && <Alert variant="info" isInline title={note} />}
              {plan.isFetching && (
                <div role="status">
                  <p>{t.working}</p>
                  <Skeleton height="6rem" screenreaderText={t.working} />
                </div>
              )}
              {plan.error && !plan.isFetching && <ProblemAlert error={plan.error} onRetry={() => void plan.refetch()} />}
              {conflict && !elsewhere && !plan.isFetching && <ConflictView c={conflict} onKeep={() => setEdit(conflict.merged)} onDiscard={p.onDiscard} />}
              {ready && plan.data?.result && <PlanView result={plan.data.result} />}
              {needsApproval && ready && <Alert variant="info" isInline isPlain title={t.needsApproval} />}
              {shownFailure && <ProblemAlert error={shownFailure} onRetry={() => apply.mutate()} />}
              {ready && (
                <Form isHorizontal onSubmit={(e) => e.preventDefault()} className="b-change__foot">
                  <FormGroup label={t.ref} fieldId="change-ref">
                    <TextInput id="change-ref" value={ref} onChange={(_, v) => setRef(v)} maxLength={200} placeholder={t.refHelp} />
                  </FormGroup>
                  {(plan.data?.result?.warnings ?? []).length > 0 && <Checkbox id="change-force" label={t.force} isChecked={force} onChange={(_, v) => setForce(v)} />}
                </Form>
              )}
              <CLI {...(typeof cli === 'string' ? { text: cli } : { args: cli })} />
            </>
          )}
        </div>
      </ModalBody>
      <ModalFooter>
        {!sent && !approval && (
          <Button
            variant={p.danger ? 'danger' : 'primary'}
            isDisabled={!ready || apply.isPending || connection === 'lost'}
            isLoading={apply.isPending}
            onClick={() => apply.mutate()}
          >
            {apply.isPending ? t.applying : needsApproval ? t.sendForApproval : t.apply}
          </Button>
        )}
        <Button variant={sent || approval ? 'primary' : 'link'} isDisabled={apply.isPending} onClick={dismiss}>
          {sent || approval ? common.close : common.cancel}
        </Button>
      </ModalFooter>
    </Modal>
  );
}

function ConflictView({ c, onKeep, onDiscard }: { c: Conflict; onKeep: () => void; onDiscard?: () => void }) {
  return (
    <Alert
      variant="warning"
      isInline
      title={t.conflictTitle}
      actionLinks={
        <>
          {c.theirs && (
            <Button variant="secondary" size="sm" onClick={onKeep}>
              {t.mineOnTop}
            </Button>
          )}
          {onDiscard && (
            <Button
              variant="link"
              size="sm"
              onClick={() => {
                dismiss();
                onDiscard();
              }}
            >
              {t.discard}
            </Button>
          )}
        </>
      }
    >
      <p>{t.conflictBody}</p>
      {c.who && <p className="b-wrap">{c.who}</p>}
      {c.theirs ? <DiffTable name={t.field} rows={c.changed} after={t.theirs} /> : <p>{t.gone}</p>}
      {c.both.length > 0 && (
        <p className="b-wrap">
          {t.conflictYours} <code>{c.both.join(', ')}</code>
        </p>
      )}
    </Alert>
  );
}
