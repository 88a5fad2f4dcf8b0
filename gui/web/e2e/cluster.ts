// The cluster that the tests look at: "belay dev", three real nodes on this machine.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

const run = promisify(execFile);

export interface Dev {
  dir: string;
  belay: string;
  rest: string;
  users: { name: string; password: string }[];
  nodes: { name: string; socket: string; rest: string; mgmt_pid: number; pid: number; power: string }[];
}

declare module 'vitest' {
  interface ProvidedContext {
    dev: Dev;
  }
}

export async function setup(project: TestProject) {
  const belay = resolve(process.env.BELAY_BIN ?? join(import.meta.dirname, '../../../bin'), 'belay');
  // BELAY_DEV names a cluster that runs already: then a test can be repeated at once.
  const running = process.env.BELAY_DEV;
  if (running) {
    project.provide('dev', { ...(JSON.parse(await readFile(join(running, 'dev.json'), 'utf8')) as Dev), dir: running, belay });
    return;
  }
  const dir = await mkdtemp(join(tmpdir(), 'belay-gui-'));
  await run(belay, ['dev', '--detach', '--dir', dir, '--timeout', '2m']);
  const dev = JSON.parse(await readFile(join(dir, 'dev.json'), 'utf8')) as Dev;
  project.provide('dev', { ...dev, dir, belay });
  return async () => {
    await run(belay, ['dev', '--stop', '--dir', dir]);
    await rm(dir, { recursive: true, force: true });
  };
}
