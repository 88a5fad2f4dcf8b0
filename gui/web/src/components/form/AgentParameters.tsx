import { ExpandableSection, Skeleton } from '@patternfly/react-core';
import { form as t } from '../../texts/form';
import { agentID, sortParameters, useAgent, type Parameter } from './agent';
import { BooleanField, ChoiceField, MapField, TextField } from './controls';

type Values = Record<string, string>;

/** AgentParameters is the form of an agent's parameters, from its metadata. */
export function AgentParameters({ agent, fence, value, onChange, id }: { agent: string; fence: boolean; value: Values; onChange: (v: Values) => void; id: string }) {
  const q = useAgent(agentID(agent, fence));
  const set = (name: string, v: string | undefined) => {
    const next = { ...value };
    if (v === undefined || v === '') delete next[name];
    else next[name] = v;
    onChange(next);
  };
  if (q.isLoading) return <Skeleton screenreaderText={t.parameters} />;
  const list = q.data?.parameters ?? [];
  if (list.length === 0) {
    return (
      <>
        {agent && <p className="b-subtle">{t.unknownAgent}</p>}
        <MapField id={id} label={t.parameters} of="text" value={value} onChange={(v) => onChange(v as Values)} />
      </>
    );
  }
  const s = sortParameters(list, value, fence);
  const field = (p: Parameter) => <ParameterField key={p.name} p={p} id={`${id}-${p.name}`} value={value[p.name]} onChange={(v) => set(p.name, v)} />;
  const other = Object.fromEntries(s.other.map((n) => [n, value[n]!]));
  return (
    <fieldset className="b-fieldset">
      <legend>{t.parameters}</legend>
      {q.data?.shortDesc && <p className="b-subtle b-wrap">{q.data.shortDesc}</p>}
      {s.basic.map(field)}
      {s.advanced.length > 0 && (
        <ExpandableSection toggleText={t.advanced(0)} isIndented>
          <div className="b-form">{s.advanced.map(field)}</div>
        </ExpandableSection>
      )}
      {s.other.length > 0 && (
        <MapField
          id={`${id}-other`}
          label={t.otherParameters}
          of="text"
          value={other}
          onChange={(v) => onChange({ ...Object.fromEntries(Object.entries(value).filter(([k]) => !s.other.includes(k))), ...(v as Values) })}
        />
      )}
    </fieldset>
  );
}

function ParameterField({ p, id, value, onChange }: { p: Parameter; id: string; value: string | undefined; onChange: (v: string | undefined) => void }) {
  const def = p.hasDefault && p.default ? t.default(p.default) : '';
  const help = [p.shortDesc, p.deprecated && p.replacedBy?.length ? t.obsolete(p.replacedBy.join(', ')) : '', def].filter(Boolean).join(' · ');
  const common = { id, label: p.name, help, long: p.longDesc, required: p.required };
  if (p.type === 'boolean') {
    const on = value === undefined ? undefined : /^(1|true|yes|on)$/i.test(value);
    return <BooleanField {...common} value={on} onChange={(v) => onChange(v === undefined ? undefined : v ? 'true' : 'false')} />;
  }
  if (p.type === 'select' && p.options?.length) {
    return <ChoiceField {...common} options={p.options.map((o) => ({ value: o, text: '' }))} value={value} onChange={onChange} />;
  }
  const secret = p.secret === true || /^(passw(or)?d|passwd|.*_passw(or)?d|.*passphrase)$/.test(p.name);
  return <TextField {...common} secret={secret} help={secret ? [help, t.secret].filter(Boolean).join(' · ') : help} value={value ?? ''} onChange={onChange} placeholder={p.default} pattern={p.type === 'integer' ? '^-?\\d+$' : undefined} />;
}
