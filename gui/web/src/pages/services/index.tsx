import { Alert, Checkbox, FormGroup, Wizard, WizardStep } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { useSummary } from '../../api/live';
import { propose } from '../../components/change/proposal';
import { quote } from '../../components/quote';
import { Document } from '../../components/Document';
import { agentsQuery } from '../../components/form/agent';
import { AgentParameters } from '../../components/form/AgentParameters';
import { TextField } from '../../components/form/controls';
import { PageTitle } from '../../components/PageTitle';
import { service as t } from '../../texts/form';
import { resources } from '../../texts/resources';
import { complete, nothing, parts, type Typed } from './parts';

/** The wizard of a first service: an address, a file system and a program, in the right order. */
export default function NewService() {
  const navigate = useNavigate();
  const s = useSummary();
  const agents = useQuery(agentsQuery);
  const [typed, setTyped] = useState<Typed>(nothing);
  const set = (part: Partial<Typed>) => setTyped({ ...typed, ...part });
  const ok = complete(typed);
  const made = parts(typed);
  const taken = (s.resources ?? []).map((r) => r.id).filter((id) => id in made);
  const show = () => {
    const value = { resources: made };
    propose({
      title: t.propose(typed.name),
      change: () => ({ action: 'apply', object: 'cluster', merge: true, value }),
      cli: () => `echo ${quote(JSON.stringify(value))} | belay apply --merge -f -`,
      onApplied: () => void navigate(`/resources/${encodeURIComponent(typed.name)}`),
    });
  };
  const ready = ok.what && ok.address && ok.disk && ok.program && taken.length === 0;
  const names = { nextButtonText: t.next, backButtonText: t.back, cancelButtonText: t.cancel };
  const field = (key: 'ip' | 'mask' | 'nic' | 'device' | 'directory' | 'fstype' | 'options', label: string, help?: string, required?: boolean, options?: string[]) => (
    <TextField id={key} label={label} help={help} required={required} options={options} value={typed[key]} onChange={(v) => set({ [key]: v })} />
  );
  return (
    <>
      <PageTitle title={t.title} parents={[{ text: resources.title, to: '/resources' }]} lead={t.lead} />
      <Wizard navAriaLabel={t.title} onClose={() => void navigate('/resources')} className="b-wizard">
        <WizardStep name={t.steps.what} id="what" footer={{ ...names, isNextDisabled: !ok.what || taken.length > 0 }}>
          <div className="b-form">
            <TextField id="service" label={t.name} help={t.nameHelp} required value={typed.name} onChange={(v) => set({ name: v })} pattern="^[A-Za-z_][\w.-]*$" />
            {taken.length > 0 && <Alert variant="warning" isInline isPlain title={t.taken(taken.join(', '))} />}
            <FormGroup role="group" label={t.parts} fieldId="parts">
              <Checkbox id="with-disk" label={t.withDisk} isChecked={typed.disk} onChange={(_, v) => set({ disk: v })} />
              <Checkbox id="with-address" label={t.withAddress} isChecked={typed.address} onChange={(_, v) => set({ address: v })} />
            </FormGroup>
          </div>
        </WizardStep>
        <WizardStep name={t.steps.disk} id="disk" isHidden={!typed.disk} isDisabled={!ok.what} footer={{ ...names, isNextDisabled: !ok.disk }}>
          <div className="b-form">
            {field('device', t.device, t.deviceHelp, true)}
            {field('directory', t.directory, undefined, true)}
            {field('fstype', t.fstype, undefined, true, ['xfs', 'ext4', 'btrfs', 'nfs', 'gfs2'])}
            {field('options', t.options)}
          </div>
        </WizardStep>
        <WizardStep name={t.steps.address} id="address" isHidden={!typed.address} isDisabled={!ok.what} footer={{ ...names, isNextDisabled: !ok.address }}>
          <div className="b-form">
            {field('ip', t.ip, t.ipHelp, true)}
            {field('mask', t.mask, t.maskHelp)}
            {field('nic', t.nic, t.nicHelp)}
          </div>
        </WizardStep>
        <WizardStep name={t.steps.program} id="program" isDisabled={!ok.what} footer={{ ...names, isNextDisabled: !ok.program }}>
          <div className="b-form">
            <TextField id="agent" label={t.agent} help={t.agentHelp} required value={typed.agent} options={agents.data?.filter((a) => !a.startsWith('fence:'))} onChange={(v) => set({ agent: v })} />
            {ok.program && <AgentParameters key={typed.agent} agent={typed.agent} fence={false} id="parameters" value={typed.parameters} onChange={(v) => set({ parameters: v })} />}
          </div>
        </WizardStep>
        <WizardStep name={t.steps.review} id="review" isDisabled={!ready} footer={{ ...names, nextButtonText: t.show, isNextDisabled: !ready, onNext: show }}>
          <p>{t.order}</p>
          <ol className="b-levels">
            {((made[typed.name]?.group ?? []) as string[]).map((m) => (
              <li key={m}>
                <bdi className="b-wrap">
                  {m} <span className="b-subtle">{(made[m]?.agent as string | undefined) ?? ''}</span>
                </bdi>
              </li>
            ))}
          </ol>
          <Document value={{ resources: made }} />
        </WizardStep>
      </Wizard>
    </>
  );
}
