import {
  Masthead,
  MastheadBrand,
  MastheadContent,
  MastheadLogo,
  MastheadMain,
  MastheadToggle,
  Nav,
  NavGroup,
  NavItem,
  NavList,
  Page,
  PageSection,
  PageSidebar,
  PageSidebarBody,
  PageToggleButton,
  SkipToContent,
} from '@patternfly/react-core';
import BarsIcon from '@patternfly/react-icons/dist/esm/icons/bars-icon';
import { lazy, Suspense, useEffect, useRef, useState, type ReactNode } from 'react';
import { Link, matchPath, useLocation } from 'react-router';
import { useLive } from '../api/live';
import { useSession } from '../api/session';
import { Boundary } from '../components/Boundary';
import { useProposal } from '../components/change/proposal';
import { pages, type Page as PageEntry, type Section } from '../routes';
import { common } from '../texts/common';
import { shell } from '../texts/shell';
import { Waiting } from './App';
import { Banners } from './Banners';
import { ConnectionSign } from './ConnectionSign';
import { Logo } from './Logo';
import { UserMenu } from './UserMenu';

const Again = lazy(() => import('../pages/login/Again'));
const ChangeDialog = lazy(() => import('../components/change/ChangeDialog'));

const content = 'content';
const noop = () => undefined;
const wide = window.matchMedia('(min-width: 75rem)');

/** Shell is what stands around every page. */
export function Shell({ children }: { children: ReactNode }) {
  const { pathname } = useLocation();
  const { summary } = useLive();
  const session = useSession();
  const proposal = useProposal();
  const [open, setOpen] = useState(wide.matches);
  const main = useRef<HTMLDivElement>(null);
  const first = useRef(true);
  // Whoever goes to another page, is there: also the keyboard and the screen reader.
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    document.getElementById(content)?.focus();
    window.scrollTo(0, 0);
  }, [pathname]);
  const masthead = (
    <Masthead>
      <MastheadMain>
        <MastheadToggle>
          <PageToggleButton variant="plain" aria-label={shell.toggleNavigation} isSidebarOpen={open} onSidebarToggle={() => setOpen(!open)}>
            <BarsIcon />
          </PageToggleButton>
        </MastheadToggle>
        <MastheadBrand>
          <MastheadLogo component={(props) => <Link {...props} to="/" />}>
            <Logo />
          </MastheadLogo>
        </MastheadBrand>
      </MastheadMain>
      <MastheadContent>
        <div className="b-masthead">
          <span className="b-masthead__cluster">
            {summary && <bdi className="b-name">{summary.cluster.name}</bdi>}
          </span>
          <ConnectionSign />
          <UserMenu />
        </div>
      </MastheadContent>
    </Masthead>
  );
  const sidebar = (
    <PageSidebar isSidebarOpen={open} inert={!open}>
      <PageSidebarBody>
        <Navigation pathname={pathname} onGo={() => !wide.matches && setOpen(false)} />
      </PageSidebarBody>
    </PageSidebar>
  );
  return (
    <Page
      masthead={masthead}
      sidebar={sidebar}
      mainContainerId={content}
      mainTabIndex={-1}
      mainAriaLabel={common.details}
      skipToContent={<SkipToContent href={`#${content}`} onClick={(e) => (e.preventDefault(), document.getElementById(content)?.focus())}>{shell.skip}</SkipToContent>}
      isContentFilled
      // Only a page that is told of its size knows that it is on a phone.
      onPageResize={noop}
    >
      <Banners />
      <PageSection hasBodyWrapper={false} isFilled>
        <div ref={main} className="b-page">
          <Boundary page={pathname}>
            <Suspense fallback={<Waiting text={common.loading} />}>{summary ? children : <FirstState />}</Suspense>
          </Boundary>
        </div>
      </PageSection>
      {proposal && (
        <Suspense>
          <ChangeDialog />
        </Suspense>
      )}
      {session.state === 'in' && session.ended && (
        <Suspense>
          <Again />
        </Suspense>
      )}
    </Page>
  );
}

function FirstState() {
  const { problem } = useLive();
  // The banner says what is wrong.
  return problem ? null : <Waiting text={common.loading} />;
}

function Navigation({ pathname, onGo }: { pathname: string; onGo: () => void }) {
  const item = (p: PageEntry) => (
    <NavItem key={p.path} itemId={p.path} isActive={matchPath({ path: p.path, end: p.path === '/' || p.path === '/configuration' }, pathname) !== null} onClick={onGo}>
      <Link to={p.path}>{p.title}</Link>
    </NavItem>
  );
  const of = (s: Section | 'top') => pages.filter((p) => p.section === s);
  return (
    <Nav aria-label={shell.navigation}>
      <NavList>{of('top').map(item)}</NavList>
      {(Object.keys(shell.sections) as Section[])
        .filter((s) => of(s).length > 0)
        .map((s) => (
          <NavGroup key={s} title={shell.sections[s]}>
            {of(s).map(item)}
          </NavGroup>
        ))}
    </Nav>
  );
}
