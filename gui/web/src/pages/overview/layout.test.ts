import { expect, it } from 'vitest';
import type { Link, Node } from '../../api/types';
import { pairs, picture, type Box } from './layout';

const node = (name: string) => ({ name, state: 'online' }) as Node;
const link = (a: string, b: string, n = 0, state = 'up') => ({ node: a, peer: b, link: n, state, rttNs: 1 }) as Link;

function mesh(n: number) {
  const names = Array.from({ length: n }, (_, i) => `n${i + 1}`);
  return { nodes: names.map(node), links: names.flatMap((a) => names.filter((b) => b !== a).flatMap((b) => [link(a, b), link(a, b, 1)])) };
}

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

it('joins what both ends say of a link, the worse counts', () => {
  expect(pairs([link('b', 'a'), link('a', 'b', 0, 'down'), link('a', 'b', 1)])).toEqual([
    { a: 'a', b: 'b', link: 0, state: 'down', rttNs: 1 },
    { a: 'a', b: 'b', link: 1, state: 'up', rttNs: 1 },
  ]);
});

it('keeps every node in the picture, and none on top of another', () => {
  for (const width of [300, 420, 700, 900, 1400]) {
    for (const n of [1, 2, 3, 4, 5, 7, 9, 10, 40]) {
      const { nodes, links } = mesh(n);
      const p = picture(nodes, links, width);
      expect(p.boxes).toHaveLength(n);
      for (const [i, b] of p.boxes.entries()) {
        expect(b.x, `${n} in ${width}`).toBeGreaterThanOrEqual(0);
        expect(b.x + b.w, `${n} in ${width}`).toBeLessThanOrEqual(width);
        expect(b.y + b.h).toBeLessThanOrEqual(p.height);
        for (const c of p.boxes.slice(i + 1)) expect(overlap(b, c), `${n} in ${width}: ${b.node.name} and ${c.node.name}`).toBe(false);
      }
    }
  }
});

it('draws each link once, and of many only the bad ones', () => {
  const { nodes, links } = mesh(4);
  expect(picture(nodes, links, 900).lines).toHaveLength(12);
  const many = mesh(12);
  const p = picture(many.nodes, [...many.links, link('n1', 'n2', 0, 'down')], 900);
  expect(p.onlyBad).toBe(true);
  expect(p.lines.map((l) => l.key)).toEqual(['n1\nn2\n0']);
  expect(picture([node('n1')], [link('n1', 'gone')], 900).lines).toEqual([]);
});

it('joins a remote node to the node that it is connected to', () => {
  const { nodes, links } = mesh(3);
  const far = { ...node('far'), role: 'remote', host: 'n2' } as Node;
  const lines = (n: Node) => picture([...nodes, n], links, 900).lines.filter((l) => l.link < 0);
  expect(lines(far).map((l) => [l.a, l.b, l.state])).toEqual([['n2', 'far', 'up']]);
  expect(lines({ ...far, state: 'unclean' }).map((l) => l.state)).toEqual(['down']);
  expect(lines({ ...far, host: undefined })).toEqual([]);
  expect(lines({ ...far, host: 'gone' })).toEqual([]);
});
