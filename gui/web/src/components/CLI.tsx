import { ClipboardCopy } from '@patternfly/react-core';
import { common } from '../texts/common';

/** quote writes an argument as a shell reads it. */
export function quote(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`;
}

/** CLI shows the command that does the same, to copy. */
export function CLI({ args }: { args: string[] }) {
  const text = ['belay', ...args].map(quote).join(' ');
  return (
    <div className="b-cli">
      <span className="b-subtle">{common.sameInCLI}</span>
      <ClipboardCopy isReadOnly isCode hoverTip={common.copy} clickTip={common.copied} variant="inline-compact">
        {text}
      </ClipboardCopy>
    </div>
  );
}
