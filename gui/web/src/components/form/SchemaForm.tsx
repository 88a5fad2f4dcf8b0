import { Button, ExpandableSection } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import { form as t } from '../../texts/form';
import { hosts } from '../hosts';
import { agentsQuery } from './agent';
import { AgentParameters } from './AgentParameters';
import { BooleanField, ChoiceField, JSONField, LevelsField, LinesField, LongField, MapField, NumberField, TextField } from './controls';
import { builtinFilters, exclusive, fieldsOf, type Field } from './schema';

export type Doc = Record<string, unknown>;

/** put sets a field; one that is empty is left out, so that its default holds. */
export function put(doc: Doc, name: string, v: unknown): Doc {
  const next = { ...doc };
  const empty = v === undefined || v === '' || (Array.isArray(v) && v.length === 0) || (typeof v === 'object' && v !== null && !Array.isArray(v) && Object.keys(v).length === 0);
  if (empty) delete next[name];
  else next[name] = v;
  return next;
}

interface Props {
  /** The definition of the model. */
  of: string;
  value: Doc;
  onChange: (v: Doc) => void;
  id: string;
}

/** SchemaForm is the form of a document, from the schema of the model. */
export function SchemaForm({ of, value, onChange, id }: Props) {
  const { basic, more } = fieldsOf(of);
  const choices = exclusive[of];
  const [which, setWhich] = useState(() => choices?.find((c) => value[c] !== undefined) ?? choices?.[0]);
  const visible = (f: Field) => !choices?.includes(f.name) || f.name === which;
  // Only a primitive has an agent, and with it parameters and operations.
  const fits = (f: Field) => of !== 'Resource' || which === 'agent' || !['parameters', 'operations'].includes(f.name) || value[f.name] !== undefined;
  const field = (f: Field) => <SchemaField key={f.name} f={f} of={of} doc={value} id={`${id}-${f.name}`} onChange={(v) => onChange(put(value, f.name, v))} />;
  const folded = more.filter(visible).filter(fits);
  const set = folded.filter((f) => value[f.name] !== undefined).length;
  return (
    <div className="b-form">
      {choices && (
        <ChoiceField
          id={`${id}-which`}
          label={t.which}
          options={choices.map((c) => ({ value: c, text: t.whichOf[c] ?? '' }))}
          value={which}
          onChange={(w) => {
            if (!w) return;
            setWhich(w);
            onChange(Object.fromEntries(Object.entries(value).filter(([k]) => !choices.includes(k))));
          }}
        />
      )}
      {basic.filter(visible).filter(fits).map(field)}
      {folded.length > 0 && (
        <ExpandableSection toggleText={t.more(set)} isIndented>
          <div className="b-form">{folded.map(field)}</div>
        </ExpandableSection>
      )}
    </div>
  );
}

/** useSuggestions offers what there is, for fields that name it. */
function useSuggestions(of: string, field: string): string[] | undefined {
  const s = useSummary();
  const config = useConfig();
  const agents = useQuery({ ...agentsQuery, enabled: field === 'agent' });
  switch (field) {
    case 'agent':
      return of === 'FenceDevice' ? agents.data?.filter((a) => a.startsWith('fence:')).map((a) => a.slice('fence:'.length)) : agents.data?.filter((a) => !a.startsWith('fence:'));
    case 'resource':
    case 'with':
    case 'first':
    case 'then':
    case 'container':
      return (s.resources ?? []).map((r) => r.id);
    case 'node':
    case 'targets':
      return hosts(s).map((n) => n.name);
    case 'ticket':
      return Object.keys(config.data?.config.tickets ?? {});
    case 'user':
      return of === 'SNMPTarget' ? Object.keys(config.data?.config['snmp-users'] ?? {}) : undefined;
    case 'auth':
      return ['SHA-256', 'SHA-512', 'SHA'];
    case 'priv':
      return ['AES', 'AES-256'];
    case 'filter':
      return [...builtinFilters, ...Object.keys(config.data?.config['cim-filters'] ?? {})];
    case 'destination':
      return Object.keys(config.data?.config['cim-destinations'] ?? {});
    case 'format':
      return of === 'Webhook' ? ['json', 'text'] : undefined;
    case 'security':
      return of === 'MailTarget' ? ['starttls', 'tls', 'none'] : undefined;
    case 'language':
      return ['DMTF:CQL', 'WQL'];
    case 'site':
      return [...new Set(hosts(s).map((n) => n.site ?? '').filter(Boolean))];
    case 'role':
      return of === 'RoleBinding' ? ['viewer', 'operator', 'admin', 'auditor', 'security-admin', ...Object.keys(config.data?.config.roles ?? {})] : undefined;
  }
  return undefined;
}

