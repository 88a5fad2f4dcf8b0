// A management daemon that says what a test wants: late, half, wrong, or of a cluster
// that is larger than what a machine of tests can run. It serves the built pages.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { Alarm, Node, Resource, Summary, WhoAmI } from '../src/api/types';

const app = join(import.meta.dirname, '../dist/app');
const types: Record<string, string> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.txt': 'text/plain' };
// As the daemon's own: what a page of the stub may not do, it may not do there.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export type Answer = (q: IncomingMessage, r: ServerResponse, body: string) => void | Promise<void>;

/** Stub answers like a management daemon. */
export class Stub {
  url = '';
  summary: Summary;
  config: Record<string, unknown>;
  who: WhoAmI | undefined = { user: 'admin', roles: ['admin'], method: 'pam', session: 's1', node: 'n1', csrfToken: 't' };
  /** Seconds that the engine has said nothing. */
  age = 0;
  /** How much later than here the server's clock is, in ms. */
  clock = 0;
  /** Answers instead of the usual ones, by "METHOD /path". */
  answers = new Map<string, Answer>();
  /** What was asked for that changes something. */
  changes: string[] = [];
  private server: Server;
  private streams = new Set<ServerResponse>();

  constructor(summary: Summary, config: Record<string, unknown> = {}) {
    this.summary = summary;
    this.config = { cluster: { name: summary.cluster.name }, ...config };
    this.server = createServer((q, r) => void this.serve(q, r).catch(() => r.destroy()));
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    return this;
  }

