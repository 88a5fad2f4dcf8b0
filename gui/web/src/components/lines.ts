// Every command of the command line that a page shows, without the program's name. Each
// stands here once: a test lets the command line itself read them all.

/** on writes a switch. */
const on = (v: boolean) => (v ? 'on' : 'off');

export const lines = {
  alarmAcknowledge: (id: string, withdraw: boolean, comment: string) => ['alarms', 'acknowledge', id, ...(withdraw ? ['--withdraw'] : comment ? ['--comment', comment] : [])],
  attributeDelete: (name: string, node: string, permanent: boolean) => ['attribute', 'delete', name, '--node', node, ...(permanent ? ['--permanent'] : [])],
  attributeSet: (name: string, value: string, node: string, permanent: boolean) => ['attribute', 'set', name, value, '--node', node, ...(permanent ? ['--permanent'] : [])],
  auditVerify: () => ['audit', 'verify'],
  authReport: () => ['auth', 'report'],
  backup: (file: string) => ['cluster', 'backup', ...(file.trim() ? ['--file', file.trim()] : [])],
  checkTiming: () => ['check', 'timing'],
  clusterJoin: (node: string, addresses: string, token: string) => ['cluster', 'join', '--node', node || 'NAME', '--address', addresses.replaceAll(/\s+/g, '') || 'ADDRESS[,ADDRESS]', token],
  clusterMaintenance: (v: boolean) => ['cluster', 'maintenance', on(v)],
  clusterToken: (node: string, ttl: string, voter: boolean) => ['cluster', 'token', ...(node ? ['--node', node] : []), '--ttl', ttl, ...(voter ? [] : ['--no-vote'])],
  constraintDelete: (id: string) => ['constraint', 'delete', id],
  eventsTest: (severity: string, comment: string) => ['events', 'test', '--severity', severity, '--comment', comment],
  fence: (op: string, node: string) => ['fence', op, node],
  fenceConfirm: (node: string) => ['fence', 'confirm', node],
  fenceDeviceDelete: (id: string) => ['fence', 'device', 'delete', id],
  fenceStatus: () => ['fence', 'status'],
  getCluster: () => ['get', 'cluster'],
  history: (n?: number) => (n === undefined ? ['history'] : ['history', String(n)]),
  node: (action: string, node: string) => ['node', action, node],
  nodeMaintenance: (node: string, v: boolean) => ['node', 'maintenance', node, on(v)],
  nodeVoter: (node: string, v: boolean) => ['node', 'voter', node, on(v)],
  resource: (action: string, id: string) => ['resource', action, id],
  resourceMaintenance: (id: string, v: boolean) => ['resource', 'maintenance', id, on(v)],
  resourceMove: (id: string, node: string) => ['resource', 'move', id, '--to', node],
  restore: (file: string) => ['cluster', 'restore', '--file', file],
  rollback: (n: number) => ['rollback', String(n)],
  statusLinks: () => ['status', '--links'],
  statusStore: () => ['status', '--store'],
  ticket: (action: string, id: string) => ['ticket', action, id],
  ticketShow: (id: string) => ['ticket', 'show', id],
};
