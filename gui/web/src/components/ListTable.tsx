import { Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, FormSelect, FormSelectOption, Pagination, SearchInput, Toolbar, ToolbarContent, ToolbarGroup, ToolbarItem } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr, type ThProps } from '@patternfly/react-table';
import { useDeferredValue, useMemo, type ReactNode } from 'react';
import { useSearchParams } from 'react-router';
import { common } from '../texts/common';

export interface Column<T> {
  key: string;
  name: string;
  cell: (row: T) => ReactNode;
  /** What the column is sorted by; without it the column cannot be. */
  sort?: (row: T) => string | number;
  /** The name of the row. */
  header?: boolean;
  className?: string;
}

interface Props<T> {
  label: string;
  rows: T[];
  columns: Column<T>[];
  id: (row: T) => string;
  /** Text in which is searched. */
  text: (row: T) => string;
  /** The states by which one may filter. */
  stateOf?: (row: T) => string;
  stateText?: (state: string) => string;
  actions?: (row: T) => ReactNode;
  rowClass?: (row: T) => string;
  /** What is said where there is nothing at all. */
  empty: ReactNode;
  tools?: ReactNode;
}

const perPage = 50;

/** compare orders names as people do: n2 before n10. */
const collator = new Intl.Collator('en', { numeric: true });

/** choose filters and sorts the rows of a list. */
export function choose<T>(rows: T[], o: { search: string; state: string; sort?: (r: T) => string | number; down: boolean; text: (r: T) => string; stateOf?: (r: T) => string }): T[] {
  const wanted = o.search.trim().toLowerCase();
  const out = rows.filter((r) => (!wanted || o.text(r).toLowerCase().includes(wanted)) && (!o.state || !o.stateOf || o.stateOf(r) === o.state));
  const { sort } = o;
  if (sort) {
    out.sort((a, b) => {
      const x = sort(a);
      const y = sort(b);
      const c = typeof x === 'number' && typeof y === 'number' ? x - y : collator.compare(String(x), String(y));
      return o.down ? -c : c;
    });
  }
  return out;
}

/** ListTable is the list of a page. What one looks for stands in the address, so that it can be sent to somebody. */
export function ListTable<T>({ label, rows, columns, id, text, stateOf, stateText, actions, rowClass, empty, tools }: Props<T>) {
  const [params, setParams] = useSearchParams();
  const search = params.get('q') ?? '';
  const state = params.get('state') ?? '';
  const sortKey = params.get('sort') ?? '';
  const down = params.get('down') !== null;
  const set = (change: Record<string, string | null>) =>
    setParams(
      (p) => {
        for (const [k, v] of Object.entries({ page: null, ...change })) {
          if (v === null || v === '') p.delete(k);
          else p.set(k, v);
        }
        if (change.down === '') p.set('down', '');
        return p;
      },
      { replace: true },
    );
  const wanted = useDeferredValue(search);
  const sort = columns.find((c) => c.key === sortKey)?.sort;
  const found = useMemo(() => choose(rows, { search: wanted, state, sort, down, text, stateOf }), [rows, wanted, state, sort, down, text, stateOf]);
  const states = useMemo(() => (stateOf ? [...new Set(rows.map(stateOf))].sort() : []), [rows, stateOf]);
  const last = Math.max(1, Math.ceil(found.length / perPage));
  const page = Math.min(Number(params.get('page') ?? 1) || 1, last);
  const shown = found.slice((page - 1) * perPage, page * perPage);
  const clear = () => set({ q: null, state: null });

  const th = (c: Column<T>, i: number): ThProps['sort'] =>
    c.sort && {
      sortBy: { index: columns.findIndex((x) => x.key === sortKey), direction: down ? 'desc' : 'asc' },
      columnIndex: i,
      onSort: () => set({ sort: c.key, down: sortKey === c.key && !down ? '' : null }),
    };

  if (rows.length === 0 && !tools) return <>{empty}</>;
  return (
    <>
      <Toolbar inset={{ default: 'insetNone' }}>
        <ToolbarContent>
          <ToolbarGroup variant="filter-group">
            <ToolbarItem>
              <SearchInput aria-label={common.search} placeholder={common.search} value={search} onChange={(_, v) => set({ q: v })} onClear={() => set({ q: null })} />
            </ToolbarItem>
            {states.length > 1 && (
              <ToolbarItem>
                <FormSelect aria-label={common.filterByState} value={state} onChange={(_, v) => set({ state: v })}>
                  <FormSelectOption value="" label={common.allStates} />
                  {states.map((s) => (
                    <FormSelectOption key={s} value={s} label={stateText?.(s) ?? s} />
                  ))}
                </FormSelect>
              </ToolbarItem>
            )}
          </ToolbarGroup>
          {tools && <ToolbarGroup variant="action-group">{tools}</ToolbarGroup>}
          <ToolbarItem variant="pagination" className="b-subtle">
            {found.length > perPage ? (
              <Pagination itemCount={found.length} perPage={perPage} page={page} onSetPage={(_, n) => set({ page: String(n) })} isCompact perPageOptions={[]} titles={{ paginationAriaLabel: common.pages }} />
            ) : (
              common.showing(found.length, rows.length)
            )}
          </ToolbarItem>
        </ToolbarContent>
      </Toolbar>
      {rows.length === 0 ? (
        empty
      ) : found.length === 0 ? (
        <EmptyState headingLevel="h2" titleText={common.nothingFound} variant="sm">
          <EmptyStateBody>{common.nothingFoundBody}</EmptyStateBody>
          <EmptyStateFooter>
            <EmptyStateActions>
              <Button variant="link" onClick={clear}>
                {common.clearFilters}
              </Button>
            </EmptyStateActions>
          </EmptyStateFooter>
        </EmptyState>
      ) : (
        <div className="b-table">
          <Table aria-label={label} variant="compact">
            <Thead>
              <Tr>
                {columns.map((c, i) => (
                  <Th key={c.key} sort={th(c, i)}>
                    {c.name}
                  </Th>
                ))}
                {actions && <Th screenReaderText={common.actions} />}
              </Tr>
            </Thead>
            <Tbody>
              {shown.map((r) => (
                <Tr key={id(r)} className={rowClass?.(r)}>
                  {columns.map((c) =>
                    c.header ? (
                      <Th key={c.key} scope="row" dataLabel={c.name} className={c.className}>
                        {c.cell(r)}
                      </Th>
                    ) : (
                      <Td key={c.key} dataLabel={c.name} className={c.className}>
                        {c.cell(r)}
                      </Td>
                    ),
                  )}
                  {actions && (
                    <Td isActionCell>
                      {actions(r)}
                    </Td>
                  )}
                </Tr>
              ))}
            </Tbody>
          </Table>
        </div>
      )}
    </>
  );
}
