import { Alert, Button, Form, FormGroup, TextInput } from '@patternfly/react-core';
import { useState, type FormEvent } from 'react';
import { type Problem, problemOf } from '../../api/problem';
import { answer, type Challenge } from '../../api/session';
import { login as t } from '../../texts/login';

interface Props {
  user: string;
  challenge: Challenge;
  onMore: (c: Challenge) => void;
  /** Called where the log-in begins anew: it was refused, or given up. */
  onEnd: (p?: Problem) => void;
}

/** Answers shows what a log-in asks besides the password, such as a code from a telephone. */
export function Answers({ user, challenge, onMore, onEnd }: Props) {
  const questions = challenge.questions ?? [];
  const [answers, setAnswers] = useState<string[]>(questions.map(() => ''));
  const [working, setWorking] = useState(false);
  const submit = async (e: FormEvent) => {
    e.preventDefault();
    setWorking(true);
    try {
      const more = await answer(challenge, answers);
      if (more) onMore(more);
    } catch (err) {
      // A challenge can be answered once: after any refusal the log-in begins anew.
      onEnd(problemOf(err));
    } finally {
      setWorking(false);
    }
  };
  return (
    <Form onSubmit={(e) => void submit(e)} noValidate autoComplete="off" aria-label={t.more(user)}>
      {(challenge.messages ?? []).map((m, i) => (
        <Alert key={i} variant="info" isInline isPlain title={<bdi className="b-wrap">{m}</bdi>} />
      ))}
      {questions.map((q, i) => (
        <FormGroup key={i} label={<bdi className="b-wrap">{q.text.trim() || t.question(i + 1)}</bdi>} fieldId={`answer-${i}`}>
          <TextInput
            id={`answer-${i}`}
            type={q.hidden ? 'password' : 'text'}
            value={answers[i] ?? ''}
            onChange={(_, v) => setAnswers(answers.map((a, n) => (n === i ? v : a)))}
            autoComplete="one-time-code"
            autoCapitalize="none"
            spellCheck="false"
            maxLength={4096}
            // eslint-disable-next-line jsx-a11y/no-autofocus -- the page is this form
            autoFocus={i === 0}
          />
        </FormGroup>
      ))}
      <Button type="submit" variant="primary" isBlock isLoading={working} isDisabled={working}>
        {working ? t.working : t.answer}
      </Button>
      <Button variant="link" isBlock isDisabled={working} onClick={() => onEnd()}>
        {t.again}
      </Button>
    </Form>
  );
}
