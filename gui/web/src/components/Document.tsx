import { CodeBlock, CodeBlockCode } from '@patternfly/react-core';

/** yaml writes a document as YAML: enough of it for what the configuration holds. */
export function yaml(v: unknown, indent = ''): string {
  if (Array.isArray(v)) {
    if (v.length === 0) return ' []';
    return v.map((x) => `\n${indent}- ${yaml(x, `${indent}  `).replace(/^\s+/, '')}`).join('');
  }
  if (typeof v === 'object' && v !== null) {
    const keys = Object.keys(v);
    if (keys.length === 0) return ' {}';
    return keys.map((k) => `\n${indent}${plain(k)}:${yaml((v as Record<string, unknown>)[k], `${indent}  `)}`).join('');
  }
  return ` ${typeof v === 'string' ? plain(v) : JSON.stringify(v)}`;
}

function plain(s: string): string {
  // What YAML would take for something else than this text is quoted.
  if (/^[A-Za-z_/][\w ./-]*$/.test(s) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(s) && !s.endsWith(' ')) return s;
  return JSON.stringify(s);
}

/** Document shows a document of the configuration. */
export function Document({ value }: { value: unknown }) {
  return (
    <CodeBlock>
      <CodeBlockCode>{yaml(value).replace(/^\s+/, '')}</CodeBlockCode>
    </CodeBlock>
  );
}
