import { ClipboardCopy } from '@patternfly/react-core';
import { common } from '../texts/common';
import { quote } from './quote';

/** CLI shows the command that does the same, to copy. */
export function CLI({ args, text }: { args?: string[]; text?: string }) {
  return (
    <div className="b-cli">
      <span className="b-subtle">{common.sameInCLI}</span>
      <ClipboardCopy isReadOnly isCode hoverTip={common.copy} clickTip={common.copied} variant="inline-compact" copyAriaLabel={common.copy}>
        {text ?? ['belay', ...(args ?? [])].map(quote).join(' ')}
      </ClipboardCopy>
    </div>
  );
}
