import { Button, FormGroup, FormHelperText, FormSelect, FormSelectOption, HelperText, HelperTextItem, Popover, TextArea, TextInput } from '@patternfly/react-core';
import OutlinedQuestionCircleIcon from '@patternfly/react-icons/dist/esm/icons/outlined-question-circle-icon';
import TrashIcon from '@patternfly/react-icons/dist/esm/icons/trash-icon';
import { useState, type ReactNode } from 'react';
import { form as t } from '../../texts/form';

interface Common {
  id: string;
  label: string;
  help?: string;
  long?: string;
  required?: boolean;
}

/** Group is a field with its name, its help and what is wrong with it. */
export function Group({ id, label, help, long, required, error, children }: Common & { error?: string; children: ReactNode }) {
  return (
    <FormGroup
      label={label}
      fieldId={id}
      isRequired={required}
      labelHelp={
        long ? (
          <Popover headerContent={label} bodyContent={<p className="b-help">{long}</p>}>
            <Button variant="plain" hasNoPadding aria-label={`? ${label}`} icon={<OutlinedQuestionCircleIcon />} />
          </Popover>
        ) : undefined
      }
    >
      {children}
      {(error || help) && (
        <FormHelperText>
          <HelperText id={`${id}-help`}>
            {error && <HelperTextItem variant="error">{error}</HelperTextItem>}
            {help && <HelperTextItem className="b-wrap">{help}</HelperTextItem>}
          </HelperText>
        </FormHelperText>
      )}
    </FormGroup>
  );
}

export function TextField({
  value,
  onChange,
  pattern,
  placeholder,
  options,
  secret,
  ...common
}: Common & { value: string; onChange: (v: string) => void; pattern?: string; placeholder?: string; options?: string[]; secret?: boolean }) {
  const bad = value !== '' && pattern !== undefined && !new RegExp(pattern).test(value);
  return (
    <Group {...common} error={bad ? t.invalid : undefined}>
      <TextInput
        id={common.id}
        type={secret ? 'password' : 'text'}
        autoComplete={secret ? 'new-password' : 'off'}
        spellCheck="false"
        value={value}
        onChange={(_, v) => onChange(v)}
        placeholder={placeholder}
        validated={bad ? 'error' : 'default'}
        isRequired={common.required}
        list={options ? `${common.id}-list` : undefined}
        aria-describedby={common.help || bad ? `${common.id}-help` : undefined}
      />
      {options && (
        <datalist id={`${common.id}-list`}>
          {options.map((o) => (
            <option key={o} value={o} />
          ))}
        </datalist>
      )}
    </Group>
  );
}

export function NumberField({ value, onChange, ...common }: Common & { value: number | undefined; onChange: (v: number | undefined) => void }) {
  // What is not a number yet stays in the field.
  const [text, setText] = useState(value === undefined ? '' : String(value));
  const shown = text !== '' && Number(text) === value ? text : value === undefined ? text : String(value);
  const bad = shown !== '' && !/^-?\d+$/.test(shown);
  return (
    <Group {...common} error={bad ? t.invalid : undefined}>
      <TextInput
        id={common.id}
        inputMode="numeric"
        value={shown}
        validated={bad ? 'error' : 'default'}
        onChange={(_, v) => {
          setText(v);
          onChange(/^-?\d+$/.test(v) ? Number(v) : undefined);
        }}
      />
    </Group>
  );
}

/** BooleanField has three states: what is not set is inherited, or has its default. */
export function BooleanField({ value, onChange, ...common }: Common & { value: boolean | undefined; onChange: (v: boolean | undefined) => void }) {
  return (
    <Group {...common}>
      <FormSelect id={common.id} value={value === undefined ? '' : String(value)} onChange={(_, v) => onChange(v === '' ? undefined : v === 'true')}>
        <FormSelectOption value="" label={t.notSet} />
        <FormSelectOption value="true" label={t.yes} />
        <FormSelectOption value="false" label={t.no} />
      </FormSelect>
    </Group>
  );
}

export function ChoiceField({ value, onChange, options, ...common }: Common & { value: string | undefined; onChange: (v: string | undefined) => void; options: { value: string; text: string }[] }) {
  const known = value === undefined || options.some((o) => o.value === value);
  return (
    <Group {...common}>
      <FormSelect id={common.id} value={value ?? ''} onChange={(_, v) => onChange(v === '' ? undefined : v)}>
        <FormSelectOption value="" label={t.notSet} />
        {!known && <FormSelectOption value={value} label={value} />}
        {options.map((o) => (
          <FormSelectOption key={o.value} value={o.value} label={o.text ? `${o.value} – ${o.text}` : o.value} />
        ))}
      </FormSelect>
    </Group>
  );
}

