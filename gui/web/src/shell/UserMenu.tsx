import { Divider, Dropdown, DropdownGroup, DropdownItem, DropdownList, MenuToggle } from '@patternfly/react-core';
import UserIcon from '@patternfly/react-icons/dist/esm/icons/user-icon';
import { useState } from 'react';
import { logout, useWho } from '../api/session';
import { setTheme, useTheme, type Theme } from '../components/theme';
import { shell } from '../texts/shell';

/** UserMenu shows who one is and which roles one holds, the theme and the way out. */
export function UserMenu() {
  const who = useWho();
  const theme = useTheme();
  const [open, setOpen] = useState(false);
  const roles = who.roles?.length ? who.roles.join(', ') : shell.noRoles;
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      popperProps={{ position: 'right' }}
      toggle={(ref) => (
        <MenuToggle ref={ref} variant="plainText" icon={<UserIcon />} isExpanded={open} onClick={() => setOpen(!open)}>
          <span className="b-user">
            <bdi className="b-name">{who.user}</bdi>
            <span className="b-user__roles">{roles}</span>
          </span>
        </MenuToggle>
      )}
    >
      <DropdownGroup label={`${shell.servedBy} ${who.node}`}>
        <DropdownList>
          <DropdownItem isDisabled description={who.local ? shell.localSession : undefined}>
            {shell.roles}: {roles}
          </DropdownItem>
        </DropdownList>
      </DropdownGroup>
      <Divider />
      <DropdownGroup label={shell.theme}>
        <DropdownList>
          {(Object.keys(shell.themes) as Theme[]).map((t) => (
            <DropdownItem key={t} isSelected={t === theme} onClick={() => setTheme(t)}>
              {shell.themes[t]}
            </DropdownItem>
          ))}
        </DropdownList>
      </DropdownGroup>
      <Divider />
      <DropdownList>
        <DropdownItem onClick={() => void logout()}>{shell.logOut}</DropdownItem>
      </DropdownList>
    </Dropdown>
  );
}
