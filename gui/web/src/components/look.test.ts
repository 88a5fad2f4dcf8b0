import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { families, look } from './look';

// The names stand in the tables of engine/status.
const source = readFileSync(new URL('../../../../engine/status/enums.go', import.meta.url), 'utf8');

function names(prefix: string): string[] {
  const out = [...source.matchAll(new RegExp(`\\{Value: ${prefix}[A-Z]\\w*, Name: "([a-z-]+)"`, 'g'))].map((m) => m[1]!);
  expect(out.length, prefix).toBeGreaterThan(2);
  return out;
}

it('knows every state of the model, and has words for it', () => {
  const model: Record<string, string> = {
    cluster: 'Cluster',
    node: 'Node',
    quorum: 'Quorum',
    link: 'Link',
    device: 'FenceDevice',
    readiness: 'FenceReadiness',
    store: 'Store',
  };
  const known = families();
  for (const [family, prefix] of Object.entries(model)) {
    expect([...known[family]!].sort()).toEqual(names(prefix).sort());
  }
  expect([...known.resource!].sort()).toEqual([...new Set([...names('Resource'), ...names('Instance')])].sort());
  expect([...known.result!].sort()).toEqual([...new Set([...names('FenceResult'), ...names('Failover')])].sort());
  for (const [family, list] of Object.entries(known)) {
    for (const s of list) expect(look(family as never, s).text, `${family} ${s}`).not.toBe(s);
  }
});

it('shows a state of a later release as it is called', () => {
  expect(look('node', 'hibernating')).toMatchObject({ tone: 'off', text: 'hibernating' });
  expect(look('node', 'constructor').text).toBe('constructor');
});
