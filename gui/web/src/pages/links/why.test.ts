import { expect, it } from 'vitest';
import type { Link, Node, Summary } from '../../api/types';
import { endsOf, why, worst } from './why';

const node = (name: string, more: Partial<Node> = {}) => ({ name, state: 'online', member: true, ...more }) as Node;
const link = (from: string, to: string, n: number, more: Partial<Link> = {}) => ({ node: from, peer: to, link: n, state: 'up', loss: 0, rejected: 0, ...more }) as Link;
const world = (links: Link[], nodes = [node('a'), node('b')]) => ({ nodes, links }) as unknown as Summary;

it('tells a link that works from one that works one way', () => {
  expect(why(world([link('a', 'b', 0), link('b', 'a', 0)]), 'a', 'b', 0)).toEqual(['Both nodes hear each other.']);
  const oneWay = world([link('a', 'b', 0), link('b', 'a', 0, { state: 'down' })]);
  expect(why(oneWay, 'a', 'b', 0)[0]).toMatch(/^a hears b, but b does not hear a/);
  expect(why(oneWay, 'b', 'a', 0)[0]).toMatch(/^a hears b, but b does not hear a/);
  expect(worst(endsOf(oneWay, 'a', 'b', 0))).toBe('down');
});

it('tells a broken link from a node that is away', () => {
  const down = [link('a', 'b', 0, { state: 'down' }), link('b', 'a', 0, { state: 'down' })];
  expect(why(world([...down, link('a', 'b', 1), link('b', 'a', 1)]), 'a', 'b', 0)[0]).toMatch(/link 1.*switch port/);
  expect(why(world(down), 'a', 'b', 0)[0]).toMatch(/on no link/);
  const away = world([down[0]!], [node('a'), node('b', { state: 'offline', member: false, reason: 'it left' })]);
  expect(why(away, 'a', 'b', 0)).toEqual(['b is not in the cluster: it left.']);
  expect(why(world([down[0]!]), 'a', 'b', 0)).toEqual(['b has not told yet how it sees this link.']);
  expect(why(world([]), 'a', 'x', 0)[0]).toBe('There is no node x any more.');
});

it('names what is lost and what is refused', () => {
  const w = why(world([link('a', 'b', 0, { state: 'degraded', loss: 0.12 }), link('b', 'a', 0, { rejected: 3 })]), 'a', 'b', 0);
  expect(w[1]).toMatch(/12 %/);
  expect(w[2]).toMatch(/^b refused 3 packets of a/);
});
