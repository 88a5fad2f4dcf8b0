import { Label } from '@patternfly/react-core';
import type { ReactNode } from 'react';
import { look, type Family, type Tone } from './look';

type LabelLook = { status?: 'success' | 'warning' | 'danger' | 'info'; color?: 'grey' | 'purple' };

const tones: Record<Tone, LabelLook> = {
  good: { status: 'success' },
  busy: { status: 'info' },
  warn: { status: 'warning' },
  bad: { status: 'danger' },
  off: { color: 'grey' },
  special: { color: 'purple' },
};

/** State shows a state as a label with its sign. */
export function State({ of, is, title, children }: { of: Family; is: string; title?: string; children?: ReactNode }) {
  const l = look(of, is);
  const Icon = l.icon;
  return (
    <Label {...tones[l.tone]} icon={<Icon />} isCompact variant="outline" className={`b-state b-state--${l.tone}`} title={title}>
      {children ?? l.text}
    </Label>
  );
}

/** Sign shows a state as its sign alone, with the words for who cannot see it. */
export function Sign({ of, is }: { of: Family; is: string }) {
  const l = look(of, is);
  const Icon = l.icon;
  return (
    <span className={`b-sign b-sign--${l.tone}`} role="img" aria-label={l.text} title={l.text}>
      <Icon />
    </span>
  );
}
