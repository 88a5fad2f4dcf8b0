import { EmptyState, EmptyStateBody } from '@patternfly/react-core';
import { Link } from 'react-router';
import { common } from '../texts/common';
import { PageTitle } from './PageTitle';

/** Missing is shown where an address names something that is not there. */
export function Missing({ what, to, back }: { what: string; to: string; back: string }) {
  return (
    <>
      <PageTitle title={common.gone} />
      <EmptyState headingLevel="h2" titleText={common.gone}>
        <EmptyStateBody>
          <p className="b-wrap">
            <bdi>{what}</bdi>
          </p>
          <Link to={to}>{back}</Link>
        </EmptyStateBody>
      </EmptyState>
    </>
  );
}
