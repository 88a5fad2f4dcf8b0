import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import type { ReactNode } from 'react';
import { Link, useNavigate } from 'react-router';
import type { Config, Document } from '../../api/types';
import { Actions } from '../../components/Actions';
import { cliOf, sections, type Edit } from '../../components/change/proposal';
import { Name } from '../../components/Name';
import { Panel } from '../../components/Panel';
import { common } from '../../texts/common';
import { form } from '../../texts/form';
import { notify as t } from '../../texts/notify';

interface Props {
  kind: string;
  title: string;
  none: string;
  config: Config;
  /** The names of the columns; the first is that of the document. */
  columns: string[];
  cells: (d: Document, id: string) => ReactNode[];
  /** Rows that nobody can change. */
  fixed?: { id: string; cells: ReactNode[] }[];
}

/** Documents lists the documents of a kind, to add, edit and delete. */
export function Documents({ kind, title, none, config, columns, cells, fixed = [] }: Props) {
  const navigate = useNavigate();
  const rows = Object.entries(config.config[sections[kind]!] ?? {});
  const path = (id: string) => `/configuration/${kind}/${encodeURIComponent(id)}`;
  const remove = (id: string, base: Document) => {
    const edit: Edit = { kind, id, base, generation: config.generation };
    return { title: t.propose.remove(form.kinds[kind] ?? kind, id), danger: true, edit, cli: () => cliOf(edit) };
  };
  return (
    <Panel title={title} actions={<Link to={path('new')}>{t.add(form.kinds[kind] ?? kind)}</Link>}>
      {rows.length + fixed.length === 0 ? (
        <p className="b-subtle">{none}</p>
      ) : (
        <Table variant="compact" aria-label={title}>
          <Thead>
            <Tr>
              {columns.map((c) => (
                <Th key={c}>{c}</Th>
              ))}
              <Th screenReaderText={common.actions} />
            </Tr>
          </Thead>
          <Tbody>
            {rows.map(([id, d]) => (
              <Tr key={id}>
                <Td dataLabel={columns[0]}>
                  <Name to={path(id)}>{id}</Name>
                </Td>
                {cells(d, id).map((c, i) => (
                  <Td key={columns[i + 1]} dataLabel={columns[i + 1]} className="b-wrap">
                    {c}
                  </Td>
                ))}
                <Td isActionCell>
                  <Actions
                    kebab
                    of={id}
                    list={[
                      { key: 'edit', label: t.edit, action: 'update', object: `${kind}/${id}`, run: () => void navigate(path(id)) },
                      { key: 'delete', label: t.remove, action: 'delete', object: `${kind}/${id}`, danger: true, run: remove(id, d) },
                    ]}
                  />
                </Td>
              </Tr>
            ))}
            {fixed.map((r) => (
              <Tr key={r.id}>
                <Td dataLabel={columns[0]}>{r.id}</Td>
                {r.cells.map((c, i) => (
                  <Td key={columns[i + 1]} dataLabel={columns[i + 1]} className="b-wrap">
                    {c}
                  </Td>
                ))}
                <Td />
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
    </Panel>
  );
}
