import { useLayoutEffect, useMemo, useRef, useState } from 'react';
import { Link as To } from 'react-router';
import { useSummary } from '../../api/live';
import type { Node, Summary } from '../../api/types';
import { look } from '../../components/look';
import { hosts } from '../../components/hosts';
import { nodePath } from '../../components/Name';
import { Sign } from '../../components/State';
import { nanos } from '../../components/time';
import { overview } from '../../texts/overview';
import { pairs, picture } from './layout';

const t = overview.topology;

/** running lists what is active on each node, groups by their own name. */
export function running(s: Summary): Map<string, { id: string; state: string }[]> {
  const out = new Map<string, { id: string; state: string }[]>();
  for (const r of s.resources ?? []) {
    if (r.depth > 0) continue;
    for (const n of r.nodes ?? []) {
      const list = out.get(n);
      if (list) list.push({ id: r.id, state: r.state });
      else out.set(n, [{ id: r.id, state: r.state }]);
    }
  }
  return out;
}

/** Topology is the picture: nodes with what they run, the links between them, and the devices that protect them. */
export function Topology() {
  const s = useSummary();
  const [width, setWidth] = useState(0);
  const frame = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const el = frame.current;
    if (!el) return;
    const o = new ResizeObserver((entries) => setWidth(Math.floor(entries[0]!.contentRect.width)));
    o.observe(el);
    return () => o.disconnect();
  }, []);
  const { links } = s;
  const nodes = useMemo(() => hosts(s), [s]);
  const p = useMemo(() => (width > 0 ? picture(nodes, links ?? [], width) : undefined), [nodes, links, width]);
  const runs = useMemo(() => running(s), [s]);
  const all = useMemo(() => pairs(links ?? []), [links]);
  return (
    <div className="b-topology">
      <Devices kind="quorum" s={s} />
      <div ref={frame} className="b-topology__frame" style={{ height: p?.height }}>
        {p && (
          <svg width={width} height={p.height} role="img" aria-label={t.label(p.boxes.length, all.filter((l) => l.state === 'up').length, all.length)}>
            {p.lines.map((l) => (
              <path key={l.key} d={l.path} className={`b-link b-link--${look('link', l.state).tone}${l.link < 0 ? ' b-link--remote' : ''}`}>
                <title>{l.link < 0 ? t.connection(l.a, l.b) : t.link(l.a, l.b, l.link, look('link', l.state).text, l.state === 'up' ? nanos(l.rttNs) : '')}</title>
              </path>
            ))}
          </svg>
        )}
        {p?.boxes.map((b) => (
          <div key={b.node.name} className={`b-nodebox b-nodebox--${look('node', b.node.state).tone}`} style={{ left: b.x, top: b.y, width: b.w, height: b.h }}>
            <NodeBox node={b.node} runs={runs.get(b.node.name) ?? []} />
          </div>
        ))}
      </div>
      <Devices kind="fence" s={s} />
      {p?.onlyBad && <p className="b-subtle">{t.onlyBad}</p>}
    </div>
  );
}

function NodeBox({ node, runs }: { node: Node; runs: { id: string; state: string }[] }) {
  const state = look('node', node.state);
  const roles = [node.role === 'dc' && t.dc, node.role === 'arbiter' && t.arbiter, node.role === 'remote' && t.remote, node.voter && t.voter].filter(Boolean).join(' · ');
  const shown = runs.slice(0, runs.length > 3 ? 2 : 3);
  return (
    <>
      <div className="b-nodebox__head">
        <Sign of="node" is={node.state} />
        <To to={nodePath(node.name)}>
          <bdi className="b-name">{node.name}</bdi>
        </To>
        <span className="b-nodebox__state">{node.state === 'online' ? '' : state.text}</span>
      </div>
      <div className="b-nodebox__roles">{roles}</div>
      <ul className="b-nodebox__runs">
        {shown.map((r) => (
          <li key={r.id}>
            <Sign of="resource" is={r.state} />
            <bdi className="b-name">{r.id}</bdi>
          </li>
        ))}
        {runs.length > shown.length && <li className="b-subtle">{t.moreRunning(runs.length - shown.length)}</li>}
        {runs.length === 0 && <li className="b-subtle">{t.empty}</li>}
      </ul>
    </>
  );
}

function Devices({ kind, s }: { kind: 'quorum' | 'fence'; s: Summary }) {
  const rows =
    kind === 'fence'
      ? (s.fenceDevices ?? []).map((d) => ({ id: d.id, tone: look('device', d.state).tone, sign: <Sign of="device" is={d.state} />, text: look('device', d.state).text, to: '/fencing' }))
      : (s.quorum.devices ?? []).map((d) => ({
          id: d.id,
          tone: d.failed ? 'bad' : 'good',
          sign: <Sign of="device" is={d.failed ? 'failed' : 'available'} />,
          text: d.failed || d.kind,
          to: '/quorum',
        }));
  if (rows.length === 0) return null;
  return (
    <ul className="b-devices" aria-label={kind === 'fence' ? t.fence : t.quorum}>
      {rows.slice(0, 12).map((d) => (
        <li key={d.id} className={`b-device b-device--${d.tone}`}>
          {d.sign}
          <span className="b-subtle">{kind === 'fence' ? t.fence : t.quorum}</span>
          <To to={d.to}>
            <bdi className="b-name">{d.id}</bdi>
          </To>
          <span className="b-subtle b-name">{d.text}</span>
        </li>
      ))}
      {rows.length > 12 && <li className="b-subtle">{t.moreRunning(rows.length - 12)}</li>}
    </ul>
  );
}
