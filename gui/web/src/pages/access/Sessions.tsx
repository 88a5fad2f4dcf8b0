import { Button, Label } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, must } from '../../api/client';
import { useWho } from '../../api/session';
import type { LoginSession } from '../../api/types';
import { Actions } from '../../components/Actions';
import { Confirm } from '../../components/Confirm';
import { ListTable, type Column } from '../../components/ListTable';
import { Name, nodePath } from '../../components/Name';
import { ProblemAlert } from '../../components/ProblemAlert';
import { REST } from '../../components/REST';
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
  const q = useQuery({ queryKey: ['sessions'], queryFn: async () => (await must(api.GET('/v1/sessions'))) ?? [], staleTime: 0, refetchInterval: 5000 });
  const [asked, setAsked] = useState<LoginSession>();
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
        actions={(s) => <SessionActions session={s} own={s.user === who.user} onEnd={() => setAsked(s)} />}
        empty={<p className="b-subtle">{t.noSessions}</p>}
      />
      <REST method="GET" path="/v1/sessions" />
      {asked && (
        <Confirm
          title={t.endTitle(asked.user)}
          body={
            <>
              <p>{t.endBody}</p>
              <REST method="DELETE" path={`/v1/sessions/${asked.id}`} />
            </>
          }
          label={t.end}
          danger
          run={() => api.DELETE('/v1/sessions/{id}', { params: { path: { id: asked.id } } })}
          onDone={() => {
            setAsked(undefined);
            void q.refetch();
          }}
          onClose={() => setAsked(undefined)}
        />
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
