import { Button } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { Link, useParams } from 'react-router';
import { useSummary } from '../../api/live';
import type { Node } from '../../api/types';
import { useAllowed, Why } from '../../components/Actions';
import { Age } from '../../components/Age';
import { propose, type Proposal } from '../../components/change/proposal';
import { CLI } from '../../components/CLI';
import { lines } from '../../components/lines';
import { Missing } from '../../components/Missing';
import { Name, nodePath } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { Panel } from '../../components/Panel';
import { State } from '../../components/State';
import { fencing } from '../../texts/protect';
import { fenceTest as t } from '../../texts/wizards';
import { nodeActions } from '../nodes/actions';

/** The test of a fence device: does it answer each node, and does it really switch one off. */
export default function FenceTest() {
  const { id = '' } = useParams();
  const s = useSummary();
  const d = (s.fenceDevices ?? []).find((x) => x.id === id);
  if (!d) return <Missing what={id} to="/fencing" back={fencing.title} />;
  const targets = (s.nodes ?? []).filter((n) => (d.targets ?? []).includes(n.name));
  const tried = (s.fencing ?? []).filter((f) => f.device === id);
  return (
    <>
      <PageTitle title={t.title(id)} parents={[{ text: fencing.title, to: '/fencing' }]} lead={t.lead} state={<State of="device" is={d.state} title={d.reason} />} />
      <div className="b-stack">
        <Panel title={t.answers}>
          <div className="b-stack">
          <p className="b-subtle">
            {t.asked} <Age time={d.checked} />
          </p>
          {(d.checks ?? []).length === 0 ? (
            <p role="status">{t.waiting}</p>
          ) : (
            <Table variant="compact" aria-label={t.answers}>
              <Thead>
                <Tr>
                  {Object.values(t.columns).map((c) => (
                    <Th key={c}>{c}</Th>
                  ))}
                </Tr>
              </Thead>
              <Tbody>
                {d.checks!.map((c) => (
                  <Tr key={c.node}>
                    <Td dataLabel={t.columns.node}>
                      <Name to={nodePath(c.node)}>{c.node}</Name>
                    </Td>
                    <Td dataLabel={t.columns.answer}>
                      <State of="device" is={c.ok ? 'available' : 'failed'}>
                        {c.ok ? t.yes : t.no}
                      </State>
                    </Td>
                    <Td dataLabel={t.columns.error} className="b-wrap">
                      {c.error || '–'}
                    </Td>
                  </Tr>
                ))}
              </Tbody>
            </Table>
          )}
          <CLI args={lines.fenceStatus()} />
          </div>
        </Panel>
        <Panel title={t.real}>
          <div className="b-stack">
          <p>{t.realBody}</p>
          <ul className="b-list b-plain">
            {targets.map((n) => (
              <Target key={n.name} n={n} />
            ))}
          </ul>
          </div>
        </Panel>
        <Panel title={t.tried}>
          {tried.length === 0 ? (
            <p className="b-subtle">{t.never}</p>
          ) : (
            <ul className="b-list b-plain">
              {tried.map((f) => (
                <li key={f.id}>
                  <Name to={nodePath(f.target)}>{f.target}</Name> <State of="result" is={f.result} /> <Age time={f.asked} /> <span className="b-wrap b-no">{f.error}</span>
                </li>
              ))}
            </ul>
          )}
        </Panel>
        <p>
          <Link to="/fencing">{t.done}</Link>
        </p>
      </div>
    </>
  );
}

function Target({ n }: { n: Node }) {
  const may = useAllowed('fence', `node/${n.name}`);
  const fence = nodeActions(n).find((a) => a.key === 'fence')!;
  return (
    <li className="b-target">
      <span>
        <Name to={nodePath(n.name)}>{n.name}</Name> <State of="node" is={n.state} title={n.reason} /> <span className="b-subtle">{t.running(n.running)}</span>
      </span>
      <Why text={may.why}>
        <Button variant="secondary" isDanger size="sm" isAriaDisabled={may.isAriaDisabled} onClick={() => !may.isAriaDisabled && propose(fence.run as Proposal)}>
          {t.fence(n.name)}
        </Button>
      </Why>
    </li>
  );
}
