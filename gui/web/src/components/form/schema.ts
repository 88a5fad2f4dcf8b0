// The model as its JSON schema describes it, and which control each field of it gets.
import schemaFile from '../../../../../docs/reference/cluster.schema.json';

export interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  required?: string[];
  anyOf?: Schema[];
  const?: unknown;
  pattern?: string;
  minimum?: number;
  maximum?: number;
}

interface SchemaFile extends Schema {
  $defs: Record<string, Schema>;
}

export const root = schemaFile as SchemaFile;

/** resolve follows a reference; what the field itself says of it counts more. */
export function resolve(s: Schema): Schema & { name?: string } {
  if (!s.$ref) return s;
  const name = s.$ref.replace('#/$defs/', '');
  const def = root.$defs[name];
  if (!def) throw new Error(`the schema has no ${name}`);
  return { ...def, description: s.description ?? def.description, name };
}

/** What a field is edited with. */
export type Control =
  | { control: 'text'; pattern?: string; unit?: 'duration' | 'score' }
  | { control: 'secret' }
  | { control: 'long' }
  | { control: 'number'; minimum?: number; maximum?: number }
  | { control: 'boolean' }
  | { control: 'choice'; options: { value: string; text: string }[] }
  | { control: 'map'; of: 'text' | 'number' }
  | { control: 'lines' }
  | { control: 'levels' }
  | { control: 'list'; of: string }
  | { control: 'object'; of: string }
  | { control: 'json' };

function typeOf(s: Schema): string {
  const t = Array.isArray(s.type) ? s.type.find((x) => x !== 'null') : s.type;
  return t ?? '';
}

/** controlOf says what a field is edited with. Every schema gets something. */
export function controlOf(field: Schema): Control {
  const s = resolve(field);
  if (s.anyOf) {
    if (s.anyOf.every((a) => typeof a.const === 'string')) return { control: 'choice', options: s.anyOf.map((a) => ({ value: a.const as string, text: a.description ?? '' })) };
    const pattern = s.anyOf.find((a) => a.pattern)?.pattern;
    if (pattern) return { control: 'text', pattern, unit: s.name === 'Duration' ? 'duration' : s.name === 'Score' ? 'score' : undefined };
    return { control: 'json' };
  }
  switch (typeOf(s)) {
    case 'string':
      return { control: 'text', pattern: s.pattern };
    case 'integer':
    case 'number':
      return { control: 'number', minimum: s.minimum, maximum: s.maximum };
    case 'boolean':
      return { control: 'boolean' };
    case 'array': {
      const items = resolve(s.items ?? {});
      if (items.name && typeOf(items) === 'object') return { control: 'list', of: items.name };
      if (typeOf(items) === 'string') return { control: 'lines' };
      if (typeOf(items) === 'array' && typeOf(resolve(items.items ?? {})) === 'string') return { control: 'levels' };
      return { control: 'json' };
    }
    case 'object': {
      if (s.name && s.properties) return { control: 'object', of: s.name };
      const of = typeof s.additionalProperties === 'object' ? typeOf(resolve(s.additionalProperties)) : '';
      if (of === 'string') return { control: 'map', of: 'text' };
      if (of === 'integer') return { control: 'map', of: 'number' };
      return { control: 'json' };
    }
  }
  return { control: 'json' };
}

/** given are fields that the cluster fills in, not people. */
const given = new Set(['number', 'public-key']);

/** secrets are fields that nobody may read over the shoulder, and long those with more than a line. */
const secrets = new Set(['auth-passphrase', 'priv-passphrase', 'community', 'password', 'secret', 'token']);
const long = new Set(['ca']);

function named(field: string, c: Control): Control {
  if (c.control !== 'text' || c.unit) return c;
  return secrets.has(field) ? { control: 'secret' } : long.has(field) ? { control: 'long' } : c;
}

/** builtinFilters are the filters of CIM indications that every cluster has. */
export const builtinFilters = ['belay-events', 'belay-alarms', 'belay-lifecycle'];

/** exclusive are documents of which exactly one of some fields is set. */
export const exclusive: Record<string, string[]> = {
  Resource: ['agent', 'group', 'clone', 'bundle'],
  Constraint: ['location', 'colocation', 'order', 'ticket'],
};

/** basic are the fields that most people need; the others are folded. What is required is basic, too. */
const basic: Record<string, string[]> = {
  Resource: ['agent', 'group', 'clone', 'bundle', 'description', 'parameters'],
  Constraint: ['location', 'colocation', 'order', 'ticket'],
  Location: ['resource', 'node', 'score'],
  Colocation: ['resource', 'with', 'score'],
  Order: ['first', 'then', 'kind'],
  TicketConstraint: ['resource', 'ticket', 'loss-policy'],
  Clone: ['resource', 'promotable', 'clone-max', 'interleave'],
  FenceDevice: ['agent', 'parameters', 'targets'],
  FenceTopology: ['levels'],
  QuorumDevice: ['kind', 'order', 'parameters'],
  Ticket: ['granted', 'standby'],
  Node: ['addresses', 'site', 'voter', 'attributes'],
  Operation: ['name', 'interval', 'timeout', 'on-fail'],
  Cluster: ['name', 'options', 'resource-defaults', 'op-defaults'],
  SNMPUser: ['auth-passphrase', 'priv-passphrase', 'agent', 'community'],
  SNMPTarget: ['address', 'user', 'min-severity', 'inform'],
  Webhook: ['url', 'token', 'secret', 'min-severity', 'format'],
  MailTarget: ['server', 'security', 'from', 'to', 'user', 'password', 'min-severity'],
  CIMDestination: ['url', 'ca', 'user', 'password'],
  CIMFilter: ['query', 'language'],
  CIMSubscription: ['filter', 'destination', 'disabled'],
  Options: ['no-quorum-policy', 'maintenance-mode', 'fencing-required', 'detection', 'placement-strategy'],
};

export interface Field {
  name: string;
  schema: Schema;
  control: Control;
  required: boolean;
  help: string;
}

export interface Fields {
  basic: Field[];
  more: Field[];
  /** Fields that no form shows, since the cluster fills them in. */
  given: string[];
}

/** fieldsOf lists the fields of a definition, as its form shows them. */
export function fieldsOf(name: string): Fields {
  const def = root.$defs[name];
  if (!def?.properties) throw new Error(`the schema has no fields of ${name}`);
  const first = basic[name];
  const out: Fields = { basic: [], more: [], given: [] };
  for (const [field, schema] of Object.entries(def.properties)) {
    if (given.has(field)) {
      out.given.push(field);
      continue;
    }
    const required = (def.required ?? []).includes(field);
    const f = { name: field, schema, control: named(field, controlOf(schema)), required, help: schema.description ?? '' };
    (required || !first || first.includes(field) ? out.basic : out.more).push(f);
  }
  const at = (f: Field) => (first?.includes(f.name) ? first.indexOf(f.name) : 99);
  out.basic.sort((a, b) => at(a) - at(b));
  return out;
}

/** definitionOf is the definition of the documents of a section such as "resources". */
export function definitionOf(section: string): string {
  const p = root.properties?.[section];
  const ref = p?.$ref ?? (typeof p?.additionalProperties === 'object' ? p.additionalProperties.$ref : undefined);
  if (!ref) throw new Error(`the schema has no section ${section}`);
  return ref.replace('#/$defs/', '');
}
