import { Alert, AlertActionLink } from '@patternfly/react-core';
import { problemOf } from '../api/problem';
import { common } from '../texts/common';

/** ProblemAlert shows an error with what it means and what to do about it. */
export function ProblemAlert({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const p = problemOf(error);
  return (
    <Alert
      variant="danger"
      isInline
      title={p.code ? `${p.title} (${p.code})` : p.title}
      actionLinks={onRetry && <AlertActionLink onClick={onRetry}>{common.retry}</AlertActionLink>}
    >
      {p.detail && <p className="b-wrap">{p.detail}</p>}
      {p.faults.length > 0 && (
        <ul>
          {p.faults.map((f, i) => (
            <li key={i} className="b-wrap">
              {f.path && <code>{f.path}</code>} {f.text}
            </li>
          ))}
        </ul>
      )}
      {p.remedy && (
        <p className="b-wrap">
          <strong>{common.remedy}:</strong> {p.remedy}
        </p>
      )}
      {p.request && <p className="b-subtle">{common.requestId(p.request)}</p>}
    </Alert>
  );
}
