import { Button, TextInput } from '@patternfly/react-core';
import { queryOptions, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, must } from '../../api/client';
import { queries } from '../../api/queries';
import type { components } from '../../api/schema';
import { Actions, useAllowed, Why } from '../../components/Actions';
import { Confirm } from '../../components/Confirm';
import { Group, TextField } from '../../components/form/controls';
import { ListTable, type Column } from '../../components/ListTable';
import { Name } from '../../components/Name';
import { ProblemAlert } from '../../components/ProblemAlert';
import { REST } from '../../components/REST';
import { Time } from '../../components/Time';
import { Waiting } from '../../shell/App';
import { access } from '../../texts/access';
import { common } from '../../texts/common';

type Certificate = components['schemas']['Certificate'];

const t = access.certificates;
const c = t.columns;
const object = 'api-token/client-certificate';
const columns: Column<Certificate>[] = [
  { key: 'user', name: c.user, header: true, sort: (r) => r.user, cell: (r) => <Name>{r.user}</Name> },
  { key: 'key', name: c.key, cell: (r) => <code title={r.key}>{r.key.slice(0, 16)}…</code> },
  { key: 'note', name: c.note, className: 'b-wrap', cell: (r) => <bdi>{r.note || '–'}</bdi> },
  { key: 'created', name: c.created, sort: (r) => r.created, cell: (r) => <Time time={r.created} /> },
  { key: 'by', name: c.by, sort: (r) => r.by, cell: (r) => <Name>{r.by}</Name> },
  { key: 'expires', name: c.expires, sort: (r) => r.expires, cell: (r) => <Time time={r.expires} /> },
];
const id = (r: Certificate) => r.key;
const text = (r: Certificate) => `${r.user} ${r.key} ${r.note ?? ''} ${r.by}`;

// What the server answers may be a moment older than what was just done.
const certificates = queryOptions({ queryKey: ['client-certificates'], queryFn: async () => (await must(api.GET('/v1/client-certificates'))) ?? [], staleTime: 0, refetchInterval: 2000 });

/** Certificates lists the client certificates that are let in. */
export function Certificates() {
  const q = useQuery(certificates);
  const may = useAllowed('create', object);
  const [adding, setAdding] = useState(false);
  const [asked, setAsked] = useState<Certificate>();
  if (q.error) return <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />;
  if (q.isPending) return <Waiting text={common.loading} />;
  return (
    <div className="b-stack">
      <p className="b-subtle">{t.lead}</p>
      <ListTable
        label={access.tabs.certificates}
        rows={q.data}
        columns={columns}
        id={id}
        text={text}
        tools={
          <Why text={may.why}>
            <Button variant="secondary" isAriaDisabled={may.isAriaDisabled} onClick={() => setAdding(true)}>
              {t.add}
            </Button>
          </Why>
        }
        actions={(r) => <Actions kebab of={r.user} list={[{ key: 'remove', label: t.remove, action: 'delete', object, danger: true, run: () => setAsked(r) }]} />}
        empty={<p className="b-subtle">{t.none}</p>}
      />
      <REST method="GET" path="/v1/client-certificates" />
      {adding && (
        <Add
          onDone={() => {
            setAdding(false);
            void q.refetch();
          }}
          onClose={() => setAdding(false)}
        />
      )}
      {asked && (
        <Confirm
          title={t.removeTitle(asked.user)}
          body={
            <>
              <p>{t.removeBody}</p>
              <REST method="DELETE" path={`/v1/client-certificates/${asked.key}`} />
            </>
          }
          label={t.removeDo}
          danger
          run={() => api.DELETE('/v1/client-certificates/{id}', { params: { path: { id: asked.key } } })}
          onDone={() => {
            setAsked(undefined);
            queries.setQueryData(certificates.queryKey, (list) => list?.filter((x) => x.key !== asked.key));
          }}
          onClose={() => setAsked(undefined)}
        />
      )}
    </div>
  );
}

function inAYear(): string {
  return new Date(Date.now() + 365 * 86_400_000).toISOString().slice(0, 10);
}

function Add({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const [user, setUser] = useState('');
  const [key, setKey] = useState('');
  const [note, setNote] = useState('');
  const [expires, setExpires] = useState(inAYear);
  const end = new Date(expires);
  const body = { user: user.trim(), key: key.trim(), ...(note.trim() && { note: note.trim() }), expires: Number.isNaN(end.getTime()) ? '' : end.toISOString() };
  return (
    <Confirm
      title={t.add}
      body={
        <div className="b-form">
          <TextField id="certificate-user" label={t.user} help={t.userHelp} required value={user} onChange={setUser} />
          <TextField id="certificate-key" label={t.key} help={t.keyHelp} required value={key} onChange={setKey} pattern="^\s*[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}\s*$" />
          <TextField id="certificate-note" label={t.note} value={note} onChange={(v) => setNote(v.slice(0, 200))} />
          <Group id="certificate-expires" label={t.expires} required>
            <TextInput id="certificate-expires" type="date" value={expires} onChange={(_, v) => setExpires(v)} />
          </Group>
          <REST method="POST" path="/v1/client-certificates" body={body} />
        </div>
      }
      label={t.enter}
      run={() => api.POST('/v1/client-certificates', { body })}
      onDone={onDone}
      onClose={onClose}
    />
  );
}
