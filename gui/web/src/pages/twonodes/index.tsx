import { Alert, FormGroup, Radio, Wizard, WizardStep } from '@patternfly/react-core';
import { useDeferredValue, useState } from 'react';
import { useNavigate } from 'react-router';
import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import { propose } from '../../components/change/proposal';
import { CLI } from '../../components/CLI';
import { Document } from '../../components/Document';
import { TextField } from '../../components/form/controls';
import { lines } from '../../components/lines';
import { PageTitle } from '../../components/PageTitle';
import { quote } from '../../components/quote';
import { quorum } from '../../texts/protect';
import { twoNodes as t } from '../../texts/wizards';
import { complete, deviceOf, made, nothing, type Typed } from './made';
import { TimingTable } from './TimingTable';

/** The wizard of two nodes: who decides at half of the votes, who is fenced first, and whether the times fit. */
export default function TwoNodes() {
  const navigate = useNavigate();
  const s = useSummary();
  const config = useConfig();
  const there = (s.quorum.devices ?? []).map((d) => d.id);
  const [typed, setTyped] = useState<Typed>(() => ({ ...nothing, add: there.length === 0 }));
  const set = (part: Partial<Typed>) => setTyped({ ...typed, ...part });
  const devices = config.data?.config['fence-devices'] ?? {};
  const voters = (s.quorum.voters ?? []).map((v) => v.node);
  const ok = complete(typed);
  const value = made(typed, voters, devices);
  const checked = useDeferredValue(value);
  const empty = Object.keys(value).length === 0;
  const ready = ok.tie && ok.delay && ok.timing && !empty;
  const show = () =>
    propose({
      title: t.propose,
      change: () => ({ action: 'apply', object: 'cluster', merge: true, value }),
      cli: () => `echo ${quote(JSON.stringify(value))} | belay apply --merge -f -`,
      onApplied: () => void navigate('/quorum'),
    });
  const names = { nextButtonText: t.next, backButtonText: t.back, cancelButtonText: t.cancel };
  const field = (key: keyof Omit<Typed, 'add'>, label: string, help?: string, required?: boolean) => (
    <TextField id={key} label={label} help={help} required={required} value={typed[key]} onChange={(v) => set({ [key]: v })} />
  );
  const without = voters.filter((n) => !deviceOf(n, devices));
  return (
    <>
      <PageTitle title={t.title} parents={[{ text: quorum.title, to: '/quorum' }]} lead={t.lead} />
      {voters.length !== 2 && <Alert variant="warning" isInline title={t.notTwo(voters.length)} className="b-gap-below" />}
      <Wizard navAriaLabel={t.title} onClose={() => void navigate('/quorum')} className="b-wizard">
        <WizardStep name={t.steps.tie} id="tie" footer={{ ...names, isNextDisabled: !ok.tie }}>
          <div className="b-form">
            {there.length > 0 && (
              <FormGroup role="radiogroup" label={t.have(there.join(', '))} fieldId="have">
                <Radio id="keep" name="have" label={t.keep} isChecked={!typed.add} onChange={() => set({ add: false })} />
                <Radio id="add" name="have" label={quorum.add} isChecked={typed.add} onChange={() => set({ add: true })} />
              </FormGroup>
            )}
            {typed.add && (
              <>
                <div>
                  <strong>{t.prepare}</strong>
                  {t.prepareLines.map((l) => (
                    <CLI key={l} label="" text={l} />
                  ))}
                  <strong>{t.keys}</strong>
                  <CLI label="" text={t.keysLine} />
                </div>
                {field('name', t.name, undefined, true)}
                {field('server', t.server, t.serverHelp, true)}
                {field('pin', t.pin, t.pinHelp, true)}
              </>
            )}
          </div>
        </WizardStep>
        <WizardStep name={t.steps.delay} id="delay" isDisabled={!ok.tie} footer={{ ...names, isNextDisabled: !ok.delay }}>
          <div className="b-form">
            <p>{t.delayLead}</p>
            <FormGroup role="radiogroup" label={t.survivor} fieldId="survivor">
              <Radio id="survivor-none" name="survivor" label={t.nobody} isChecked={typed.survivor === ''} onChange={() => set({ survivor: '' })} />
              {voters.map((n) => (
                <Radio key={n} id={`survivor-${n}`} name="survivor" label={<bdi className="b-wrap">{n}</bdi>} isDisabled={without.includes(n)} isChecked={typed.survivor === n} onChange={() => set({ survivor: n })} />
              ))}
            </FormGroup>
            {without.length > 0 && <Alert variant="info" isInline isPlain title={t.noOwn(without.join(', '))} />}
            {typed.survivor !== '' && field('delay', t.delay, t.delayHelp, true)}
            {field('priority', t.priority, t.priorityHelp)}
          </div>
        </WizardStep>
        <WizardStep name={t.steps.timing} id="timing" isDisabled={!ok.tie || !ok.delay} footer={{ ...names, isNextDisabled: !ok.timing }}>
          <div className="b-form">
            {field('detection', t.detection, (config.data?.config.cluster.options as { detection?: string } | undefined)?.detection ?? '1s')}
            {typed.add && field('handover', t.handover, t.handoverHelp)}
            <p>{t.timingLead}</p>
            {ok.timing && ok.delay && <TimingTable value={checked} />}
            <CLI args={lines.checkTiming()} />
          </div>
        </WizardStep>
        <WizardStep name={t.steps.review} id="review" isDisabled={!ok.tie || !ok.delay || !ok.timing} footer={{ ...names, nextButtonText: t.show, isNextDisabled: !ready, onNext: show }}>
          {empty ? <p>{t.unchanged}</p> : <Document value={value} />}
        </WizardStep>
      </Wizard>
    </>
  );
}
