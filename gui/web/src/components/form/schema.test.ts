import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { form } from '../../texts/form';
import { sections } from '../change/proposal';
import { definitionOf, exclusive, fieldsOf, root } from './schema';

/** reachable are the definitions whose fields a form can show, from the sections of the configuration down. */
function reachable(): Set<string> {
  const out = new Set<string>();
  const visit = (name: string) => {
    if (out.has(name)) return;
    out.add(name);
    const f = fieldsOf(name);
    for (const { control } of [...f.basic, ...f.more]) if (control.control === 'object' || control.control === 'list') visit(control.of);
  };
  for (const section of Object.keys(root.properties!)) visit(definitionOf(section));
  return out;
}

it('has a form for every section of the configuration', () => {
  expect([...Object.values(sections), 'cluster'].sort()).toEqual(Object.keys(root.properties!).sort());
  const openapi = JSON.parse(readFileSync(new URL('../../../../../docs/reference/openapi.json', import.meta.url), 'utf8')) as {
    paths: Record<string, { get: { parameters: { name: string; schema: { enum?: string[] } }[] } }>;
  };
  const kinds = openapi.paths['/v1/config/{kind}/{id}']!.get.parameters.find((p) => p.name === 'kind')!.schema.enum!;
  expect(Object.keys(sections).sort()).toEqual([...kinds].sort());
  for (const k of kinds) expect(form.kinds[k], k).toBeTruthy();
});

it('shows every field of the model', () => {
  const seen = reachable();
  expect(seen.size).toBeGreaterThan(25);
  for (const name of seen) {
    const f = fieldsOf(name);
    const shown = [...f.basic, ...f.more].map((x) => x.name);
    expect([...shown, ...f.given].sort(), name).toEqual(Object.keys(root.$defs[name]!.properties!).sort());
    expect(new Set(shown).size, name).toBe(shown.length);
    expect(f.given.filter((g) => g !== 'number' && g !== 'public-key'), name).toEqual([]);
  }
});

it('has a control of its own for all but a few fields', () => {
  const json = [...reachable()].flatMap((n) => {
    const f = fieldsOf(n);
    return [...f.basic, ...f.more].filter((x) => x.control.control === 'json').map((x) => `${n}.${x.name}`);
  });
  expect(json).toEqual(['Cluster.properties']);
});

it('knows what only one of may be set', () => {
  for (const [name, fields] of Object.entries(exclusive)) {
    for (const f of fields) {
      expect(root.$defs[name]!.properties, name).toHaveProperty(f);
      expect(form.whichOf[f], f).toBeTruthy();
    }
  }
});
