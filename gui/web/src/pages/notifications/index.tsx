import { Alert, Button, Tab, Tabs, TabTitleText } from '@patternfly/react-core';
import { Link, useSearchParams } from 'react-router';
import { useConfig } from '../../api/queries';
import type { Config, Document, NotificationTarget } from '../../api/types';
import { useAllowed, Why } from '../../components/Actions';
import { propose } from '../../components/change/proposal';
import { Facts } from '../../components/Facts';
import { builtinFilters } from '../../components/form/schema';
import { lines } from '../../components/lines';
import { Name } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { Waiting } from '../../shell/App';
import { common } from '../../texts/common';
import { notify as t } from '../../texts/notify';
import { Delivery, Syslog, useTargets } from './Delivery';
import { Documents } from './Documents';
import { gets, ranks } from './gets';

const text = (v: unknown) => (typeof v === 'string' && v !== '' ? <bdi>{v}</bdi> : '–');

function proposeTest(config: Config | undefined) {
  const of = (section: string) => Object.values(config?.config[section] ?? {});
  const others = [...of('snmp-targets'), ...of('webhooks')];
  const mail = of('mail-targets');
  const reached = (s: (typeof ranks)[number]) => others.filter((x) => gets(x, s)).length + mail.filter((x) => gets(x, s, t.mail.min)).length;
  propose({
    title: t.propose.test,
    lead: t.propose.testLead,
    choice: {
      label: t.propose.severity,
      initial: 'major',
      options: ranks.map((s) => ({ value: s, label: t.severities[s], note: t.gets(reached(s), others.length + mail.length) })),
    },
    change: (severity) => ({ action: 'test-notify', object: 'cluster', value: { severity, comment: t.comment } }),
    cli: (severity) => lines.eventsTest(severity, t.comment),
  });
}

interface Props {
  config: Config;
  targets: NotificationTarget[];
}

/** Notifications: who is told what happens, by SNMP, webhook, mail and CIM. */
export default function Notifications() {
  const config = useConfig();
  const [params, setParams] = useSearchParams();
  const may = useAllowed('test-notify', 'cluster');
  const targets = useTargets();
  const tab = params.get('tab') ?? 'snmp';
  return (
    <>
      <PageTitle
        title={t.title}
        lead={t.lead}
        actions={
          <Why text={may.why}>
            <Button variant="secondary" isAriaDisabled={may.isAriaDisabled} onClick={() => !may.isAriaDisabled && proposeTest(config.data)}>
              {t.test}
            </Button>
          </Why>
        }
      />
      {config.data ? (
        <Tabs activeKey={tab} onSelect={(_, k) => setParams(k === 'snmp' ? {} : { tab: String(k) }, { replace: true })} aria-label={t.title} unmountOnExit mountOnEnter>
          <Tab eventKey="snmp" title={<TabTitleText>{t.tabs.snmp}</TabTitleText>}>
            <div className="b-stack b-tab">
              <SNMP config={config.data} targets={targets} />
            </div>
          </Tab>
          <Tab eventKey="web" title={<TabTitleText>{t.tabs.web}</TabTitleText>}>
            <div className="b-stack b-tab">
              <Web config={config.data} targets={targets} />
            </div>
          </Tab>
          <Tab eventKey="cim" title={<TabTitleText>{t.tabs.cim}</TabTitleText>}>
            <div className="b-stack b-tab">
              <CIM config={config.data} targets={targets} />
            </div>
          </Tab>
        </Tabs>
      ) : config.error ? (
        <ProblemAlert error={config.error} onRetry={() => void config.refetch()} />
      ) : (
        <Waiting text={common.loading} />
      )}
    </>
  );
}

