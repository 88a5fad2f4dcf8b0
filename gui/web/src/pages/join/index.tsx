import { Alert, Button, Checkbox, Form, FormGroup, FormSelect, FormSelectOption } from '@patternfly/react-core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, must } from '../../api/client';
import { current, useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import { useWho } from '../../api/session';
import { useAllowed, Why } from '../../components/Actions';
import { CLI } from '../../components/CLI';
import { TextField } from '../../components/form/controls';
import { lines } from '../../components/lines';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { Time } from '../../components/Time';
import { nodes } from '../../texts/nodes';
import { join as t } from '../../texts/wizards';
import { serverOf } from './server';

/** Join makes a token and tells what to run on the new machine, then waits for the node. */
export default function Join() {
  const s = useSummary();
  const who = useWho();
  const config = useConfig();
  const may = useAllowed('join', 'cluster');
  const [node, setNode] = useState('');
  const [addresses, setAddresses] = useState('');
  const [voter, setVoter] = useState(true);
  const [ttl, setTTL] = useState('15m');
  // Who was there when the token was made: whoever comes later is new.
  const [before, setBefore] = useState<string[]>([]);
  const make = useMutation({
    mutationFn: () => must(api.POST('/v1/token', { body: { node: node || undefined, voter, ttl } })),
    onMutate: () => setBefore((current().summary?.nodes ?? []).map((n) => n.name)),
  });
  const server = serverOf(config.data?.config.nodes?.[who.node ?? '']);
  const joined = make.data && (s.nodes ?? []).find((n) => !before.includes(n.name) && (!node || n.name === node));
  return (
    <>
      <PageTitle title={t.title} parents={[{ text: nodes.title, to: '/nodes' }]} lead={t.lead} />
      <div className="b-stack b-form--page">
        <Panel title={`1. ${t.install}`}>
          <CLI label="" text={t.installLine} />
        </Panel>
        <Panel title={`2. ${t.make}`}>
          {make.data ? (
            <div className="b-stack">
              <Alert variant="success" isInline title={t.made}>
                {t.once} {t.expires}: <Time time={make.data.expires} />
              </Alert>
              <div>
                <Button variant="link" isInline onClick={() => make.reset()}>
                  {t.another}
                </Button>
              </div>
            </div>
          ) : (
            <Form
              className="b-form"
              onSubmit={(e) => {
                e.preventDefault();
                if (!may.isAriaDisabled) make.mutate();
              }}
            >
              <TextField id="node" label={t.node} help={t.nodeHelp} value={node} onChange={setNode} pattern="^[A-Za-z0-9_][\w.-]*$" />
              <TextField id="addresses" label={t.address} help={t.addressHelp} value={addresses} onChange={setAddresses} />
              <FormGroup label={t.ttl} fieldId="ttl">
                <FormSelect id="ttl" value={ttl} onChange={(_, v) => setTTL(v)}>
                  {Object.entries(t.ttls).map(([v, label]) => (
                    <FormSelectOption key={v} value={v} label={label} />
                  ))}
                </FormSelect>
              </FormGroup>
              <Checkbox id="voter" label={t.voter} description={t.voterHelp} isChecked={voter} onChange={(_, v) => setVoter(v)} />
              {make.error && <ProblemAlert error={make.error} onRetry={() => make.mutate()} />}
              <div className="b-buttons">
                <Why text={may.why}>
                  <Button type="submit" isAriaDisabled={may.isAriaDisabled || make.isPending} isLoading={make.isPending}>
                    {make.isPending ? t.working : t.submit}
                  </Button>
                </Why>
              </div>
              <CLI args={lines.clusterToken(node, ttl, voter)} />
            </Form>
          )}
        </Panel>
        {make.data && (
          <Panel title={`3. ${t.run}`}>
            <CLI label="" args={lines.clusterJoin(node, addresses, make.data.token + server)} />
            <div role="status">{joined ? <Alert variant="success" isInline title={t.joined(joined.name)} /> : <p className="b-subtle">{t.waiting}</p>}</div>
          </Panel>
        )}
        <p className="b-subtle">{t.newCluster}</p>
      </div>
    </>
  );
}
