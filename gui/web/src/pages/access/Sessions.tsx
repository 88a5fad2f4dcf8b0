import { Button, Label, Modal, ModalBody, ModalFooter, ModalHeader } from '@patternfly/react-core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, must } from '../../api/client';
import { useWho } from '../../api/session';
import type { LoginSession } from '../../api/types';
import { Actions } from '../../components/Actions';
import { ListTable, type Column } from '../../components/ListTable';
import { Name, nodePath } from '../../components/Name';
import { ProblemAlert } from '../../components/ProblemAlert';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { access as t } from '../../texts/access';
import { common } from '../../texts/common';

const c = t.sessions;
function columns(mine: string): Column<LoginSession>[] {
  return [
    {
      key: 'user',
      name: c.user,
      header: true,
      sort: (s) => s.user,
      cell: (s) => (
        <>
          <Name>{s.user}</Name> {s.id === mine && <Label isCompact>{t.mine}</Label>}
        </>
      ),
    },
    { key: 'method', name: c.method, sort: (s) => s.method, cell: (s) => s.method },
    { key: 'from', name: c.from, sort: (s) => s.address ?? '', cell: (s) => <span title={s.client}>{s.address || '–'}</span> },
    { key: 'node', name: c.node, sort: (s) => s.node ?? '', cell: (s) => (s.node ? <Name to={nodePath(s.node)}>{s.node}</Name> : '–') },
    { key: 'created', name: c.created, sort: (s) => s.created, cell: (s) => <Time time={s.created} /> },
    { key: 'used', name: c.used, sort: (s) => s.used, cell: (s) => <Time time={s.used} /> },
    { key: 'expires', name: c.expires, sort: (s) => s.expires, cell: (s) => <Time time={s.expires} /> },
  ];
}

/** Sessions lists who is logged in; whoever may, ends a session. */
export function Sessions() {
  const who = useWho();
  const q = useQuery({ queryKey: ['sessions'], queryFn: async () => (await must(api.GET('/v1/sessions'))) ?? [], staleTime: 0 });
  const [asked, setAsked] = useState<LoginSession>();
  const end = useMutation({
    mutationFn: (s: LoginSession) => api.DELETE('/v1/sessions/{id}', { params: { path: { id: s.id } } }),
    onSuccess: () => {
      setAsked(undefined);
      void q.refetch();
    },
  });
  if (q.error) return <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />;
  if (q.isPending) return <Waiting text={common.loading} />;
  return (
    <>
      <ListTable
        label={t.tabs.sessions}
        rows={q.data}
        columns={columns(who.session ?? '')}
        id={id}
        text={text}
        actions={(s) => <SessionActions session={s} own={s.user === who.user} onEnd={() => (end.reset(), setAsked(s))} />}
        empty={<p className="b-subtle">{t.noSessions}</p>}
      />
      {asked && (
        <Modal isOpen variant="small" onClose={() => setAsked(undefined)} aria-labelledby="end-session">
          <ModalHeader title={t.endTitle(asked.user)} labelId="end-session" titleIconVariant="warning" />
          <ModalBody>
            <p>{t.endBody}</p>
            {end.error && <ProblemAlert error={end.error} />}
          </ModalBody>
          <ModalFooter>
            <Button variant="danger" isLoading={end.isPending} isDisabled={end.isPending} onClick={() => end.mutate(asked)}>
              {t.end}
            </Button>
            <Button variant="link" onClick={() => setAsked(undefined)}>
              {common.cancel}
            </Button>
          </ModalFooter>
        </Modal>
      )}
    </>
  );
}

const id = (s: LoginSession) => s.id;
const text = (s: LoginSession) => `${s.user} ${s.address ?? ''} ${s.node ?? ''}`;

/** One's own session one may always end. */
function SessionActions({ session, own, onEnd }: { session: LoginSession; own: boolean; onEnd: () => void }) {
  if (own) {
    return (
      <Button variant="link" isInline onClick={onEnd} aria-label={`${c.end} ${session.user}, ${session.created}`}>
        {c.end}
      </Button>
    );
  }
  return <Actions kebab of={session.user} list={[{ key: 'end', label: c.end, action: 'delete', object: `session/${session.id}`, danger: true, run: onEnd }]} />;
}
