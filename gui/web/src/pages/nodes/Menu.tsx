import { useNavigate } from 'react-router';
import { useConfig } from '../../api/queries';
import type { Node } from '../../api/types';
import { Actions } from '../../components/Actions';
import { isRemote } from '../../components/hosts';
import { nodeActions, remoteActions } from './actions';

/** NodeActions is the menu of a node. */
export function NodeActions({ n, kebab }: { n: Node; kebab?: boolean }) {
  const navigate = useNavigate();
  const go = (path: string) => void navigate(path);
  return isRemote(n) ? <RemoteMenu n={n} kebab={kebab} go={go} /> : <Actions kebab={kebab} of={n.name} list={nodeActions(n, go)} />;
}

function RemoteMenu({ n, kebab, go }: { n: Node; kebab?: boolean; go: (path: string) => void }) {
  const config = useConfig();
  return <Actions kebab={kebab} of={n.name} list={remoteActions(n, config.data, go)} />;
}
