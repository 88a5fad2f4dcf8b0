import { Alert, Button, ToggleGroup, ToggleGroupItem } from '@patternfly/react-core';
import { lazy, Suspense, useEffect, useState } from 'react';
import { useNavigate, useParams, useSearchParams } from 'react-router';
import { useConfig } from '../../api/queries';
import type { Config, Document } from '../../api/types';
import { useAllowed, Why } from '../../components/Actions';
import { same } from '../../components/change/diff';
import { cliOf, propose, sections, type Edit } from '../../components/change/proposal';
import { TextField } from '../../components/form/controls';
import { definitionOf, resolve, root, type Schema } from '../../components/form/schema';
import { put, SchemaForm, type Doc } from '../../components/form/SchemaForm';
import { Missing } from '../../components/Missing';
import { PageTitle } from '../../components/PageTitle';
import { ProblemAlert } from '../../components/ProblemAlert';
import { common } from '../../texts/common';
import { form as t } from '../../texts/form';
import { resources } from '../../texts/resources';
import { yaml } from '../../texts/yaml';
import { Waiting } from '../../shell/App';
import { Changes } from '../history/Changes';

const Editor = lazy(() => import('../../components/yaml/Editor'));

/** EditPage edits any document of the configuration; /configuration/KIND/new makes one. */
export default function EditPage() {
  const { kind = '', id = '' } = useParams();
  return <Loaded key={`${kind}/${id}`} kind={kind} id={id === 'new' ? undefined : id} />;
}

/** NewResource and EditResource are the same page, with an address among the resources. */
export function Loaded({ kind, id }: { kind: string; id?: string }) {
  const config = useConfig();
  const [began, setBegan] = useState<Config>();
  // The form goes on from what it began with, also while others change the configuration.
  if (!began && config.data) setBegan(config.data);
  if (!(kind in sections) && kind !== 'cluster') return <Missing what={kind} to="/" back={common.toOverview} />;
  if (!began) return config.error ? <ProblemAlert error={config.error} onRetry={() => void config.refetch()} /> : <Waiting text={common.loading} />;
  const base = kind === 'cluster' ? began.config.cluster : id === undefined ? undefined : began.config[sections[kind]!]?.[id];
  const parent = t.parents[kind];
  // A remote node needs no settings to be there.
  if (id !== undefined && !base && kind !== 'remote-node') return <Missing what={id} to={parent?.[1] ?? '/'} back={parent?.[0] ?? common.toOverview} />;
  return <Form key={began.generation} kind={kind} id={id ?? (kind === 'cluster' ? 'cluster' : undefined)} base={base} began={began} onReload={() => setBegan(undefined)} />;
}

function Form({ kind, id, base, began, onReload }: { kind: string; id?: string; base?: Document; began: Config; onReload: () => void }) {
  const navigate = useNavigate();
  const [name, setName] = useState(id ?? '');
  const [doc, setDoc] = useState<Doc>(base ?? {});
  const [text, setText] = useState<string>();
  const [bad, setBad] = useState(false);
  const [params] = useSearchParams();
  const may = useAllowed(base ? 'update' : 'create', `${kind}/${name || '*'}`);
  const section = kind === 'cluster' ? 'cluster' : sections[kind]!;
  const parent = t.parents[kind];
  const of = definitionOf(section);
  // Of the cluster's document a part can be edited alone.
  const part = kind === 'cluster' ? params.get('part') : null;
  const partSchema = part ? root.$defs[of]?.properties?.[part] : undefined;
  const partOf = partSchema && resolve(partSchema).name;
  const toYAML = async () => setText((await import('../../components/yaml/read')).write(doc));
  const taken = !id && began.config[section]?.[name] !== undefined;
  const changed = !same(doc, base ?? {}) || (!id && name !== '');
  useEffect(() => {
    if (!changed) return;
    const ask = (e: BeforeUnloadEvent) => e.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, [changed]);
  const back = () => void navigate(kind === 'resource' && id ? `/resources/${encodeURIComponent(id)}` : (parent?.[1] ?? '/'));
  const show = () => {
    const edit: Edit = { kind, id: name, base, next: doc, generation: began.generation };
    propose({
      title: base ? resources.propose.edit(name) : resources.propose.create(name),
      edit,
      cli: () => cliOf(edit),
      onApplied: () => void navigate(kind === 'resource' ? `/resources/${encodeURIComponent(name)}` : (parent?.[1] ?? '/')),
      onDiscard: onReload,
    });
  };
  return (
    <>
      <PageTitle
        title={id ?? t.newTitle(t.kinds[kind] ?? kind)}
        parents={parent ? [{ text: parent[0], to: parent[1] }] : []}
        actions={
          !partOf && (
            <ToggleGroup aria-label={yaml.mode} isCompact>
              <ToggleGroupItem text={yaml.modes.form} buttonId="mode-form" isSelected={text === undefined} isDisabled={bad} onChange={() => setText(undefined)} />
              <ToggleGroupItem text={yaml.modes.yaml} buttonId="mode-yaml" isSelected={text !== undefined} onChange={() => void (text === undefined && toYAML())} />
            </ToggleGroup>
          )
        }
      />
      <form
        className="b-form b-form--page"
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          if (!may.isAriaDisabled && name && !taken && !bad) show();
        }}
      >
        {!id && (
          <>
            <TextField
              id="name"
              label={t.name}
              help={kind === 'fence-topology' ? t.targetHelp : t.nameHelp}
              required
              value={name}
              onChange={setName}
              options={kind === 'fence-topology' ? Object.keys(began.config.nodes ?? {}) : undefined}
            />
            {taken && <Alert variant="warning" isInline isPlain title={t.nameTaken} />}
          </>
        )}
        {text !== undefined ? (
          <Suspense fallback={<Waiting text={common.loading} />}>
            <Editor
              id="yaml"
              label={yaml.of(name || (t.kinds[kind] ?? kind))}
              text={text}
              schema={root.$defs[of] as Schema}
              onChange={(v, r) => {
                setText(v);
                setBad(r.faults.length > 0);
                if (r.value) setDoc(r.value);
              }}
            />
          </Suspense>
        ) : partOf && part ? (
          <SchemaForm of={partOf} value={(doc[part] ?? {}) as Doc} onChange={(v) => setDoc(put(doc, part, v))} id="doc" />
        ) : (
          <SchemaForm of={of} value={doc} onChange={setDoc} id="doc" />
        )}
        <div className="b-buttons b-form__foot">
          <Why text={may.why}>
            <Button type="submit" isAriaDisabled={may.isAriaDisabled || !name || taken || bad || !changed}>
              {t.showPlan}
            </Button>
          </Why>
          <Button variant="link" onClick={back}>
            {t.cancel}
          </Button>
        </div>
      </form>
      {id && <Changes of={kind === 'cluster' ? kind : `${kind}/${id}`} />}
    </>
  );
}
