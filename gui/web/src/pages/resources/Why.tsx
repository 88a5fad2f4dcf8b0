import { Alert } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useQuery } from '@tanstack/react-query';
import { api, must } from '../../api/client';
import { useSummary } from '../../api/live';
import type { Explanation } from '../../api/types';
import { Name, nodePath } from '../../components/Name';
import { ProblemAlert } from '../../components/ProblemAlert';
import { resources } from '../../texts/resources';

const t = resources.why;

/** score writes a score as administrators do. */
export function score(s: unknown): string {
  if (s === 'INFINITY') return t.must;
  if (s === '-INFINITY') return t.mustNot;
  return String(s).replace('-', '−');
}

/** Explain says why a resource is where it is, and why not elsewhere. */
export function Explain({ id }: { id: string }) {
  const revision = useSummary().revision;
  const q = useQuery({
    queryKey: ['explain', id, revision],
    queryFn: () => must(api.GET('/v1/explain/resource/{id}', { params: { path: { id } } })),
    placeholderData: (before) => before,
    staleTime: Infinity,
    gcTime: 10_000,
  });
  if (q.error) return <ProblemAlert error={q.error} onRetry={() => void q.refetch()} />;
  const instances = q.data?.instances ?? [];
  if (!q.isPending && instances.length === 0) return <p className="b-subtle">{t.none}</p>;
  return <Explained instances={instances} />;
}

/** Explained lists the scores of instances, node by node. */
export function Explained({ instances }: { instances: NonNullable<Explanation['instances']> }) {
  return (
    <div className="b-stack">
      {instances.map((i, n) => (
        <section key={`${i.instance} ${n}`}>
          <h3 className="b-plan__title">
            <bdi className="b-wrap">{i.instance}</bdi>: {i.node ? t.runs(i.node, i.role) : t.nowhere}
          </h3>
          <p className="b-wrap">
            {i.why.cause} {i.why.rule && <code>{i.why.rule}</code>}
          </p>
          {i.blocked && (
            <Alert variant="warning" isInline title={t.blocked}>
              {i.blocked}
            </Alert>
          )}
          <Table variant="compact" aria-label={i.instance}>
            <Thead>
              <Tr>
                <Th>{t.node}</Th>
                <Th>{t.score}</Th>
                <Th>{t.parts}</Th>
              </Tr>
            </Thead>
            <Tbody>
              {(i.nodes ?? []).map((x) => (
                <Tr key={x.node} isRowSelected={x.node === i.node}>
                  <Th scope="row" dataLabel={t.node}>
                    <Name to={nodePath(x.node)}>{x.node}</Name> {x.node === i.node && <strong>{t.chosen}</strong>}
                  </Th>
                  <Td dataLabel={t.score} className={x.score === '-INFINITY' ? 'b-no' : undefined}>
                    {score(x.score)}
                  </Td>
                  <Td dataLabel={t.parts}>
                    {(x.parts ?? []).length === 0 && <span className="b-subtle">{t.noParts}</span>}
                    <ul className="b-plain">
                      {(x.parts ?? []).map((p, k) => (
                        <li key={k} className="b-wrap">
                          <span className="b-score">{score(p.score)}</span> {p.text} <code>{p.rule}</code>
                        </li>
                      ))}
                    </ul>
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        </section>
      ))}
    </div>
  );
}
