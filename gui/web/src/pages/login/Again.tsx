import { Button, Modal, ModalBody, ModalFooter, ModalHeader } from '@patternfly/react-core';
import { logout, useWho } from '../../api/session';
import { login } from '../../texts/login';
import { LoginForm } from './Form';

/** Again asks for the password on top of a page whose session has ended, so that the page and what was typed on it stay. */
export default function Again() {
  const who = useWho();
  return (
    <Modal isOpen variant="small" aria-labelledby="again-title" aria-describedby="again-body">
      <ModalHeader title={login.ended} labelId="again-title" description={login.endedBody} descriptorId="again-body" />
      <ModalBody>
        <LoginForm user={who.user} />
      </ModalBody>
      <ModalFooter>
        <Button variant="link" onClick={() => void logout()}>
          {login.otherUser}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