/** LinesField edits a list of words, one a line. */
export function LinesField({ value, onChange, help, ...common }: Common & { value: string[]; onChange: (v: string[]) => void }) {
  const [text, setText] = useState(value.join('\n'));
  return (
    <Group {...common} help={[help, t.oneALine].filter(Boolean).join(' ')}>
      <TextArea
        id={common.id}
        value={text}
        resizeOrientation="vertical"
        rows={Math.min(12, Math.max(2, text.split('\n').length))}
        onChange={(_, v) => {
          setText(v);
          onChange(v.split('\n').map((x) => x.trim()).filter(Boolean));
        }}
      />
    </Group>
  );
}

/** LongField edits a text of several lines, as it is. */
export function LongField({ value, onChange, ...common }: Common & { value: string; onChange: (v: string) => void }) {
  return (
    <Group {...common}>
      <TextArea id={common.id} className="b-mono" spellCheck="false" value={value} resizeOrientation="vertical" rows={Math.min(12, Math.max(3, value.split('\n').length))} onChange={(_, v) => onChange(v)} />
    </Group>
  );
}

/** LevelsField edits a list of lists: a line each. */
export function LevelsField({ value, onChange, help, ...common }: Common & { value: string[][]; onChange: (v: string[][]) => void }) {
  const [text, setText] = useState(value.map((l) => l.join(' ')).join('\n'));
  return (
    <Group {...common} help={[help, t.levelALine].filter(Boolean).join(' ')}>
      <TextArea
        id={common.id}
        value={text}
        resizeOrientation="vertical"
        rows={Math.min(12, Math.max(3, text.split('\n').length))}
        onChange={(_, v) => {
          setText(v);
          onChange(v.split('\n').map((x) => x.split(/[\s,]+/).filter(Boolean)).filter((l) => l.length > 0));
        }}
      />
    </Group>
  );
}

export function JSONField({ value, onChange, ...common }: Common & { value: unknown; onChange: (v: unknown) => void }) {
  const [text, setText] = useState(value === undefined ? '' : JSON.stringify(value, null, 2));
  const [bad, setBad] = useState(false);
  return (
    <Group {...common} error={bad ? t.notJSON : undefined}>
      <TextArea
        id={common.id}
        value={text}
        resizeOrientation="vertical"
        validated={bad ? 'error' : 'default'}
        onChange={(_, v) => {
          setText(v);
          try {
            onChange(v.trim() === '' ? undefined : JSON.parse(v));
            setBad(false);
          } catch {
            setBad(true);
          }
        }}
      />
    </Group>
  );
}

type MapValue = Record<string, string | number>;

/** MapField edits names with values. Rows that are not complete stay until they are. */
export function MapField({ id, label, help, of, value, onChange, keys }: Common & { of: 'text' | 'number'; value: MapValue; onChange: (v: MapValue) => void; keys?: string[] }) {
  const [rows, setRows] = useState<[string, string][]>(Object.entries(value).map(([k, v]) => [k, String(v)]));
  const set = (next: [string, string][]) => {
    setRows(next);
    onChange(Object.fromEntries(next.filter(([k, v]) => k !== '' && (of === 'text' || /^-?\d+$/.test(v))).map(([k, v]) => [k, of === 'number' ? Number(v) : v])));
  };
  return (
    <fieldset className="b-fieldset">
      <legend>{label}</legend>
      {help && <p className="b-subtle b-wrap b-small">{help}</p>}
      {rows.map(([k, v], i) => (
        <div key={i} className="b-pair">
          <TextInput aria-label={`${label}: ${t.key} ${i + 1}`} value={k} placeholder={t.key} list={keys ? `${id}-keys` : undefined} onChange={(_, x) => set(rows.map((r, j) => (j === i ? [x, r[1]] : r)))} />
          <TextInput aria-label={`${label}: ${t.value} ${i + 1}`} value={v} placeholder={t.value} inputMode={of === 'number' ? 'numeric' : undefined} onChange={(_, x) => set(rows.map((r, j) => (j === i ? [r[0], x] : r)))} />
          <Button variant="plain" aria-label={t.remove(k || t.entry)} icon={<TrashIcon />} onClick={() => set(rows.filter((_, j) => j !== i))} />
        </div>
      ))}
      {keys && (
        <datalist id={`${id}-keys`}>
          {keys.map((o) => (
            <option key={o} value={o} />
          ))}
        </datalist>
      )}
      <Button variant="link" isInline onClick={() => setRows([...rows, ['', '']])}>
        {t.add(t.entry)}
      </Button>
    </fieldset>
  );
}
