import { Button, Form, FormGroup, FormSelect, FormSelectOption, TextInput } from '@patternfly/react-core';
import { useState } from 'react';
import { useSummary } from '../../api/live';
import { hosts } from '../../components/hosts';
import { whatIf as t } from '../../texts/what-if';
import { withNodes, type Scenario } from './scenario';

interface Props {
  scenario: Scenario;
  onSuppose: (s: Scenario) => void;
}

/** quickMax is how many nodes have a button of their own. */
const quickMax = 8;

function sitesOf(nodes: { name: string; site?: string }[]): Map<string, string[]> {
  const out = new Map<string, string[]>();
  for (const n of nodes) if (n.site) out.set(n.site, [...(out.get(n.site) ?? []), n.name]);
  return out;
}

/** Quick is the questions that are asked first: a node, a site, the quorum. */
export function Quick({ scenario, onSuppose }: Props) {
  const nodes = hosts(useSummary());
  const sites = sitesOf(nodes);
  return (
    <div className="b-buttons" role="group" aria-label={t.quick}>
      {nodes.slice(0, quickMax).map((n) => (
        <Button key={n.name} variant="secondary" size="sm" isDisabled={scenario.node[n.name] === 'unclean'} onClick={() => onSuppose(withNodes(scenario, [n.name], 'unclean'))}>
          {t.down(n.name)}
        </Button>
      ))}
      {sites.size > 1 &&
        [...sites].slice(0, quickMax).map(([site, names]) => (
          <Button key={site} variant="secondary" size="sm" isDisabled={names.every((n) => scenario.node[n] === 'unclean')} onClick={() => onSuppose(withNodes(scenario, names, 'unclean'))}>
            {t.siteDown(site)}
          </Button>
        ))}
      <Button variant="secondary" size="sm" isDisabled={scenario.quorum === 'lost'} onClick={() => onSuppose({ ...scenario, quorum: 'lost' })}>
        {t.quorumLost}
      </Button>
    </div>
  );
}

type Kind = keyof typeof t.kinds;

/** Add supposes anything. */
export function Add({ scenario, onSuppose }: Props) {
  const s = useSummary();
  const nodes = hosts(s);
  const sites = sitesOf(nodes);
  const things: Record<Kind, string[]> = {
    node: nodes.map((n) => n.name),
    site: [...sites.keys()].sort(),
    quorum: [],
    ticket: (s.tickets ?? []).map((k) => k.id),
    resource: (s.resources ?? []).map((r) => r.id),
    fail: (s.resources ?? []).filter((r) => r.kind === 'primitive').map((r) => r.id),
  };
  const states: Record<Kind, Record<string, string>> = { node: t.node, site: t.node, quorum: t.quorum, ticket: t.ticket, resource: t.resource, fail: t.fail };
  const kinds = (Object.keys(t.kinds) as Kind[]).filter((k) => k === 'quorum' || things[k].length > 0);
  const [kind, setKind] = useState<Kind>('node');
  const [thing, setThing] = useState('');
  const [state, setState] = useState('');
  const [on, setOn] = useState('');
  const id = thing || (kind === 'resource' || kind === 'fail' ? '' : (things[kind][0] ?? ''));
  const is = state || Object.keys(states[kind])[0]!;
  const node = on || (nodes[0]?.name ?? '');
  const ready = kind === 'quorum' || things[kind].includes(id);
  const add = () => {
    if (!ready) return;
    if (kind === 'quorum') onSuppose({ ...scenario, quorum: is });
    else if (kind === 'site') onSuppose(withNodes(scenario, sites.get(id) ?? [], is));
    else if (kind === 'fail') onSuppose({ ...scenario, fail: [...new Set([...scenario.fail, `${id}:${is}@${node}`])] });
    else onSuppose({ ...scenario, [kind]: { ...scenario[kind], [id]: is } });
    setThing('');
  };
  const select = (field: string, label: string, value: string, options: [string, string][], set: (v: string) => void) => (
    <FormGroup label={label} fieldId={field}>
      <FormSelect id={field} value={value} onChange={(_, v) => set(v)}>
        {options.map(([v, name]) => (
          <FormSelectOption key={v} value={v} label={name} />
        ))}
      </FormSelect>
    </FormGroup>
  );
  return (
    <Form
      className="b-add"
      onSubmit={(e) => {
        e.preventDefault();
        add();
      }}
    >
      {select('suppose-kind', t.kind, kind, kinds.map((k) => [k, t.kinds[k]]), (v) => (setKind(v as Kind), setThing(''), setState('')))}
      {(kind === 'resource' || kind === 'fail') && (
        // There may be a thousand: one types a part of the name.
        <FormGroup label={t.which} fieldId="suppose-which">
          <TextInput id="suppose-which" list="suppose-things" value={thing} onChange={(_, v) => setThing(v)} autoComplete="off" spellCheck="false" />
          <datalist id="suppose-things">
            {things[kind].map((r) => (
              <option key={r} value={r} />
            ))}
          </datalist>
        </FormGroup>
      )}
      {(kind === 'node' || kind === 'site' || kind === 'ticket') && select('suppose-which', t.which, id, things[kind].map((n) => [n, n]), setThing)}
      {select('suppose-state', t.state, is, Object.entries(states[kind]), setState)}
      {kind === 'fail' && select('suppose-on', t.failOn, node, nodes.map((n) => [n.name, n.name]), setOn)}
      <Button type="submit" variant="secondary" isDisabled={!ready}>
        {t.add}
      </Button>
    </Form>
  );
}
