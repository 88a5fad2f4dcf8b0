import { ClipboardCopy } from '@patternfly/react-core';
import { common } from '../texts/common';
import { quote } from './quote';

/** CLI shows the command that does the same, to copy; with another label, or none, one that is to be run. */
export function CLI({ args, text, label = common.sameInCLI }: { args?: string[]; text?: string; label?: string }) {
  return (
    <div className="b-cli">
      {label && <span className="b-subtle">{label}</span>}
      <ClipboardCopy isReadOnly isCode hoverTip={common.copy} clickTip={common.copied} variant="inline-compact" copyAriaLabel={common.copy}>
        {text ?? ['belay', ...(args ?? [])].map(quote).join(' ')}
      </ClipboardCopy>
    </div>
  );
}