function SNMP({ config, targets }: Props) {
  const delivery = (kind: string, id: string) => <Delivery key="delivery" of={targets.find((x) => x.kind === kind && x.id === id)} />;
  const agent = (config.config.cluster.snmp ?? {}) as Document;
  const users = config.config['snmp-users'] ?? {};
  const a = t.agent;
  const g = t.targets;
  const u = t.users;
  const lonely = !!agent.listen && !Object.values(users).some((x) => x.agent === true);
  return (
    <>
      <Documents
        kind="snmp-target"
        title={g.title}
        none={g.none}
        config={config}
        columns={[g.columns.id, g.columns.address, g.columns.user, g.columns.min, g.columns.how, t.delivery.title]}
        cells={(d, id) => [
          text(d.address),
          typeof d.user === 'string' && !(d.user in users) ? <span className="b-no">{g.noUser(d.user)}</span> : text(d.user),
          <Min key="min" d={d} none={g.everything} />,
          d.inform === true ? g.inform : g.trap,
          delivery('snmp-target', id),
        ]}
      />
      <Documents
        kind="snmp-user"
        title={u.title}
        none={u.none}
        config={config}
        columns={[u.columns.id, u.columns.version, u.columns.protocols, u.columns.agent]}
        cells={(d) => [
          d.community ? <span className="b-no">{u.v2c}</span> : u.v3,
          d.community ? '–' : `${(d.auth as string | undefined) ?? 'SHA-256'}, ${(d.priv as string | undefined) ?? 'AES'}`,
          d.agent === true ? common.yes : common.no,
        ]}
      />
      <Panel title={a.title} actions={<Link to="/configuration/cluster/cluster?part=snmp">{a.edit}</Link>}>
        {lonely && <Alert variant="warning" isInline title={a.lonely} />}
        {!agent.listen && !agent.agentx && <p className="b-subtle">{a.none}</p>}
        <Facts
          rows={[
            [a.listen, agent.listen as string],
            [a.agentx, agent.agentx as string],
            [a.pen, (agent['enterprise-number'] as number | undefined) ?? a.penDefault],
            [a.heartbeat, agent.heartbeat as string],
          ]}
        />
      </Panel>
    </>
  );
}

/** Min is from which severity, and which codes, a receiver takes. */
function Min({ d, none }: { d: Document; none: string }) {
  return (
    <>
      {(d['min-severity'] as string | undefined) ?? none}
      {Array.isArray(d.events) && d.events.length > 0 && <div className="b-subtle b-small">{t.targets.only((d.events as string[]).join(', '))}</div>}
    </>
  );
}

function Web({ config, targets }: Props) {
  const delivery = (kind: string, id: string) => <Delivery key="delivery" of={targets.find((x) => x.kind === kind && x.id === id)} />;
  const w = t.webhooks;
  const m = t.mail;
  return (
    <>
      <Documents
        kind="webhook"
        title={w.title}
        none={w.none}
        config={config}
        columns={[w.columns.id, w.columns.url, w.columns.min, w.columns.how, t.delivery.title]}
        cells={(d, id) => [text(d.url), <Min key="min" d={d} none={t.targets.everything} />, [w.formats[(d.format as string | undefined) ?? 'json'], d.secret && w.signed].filter(Boolean).join(', '), delivery('webhook', id)]}
      />
      <Documents
        kind="mail-target"
        title={m.title}
        none={m.none}
        config={config}
        columns={[m.columns.id, m.columns.to, m.columns.from, m.columns.server, m.columns.min, t.delivery.title]}
        cells={(d, id) => [text(((d.to ?? []) as string[]).join(', ')), text(d.from), text(d.server), <Min key="min" d={d} none={m.min} />, delivery('mail-target', id)]}
      />
      <Syslog targets={targets} />
    </>
  );
}

function CIM({ config, targets }: Props) {
  const delivery = (kind: string, id: string) => <Delivery key="delivery" of={targets.find((x) => x.kind === kind && x.id === id)} />;
  const filters = config.config['cim-filters'] ?? {};
  const destinations = config.config['cim-destinations'] ?? {};
  const s = t.subscriptions;
  const d = t.destinations;
  const f = t.filters;
  const known = (name: unknown, where: Record<string, Document>, kind: string, more: string[] = []) => {
    const n = typeof name === 'string' ? name : '';
    if (n in where) return <Name to={`/configuration/${kind}/${encodeURIComponent(n)}`}>{n}</Name>;
    return more.includes(n) ? <bdi>{n}</bdi> : <span className="b-no">{s.broken(n)}</span>;
  };
  return (
    <>
      <Documents
        kind="cim-subscription"
        title={s.title}
        none={s.none}
        config={config}
        columns={[s.columns.id, s.columns.filter, s.columns.destination, t.delivery.title, s.columns.owner]}
        cells={(x, id) => [known(x.filter, filters, 'cim-filter', builtinFilters), known(x.destination, destinations, 'cim-destination'), delivery('cim-subscription', id), text(x.owner)]}
      />
      <Documents
        kind="cim-destination"
        title={d.title}
        none={d.none}
        config={config}
        columns={[d.columns.id, d.columns.url, d.columns.user, d.columns.trust, d.columns.owner]}
        cells={(x) => [text(x.url), text(x.user), x.ca ? d.ownCA : d.systemCA, text(x.owner)]}
      />
      <Documents
        kind="cim-filter"
        title={f.title}
        none=""
        config={config}
        columns={[f.columns.id, f.columns.query, f.columns.language, f.columns.owner]}
        cells={(x) => [<code key="query">{x.query as string}</code>, text(x.language), text(x.owner)]}
        fixed={builtinFilters.map((id) => ({ id, cells: [f.builtins[id], '–', f.builtin] }))}
      />
    </>
  );
}
