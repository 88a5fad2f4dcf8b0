import { Alert, Button, Checkbox, ClipboardCopy, FormGroup, FormSelect, FormSelectOption, Modal, ModalBody, ModalFooter, ModalHeader, TextArea } from '@patternfly/react-core';
import { queryOptions, useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, must } from '../../api/client';
import type { components } from '../../api/schema';
import { queries } from '../../api/queries';
import { useWho } from '../../api/session';
import { Actions } from '../../components/Actions';
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

type Token = components['schemas']['Token'];

const t = access.tokens;
const c = t.columns;
const columns: Column<Token>[] = [
  { key: 'name', name: c.name, header: true, sort: (r) => r.name, cell: (r) => <Name>{r.name}</Name> },
  { key: 'user', name: c.user, sort: (r) => r.user, cell: (r) => <Name>{r.user}</Name> },
  { key: 'roles', name: c.roles, className: 'b-wrap', cell: (r) => (r.roles ?? []).join(', ') },
  { key: 'scope', name: c.scope, className: 'b-wrap', cell: (r) => (r.scope ?? []).join(', ') || t.everything },
  { key: 'created', name: c.created, sort: (r) => r.created, cell: (r) => <Time time={r.created} /> },
  { key: 'used', name: c.used, sort: (r) => r.used ?? '', cell: (r) => <Time time={r.used} /> },
  { key: 'expires', name: c.expires, sort: (r) => r.expires, cell: (r) => <Time time={r.expires} /> },
];
const id = (r: Token) => r.id;
const text = (r: Token) => `${r.name} ${r.user}`;

// What the server answers may be a moment older than what was just done.
const tokens = queryOptions({ queryKey: ['api-tokens'], queryFn: async () => (await must(api.GET('/v1/api-tokens'))) ?? [], staleTime: 0, refetchInterval: 5000 });

/** Tokens lists the API tokens; one makes and voids one's own, and others' where one may. */
export function Tokens() {
  const who = useWho();
  const q = useQuery(tokens);
  const [making, setMaking] = useState(false);
  const [asked, setAsked] = useState<Token>();
  if (q.error) return <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />;
  if (q.isPending) return <Waiting text={common.loading} />;
  const remove = (r: Token) => () => setAsked(r);
  return (
    <div className="b-stack">
      <p className="b-subtle">{t.lead}</p>
      <ListTable
        label={access.tabs.tokens}
        rows={q.data}
        columns={columns}
        id={id}
        text={text}
        tools={
          <Button variant="secondary" onClick={() => setMaking(true)}>
            {t.add}
          </Button>
        }
        actions={(r) =>
          r.user === who.user ? (
            <Button variant="link" isInline onClick={remove(r)} aria-label={`${t.remove} ${r.name}`}>
              {t.remove}
            </Button>
          ) : (
            <Actions kebab of={r.name} list={[{ key: 'remove', label: t.remove, action: 'delete', object: `api-token/${r.id}`, danger: true, run: remove(r) }]} />
          )
        }
        empty={<p className="b-subtle">{t.none}</p>}
      />
      <REST method="GET" path="/v1/api-tokens" />
      {making && <Make roles={who.roles ?? []} onMade={(made) => queries.setQueryData(tokens.queryKey, (list) => [...(list ?? []), made])} onClose={() => setMaking(false)} />}
      {asked && (
        <Confirm
          title={t.removeTitle(asked.name)}
          body={
            <>
              <p>{t.removeBody}</p>
              <REST method="DELETE" path={`/v1/api-tokens/${asked.id}`} />
            </>
          }
          label={t.removeDo}
          danger
          run={() => api.DELETE('/v1/api-tokens/{id}', { params: { path: { id: asked.id } } })}
          onDone={() => {
            setAsked(undefined);
            queries.setQueryData(tokens.queryKey, (list) => list?.filter((x) => x.id !== asked.id));
          }}
          onClose={() => setAsked(undefined)}
        />
      )}
    </div>
  );
}

function Make({ roles, onMade, onClose }: { roles: string[]; onMade: (made: Token) => void; onClose: () => void }) {
  const [name, setName] = useState('');
  const [chosen, setChosen] = useState<string[]>([]);
  const [scope, setScope] = useState('');
  const [life, setLife] = useState('720h');
  const lines = scope.split('\n').map((s) => s.trim()).filter(Boolean);
  const body = { name: name.trim(), life, ...(chosen.length > 0 && { roles: chosen }), ...(lines.length > 0 && { scope: lines }) };
  const make = useMutation({ mutationFn: () => must(api.POST('/v1/api-tokens', { body })), onSuccess: (a) => onMade(a.token) });
  const made = make.data;
  const submit = () => {
    if (body.name && !make.isPending) make.mutate();
  };
  return (
    <Modal isOpen variant="small" onClose={make.isPending ? undefined : onClose} aria-labelledby="token-title">
      <ModalHeader title={made ? t.made(made.token.name) : t.add} labelId="token-title" />
      <ModalBody>
        {made ? (
          <div className="b-stack">
            <Alert variant="warning" isInline title={t.secret} />
            <ClipboardCopy isReadOnly isCode hoverTip={common.copy} clickTip={common.copied} textAriaLabel={t.secretName} copyAriaLabel={common.copy}>
              {made.secret}
            </ClipboardCopy>
          </div>
        ) : (
          <form
            id="token-form"
            className="b-form"
            onSubmit={(e) => {
              e.preventDefault();
              submit();
            }}
          >
            <TextField id="token-name" label={t.name} required value={name} onChange={(v) => setName(v.slice(0, 64))} />
            {roles.length > 1 && (
              <FormGroup role="group" label={c.roles} fieldId="token-roles">
                {roles.map((r) => (
                  <Checkbox key={r} id={`token-role-${r}`} label={r} isChecked={chosen.includes(r)} onChange={(_, on) => setChosen(on ? [...chosen, r] : chosen.filter((x) => x !== r))} />
                ))}
                <p className="b-subtle b-small">{t.rolesHelp}</p>
              </FormGroup>
            )}
            <Group id="token-scope" label={t.scope} help={t.scopeHelp}>
              <TextArea id="token-scope" value={scope} onChange={(_, v) => setScope(v)} rows={2} aria-describedby="token-scope-help" />
            </Group>
            <Group id="token-life" label={t.life}>
              <FormSelect id="token-life" value={life} onChange={(_, v) => setLife(v)}>
                {Object.entries(t.lives).map(([v, l]) => (
                  <FormSelectOption key={v} value={v} label={l} />
                ))}
              </FormSelect>
            </Group>
            {make.error && <ProblemAlert error={make.error} />}
            <REST method="POST" path="/v1/api-tokens" body={body} />
          </form>
        )}
      </ModalBody>
      <ModalFooter>
        {made ? (
          <Button onClick={onClose}>{common.close}</Button>
        ) : (
          <>
            <Button type="submit" form="token-form" isDisabled={!body.name || make.isPending} isLoading={make.isPending}>
              {t.make}
            </Button>
            <Button variant="link" isDisabled={make.isPending} onClick={onClose}>
              {common.cancel}
            </Button>
          </>
        )}
      </ModalFooter>
    </Modal>
  );
}
