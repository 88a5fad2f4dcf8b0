// Where the nodes and the lines of the topology picture are: a pure function of the
// state and the room there is.
import type { Link, Node } from '../../api/types';

export interface Box {
  node: Node;
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Line {
  key: string;
  a: string;
  b: string;
  /** -1: the connection of a remote node. */
  link: number;
  state: string;
  rttNs: number;
  path: string;
}

export interface Picture {
  height: number;
  boxes: Box[];
  lines: Line[];
  /** Links that are up were left out: they would hide everything else. */
  onlyBad: boolean;
}

/** With more nodes than this, links that are up are not drawn. */
export const meshMax = 9;

const boxW = 200;
const boxH = 108;
const gap = 56;

/** pairs joins what two nodes say of a link between them: the worse counts. */
export function pairs(links: Link[]): { a: string; b: string; link: number; state: string; rttNs: number }[] {
  const rank = ['unknown', 'up', 'disabled', 'degraded', 'down'];
  const out = new Map<string, { a: string; b: string; link: number; state: string; rttNs: number }>();
  for (const l of links) {
    const [a, b] = l.node < l.peer ? [l.node, l.peer] : [l.peer, l.node];
    const key = JSON.stringify([a, b, l.link]);
    const have = out.get(key);
    if (!have) out.set(key, { a, b, link: l.link, state: l.state, rttNs: l.rttNs });
    else if (rank.indexOf(l.state) > rank.indexOf(have.state)) have.state = l.state;
  }
  return [...out.values()];
}

/** picture places everything into a picture of that width. */
export function picture(nodes: Node[], links: Link[], width: number): Picture {
  const cols = Math.max(1, Math.min(nodes.length, Math.floor((width + gap) / (boxW + gap))));
  const ringed = nodes.length > 2 && nodes.length <= meshMax && width >= (nodes.length === 3 ? 520 : 860);
  const boxes = ringed ? ring(nodes, width) : grid(nodes, width, cols);
  const at = new Map(boxes.map((b) => [b.node.name, b]));
  const onlyBad = nodes.length > meshMax;
  const numbers = [...new Set(links.map((l) => l.link))].sort((x, y) => x - y);
  const lines: Line[] = [];
  for (const p of pairs(links)) {
    const a = at.get(p.a);
    const b = at.get(p.b);
    if (!a || !b || (onlyBad && p.state === 'up')) continue;
    const offset = (numbers.indexOf(p.link) - (numbers.length - 1) / 2) * 12;
    lines.push({ ...p, key: `${p.a}\n${p.b}\n${p.link}`, path: cols === 1 ? arc(a, b, offset, width) : straight(a, b, offset) });
  }
  // A remote node has one connection, and no links.
  for (const b of boxes) {
    const host = b.node.host ? at.get(b.node.host) : undefined;
    if (!host || (onlyBad && b.node.state === 'online')) continue;
    const state = b.node.state === 'online' ? 'up' : 'down';
    lines.push({ a: host.node.name, b: b.node.name, link: -1, state, rttNs: 0, key: `${host.node.name}\n${b.node.name}\n-1`, path: cols === 1 ? arc(host, b, 0, width) : straight(host, b, 0) });
  }
  const height = boxes.reduce((h, b) => Math.max(h, b.y + b.h), 0);
  return { height, boxes, lines, onlyBad };
}

/** ring places up to meshMax nodes on an ellipse, the first at the top. */
function ring(nodes: Node[], width: number): Box[] {
  const n = nodes.length;
  const rx = Math.min((width - boxW) / 2, n <= 4 ? 300 : 460);
  const ry = n === 3 ? 115 : n <= 4 ? 130 : n <= 6 ? 190 : 260;
  const raw = nodes.map((node, i) => {
    const turn = -Math.PI / 2 + (2 * Math.PI * i) / n;
    return { node, x: width / 2 + rx * Math.cos(turn) - boxW / 2, y: ry * Math.sin(turn), w: boxW, h: boxH };
  });
  const top = Math.min(...raw.map((b) => b.y));
  return raw.map((b) => ({ ...b, x: Math.round(b.x), y: Math.round(b.y - top) }));
}

function grid(nodes: Node[], width: number, cols: number): Box[] {
  const room = cols === 1 ? width - 36 : width;
  const w = Math.min(cols === 1 ? 420 : boxW, room);
  const left = cols === 1 ? 0 : Math.max(0, (width - cols * w - (cols - 1) * gap) / 2);
  const down = cols === 1 ? 24 : 44;
  return nodes.map((node, i) => ({ node, x: Math.round(left + (i % cols) * (w + gap)), y: Math.floor(i / cols) * (boxH + down), w, h: boxH }));
}

function centre(b: Box): [number, number] {
  return [b.x + b.w / 2, b.y + b.h / 2];
}

function straight(a: Box, b: Box, offset: number): string {
  const [x1, y1] = centre(a);
  const [x2, y2] = centre(b);
  const len = Math.hypot(x2 - x1, y2 - y1) || 1;
  const dx = (-(y2 - y1) / len) * offset;
  const dy = ((x2 - x1) / len) * offset;
  return `M${r(x1 + dx)} ${r(y1 + dy)}L${r(x2 + dx)} ${r(y2 + dy)}`;
}

/** arc joins two boxes of a column along its right side, so that no box hides it. */
function arc(a: Box, b: Box, offset: number, width: number): string {
  const x = a.x + a.w;
  const y1 = a.y + a.h / 2 + offset / 2;
  const y2 = b.y + b.h / 2 + offset / 2;
  const far = Math.min(width - 2, x + 14 + Math.abs(y2 - y1) / 14 + offset / 3);
  return `M${r(x)} ${r(y1)}C${r(far)} ${r(y1)} ${r(far)} ${r(y2)} ${r(x)} ${r(y2)}`;
}

function r(n: number): number {
  return Math.round(n * 10) / 10;
}
