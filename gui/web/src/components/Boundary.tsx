import { Alert, AlertActionLink } from '@patternfly/react-core';
import { Component, type ReactNode } from 'react';
import { common } from '../texts/common';

/** Boundary keeps an error of one page from taking the others along. */
export class Boundary extends Component<{ children: ReactNode; page: string }, { error?: Error; page: string }> {
  override state: { error?: Error; page: string } = { page: this.props.page };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  static getDerivedStateFromProps(props: { page: string }, state: { page: string }) {
    return props.page === state.page ? null : { page: props.page, error: undefined };
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    // A part that a newer server no longer has.
    const gone = /dynamically imported module|module script/i.test(error.message);
    return (
      <Alert
        variant="danger"
        isInline
        title={common.pageFailed}
        actionLinks={<AlertActionLink onClick={() => window.location.reload()}>{common.reload}</AlertActionLink>}
      >
        <p>{gone ? common.newRelease : common.pageFailedBody}</p>
        {!gone && <p className="b-subtle b-wrap">{error.message}</p>}
      </Alert>
    );
  }
}
