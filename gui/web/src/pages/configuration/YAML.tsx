import { Alert, Button } from '@patternfly/react-core';
import { useEffect, useState } from 'react';
import { useConfig } from '../../api/queries';
import type { Config } from '../../api/types';
import { useAllowed, Why } from '../../components/Actions';
import { differences } from '../../components/change/diff';
import { cliOf, propose, whole, type Edit } from '../../components/change/proposal';
import { CLI } from '../../components/CLI';
import { root } from '../../components/form/schema';
import { PageTitle } from '../../components/PageTitle';
import { ProblemAlert } from '../../components/ProblemAlert';
import Editor from '../../components/yaml/Editor';
import { read, write, type Read } from '../../components/yaml/read';
import { Waiting } from '../../shell/App';
import { common } from '../../texts/common';
import { yaml as t } from '../../texts/yaml';
import { kept } from './kept';

/** What was typed and not yet applied: it is there again when one comes back to the page. */
let draft: { text: string; began: Config } | undefined;

/** The whole configuration as YAML. */
export default function YAMLPage() {
  const config = useConfig();
  const [began, setBegan] = useState<Config | undefined>(draft?.began);
  if (!began && config.data) setBegan(config.data);
  if (!began) {
    return (
      <>
        <PageTitle title={t.title} lead={t.lead} />
        {config.error ? <ProblemAlert error={config.error} onRetry={() => void config.refetch()} /> : <Waiting text={common.loading} />}
      </>
    );
  }
  const reload = () => {
    draft = undefined;
    setBegan(undefined);
  };
  return <Body key={began.generation} began={began} now={config.data?.generation ?? began.generation} onReload={reload} />;
}

function Body({ began, now, onReload }: { began: Config; now: number; onReload: () => void }) {
  const [returned] = useState(draft !== undefined);
  const [text, setText] = useState(() => draft?.text ?? write(began.config));
  const [found, setFound] = useState<Read>(() => read(text, root));
  const may = useAllowed('apply', 'cluster');
  const next = found.value && kept(began.config, found.value);
  const changed = next ? differences(began.config, next).length : 0;
  const dirty = changed > 0 || !found.value;
  useEffect(() => {
    draft = dirty ? { text, began } : undefined;
    if (!dirty) return;
    const ask = (e: BeforeUnloadEvent) => e.preventDefault();
    window.addEventListener('beforeunload', ask);
    return () => window.removeEventListener('beforeunload', ask);
  }, [dirty, text, began]);
  const blocked = may.isAriaDisabled || found.faults.length > 0 || changed === 0;
  const show = () => {
    const edit: Edit = { kind: whole, id: whole, base: began.config, next, generation: began.generation };
    propose({ title: t.propose, edit, cli: () => cliOf(edit), onApplied: onReload, onDiscard: onReload });
  };
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} />
      <div className="b-stack">
        {returned && dirty && <Alert variant="info" isInline isPlain title={t.draft} />}
        {now > began.generation && dirty && <Alert variant="info" isInline isPlain title={t.newer} />}
        <div>
          <Editor
            id="yaml"
            label={t.label}
            text={text}
            schema={root}
            onChange={(v, r) => {
              setText(v);
              setFound(r);
            }}
          />
          <p className="b-subtle b-small">{t.secrets}</p>
        </div>
        <div className="b-buttons">
          <Why text={may.why}>
            <Button isAriaDisabled={blocked} onClick={() => !blocked && show()}>
              {t.show}
            </Button>
          </Why>
          {(dirty || now > began.generation) && (
            <Button variant="link" onClick={onReload}>
              {dirty ? t.reset : common.reload}
            </Button>
          )}
          <span className="b-subtle">{found.value && (changed > 0 ? t.changes(changed) : t.unchanged)}</span>
        </div>
        <CLI text="belay get > cluster.yaml; belay apply -f cluster.yaml --dry-run" />
      </div>
    </>
  );
}
