import { Alert, Button, Form } from '@patternfly/react-core';
import TrashIcon from '@patternfly/react-icons/dist/esm/icons/trash-icon';
import { useRef, useState } from 'react';
import { Link } from 'react-router';
import { TextField } from '../../components/form/controls';
import { Panel } from '../../components/Panel';
import { whatIf as t } from '../../texts/what-if';
import { addressOf, read, readAll, write, writeAll, type Saved, type Scenario } from './scenario';

const key = 'belay-scenarios';

function kept(): Saved[] {
  try {
    return readAll(localStorage.getItem(key));
  } catch {
    return []; // the browser keeps nothing
  }
}

/** download gives a scenario to the browser as a file. */
function download(s: Saved) {
  const url = URL.createObjectURL(new Blob([write(s)], { type: 'application/json' }));
  const a = document.createElement('a');
  a.href = url;
  a.download = `${s.name.replace(/[^\w.-]+/g, '-') || 'scenario'}.json`;
  a.click();
  // The download has taken it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Saves keeps scenarios in the browser, and in files. */
export function Saves({ scenario, empty, onSuppose }: { scenario: Scenario; empty: boolean; onSuppose: (s: Scenario) => void }) {
  const [list, setList] = useState(kept);
  const [name, setName] = useState('');
  const [problem, setProblem] = useState('');
  const file = useRef<HTMLInputElement>(null);
  const keep = (text: string) => {
    try {
      localStorage.setItem(key, text);
      setProblem('');
    } catch {
      setProblem(t.notKept);
    }
    setList(readAll(text));
  };
  const open = async (f: File | undefined) => {
    if (!f) return;
    try {
      const s = f.size < 1e6 ? read(JSON.parse(await f.text())) : undefined;
      setProblem(s ? '' : t.notScenario);
      if (s) {
        setName(s.name);
        onSuppose(s.scenario);
      }
    } catch {
      setProblem(t.notScenario);
    }
  };
  return (
    <Panel
      title={t.saved}
      actions={
        <>
          <input ref={file} type="file" accept=".json,application/json" hidden aria-label={t.open} onChange={(e) => (void open(e.target.files?.[0]), (e.target.value = ''))} />
          <Button variant="link" isInline onClick={() => file.current?.click()}>
            {t.open}
          </Button>
        </>
      }
    >
      <div className="b-stack">
        <p className="b-subtle">{t.savedLead}</p>
        {problem && <Alert variant="warning" isInline title={problem} isLiveRegion />}
        {list.length === 0 && <p>{t.noneSaved}</p>}
        {list.length > 0 && (
          <ul className="b-list" aria-label={t.saved}>
            {list.map((s) => (
              <li key={s.name} className="b-saved">
                <Link to={`/what-if?${addressOf(s.scenario)}`} className="b-wrap">
                  <bdi>{s.name}</bdi>
                </Link>
                <Button variant="link" isInline aria-label={`${t.download}: ${s.name}`} onClick={() => download(s)}>
                  {t.download}
                </Button>
                <Button variant="plain" size="sm" icon={<TrashIcon />} aria-label={t.forget(s.name)} onClick={() => keep(writeAll(list.filter((x) => x.name !== s.name)))} />
              </li>
            ))}
          </ul>
        )}
        {!empty && (
          <Form
            className="b-add"
            onSubmit={(e) => {
              e.preventDefault();
              if (name.trim()) keep(writeAll(list, { name: name.trim(), scenario }));
            }}
          >
            <TextField id="scenario-name" label={t.name} value={name} onChange={(v) => setName(v.slice(0, 100))} />
            <Button type="submit" variant="secondary" isDisabled={!name.trim()}>
              {t.save}
            </Button>
            <Button variant="link" isDisabled={!name.trim()} onClick={() => download({ name: name.trim(), scenario })}>
              {t.download}
            </Button>
          </Form>
        )}
      </div>
    </Panel>
  );
}
