import { DescriptionList, DescriptionListDescription, DescriptionListGroup, DescriptionListTerm } from '@patternfly/react-core';
import type { ReactNode } from 'react';

/** Facts lists names and values; a value that is not there is left out. */
export function Facts({ rows, columns = 2 }: { rows: [string, ReactNode][]; columns?: 1 | 2 | 3 }) {
  return (
    <DescriptionList columnModifier={{ default: '1Col', lg: `${columns}Col` as '2Col' }} isCompact>
      {rows
        .filter(([, v]) => v !== undefined && v !== null && v !== '' && v !== false)
        .map(([name, value]) => (
          <DescriptionListGroup key={name}>
            <DescriptionListTerm>{name}</DescriptionListTerm>
            <DescriptionListDescription className="b-wrap">{value}</DescriptionListDescription>
          </DescriptionListGroup>
        ))}
    </DescriptionList>
  );
}
