// Measures the pages with a state of 1000 resources on 100 nodes: "npm run bench". The
// figures go as JSON to the file that BELAY_FIGURES names; what they should be is for
// who reads them to say.
import { readFile, writeFile } from 'node:fs/promises';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, it } from 'vitest';
import { Stub, world } from './stub';

const nodes = 100;
const resources = 1000;
const logins = 5;
const paints = 20;
const events = 3000;

const figures: Record<string, number> = {};
let browser: Browser;
let stub: Stub;

beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  stub = await new Stub(world(nodes, resources)).start();
});

afterAll(async () => {
  await browser.close();
  await stub.stop();
  const file = process.env.BELAY_FIGURES;
  if (file) await writeFile(file, JSON.stringify(figures));
  else process.stdout.write(`${JSON.stringify(figures)}\n`);
});

function median(v: number[]): number {
  const s = [...v].sort((a, b) => a - b);
  return s[Math.floor(s.length / 2)]!;
}

async function login(): Promise<{ page: Page; ms: number; bytes: number }> {
  stub.who = undefined;
  const context = await browser.newContext({ viewport: { width: 1400, height: 1000 } });
  const page = await context.newPage();
  await page.goto(stub.url);
  await page.getByLabel('User name').fill('admin');
  await page.getByRole('textbox', { name: 'Password' }).fill('x');
  // It counts from the click until the overview is painted with every node, and the page has time for whoever uses it.
  const ms = await page.evaluate<number>(`new Promise((done) => {
    const t = performance.now();
    [...document.querySelectorAll('button')].find((b) => b.type === 'submit').click();
    const look = () => (document.querySelector('.b-title') && document.body.textContent.includes('n${nodes}') ? setTimeout(() => done(performance.now() - t)) : requestAnimationFrame(look));
    requestAnimationFrame(look);
  })`);
  const bytes = await page.evaluate<number>(`performance.getEntriesByType('resource').filter((e) => !e.name.includes('/v1/')).reduce((n, e) => n + e.encodedBodySize, 0) + performance.getEntriesByType('navigation')[0].encodedBodySize`);
  return { page, ms, bytes };
}

it('log-in until usable', async () => {
  const times: number[] = [];
  for (let i = 0; i < logins; i++) {
    const { page, ms, bytes } = await login();
    times.push(ms);
    figures.firstLoadKiB = bytes / 1024;
    await page.context().close();
  }
  figures.usableMs = median(times);
});

/** seen is when the page has painted a text, on this machine's clock. */
function seen(page: Page, text: string): Promise<number> {
  return page.evaluate<number>(`new Promise((done) => {
    const look = () => (document.querySelector('main').textContent.includes('${text}') ? setTimeout(() => done(Date.now())) : requestAnimationFrame(look));
    look();
  })`);
}

it('event until painted, and memory after many', async () => {
  const { page } = await login();
  const times: number[] = [];
  for (let i = 0; i < paints; i++) {
    const reason = `event ${i} was seen`;
    const painted = seen(page, reason);
    // The page must be looking before the event is sent.
    await page.evaluate('new Promise((done) => requestAnimationFrame(done))');
    const sent = Date.now();
    stub.summary = { ...stub.summary, revision: stub.summary.revision + 1, cluster: { ...stub.summary.cluster, reason } };
    stub.tell();
    times.push((await painted) - sent);
  }
  figures.paintMs = median(times);

  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable');
  const heap = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    const { metrics } = await cdp.send('Performance.getMetrics');
    return metrics.find((m) => m.name === 'JSHeapUsedSize')!.value / 1e6;
  };
  const half: number[] = [];
  for (let i = 0; i < events; i++) {
    const r = stub.summary.resources![i % resources]!;
    const to = `n${(i % nodes) + 1}`;
    const next = stub.summary.resources!.slice();
    next[i % resources] = { ...r, nodes: [to], since: new Date().toISOString(), instances: [{ ...r.instances![0]!, node: to }] };
    stub.summary = { ...stub.summary, revision: stub.summary.revision + 1, resources: next, cluster: { ...stub.summary.cluster, reason: `change ${i}` } };
    stub.tell();
    // As fast as the page takes them: it is asked now and then whether it has kept up.
    if (i % 10 === 9) await seen(page, `change ${i}`);
    if (i === events / 2) half.push(await heap());
  }
  figures.heapMB = await heap();
  figures.heapGrowthMB = figures.heapMB - half[0]!;
  figures.events = events;
  figures.privateMB = await renderer();
});

/** renderer is the memory that the largest of the browser's processes of pages has for itself. */
async function renderer(): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const sizes = await Promise.all(
    processInfo
      .filter((p) => p.type === 'renderer')
      .map(async (p) => {
        const rollup = await readFile(`/proc/${p.id}/smaps_rollup`, 'utf8').catch(() => '');
        return Number(/^Private_Dirty:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) / 1000;
      }),
  );
  return Math.max(...sizes);
}