  async stop() {
    for (const s of this.streams) s.destroy();
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  /** tell sends the state to who listens. */
  tell(text = JSON.stringify(this.summary)) {
    for (const s of this.streams) s.write(`event: state\ndata: ${text}\n\n`);
  }

  /** cut ends every stream. */
  cut() {
    for (const s of this.streams) s.destroy();
    this.streams.clear();
  }

  private async serve(q: IncomingMessage, r: ServerResponse) {
    const path = new URL(q.url!, this.url).pathname;
    let body = '';
    for await (const part of q) body += String(part);
    r.setHeader('Date', new Date(Date.now() + this.clock).toUTCString());
    const own = this.answers.get(`${q.method} ${path}`);
    if (own) return own(q, r, body);
    if (!path.startsWith('/v1/')) return this.file(path, r);
    const json = (v: unknown, status = 200) => {
      r.writeHead(status, { 'Content-Type': status < 400 ? 'application/json' : 'application/problem+json', 'Belay-Snapshot-Age': String(this.age) });
      r.end(JSON.stringify(v));
    };
    if (q.method !== 'GET') this.changes.push(`${q.method} ${path} ${body}`);
    switch (`${q.method} ${path}`) {
      case 'GET /v1/session':
        return this.who ? json(this.who) : json({ title: 'Log in', status: 401, code: 'BLY2020' }, 401);
      case 'POST /v1/session':
        this.who = { user: (JSON.parse(body) as { user: string }).user, roles: ['admin'], method: 'pam', session: 's1', node: 'n1', csrfToken: 't' };
        return json({});
      case 'GET /v1/cluster/setup':
        return json({ needed: false });
      case 'GET /v1/state':
        r.writeHead(200, { 'Content-Type': 'text/event-stream' });
        this.streams.add(r);
        r.on('close', () => this.streams.delete(r));
        r.write(`event: state\ndata: ${JSON.stringify(this.summary)}\n\n`);
        return;
      case 'GET /v1/cluster':
        return json(this.summary.cluster);
      case 'GET /v1/config':
        return json({ generation: this.summary.cluster.generation, config: this.config });
      case 'GET /v1/can-i':
        return json({ allowed: true, reason: '' });
      case 'GET /v1/settings/approval':
        return json({ actions: [] });
      case 'GET /v1/agents':
      case 'GET /v1/history':
        return json([]);
      case 'GET /v1/events':
        return json({ items: [] });
      case 'POST /v1/change':
        return json({ generation: this.summary.cluster.generation, requestId: 'r', plan: { steps: [] }, planToken: 'p' });
    }
    return json({ title: 'Not found', status: 404, code: 'BLY2004', detail: path }, 404);
  }

  private async file(path: string, r: ServerResponse) {
    const name = normalize(path).slice(1);
    const type = types[extname(name)];
    // Every other path is a page's, and the same document.
    const file = type ? name : 'index.html';
    r.setHeader('Content-Type', types[extname(file)]!);
    r.setHeader('Content-Security-Policy', policy);
    const packed = /\.(js|css|svg|txt)$/.test(file);
    if (packed) r.setHeader('Content-Encoding', 'gzip');
    r.end(await readFile(join(app, packed ? `${file}.gz` : file)));
  }
}

const since = (s: number) => new Date(Date.now() - s * 1000).toISOString();

/** world is a healthy cluster of any size. */
export function world(nodes: number, resources: number): Summary {
  const name = (i: number) => `n${i + 1}`;
  const voters = Math.min(nodes, 5);
  return {
    revision: 100,
    time: new Date().toISOString(),
    cluster: {
      name: 'stub',
      state: 'normal',
      reason: 'everything is as it should be',
      dc: 'n1',
      dcSince: since(3600),
      view: 1,
      members: Array.from({ length: nodes }, (_, i) => name(i)),
      dataGeneration: 1,
      generation: 7,
      featureLevel: 1,
      maintenance: false,
      stopAllResources: false,
      symmetric: true,
      fencingRequired: true,
      counts: {
        nodes,
        nodesOnline: nodes,
        nodesStandby: 0,
        nodesMaintenance: 0,
        nodesOffline: 0,
        nodesUnclean: 0, remotes: 0, remotesOnline: 0,
        resources,
        resourcesRunning: resources,
        resourcesStopped: 0,
        resourcesFailed: 0,
        resourcesChanging: 0,
        resourcesUnknown: 0,
        resourcesManaged: resources,
        instances: resources,
        actions: 0,
        alarmsCritical: 0,
        alarmsMajor: 0,
        alarmsMinor: 0,
        alarmsWarning: 0,
        failovers: 0,
      },
    },
    quorum: {
      state: 'quorate',
      reason: `${voters} of ${voters} votes`,
      votes: voters,
      expected: voters,
      needed: Math.floor(voters / 2) + 1,
      policy: 'stop',
      epoch: 1,
      voters: Array.from({ length: voters }, (_, i) => ({ node: name(i), here: true, state: 'online', votes: 1 })),
    },
    nodes: Array.from(
      { length: nodes },
      (_, i): Node => ({
        name: name(i),
        id: i + 1,
        state: 'online',
        reason: 'heard by the voters',
        since: since(3600),
        admin: 'online',
        member: true,
        role: i === 0 ? 'dc' : 'member',
        voter: i < voters,
        votes: i < voters ? 1 : 0,
        health: 'green',
        addresses: [`10.0.0.${i + 1}`],
        version: '1.0',
        running: Math.ceil((resources - i) / nodes),
        failed: 0,
        fence: 'ready',
        clockOffsetNs: 0,
      }),
    ),
    links: [],
    resources: Array.from(
      { length: resources },
      (_, i): Resource => ({
        id: `r${String(i + 1).padStart(4, '0')}`,
        kind: 'primitive',
        agent: 'systemd:web',
        depth: 0,
        state: 'running',
        since: since(3600),
        wanted: 'Started',
        managed: true,
        nodes: [name(i % nodes)],
        active: 1,
        expected: 1,
        failCount: 0,
        instances: [{ instance: '', node: name(i % nodes), state: 'running', role: 'Started' }],
      }),
    ),
    store: { state: 'healthy', leader: 'n1', revision: 100, sizeBytes: 1 << 20, quotaBytes: 1 << 31, latencyNs: 2e6, members: [] },
  };
}

/** alarm is one of many. */
export function alarm(i: number, part: Partial<Alarm> = {}): Alarm {
  return { id: `BLY3010/n1/${i}`, code: 'BLY3010', name: 'link-down', severity: 'major', title: 'Link down', text: `link ${i} of n1 is down`, remedy: 'Check cables and switch.', since: since(i), ...part };
}
