import { Button } from '@patternfly/react-core';
import { useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import { yaml as t } from '../../texts/yaml';
import type { Schema } from '../form/schema';
import { read, type LineFault, type Read } from './read';

interface Props {
  id: string;
  label: string;
  text: string;
  schema: Schema;
  /** What was read is told with every change. */
  onChange: (text: string, read: Read) => void;
}

/** How many faults are shown below the text. */
const shownFaults = 8;

/** Editor edits YAML in a plain field with line numbers; what is wrong is marked by line. Tab leaves it, as any field. */
export default function Editor({ id, label, text, schema, onChange }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const [line, setLine] = useState(1);
  const { faults } = useMemo(() => read(text, schema), [text, schema]);
  const lines = useMemo(() => text.split('\n').length, [text]);
  const follow = () => {
    if (gutter.current && field.current) gutter.current.style.transform = `translateY(${-field.current.scrollTop}px)`;
  };
  useLayoutEffect(follow, [text]);
  const caret = () => setLine(lineAt(field.current!.value, field.current!.selectionStart));
  const goTo = (n: number) => {
    const f = field.current!;
    const start = f.value.split('\n').slice(0, n - 1).reduce((sum, l) => sum + l.length + 1, 0);
    const end = f.value.indexOf('\n', start);
    f.focus();
    f.setSelectionRange(start, end < 0 ? f.value.length : end);
    f.scrollTop = Math.max(0, (n - 5) * parseFloat(getComputedStyle(f).lineHeight));
    setLine(n);
  };
  const indent = (e: KeyboardEvent<HTMLTextAreaElement>) => {
    if (e.key !== 'Enter' || e.shiftKey || e.ctrlKey || e.metaKey || e.nativeEvent.isComposing) return;
    const f = e.currentTarget;
    const before = f.value.slice(f.value.lastIndexOf('\n', f.selectionStart - 1) + 1, f.selectionStart);
    const pad = /^ */.exec(before)![0] + (/:\s*$/.test(before) ? '  ' : '');
    // The browser's own insertion can be undone.
    if (pad && document.execCommand('insertText', false, `\n${pad}`)) e.preventDefault();
  };
  return (
    <div className="b-editor">
      <div className="b-editor__frame" data-bad={faults.length > 0 || undefined}>
        <div className="b-editor__gutter" aria-hidden="true">
          <Numbers ref={gutter} lines={lines} faults={faults} line={line} />
        </div>
        <textarea
          ref={field}
          id={id}
          aria-label={label}
          aria-describedby={`${id}-state`}
          aria-invalid={faults.length > 0}
          className="b-editor__text"
          value={text}
          wrap="off"
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          onChange={(e) => onChange(e.target.value, read(e.target.value, schema))}
          onScroll={follow}
          onSelect={caret}
          onKeyDown={indent}
        />
      </div>
      <div className="b-editor__foot" id={`${id}-state`} aria-live="polite">
        <span className={faults.length > 0 ? 'b-no' : 'b-yes'}>{faults.length > 0 ? t.faults(faults.length) : t.valid}</span>
        <span className="b-subtle">{t.lines(lines)}</span>
      </div>
      {faults.length > 0 && (
        <ul className="b-editor__faults">
          {faults.slice(0, shownFaults).map((f, i) => (
            <li key={i}>
              <Button variant="link" isInline onClick={() => goTo(f.line)}>
                {t.goTo(f.line)}
              </Button>{' '}
              <span className="b-wrap">
                {f.path && <code>{f.path}</code>} {f.text}
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function lineAt(text: string, offset: number): number {
  let n = 1;
  for (let i = text.indexOf('\n'); i >= 0 && i < offset; i = text.indexOf('\n', i + 1)) n++;
  return n;
}

/** Numbers are the line numbers: one text, but for the lines that are marked. */
function Numbers({ ref, lines, faults, line }: { ref: React.Ref<HTMLDivElement>; lines: number; faults: LineFault[]; line: number }) {
  const marked = new Map<number, string>([[line, 'b-editor__here']]);
  for (const f of faults) marked.set(f.line, 'b-editor__bad');
  const parts: React.ReactNode[] = [];
  let plain = '';
  for (let n = 1; n <= lines; n++) {
    const mark = marked.get(n);
    if (!mark) {
      plain += `${n}\n`;
      continue;
    }
    parts.push(plain, <span key={n} className={mark}>{`${n}\n`}</span>);
    plain = '';
  }
  return <div ref={ref}>{[...parts, plain]}</div>;
}
