import { Alert, Checkbox, FormGroup, Radio, Wizard, WizardStep } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import { propose } from '../../components/change/proposal';
import { Document } from '../../components/Document';
import { agentsQuery } from '../../components/form/agent';
import { AgentParameters } from '../../components/form/AgentParameters';
import { TextField } from '../../components/form/controls';
import { hosts } from '../../components/hosts';
import { PageTitle } from '../../components/PageTitle';
import { quote } from '../../components/quote';
import { fencing } from '../../texts/protect';
import { fenceWizard as t } from '../../texts/wizards';
import { complete, levels, made, nothing, type Place, type Typed } from './made';

/** The wizard of a fence device: what it is, whom it fences, and when it is tried. */
export default function FenceWizard() {
  const navigate = useNavigate();
  const s = useSummary();
  const config = useConfig();
  const agents = useQuery(agentsQuery);
  const [typed, setTyped] = useState<Typed>(nothing);
  const set = (part: Partial<Typed>) => setTyped({ ...typed, ...part });
  const nodes = hosts(s).map((n) => n.name);
  const present = Object.fromEntries(Object.entries(config.data?.config['fence-topology'] ?? {}).map(([n, d]) => [n, (d.levels ?? []) as string[][]]));
  const taken = (config.data?.config['fence-devices'] ?? {})[typed.name] !== undefined;
  const ok = complete(typed);
  const ready = ok.device && ok.targets && !taken;
  const value = made(typed, nodes, present);
  const after = levels(typed, nodes, present);
  const show = () =>
    propose({
      title: t.propose(typed.name),
      change: () => ({ action: 'apply', object: 'cluster', merge: true, value }),
      cli: () => `echo ${quote(JSON.stringify(value))} | belay apply --merge -f -`,
      onApplied: () => void navigate(`/fencing/${encodeURIComponent(typed.name)}/test`),
    });
  const names = { nextButtonText: t.next, backButtonText: t.back, cancelButtonText: t.cancel };
  return (
    <>
      <PageTitle title={t.title} parents={[{ text: fencing.title, to: '/fencing' }]} lead={t.lead} />
      <Wizard navAriaLabel={t.title} onClose={() => void navigate('/fencing')} className="b-wizard">
        <WizardStep name={t.steps.device} id="device" footer={{ ...names, isNextDisabled: !ok.device || taken }}>
          <div className="b-form">
            <TextField id="name" label={t.name} help={t.nameHelp} required value={typed.name} onChange={(v) => set({ name: v })} pattern="^[A-Za-z_][\w.-]*$" />
            {taken && <Alert variant="warning" isInline isPlain title={t.taken(typed.name)} />}
            <TextField
              id="agent"
              label={t.agent}
              help={t.agentHelp}
              required
              value={typed.agent}
              options={agents.data?.filter((a) => a.startsWith('fence:')).map((a) => a.slice('fence:'.length))}
              onChange={(v) => set({ agent: v })}
            />
            {typed.agent && <AgentParameters key={typed.agent} agent={typed.agent} fence id="parameters" value={typed.parameters} onChange={(v) => set({ parameters: v })} />}
          </div>
        </WizardStep>
        <WizardStep name={t.steps.targets} id="targets" isDisabled={!ok.device || taken} footer={{ ...names, isNextDisabled: !ok.targets }}>
          <div className="b-form">
            <FormGroup role="radiogroup" label={t.which} fieldId="which">
              <Radio id="all" name="which" label={t.all} isChecked={typed.all} onChange={() => set({ all: true })} />
              <Radio id="some" name="which" label={t.some} isChecked={!typed.all} onChange={() => set({ all: false })} />
            </FormGroup>
            {!typed.all &&
              nodes.map((n) => (
                <div key={n} className="b-target">
                  <Checkbox
                    id={`target-${n}`}
                    label={<bdi className="b-wrap">{n}</bdi>}
                    isChecked={n in typed.targets}
                    onChange={(_, on) => set({ targets: on ? { ...typed.targets, [n]: '' } : Object.fromEntries(Object.entries(typed.targets).filter(([k]) => k !== n)) })}
                  />
                  {n in typed.targets && <TextField id={`plug-${n}`} label={t.plug(n)} help={t.plugHelp} value={typed.targets[n]!} onChange={(v) => set({ targets: { ...typed.targets, [n]: v } })} />}
                </div>
              ))}
          </div>
        </WizardStep>
        <WizardStep name={t.steps.levels} id="levels" isDisabled={!ready} footer={names}>
          <div className="b-form">
            <FormGroup role="radiogroup" label={t.place} fieldId="place">
              {Object.entries(t.places).map(([key, [label, help]]) => (
                <Radio key={key} id={`place-${key}`} name="place" label={label} description={help} isChecked={typed.place === key} onChange={() => set({ place: key as Place })} />
              ))}
            </FormGroup>
            {Object.keys(after).length === 0 ? (
              <p className="b-subtle">{t.unchanged}</p>
            ) : (
              <div>
                <strong>{t.levelsOf}</strong>
                <ul className="b-list">
                  {Object.entries(after).map(([node, list]) => (
                    <li key={node}>
                      <bdi className="b-wrap">{node}</bdi>
                      <ol className="b-levels">
                        {list.map((l, i) => (
                          <li key={i}>
                            <span className="b-subtle">{fencing.level(i + 1)}</span> <bdi className="b-wrap">{l.join(' + ')}</bdi>
                          </li>
                        ))}
                      </ol>
                    </li>
                  ))}
                </ul>
              </div>
            )}
          </div>
        </WizardStep>
        <WizardStep name={t.steps.review} id="review" isDisabled={!ready} footer={{ ...names, nextButtonText: t.show, isNextDisabled: !ready, onNext: show }}>
          <Document value={value} />
        </WizardStep>
      </Wizard>
    </>
  );
}
