import { useSummary } from '../../api/live';
import { useConfig } from '../../api/queries';
import type { Node } from '../../api/types';
import { hosts, isRemote } from '../../components/hosts';
import { ListTable, type Column } from '../../components/ListTable';
import { Name, nodePath } from '../../components/Name';
import { nodes } from '../../texts/nodes';

const t = nodes.attributes;

interface Row {
  node: string;
  name: string;
  value: string;
  permanent: boolean;
}

const columns: Column<Row>[] = [
  { key: 'node', name: t.forNode, sort: (r) => r.node, cell: (r) => <Name to={nodePath(r.node)}>{r.node}</Name> },
  { key: 'name', name: t.name, header: true, sort: (r) => r.name, cell: (r) => <Name>{r.name}</Name> },
  { key: 'value', name: t.value, sort: (r) => r.value, cell: (r) => <bdi className="b-wrap b-clamp">{r.value}</bdi> },
  { key: 'kept', name: t.kept, sort: (r) => String(r.permanent), cell: (r) => (r.permanent ? t.permanent : t.transient) },
];

/** AttributeTable lists the attributes of nodes. */
export function AttributeTable({ nodes: wanted }: { nodes?: Node[] }) {
  const s = useSummary();
  const config = useConfig();
  const rows: Row[] = (wanted ?? hosts(s)).flatMap((n) =>
    Object.entries(n.attributes ?? {}).map(([name, value]) => {
      const permanent = config.data?.config[isRemote(n) ? 'remote-nodes' : 'nodes']?.[n.name]?.attributes as Record<string, string> | undefined;
      return { node: n.name, name, value, permanent: permanent !== undefined && name in permanent };
    }),
  );
  return <ListTable label={t.title} rows={rows} columns={columns} id={(r) => `${r.node} ${r.name}`} text={(r) => `${r.node} ${r.name} ${r.value}`} empty={<p className="b-subtle">{t.none}</p>} />;
}
