import { Pagination, SearchInput, Toolbar, ToolbarContent, ToolbarItem } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useDeferredValue, useMemo, useState } from 'react';
import { Link } from 'react-router';
import type { Node, Resource, Summary } from '../../api/types';
import { hosts } from '../../components/hosts';
import { Name, nodePath, resourcePath } from '../../components/Name';
import { Sign, State } from '../../components/State';
import { overview } from '../../texts/overview';

const t = overview.matrix;
const perPage = 25;

/** cellOf says how a resource stands on a node; undefined where there is nothing to say. */
export function cellOf(r: Resource, node: string): string | undefined {
  const found = (r.instances ?? []).filter((i) => i.node === node);
  // The worst tells.
  const rank = ['failed', 'blocked', 'starting', 'stopping', 'promoted', 'running', 'not-allowed'];
  for (const s of rank) if (found.some((i) => i.state === s)) return s;
  if (r.promoted?.includes(node)) return 'promoted';
  return r.nodes?.includes(node) ? (r.state === 'unmanaged' ? 'unmanaged' : 'running') : undefined;
}

/** Matrix shows resources by node. */
export function Matrix({ s }: { s: Summary }) {
  const [search, setSearch] = useState('');
  const [page, setPage] = useState(1);
  const wanted = useDeferredValue(search).trim().toLowerCase();
  const { resources } = s;
  const nodes = useMemo(() => hosts(s), [s]);
  const rows = useMemo(() => (resources ?? []).filter((r) => !wanted || r.id.toLowerCase().includes(wanted)), [resources, wanted]);
  // With many nodes only those that run something of this page have a column.
  const last = Math.max(1, Math.ceil(rows.length / perPage));
  const at = Math.min(page, last);
  const shown = rows.slice((at - 1) * perPage, at * perPage);
  const columns = useMemo(() => columnsFor(nodes, shown), [nodes, shown]);
  if ((resources ?? []).length === 0) {
    return (
      <p>
        {t.empty} <Link to="/resources/new">{t.first}</Link>
      </p>
    );
  }
  return (
    <>
      {(resources ?? []).length > perPage && (
        <Toolbar>
          <ToolbarContent>
            <ToolbarItem>
              <SearchInput aria-label={t.search} placeholder={t.search} value={search} onChange={(_, v) => setSearch(v)} onClear={() => setSearch('')} />
            </ToolbarItem>
            <ToolbarItem variant="pagination">
              <Pagination itemCount={rows.length} perPage={perPage} page={at} onSetPage={(_, n) => setPage(n)} isCompact perPageOptions={[]} titles={{ paginationAriaLabel: t.pages }} />
            </ToolbarItem>
          </ToolbarContent>
        </Toolbar>
      )}
      <div className="b-matrix" role="region" aria-label={t.caption} tabIndex={0}>
        <Table variant="compact" aria-label={t.caption} gridBreakPoint="" isStickyHeader={false}>
          <Thead>
            <Tr>
              <Th>{t.resource}</Th>
              {columns.map((n) => (
                <Th key={n.name} className="b-matrix__node">
                  <Sign of="node" is={n.state} /> <Name to={nodePath(n.name)}>{n.name}</Name>
                </Th>
              ))}
            </Tr>
          </Thead>
          <Tbody>
            {shown.map((r) => (
              <Tr key={r.id}>
                <Th scope="row" className={`b-matrix__resource b-depth-${Math.min(r.depth, 3)}`}>
                  <Name to={resourcePath(r.id)}>{r.id}</Name> {!quiet(r) && <State of="resource" is={r.state} title={r.reason} />}
                </Th>
                {columns.map((n) => {
                  const state = cellOf(r, n.name);
                  return (
                    <Td key={n.name} className="b-matrix__cell">
                      {state ? <Sign of="resource" is={state} /> : <span className="b-dot" aria-label={t.notThere} role="img" />}
                    </Td>
                  );
                })}
              </Tr>
            ))}
          </Tbody>
        </Table>
      </div>
    </>
  );
}

/** quiet resources need no words: their row shows where they run. */
function quiet(r: Resource): boolean {
  return r.state === 'running' || r.state === 'promoted';
}

/** columnsMax is how many nodes have a column whatever they run. */
const columnsMax = 16;

export function columnsFor(nodes: Node[], shown: Resource[]): Node[] {
  if (nodes.length <= columnsMax) return nodes;
  const used = new Set(shown.flatMap((r) => [...(r.nodes ?? []), ...(r.instances ?? []).map((i) => i.node)]));
  return nodes.filter((n) => used.has(n.name)).slice(0, columnsMax);
}
