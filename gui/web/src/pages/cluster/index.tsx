import { Alert } from '@patternfly/react-core';
import { Link } from 'react-router';
import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import { Actions, type ActionSpec } from '../../components/Actions';
import { Age } from '../../components/Age';
import { CLI } from '../../components/CLI';
import { Document } from '../../components/Document';
import { Facts } from '../../components/Facts';
import { lines } from '../../components/lines';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { ProblemAlert } from '../../components/ProblemAlert';
import { State } from '../../components/State';
import { cluster as t } from '../../texts/cluster';
import { common } from '../../texts/common';

function maintenance(on: boolean): ActionSpec {
  const action = on ? 'maintenance-on' : 'maintenance-off';
  return {
    key: action,
    label: on ? t.actions.maintenanceOn : t.actions.maintenanceOff,
    action,
    object: 'cluster',
    run: {
      title: on ? t.propose.maintenanceOn : t.propose.maintenanceOff,
      lead: on ? t.propose.maintenanceOnLead : t.propose.maintenanceOffLead,
      change: () => ({ action, object: 'cluster' }),
      cli: () => lines.clusterMaintenance(on),
    },
  };
}

/** The cluster as a whole: how it is, its options, and its maintenance. */
export default function Cluster() {
  const c = useSummary().cluster;
  const config = useConfig();
  const options = config.data?.config.cluster ?? {};
  const f = t.facts;
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} state={<State of="cluster" is={c.state} />} actions={<Actions of={c.name} list={[maintenance(!c.maintenance)]} />} />
      <div className="b-stack">
        {c.maintenance && <Alert variant="warning" isInline title={t.maintenance} />}
        {c.stopAllResources && <Alert variant="warning" isInline title={t.stopAll} />}
        <Panel title={c.name}>
          <Facts
            columns={3}
            rows={[
              [f.state, c.reason],
              [f.dc, c.dc && <Name to={nodePath(c.dc)}>{c.dc}</Name>],
              [f.members, <span className="b-where">{(c.members ?? []).map((n) => <Name key={n} to={nodePath(n)}>{n}</Name>)}</span>],
              [f.generation, <Link to="/history">{String(c.generation)}</Link>],
              [f.changed, <Age time={c.configChanged} />],
              [f.fencing, <Link to="/fencing">{c.fencingRequired ? f.fencingOn : f.fencingOff}</Link>],
              [f.symmetric, c.symmetric ? f.everywhere : f.optIn],
              [f.features, String(c.featureLevel)],
              [f.versions, (c.versions ?? []).join(', ')],
            ]}
          />
        </Panel>
        <Panel title={t.options} actions={<Link to="/configuration/cluster/cluster">{t.edit}</Link>}>
          {config.error && <ProblemAlert error={config.error} onRetry={() => void config.refetch()} />}
          <p className="b-subtle b-below">{config.isPending ? common.loading : Object.keys(options).length === 0 ? t.noOptions : t.optionsLead}</p>
          {Object.keys(options).length > 0 && <Document value={options} />}
        </Panel>
        <CLI args={lines.getCluster()} />
      </div>
    </>
  );
}
