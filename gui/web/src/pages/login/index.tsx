import { Card, CardBody, CardFooter, Title } from '@patternfly/react-core';
import { useEffect } from 'react';
import { Logo } from '../../shell/Logo';
import { common } from '../../texts/common';
import { login } from '../../texts/login';
import { LoginForm } from './Form';

/** The log-in page. */
export default function LoginPage() {
  useEffect(() => {
    document.title = `${login.title} · ${common.product}`;
  }, []);
  return (
    <main className="b-login">
      <div className="b-login__brand">
        <Logo />
        <p>{common.tagline}</p>
      </div>
      <Card className="b-login__card" isLarge>
        <CardBody>
          <Title headingLevel="h1" size="2xl">
            {login.title}
          </Title>
          <p className="b-subtle b-login__sub">{login.subtitle}</p>
          <LoginForm />
        </CardBody>
        <CardFooter className="b-subtle">{login.about}</CardFooter>
      </Card>
    </main>
  );
}
