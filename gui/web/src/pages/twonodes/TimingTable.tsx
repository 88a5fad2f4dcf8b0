import { Alert, Skeleton } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { api, must } from '../../api/client';
import { ProblemAlert } from '../../components/ProblemAlert';
import { nanos } from '../../components/time';
import { common } from '../../texts/common';
import { twoNodes as t } from '../../texts/wizards';

/** TimingTable shows how long things take at worst, with a part of the configuration merged in. */
export function TimingTable({ value }: { value: Record<string, unknown> }) {
  const q = useQuery({
    queryKey: ['timing', value],
    queryFn: () => must(api.POST('/v1/timing', { body: Object.keys(value).length > 0 ? { change: { action: 'apply', object: 'cluster', merge: true, value } } : {} })),
    placeholderData: keepPreviousData,
    retry: 1,
  });
  if (q.error) return <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />;
  if (!q.data) return <Skeleton height="8rem" screenreaderText={common.loading} />;
  const b = t.budget;
  const problems = q.data.problems ?? [];
  return (
    <>
      <Table variant="compact" aria-label={t.timingLead}>
        <Thead>
          <Tr>
            {[b.what, b.worst, b.terms].map((h) => (
              <Th key={h}>{h}</Th>
            ))}
          </Tr>
        </Thead>
        <Tbody>
          {(q.data.budgets ?? []).map((x) => (
            <Tr key={x.name}>
              <Td dataLabel={b.what}>{x.name}</Td>
              <Td dataLabel={b.worst}>
                <strong>{nanos(x.worstNs)}</strong>
              </Td>
              <Td dataLabel={b.terms}>
                <ul className="b-plain">
                  {(x.terms ?? []).map((y) => (
                    <li key={y.name}>
                      {y.name === x.dominant ? <strong>{y.name}</strong> : y.name} {nanos(y.timeNs)} <span className="b-subtle b-small">{y.from}</span>
                    </li>
                  ))}
                </ul>
              </Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
      {problems.length === 0 ? (
        <Alert variant="success" isInline isPlain title={t.fits} />
      ) : (
        <Alert variant="danger" isInline title={t.problems}>
          <ul>
            {problems.map((p) => (
              <li key={p} className="b-wrap">
                {p}
              </li>
            ))}
          </ul>
        </Alert>
      )}
    </>
  );
}
