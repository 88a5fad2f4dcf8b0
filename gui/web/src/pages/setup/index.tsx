import { Alert, Button, Form, ToggleGroup, ToggleGroupItem } from '@patternfly/react-core';
import { useMutation } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api, must } from '../../api/client';
import { CLI } from '../../components/CLI';
import { TextField } from '../../components/form/controls';
import { ProblemAlert } from '../../components/ProblemAlert';
import { Front } from '../../shell/Front';
import { common } from '../../texts/common';
import { setup as t } from '../../texts/setup';
import { cliOf, complete, initOf, joinOf, nothing, type Typed, type Way } from './made';

/** patient waits longer than for other answers: the store begins. */
const patient = (r: Request) => fetch(r, { signal: AbortSignal.timeout(120_000) });

/** Setup makes a cluster of a node that is in none, or lets it join one. Nobody can log in there yet: the code of the engine's log is asked for. */
export default function Setup() {
  const [way, setWay] = useState<Way>('init');
  const [typed, setTyped] = useState<Typed>(nothing);
  const set = (key: keyof Typed) => (v: string) => setTyped({ ...typed, [key]: v });
  const make = useMutation({
    mutationFn: () => (way === 'init' ? must(api.POST('/v1/cluster/init', { body: initOf(typed), fetch: patient })) : must(api.POST('/v1/cluster/join', { body: joinOf(typed), fetch: patient }))),
  });
  return (
    <Front title={t.title} foot={way === 'init' && !make.data && t.store} wide>
      {make.data ? (
        <Done way={way} cluster={make.data.cluster} node={make.data.node} voter={make.data.voter} />
      ) : (
        <>
          <p className="b-subtle b-login__sub">{t.subtitle}</p>
          <Form
            className="b-form"
            noValidate
            onSubmit={(e) => {
              e.preventDefault();
              if (complete(way, typed) && !make.isPending) make.mutate();
            }}
          >
            <ToggleGroup aria-label={t.subtitle}>
              {(['init', 'join'] as const).map((w) => (
                <ToggleGroupItem key={w} text={t.ways[w]} buttonId={`way-${w}`} isSelected={way === w} onChange={() => (setWay(w), make.reset())} />
              ))}
            </ToggleGroup>
            <TextField id="code" label={t.code} help={t.codeHelp} required value={typed.code} onChange={set('code')} />
            <CLI label="" text={t.codeLine} />
            {way === 'init' ? (
              <TextField id="cluster" label={t.name} help={t.nameHelp} required value={typed.cluster} onChange={set('cluster')} />
            ) : (
              <>
                <TextField id="token" label={t.token} help={t.tokenHelp} required value={typed.token} onChange={set('token')} />
                <TextField id="server" label={t.server} help={t.serverHelp} value={typed.server} onChange={set('server')} />
              </>
            )}
            <TextField id="node" label={t.node} help={t.nodeHelp} value={typed.node} onChange={set('node')} />
            <TextField id="addresses" label={t.addresses} help={t.addressesHelp} required value={typed.addresses} onChange={set('addresses')} />
            {make.error && <ProblemAlert error={make.error} />}
            <Button type="submit" isBlock isDisabled={!complete(way, typed) || make.isPending} isLoading={make.isPending}>
              {make.isPending ? t.working[way] : t.submit[way]}
            </Button>
            <CLI label={t.root} args={cliOf(way, typed)} />
          </Form>
        </>
      )}
    </Front>
  );
}

/** readyEveryMs is how often it is asked whether one can log in. */
const readyEveryMs = 1000;

/** Done waits until the node knows the state of its cluster, and goes to the log-in. */
function Done({ way, cluster, node, voter }: { way: Way; cluster: string; node: string; voter: boolean }) {
  const [silent, setSilent] = useState(false);
  useEffect(() => {
    const ctl = new AbortController();
    const timer = setInterval(() => {
      fetch('/readyz', { cache: 'no-store', signal: ctl.signal }).then(
        (r) => {
          setSilent(false);
          if (r.ok) location.assign('/');
        },
        // A new certificate looks like no answer.
        () => setSilent(!ctl.signal.aborted),
      );
    }, readyEveryMs);
    return () => {
      clearInterval(timer);
      ctl.abort();
    };
  }, []);
  return (
    <div className="b-stack" role="status">
      <Alert variant="success" isInline title={way === 'init' ? t.made(cluster, node) : t.joined(cluster, node)}>
        {voter ? t.vote : t.noVote}
      </Alert>
      <p>{silent ? t.certificate : t.starting}</p>
      <div>
        <Button variant="secondary" onClick={() => location.assign('/')}>
          {common.reload}
        </Button>
      </div>
    </div>
  );
}
