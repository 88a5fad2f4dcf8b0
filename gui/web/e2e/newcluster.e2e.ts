// A node that is in no cluster, and another one that joins it: engines and management
// daemons of their own, beside the cluster of the other tests.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { accessible, dev, open, picture, withBrowser } from './browser';

withBrowser();

const run = promisify(execFile);
const bin = dirname(dev.belay);
// A network of loopback of its own; belay dev uses the links 1 and 2 of others.
const net = `127.${20 + Math.floor(Math.random() * 200)}.77`;
const processes: ChildProcess[] = [];
const dirs: string[] = [];

afterAll(async () => {
  for (const p of processes) {
    if (p.exitCode !== null || p.signalCode !== null) continue;
    const ended = new Promise((resolve) => p.once('exit', resolve));
    p.kill('SIGKILL');
    await ended;
  }
  for (const d of dirs) await rm(d, { recursive: true, force: true });
});

interface Fresh {
  url: string;
  address: string;
  socket: string;
  code: string;
}

/** fresh is a machine with both daemons, in no cluster. */
async function fresh(number: number): Promise<Fresh> {
  const dir = await mkdtemp(join(tmpdir(), 'belay-new-'));
  dirs.push(dir);
  for (const d of ['state', 'run', 'mgmtd']) await mkdir(join(dir, d));
  const socket = join(dir, 'run', 'b.sock');
  const address = `${net}.${number}`;
  const log = join(dir, 'belayd.log');
  const start = (program: string, file: string, args: string[]) => {
    const p = spawn(join(bin, program), args, { stdio: ['ignore', 'ignore', 'pipe'] });
    p.stderr.pipe(createWriteStream(file));
    processes.push(p);
  };
  start('belayd', log, ['--state-dir', join(dir, 'state'), '--run-dir', join(dir, 'run'), '--socket', socket, '--watchdog', '']);
  start('belay-mgmtd', join(dir, 'mgmtd.log'), [
    '--socket', socket, '--pam-socket', join(dir, 'run', 'pam.sock'), '--state-dir', join(dir, 'mgmtd'),
    '--listen', `${address}:7443`, '--cim-listen', '', '--snmp-listen', `udp:${address}:1161`,
  ]);
  let code: string | undefined;
  await expect.poll(async () => (code = /setup_code=([a-z0-9-]+)/.exec(await readFile(log, 'utf8').catch(() => ''))?.[1]), { timeout: 60_000 }).toBeTruthy();
  return { url: `https://${address}:7443`, address, socket, code: code! };
}

/** asked is what a daemon answers whose certificate is its own. */
function asked(url: string): Promise<string> {
  return new Promise((resolve) => {
    get(url, { rejectUnauthorized: false }, (r) => {
      let text = '';
      r.on('data', (part) => (text += String(part)));
      r.on('end', () => resolve(text));
      r.on('error', (e) => resolve(e.message));
    }).on('error', (e) => resolve(e.message));
  });
}

/** arrive opens the page of a node whose management daemon has just begun. */
async function arrive(f: Fresh, options: Parameters<typeof open>[1] = {}) {
  // The daemon answers before it has asked its engine, and then the log-in is shown.
  await expect.poll(() => asked(`${f.url}/v1/cluster/setup`), { timeout: 60_000 }).toContain('"needed":true');
  const o = await open('/', { rest: f.url, ...options });
  await o.page.getByRole('heading', { name: 'This node is in no cluster' }).waitFor();
  return o;
}

it('makes a cluster of a node, and lets another one join it', async () => {
  const first = await fresh(1);
  const { page, complaints } = await arrive(first);
  await accessible(page);
  await picture(page, 'setup');
  const make = page.getByRole('button', { name: 'Make the cluster' });
  expect(await make.isDisabled()).toBe(true);
  await page.getByLabel('Set-up code').fill('aaaa-bbbb-cccc-dddd');
  await page.getByLabel('Name of the cluster').fill('fresh');
  await page.getByLabel('Name of this node').fill('f1');
  await page.getByLabel('Addresses of this node').fill(first.address);
  await page.getByText(`belay cluster init --name fresh --node f1 --address ${first.address}`).waitFor();
  // A code that is wrong makes nothing, and what was typed stays.
  await make.click();
  await page.getByText('Set-up code needed (BLY2029)').waitFor();
  await accessible(page);
  await picture(page, 'setup-refused');
  expect(await page.getByLabel('Name of the cluster').inputValue()).toBe('fresh');
  await page.getByLabel('Set-up code').fill(first.code);
  await page.keyboard.press('Enter');
  await page.getByLabel('User name').waitFor({ timeout: 120_000 });
  expect(complaints).toEqual([]);

  const { stdout } = await run(dev.belay, ['--socket', first.socket, 'cluster', 'token', '--node', 'f2', '--no-vote', '-o', 'json']);
  const { token } = JSON.parse(stdout) as { token: string };
  expect(token).toContain(`@${first.address}`);
  const second = await fresh(2);
  const other = await arrive(second, { viewport: { width: 375, height: 740 }, colorScheme: 'dark' });
  await other.page.getByRole('button', { name: 'Join a cluster' }).click();
  await other.page.getByLabel('Set-up code').fill(second.code);
  await other.page.getByLabel('Token').fill(token);
  await other.page.getByLabel('Name of this node').fill('f2');
  await other.page.getByLabel('Addresses of this node').fill(second.address);
  expect(await other.page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(375);
  await accessible(other.page);
  await picture(other.page, 'setup-join-phone');
  await other.page.getByRole('button', { name: 'Join', exact: true }).click();
  await other.page.getByLabel('User name').waitFor({ timeout: 120_000 });
  const members = async () => {
    const s = JSON.parse((await run(dev.belay, ['--socket', first.socket, 'status', '-o', 'json'])).stdout) as { cluster: { name: string }; nodes: { name: string; voter: boolean }[] };
    return [s.cluster.name, ...s.nodes.map((n) => `${n.name} ${n.voter}`)];
  };
  await expect.poll(members, { timeout: 60_000 }).toEqual(['fresh', 'f1 true', 'f2 false']);
  expect(other.complaints).toEqual([]);
});
