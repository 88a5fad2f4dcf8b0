// Why a link is as it is, of what both of its ends say: a pure function.
import type { Link, Summary } from '../../api/types';
import { links as t } from '../../texts/protect';

/** Ends are the two views of a link; one is missing where its node tells nothing. */
export interface Ends {
  here?: Link;
  there?: Link;
}

/** endsOf finds both views of a link. */
export function endsOf(s: Summary, node: string, peer: string, link: number): Ends {
  const find = (a: string, b: string) => (s.links ?? []).find((l) => l.node === a && l.peer === b && l.link === link);
  return { here: find(node, peer), there: find(peer, node) };
}

/** worst is the state of the end that is worse off. */
export function worst({ here, there }: Ends): string {
  const order = ['down', 'degraded', 'unknown', 'up', 'disabled'];
  return [here?.state ?? 'unknown', there?.state ?? 'unknown'].sort((a, b) => order.indexOf(a) - order.indexOf(b))[0]!;
}

const hears = (l: Link | undefined) => l !== undefined && l.state !== 'down';

/** why says what is known of the cause, the most telling first. */
export function why(s: Summary, node: string, peer: string, link: number): string[] {
  const { here, there } = endsOf(s, node, peer, link);
  const w = t.why;
  const out: string[] = [];
  for (const name of [node, peer]) {
    const n = (s.nodes ?? []).find((x) => x.name === name);
    if (!n) out.push(w.gone(name));
    else if (!n.member || n.state === 'offline') out.push(w.away(name, n.reason ?? ''));
  }
  if (here && there) {
    if (hears(here) && hears(there)) out.push(w.both);
    else if (hears(here)) out.push(w.oneWay(node, peer));
    else if (hears(there)) out.push(w.oneWay(peer, node));
    else if (out.length === 0) {
      const others = (s.links ?? []).filter((l) => l.node === node && l.peer === peer && l.link !== link && hears(l)).map((l) => l.link);
      out.push(others.length > 0 ? w.others(link, others) : w.none);
    }
  } else if (out.length === 0) {
    out.push(w.silent(here ? peer : node));
  }
  for (const l of [here, there]) {
    if (!l) continue;
    if (hears(l) && l.loss > 0) out.push(w.loss(l.node, l.peer, (l.loss * 100).toFixed(l.loss < 0.01 ? 2 : 0)));
    if (l.rejected > 0) out.push(w.rejected(l.node, l.peer, l.rejected));
  }
  return out;
}
