import { useNavigate } from 'react-router';
import { useMemo } from 'react';
import { useConfig } from '../../api/queries';
import { Actions } from '../../components/Actions';
import { LinkButton } from '../../components/LinkButton';
import { lines } from '../../components/lines';
import { ListTable, type Column } from '../../components/ListTable';
import { Name } from '../../components/Name';
import { PageTitle } from '../../components/PageTitle';
import { ProblemAlert } from '../../components/ProblemAlert';
import { constraints as t } from '../../texts/protect';
import { row, type Row } from './says';

const path = (id: string) => `/configuration/constraint/${encodeURIComponent(id)}`;

const columns: Column<Row>[] = [
  { key: 'id', name: t.columns.id, header: true, sort: (r) => r.id, cell: (r) => <Name to={path(r.id)}>{r.id}</Name> },
  { key: 'kind', name: t.columns.kind, sort: (r) => r.kind, cell: (r) => t.kinds[r.kind] ?? r.kind },
  { key: 'says', name: t.columns.says, sort: (r) => r.says, cell: (r) => <bdi className="b-wrap">{r.says}</bdi> },
  { key: 'score', name: t.columns.score, sort: (r) => r.score, cell: (r) => r.score || '–' },
];

const text = (r: Row) => `${r.id} ${r.says}`;
const stateOf = (r: Row) => r.kind;
const stateText = (k: string) => t.kinds[k] ?? k;

/** The constraints. */
export default function Constraints() {
  const config = useConfig();
  const navigate = useNavigate();
  const documents = config.data?.config.constraints;
  const rows = useMemo(() => Object.entries(documents ?? {}).map(([id, d]) => row(id, d)), [documents]);
  return (
    <>
      <PageTitle title={t.title} lead={t.lead} actions={<LinkButton to="/configuration/constraint/new" action="create" object="constraint/*">{t.add}</LinkButton>} />
      {config.error && <ProblemAlert error={config.error} onRetry={() => void config.refetch()} />}
      <ListTable
        label={t.title}
        rows={rows}
        columns={columns}
        id={(r) => r.id}
        text={text}
        stateOf={stateOf}
        stateText={stateText}
        actions={(r) => (
          <Actions
            kebab
            of={r.id}
            list={[
              { key: 'edit', label: t.edit, action: 'update', object: `constraint/${r.id}`, run: () => void navigate(path(r.id)) },
              {
                key: 'delete',
                label: t.remove,
                action: 'delete',
                object: `constraint/${r.id}`,
                danger: true,
                run: { title: t.propose.remove(r.id), danger: true, edit: { kind: 'constraint', id: r.id, base: r.document, generation: config.data?.generation ?? 0 }, cli: () => lines.constraintDelete(r.id) },
              },
            ]}
          />
        )}
        empty={<p className="b-subtle">{config.isPending ? '' : t.none}</p>}
      />
    </>
  );
}
