import { Alert, ExpandableSection } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import type { ChangeResult, Plan } from '../../api/types';
import { change } from '../../texts/change';
import type { Tone } from '../look';
import { nanos } from '../time';
import { differences, show, type Difference } from './diff';
import { PlanGraph } from './PlanGraph';

const groups: [keyof Plan & keyof typeof change.counts, Tone][] = [
  ['fence', 'bad'],
  ['stop', 'bad'],
  ['degraded', 'warn'],
  ['move', 'busy'],
  ['restart', 'warn'],
  ['start', 'good'],
];

/** shownMax is how many names of a group are listed before the rest is counted. */
const shownMax = 12;

/** Effects shows what a plan does to the services, and its steps. */
export function Effects({ plan, none }: { plan: Plan; none: string }) {
  const steps = plan.steps ?? [];
  const lists = groups.map(([name, tone]) => ({ name, tone, items: (plan[name]) ?? [] })).filter((g) => g.items.length > 0);
  return (
    <>
      {lists.length === 0 && steps.length === 0 && <p>{none}</p>}
      <dl className="b-effects">
        {lists.map((g) => (
          <div key={g.name} className={`b-effect b-effect--${g.tone}`}>
            <dt>
              {change.counts[g.name]} <span className="b-count">{g.items.length}</span>
            </dt>
            <dd>
              <ul>
                {g.items.slice(0, shownMax).map((t) => (
                  <li key={t} className="b-wrap">
                    <bdi>{t}</bdi>
                  </li>
                ))}
                {g.items.length > shownMax && <li>+{g.items.length - shownMax}</li>}
              </ul>
            </dd>
          </div>
        ))}
        {Number(plan.downtimeNs ?? 0) > 0 && (
          <div className="b-effect b-effect--warn">
            <dt>{change.counts.downtime}</dt>
            <dd className="b-effect__figure">{nanos(plan.downtimeNs)}</dd>
          </div>
        )}
      </dl>
      {steps.length > 0 && (
        <ExpandableSection toggleText={change.steps(steps.length)} isIndented>
          <PlanGraph steps={steps} />
        </ExpandableSection>
      )}
    </>
  );
}

/** PlanView shows what a change would do: to the services first, then to the configuration. */
export function PlanView({ result }: { result: ChangeResult }) {
  const changes = result.changes ?? [];
  return (
    <div className="b-plan">
      {(result.warnings ?? []).length > 0 && (
        <Alert variant="warning" isInline title={change.warnings}>
          <ul>
            {result.warnings!.map((f, i) => (
              <li key={i} className="b-wrap">
                {f.path && <code>{f.path}</code>} {f.text}
              </li>
            ))}
          </ul>
        </Alert>
      )}
      <h2 className="b-plan__title">{change.planTitle}</h2>
      <Effects plan={result.plan} none={change.nothing} />
      {changes.length > 0 && (
        <ExpandableSection toggleText={change.differences(changes.length)} isIndented>
          {changes.map((c) => (
            <DiffTable key={c.key} name={c.key.replace(/^config\//, '')} rows={differences(c.before ?? undefined, c.after ?? undefined)} />
          ))}
        </ExpandableSection>
      )}
    </div>
  );
}

/** DiffTable shows the fields in which two documents differ. */
export function DiffTable({ name, rows, before = change.before, after = change.after }: { name: string; rows: Difference[]; before?: string; after?: string }) {
  return (
    <Table variant="compact" aria-label={name} className="b-diff">
      <Thead>
        <Tr>
          <Th>
            <bdi className="b-wrap">{name}</bdi>
          </Th>
          <Th>{before}</Th>
          <Th>{after}</Th>
        </Tr>
      </Thead>
      <Tbody>
        {rows.map((d) => (
          <Tr key={d.path}>
            <Td dataLabel={change.field} className="b-wrap">
              {d.path || (d.before === undefined ? change.created : d.after === undefined ? change.deleted : '')}
            </Td>
            <Td dataLabel={before} className="b-wrap">
              <del className="b-del">{show(d.before)}</del>
            </Td>
            <Td dataLabel={after} className="b-wrap">
              <ins className="b-ins">{show(d.after)}</ins>
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
