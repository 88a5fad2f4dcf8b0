import { Button, Modal, ModalBody, ModalFooter, ModalHeader } from '@patternfly/react-core';
import { useMutation } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { common } from '../texts/common';
import { ProblemAlert } from './ProblemAlert';

interface Props {
  title: string;
  body: ReactNode;
  /** What the button says. */
  label: string;
  danger?: boolean;
  run: () => Promise<unknown>;
  onDone: () => void;
  onClose: () => void;
}

/** Confirm asks before something is done that is no change of the configuration, and has no plan. */
export function Confirm({ title, body, label, danger, run, onDone, onClose }: Props) {
  const m = useMutation({ mutationFn: run, onSuccess: onDone });
  return (
    <Modal isOpen variant="small" onClose={m.isPending ? undefined : onClose} aria-labelledby="confirm-title">
      <ModalHeader title={title} labelId="confirm-title" titleIconVariant={danger ? 'warning' : undefined} />
      <ModalBody>
        <div className="b-stack">
          {body}
          {m.error && <ProblemAlert error={m.error} />}
        </div>
      </ModalBody>
      <ModalFooter>
        <Button variant={danger ? 'danger' : 'primary'} isLoading={m.isPending} isDisabled={m.isPending} onClick={() => m.mutate()}>
          {label}
        </Button>
        <Button variant="link" isDisabled={m.isPending} onClick={onClose}>
          {common.cancel}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
