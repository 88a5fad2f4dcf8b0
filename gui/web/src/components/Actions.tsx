import { Divider, Dropdown, DropdownItem, DropdownList, MenuToggle, Tooltip } from '@patternfly/react-core';
import EllipsisVIcon from '@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon';
import { useState } from 'react';
import { useCan } from '../api/queries';
import { common } from '../texts/common';
import { propose, type Proposal } from './change/proposal';

/** ActionSpec is something that one may do with a thing. */
export interface ActionSpec {
  key: string;
  label: string;
  /** The right that is needed. */
  action: string;
  object: string;
  /** Why it makes no sense now; undefined where it does. */
  pointless?: string;
  danger?: boolean;
  /** A line stands above it. */
  divided?: boolean;
  run: Proposal | (() => void);
}

function start(a: ActionSpec) {
  if (typeof a.run === 'function') a.run();
  else propose(a.run);
}

/** Actions is the menu of what can be done with a thing. What one may not do is there, with the reason. */
export function Actions({ of, list, kebab }: { of: string; list: ActionSpec[]; kebab?: boolean }) {
  const [open, setOpen] = useState(false);
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      popperProps={{ position: 'right' }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant={kebab ? 'plain' : 'secondary'}
          isExpanded={open}
          onClick={() => setOpen(!open)}
          aria-label={kebab ? `${common.actions}: ${of}` : undefined}
          icon={kebab ? <EllipsisVIcon /> : undefined}
        >
          {kebab ? undefined : common.actions}
        </MenuToggle>
      )}
    >
      <DropdownList>
        {list.map((a) => [
          a.divided && <Divider key={`${a.key}-line`} component="li" />,
          <Item
            key={a.key}
            spec={a}
            onRun={() => {
              setOpen(false);
              start(a);
            }}
          />,
        ])}
      </DropdownList>
    </Dropdown>
  );
}

function Item({ spec, onRun }: { spec: ActionSpec; onRun: () => void }) {
  const can = useCan(spec.action, spec.object);
  const why = can.allowed ? spec.pointless : common.mayNot(can.reason);
  const item = (
    <DropdownItem isDanger={spec.danger} isAriaDisabled={!!why} description={why} onClick={why ? undefined : onRun}>
      {spec.label}
    </DropdownItem>
  );
  return item;
}

/** useAllowed gives what a button needs that only some may press. */
export function useAllowed(action: string, object: string): { isAriaDisabled: boolean; why?: string } {
  const can = useCan(action, object);
  return can.allowed ? { isAriaDisabled: false } : { isAriaDisabled: true, why: common.mayNot(can.reason) };
}

/** Why shows the reason of something that is disabled, to the mouse and to the keyboard. */
export function Why({ text, children }: { text?: string; children: React.ReactElement }) {
  return text ? <Tooltip content={text}>{children}</Tooltip> : children;
}
