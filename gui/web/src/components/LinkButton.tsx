import { Button } from '@patternfly/react-core';
import { Link } from 'react-router';
import { useAllowed, Why } from './Actions';

interface Props {
  to: string;
  /** The right that is needed there. */
  action: string;
  object: string;
  variant?: 'primary' | 'secondary';
  children: string;
}

/** LinkButton leads to a page where something is made; who may not make it sees why. */
export function LinkButton({ to, action, object, variant = 'secondary', children }: Props) {
  const may = useAllowed(action, object);
  return (
    <Why text={may.why}>
      {may.isAriaDisabled ? (
        <Button variant={variant} isAriaDisabled>
          {children}
        </Button>
      ) : (
        <Button variant={variant} component={Link} {...({ to } as object)}>
          {children}
        </Button>
      )}
    </Why>
  );
}
