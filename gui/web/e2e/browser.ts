// A browser, and what every test does with it.
import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, inject } from 'vitest';

const run = promisify(execFile);
const axeSource = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** out is where the pictures of the pages are kept. */
export const out = join(import.meta.dirname, 'out');

export const dev = inject('dev');

let browser: Browser;

/** withBrowser starts a browser for the tests of a file. */
export function withBrowser() {
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
  });
  afterAll(() => browser.close());
}

export interface Opened {
  page: Page;
  /** What the browser complained of. A test that expects something takes it out. */
  complaints: string[];
}

/** open opens an address in a browser of its own, as somebody who has not been there. */
export async function open(path: string, options: BrowserContextOptions & { rest?: string } = {}): Promise<Opened> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1400, height: 1000 }, ...options });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (e) => complaints.push(e.message));
  page.on('console', (m) => {
    // That nobody has logged in yet is an answer, not an error.
    if (m.type() === 'error' && !/status of (401|403|409|412|422|503)|ERR_(CONNECTION|HTTP2|EMPTY|ABORTED|INCOMPLETE|NETWORK)/.test(m.text())) complaints.push(m.text());
  });
  await page.goto((options.rest ?? dev.rest) + path);
  return { page, complaints };
}

/** password is that of a user of the cluster. */
export function password(user: string): string {
  return dev.users.find((u) => u.name === user)!.password;
}

/** typeIn fills in the log-in form, and sends it. */
export async function typeIn(page: Page, user: string, secret = password(user)) {
  await page.getByLabel('User name').fill(user);
  await page.getByRole('textbox', { name: 'Password' }).fill(secret);
  await page.getByRole('button', { name: 'Log in' }).click();
}

/** enter opens an address, and logs in. */
export async function enter(path: string, user = 'admin', options: BrowserContextOptions & { rest?: string } = {}): Promise<Opened> {
  const o = await open(path, options);
  await typeIn(o.page, user);
  await o.page.locator('.b-title').waitFor();
  return o;
}

interface Violation {
  id: string;
  impact: string;
  help: string;
  nodes: { html: string }[];
}

/** accessible lets axe look at the page; nothing serious may be found. */
export async function accessible(page: Page) {
  // evaluate reaches the page where the content security policy lets no script tag in.
  await page.evaluate(await axeSource);
  // Colours that are on their way from one theme to the other are nobody's.
  await page.evaluate(`new Promise(requestAnimationFrame).then(() => Promise.all(document.getAnimations().filter((a) => a.effect?.getComputedTiming().endTime !== Infinity).map((a) => a.finished.catch(() => {}))))`);
  const found = await page.evaluate<Violation[]>(`axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] }).then((r) => r.violations)`);
  const bad = found.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  expect(bad.map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => n.html.slice(0, 300)).join('\n')}`)).toEqual([]);
}

/** picture keeps what the page looks like. */
export async function picture(page: Page, name: string) {
  await mkdir(out, { recursive: true });
  // The page scrolls inside of itself: the window is made as high as all of it.
  const size = page.viewportSize()!;
  const hidden = await page.evaluate<number>(`Math.max(0, ...[...document.querySelectorAll('*')].filter((e) => e.tagName !== 'TEXTAREA' && e.scrollHeight > e.clientHeight && getComputedStyle(e).overflowY !== 'visible').map((e) => e.scrollHeight - e.clientHeight))`);
  await page.setViewportSize({ width: size.width, height: Math.min(6000, size.height + hidden) });
  await page.screenshot({ path: join(out, `${name}.png`) });
  await page.setViewportSize(size);
}

/** belay runs the command line on the cluster, as root at the socket of a node. */
export async function belay(...args: string[]): Promise<string> {
  const { stdout } = await run(dev.belay, ['--socket', dev.nodes[0]!.socket, ...args]);
  return stdout;
}
