import { Bullseye, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, Button, Spinner } from '@patternfly/react-core';
import { lazy, Suspense } from 'react';
import { BrowserRouter, Link, Route, Routes } from 'react-router';
import { begin, useSession } from '../api/session';
import { ProblemAlert } from '../components/ProblemAlert';
import { PageTitle } from '../components/PageTitle';
import { pages } from '../routes';
import { common } from '../texts/common';
import { login } from '../texts/login';
import { Shell } from './Shell';

const Login = lazy(() => import('../pages/login'));
const Setup = lazy(() => import('../pages/setup'));

/** App shows the log-in, or the pages to who has logged in; on a node without a cluster how to come to one. */
export function App() {
  const session = useSession();
  switch (session.state) {
    case 'asking':
      return <main className="b-alone">{session.problem ? <ProblemAlert error={session.problem} onRetry={() => void begin()} /> : <Waiting text={login.asking} />}</main>;
    case 'out':
      return (
        <Suspense fallback={<Waiting text={common.loading} />}>
          <Login />
        </Suspense>
      );
    case 'setup':
      return (
        <Suspense fallback={<Waiting text={common.loading} />}>
          <Setup />
        </Suspense>
      );
    case 'in':
      return (
        <BrowserRouter>
          <Shell>
            <Routes>
              {pages.map((p) => (
                <Route key={p.path} path={p.path} element={<p.page />} />
              ))}
              <Route path="*" element={<NotFound />} />
            </Routes>
          </Shell>
        </BrowserRouter>
      );
  }
}

export function Waiting({ text }: { text: string }) {
  return (
    <Bullseye>
      <Spinner aria-label={text} />
    </Bullseye>
  );
}

function NotFound() {
  return (
    <>
      <PageTitle title={common.notFound} />
      <EmptyState headingLevel="h2" titleText={common.notFound}>
        <EmptyStateBody>{common.notFoundBody}</EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <Button variant="primary" component={(props) => <Link {...props} to="/" />}>
              {common.toOverview}
            </Button>
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    </>
  );
}
