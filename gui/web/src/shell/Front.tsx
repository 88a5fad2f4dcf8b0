import { Card, CardBody, CardFooter, Title } from '@patternfly/react-core';
import { useEffect, type ReactNode } from 'react';
import { common } from '../texts/common';
import { Logo } from './Logo';

/** Front is the frame of the pages that are shown to who is not logged in. */
export function Front({ title, foot, wide, children }: { title: string; foot?: ReactNode; wide?: boolean; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · ${common.product}`;
  }, [title]);
  return (
    <main className="b-login">
      <div className="b-login__brand">
        <Logo />
        <p>{common.tagline}</p>
      </div>
      <Card className={wide ? 'b-login__card b-login__card--wide' : 'b-login__card'} isLarge>
        <CardBody>
          <Title headingLevel="h1" size="2xl">
            {title}
          </Title>
          {children}
        </CardBody>
        {foot && <CardFooter className="b-subtle">{foot}</CardFooter>}
      </Card>
    </main>
  );
}
