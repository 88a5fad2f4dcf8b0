import { Label } from '@patternfly/react-core';
import CircleIcon from '@patternfly/react-icons/dist/esm/icons/circle-icon';
import DisconnectedIcon from '@patternfly/react-icons/dist/esm/icons/disconnected-icon';
import { useLive } from '../api/live';
import { shell } from '../texts/shell';

/** ConnectionSign says whether what is shown is how it is now. */
export function ConnectionSign() {
  const { connection } = useLive();
  const lost = connection === 'lost';
  return (
    <span role="status">
      <Label isCompact variant="outline" status={connection === 'live' ? 'success' : lost ? 'danger' : 'info'} icon={lost ? <DisconnectedIcon /> : <CircleIcon className="b-pulse" />}>
        {shell.connection[connection]}
      </Label>
    </span>
  );
}
