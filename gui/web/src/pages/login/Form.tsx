import { Alert, Button, Form, FormGroup, InputGroup, InputGroupItem, TextInput } from '@patternfly/react-core';
import EyeIcon from '@patternfly/react-icons/dist/esm/icons/eye-icon';
import EyeSlashIcon from '@patternfly/react-icons/dist/esm/icons/eye-slash-icon';
import { useEffect, useRef, useState, type FormEvent } from 'react';
import { type Problem, problemOf } from '../../api/problem';
import { login as logIn, type Challenge } from '../../api/session';
import { login } from '../../texts/login';
import { Answers } from './Answers';

/** LoginForm asks for name and password. What was typed stays after a refusal, but for the password. */
export function LoginForm({ user: fixed }: { user?: string }) {
  const [user, setUser] = useState(fixed ?? '');
  const [password, setPassword] = useState('');
  const [shown, setShown] = useState(false);
  const [working, setWorking] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [wait, setWait] = useState(0);
  const [challenge, setChallenge] = useState<Challenge>();
  const field = useRef<HTMLInputElement>(null);

  useEffect(() => {
    if (wait <= 0) return;
    const t = setTimeout(() => setWait(wait - 1), 1000);
    return () => clearTimeout(t);
  }, [wait]);

  const submit = async (e: FormEvent) => {
    e.preventDefault();
    setWorking(true);
    setProblem(undefined);
    try {
      setChallenge(await logIn(user, password));
      setPassword('');
    } catch (err) {
      const p = problemOf(err);
      setProblem(p);
      setWait(p.retryAfter);
      if (p.status === 401) setPassword('');
      field.current?.focus();
    } finally {
      setWorking(false);
    }
  };

  if (challenge) {
    return (
      <Answers
        // Each challenge begins with empty answers.
        key={challenge.id}
        user={user}
        challenge={challenge}
        onMore={setChallenge}
        onEnd={(p) => {
          setChallenge(undefined);
          setProblem(p);
          setWait(p?.retryAfter ?? 0);
        }}
      />
    );
  }

  return (
    <Form onSubmit={(e) => void submit(e)} noValidate>
      {problem && (
        <Alert variant="danger" isInline title={problem.title} role="alert">
          {problem.detail} {problem.status !== 401 && problem.remedy} {wait > 0 && login.wait(wait)}
        </Alert>
      )}
      <FormGroup label={login.user} fieldId="user" isRequired>
        <TextInput
          id="user"
          name="username"
          value={user}
          onChange={(_, v) => setUser(v)}
          autoComplete="username"
          autoCapitalize="none"
          spellCheck="false"
          maxLength={128}
          isRequired
          readOnlyVariant={fixed ? 'default' : undefined}
          // eslint-disable-next-line jsx-a11y/no-autofocus -- the page is this form
          autoFocus={!fixed}
        />
      </FormGroup>
      <FormGroup label={login.password} fieldId="password" isRequired>
        <InputGroup>
          <InputGroupItem isFill>
            <TextInput
              ref={field}
              id="password"
              name="password"
              type={shown ? 'text' : 'password'}
              value={password}
              onChange={(_, v) => setPassword(v)}
              autoComplete="current-password"
              maxLength={4096}
              isRequired
              // eslint-disable-next-line jsx-a11y/no-autofocus -- the page is this form
              autoFocus={!!fixed}
            />
          </InputGroupItem>
          <InputGroupItem>
            <Button variant="control" aria-label={shown ? login.hide : login.show} icon={shown ? <EyeSlashIcon /> : <EyeIcon />} onClick={() => setShown(!shown)} />
          </InputGroupItem>
        </InputGroup>
      </FormGroup>
      <Button type="submit" variant="primary" isBlock isLoading={working} isDisabled={working || wait > 0 || !user || !password}>
        {working ? login.working : login.submit}
      </Button>
    </Form>
  );
}