function SchemaField({ f, of, doc, id, onChange }: { f: Field; of: string; doc: Doc; id: string; onChange: (v: unknown) => void }) {
  const suggestions = useSuggestions(of, f.name);
  const value = doc[f.name];
  const c = f.control;
  const common = { id, label: f.name, help: f.help, required: f.required };
  if (f.name === 'parameters' && (of === 'Resource' || of === 'FenceDevice')) {
    const agent = typeof doc.agent === 'string' ? doc.agent : '';
    return <AgentParameters key={agent} agent={agent} fence={of === 'FenceDevice'} value={(value ?? {}) as Record<string, string>} onChange={onChange} id={id} />;
  }
  switch (c.control) {
    case 'text': {
      const help = [f.help, c.unit && t.pattern[c.unit], f.name === 'agent' && of === 'Resource' && t.agentHelp].filter(Boolean).join(' ');
      // A score may be a number in the document; both are the same.
      const text = typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
      return <TextField {...common} help={help} value={text} pattern={c.pattern} options={suggestions} onChange={(v) => onChange(c.unit === 'score' && /^[+-]?\d+$/.test(v) ? Number(v) : v)} />;
    }
    case 'secret':
      return <TextField {...common} help={[f.help, typeof value === 'string' && t.secret].filter(Boolean).join('. ')} secret value={typeof value === 'string' ? value : ''} onChange={onChange} />;
    case 'long':
      return <LongField {...common} value={typeof value === 'string' ? value : ''} onChange={onChange} />;
    case 'number':
      return <NumberField {...common} value={value as number | undefined} onChange={onChange} />;
    case 'boolean':
      return <BooleanField {...common} value={value as boolean | undefined} onChange={onChange} />;
    case 'choice':
      return <ChoiceField {...common} value={value as string | undefined} options={c.options} onChange={onChange} />;
    case 'map':
      return <MapField {...common} of={c.of} value={(value ?? {}) as Record<string, string>} onChange={onChange} keys={suggestions} />;
    case 'lines':
      return <LinesField {...common} value={(value ?? []) as string[]} onChange={onChange} />;
    case 'levels':
      return <LevelsField {...common} value={(value ?? []) as string[][]} onChange={onChange} />;
    case 'json':
      return <JSONField {...common} value={value} onChange={onChange} />;
    case 'object':
      return <ObjectField f={f} of={c.of} value={(value ?? {}) as Doc} onChange={onChange} id={id} open={f.required || exclusive[of]?.includes(f.name) === true} />;
    case 'list':
      return <ListField f={f} of={c.of} value={(value ?? []) as Doc[]} onChange={onChange} id={id} />;
  }
}

function ObjectField({ f, of, value, onChange, id, open }: { f: Field; of: string; value: Doc; onChange: (v: Doc) => void; id: string; open: boolean }) {
  const body = (
    <>
      {f.help && <p className="b-subtle b-wrap b-small">{f.help}</p>}
      <SchemaForm of={of} value={value} onChange={onChange} id={id} />
    </>
  );
  if (open) {
    return (
      <fieldset className="b-fieldset">
        <legend>{f.name}</legend>
        {body}
      </fieldset>
    );
  }
  return (
    <ExpandableSection toggleText={t.part(f.name, Object.keys(value).length)} isIndented>
      {body}
    </ExpandableSection>
  );
}

function ListField({ f, of, value, onChange, id }: { f: Field; of: string; value: Doc[]; onChange: (v: Doc[]) => void; id: string }) {
  // Rows keep their own number, so that removing one does not mix up the others.
  const [keys, setKeys] = useState(() => value.map((_, i) => i));
  const [next, setNext] = useState(value.length);
  return (
    <fieldset className="b-fieldset">
      <legend>{f.name}</legend>
      {f.help && <p className="b-subtle b-wrap b-small">{f.help}</p>}
      {value.map((v, i) => (
        <div key={keys[i]} className="b-item">
          <SchemaForm of={of} value={v} id={`${id}-${keys[i]}`} onChange={(x) => onChange(value.map((y, j) => (j === i ? x : y)))} />
          <Button
            variant="link"
            isDanger
            isInline
            onClick={() => {
              setKeys(keys.filter((_, j) => j !== i));
              onChange(value.filter((_, j) => j !== i));
            }}
          >
            {t.remove(`${f.name} ${i + 1}`)}
          </Button>
        </div>
      ))}
      <Button
        variant="link"
        isInline
        onClick={() => {
          setKeys([...keys, next]);
          setNext(next + 1);
          onChange([...value, {}]);
        }}
      >
        {t.add(f.name)}
      </Button>
    </fieldset>
  );
}
