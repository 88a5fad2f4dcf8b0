import { useMemo } from 'react';
import type { Step } from '../../api/types';
import { change } from '../../texts/change';
import { layers } from './graph';

const w = 190;
const h = 52;
const gapX = 44;
const gapY = 12;

/** stepTone is the colour of what a step does. */
export function stepTone(text: string): 'good' | 'bad' | 'warn' | 'busy' | 'off' {
  const op = text.split(' ', 1)[0];
  if (op === 'start' || op === 'promote') return 'good';
  if (op === 'stop' || op === 'demote') return 'warn';
  if (op === 'fence' || op === 'reboot' || op === 'off') return 'bad';
  return op === 'monitor' ? 'off' : 'busy';
}

/** PlanGraph is the picture of a transition: each step stands right of all that it waits for. */
export function PlanGraph({ steps }: { steps: Step[] }) {
  const placed = useMemo(() => layers(steps), [steps]);
  const at = new Map(placed.map((p) => [p.step.number, p]));
  const x = (l: number) => l * (w + gapX);
  const y = (r: number) => r * (h + gapY);
  const width = Math.max(0, ...placed.map((p) => x(p.layer) + w));
  const height = Math.max(0, ...placed.map((p) => y(p.row) + h));
  return (
    <div className="b-graph" role="region" aria-label={change.graph} tabIndex={0}>
      <div style={{ width, height, position: 'relative' }}>
        <svg width={width} height={height} aria-hidden="true">
          {placed.flatMap((p) =>
            (p.step.after ?? []).map((n) => {
              const q = at.get(n);
              if (!q) return null;
              const x1 = x(q.layer) + w;
              const y1 = y(q.row) + h / 2;
              const x2 = x(p.layer);
              const y2 = y(p.row) + h / 2;
              return <path key={`${n}-${p.step.number}`} className="b-edge" d={`M${x1} ${y1}C${x1 + gapX / 2} ${y1} ${x2 - gapX / 2} ${y2} ${x2} ${y2}`} />;
            }),
          )}
        </svg>
        <ol className="b-graph__steps">
          {placed.map((p) => (
            <li key={p.step.number} className={`b-step b-step--${stepTone(p.step.text)} b-step--${p.step.state ?? 'waiting'}`} style={{ left: x(p.layer), top: y(p.row), width: w, height: h }} title={p.step.why.cause}>
              <bdi className="b-name">{p.step.text}</bdi>
              <span className="b-subtle b-name">{p.step.why.cause}</span>
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}
