import type { ServerResponse } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { accessible, open, picture, typeIn, withBrowser, type Opened } from './browser';
import { alarm, Stub, world } from './stub';

withBrowser();

const running: Stub[] = [];
afterEach(async () => {
  for (const s of running.splice(0)) await s.stop();
});

async function stub(s: Stub): Promise<Stub> {
  running.push(s);
  return s.start();
}

async function at(s: Stub, path: string, options: Parameters<typeof open>[1] = {}): Promise<Opened> {
  const o = await open(path, { rest: s.url, ...options });
  await o.page.locator('.b-title').waitFor();
  return o;
}

const evil = [
  '<img src=x onerror="document.title=1"><script>window.hit=1</script>',
  '\u202eevil\u2066 إسم \u202d',
  'x'.repeat(10_000),
  '"><svg onload=window.hit=1>',
  '{{7*7}}${7*7}%00\u0000\u0007',
  '../../../etc/passwd?a=b#c',
  '__proto__',
];

it('shows names of any kind as text, and runs nothing of them', async () => {
  const w = world(3, 0);
  evil.forEach((id, i) => {
    w.resources!.push({ ...world(3, 1).resources![0]!, id, description: evil[i]!, agent: id, reason: id });
    w.nodes!.push({ ...w.nodes![0]!, name: id, id: 10 + i, role: 'member', reason: id });
  });
  w.alarms = evil.map((text, i) => alarm(i, { id: `BLY3010/${i}`, text, title: text, remedy: text }));
  w.cluster.name = evil[0]!;
  w.cluster.reason = evil[1]!;
  const s = await stub(new Stub(w, { constraints: { [evil[0]!]: { location: { resource: evil[1], node: evil[2], score: 1 } } } }));
  for (const viewport of [undefined, { width: 375, height: 740 }]) {
    const { page, complaints } = await at(s, '/', viewport ? { viewport } : {});
    const width = viewport?.width ?? 1400;
    for (const path of ['/', '/resources', '/nodes', '/fencing', '/quorum', '/constraints', `/resources/${encodeURIComponent(evil[0]!)}`, `/nodes/${encodeURIComponent(evil[5]!)}`, '/configuration']) {
      await page.goto(s.url + path);
      await page.locator('.b-title').waitFor();
      await page.locator('.pf-v6-c-spinner').waitFor({ state: 'detached' });
      expect(await page.evaluate('window.hit'), path).toBeUndefined();
      expect(await page.locator('img[src="x"], svg[onload]').count(), path).toBe(0);
      expect(await page.title(), path).toContain('Belay');
      expect(await page.evaluate<number>('document.documentElement.scrollWidth'), path).toBeLessThanOrEqual(width);
    }
    await page.goto(`${s.url}/`);
    await page.locator('.b-page').getByText('<img src=x').first().waitFor();
    if (!viewport) await accessible(page);
    await picture(page, viewport ? 'hostile-names-phone' : 'hostile-names');
    expect(complaints.filter((c) => !c.includes('404'))).toEqual([]);
  }
});

it('shows a thousand alarms, and stays usable', async () => {
  const w = world(3, 10);
  w.alarms = Array.from({ length: 1000 }, (_, i) => alarm(i, { severity: i % 10 === 0 ? 'critical' : 'major' }));
  w.cluster.counts = { ...w.cluster.counts, alarmsCritical: 100, alarmsMajor: 900 };
  const s = await stub(new Stub(w));
  const { page, complaints } = await at(s, '/');
  await page.getByText('link 0 of n1 is down').waitFor();
  // All of them are said, but not all of them are drawn at once.
  await page.getByText(/1000/).first().waitFor();
  expect(await page.locator('body *').count()).toBeLessThan(6000);
  await accessible(page);
  await picture(page, 'hostile-alarms');
  await page.getByRole('navigation', { name: 'Main navigation' }).getByRole('link', { name: 'Quorum' }).click();
  await page.getByRole('heading', { name: 'Quorum', exact: true }).first().waitFor();
  expect(complaints).toEqual([]);
});

it('keeps what was typed while the server answers late, wrongly, by half, or not at all', async () => {
  const w = world(3, 3);
  const s = await stub(new Stub(w));
  const { page } = await at(s, '/configuration/ticket/new');
  const name = page.locator('#name');
  await name.fill('kept');
  const show = page.getByRole('button', { name: 'Show the plan' });
  const dialog = page.getByRole('dialog');
  const bad: [string, RegExp, (r: ServerResponse) => void][] = [
    ['500', /The server answered 500/, (r) => r.writeHead(500, { 'Content-Type': 'text/html' }).end('<h1>oops</h1><script>window.hit=1</script>')],
    ['half', /No answer|answer/i, (r) => r.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '5000' }).write('{"generation": 8, "pl', () => r.destroy())],
    ['no JSON', /No answer|answer/i, (r) => r.writeHead(200, { 'Content-Type': 'application/json' }).end('{"generation": ')],
    ['problem', /Too many requests/, (r) => r.writeHead(503, { 'Content-Type': 'application/problem+json' }).end(JSON.stringify({ title: 'Too many requests', status: 503, code: 'BLY2022', detail: evil[0], remedy: evil[1] }))],
    ['cut', /does not answer/, (r) => r.destroy()],
  ];
  for (const [what, says, answer] of bad) {
    s.answers.set('POST /v1/change', (_, r) => answer(r));
    await show.click();
    await dialog.locator('.pf-v6-c-alert.pf-m-danger').getByText(says).first().waitFor();
    expect(await page.evaluate('window.hit'), what).toBeUndefined();
    expect(await dialog.getByRole('button', { name: 'Apply' }).isDisabled(), what).toBe(true);
    if (what === 'problem') {
      await accessible(page);
      await picture(page, 'hostile-5xx');
    }
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    expect(await name.inputValue(), what).toBe('kept');
  }
  // One that is slow is waited for, and can be left.
  let late: (() => void) | undefined;
  s.answers.set('POST /v1/change', (_, r) => {
    late = () => r.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ generation: 7, requestId: 'r', plan: { steps: [] }, planToken: 'p' }));
  });
  await show.click();
  await dialog.getByText('Simulating: nothing is changed yet').first().waitFor();
  await picture(page, 'hostile-slow');
  await expect.poll(() => late).toBeDefined();
  late!();
  await dialog.getByText('The cluster would do nothing').waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  // Nothing was changed by all that.
  expect(s.changes.filter((c) => c.includes('/v1/change') && !c.includes('"dryRun":true'))).toEqual([]);
  expect(await name.inputValue()).toBe('kept');
});

it('says that the connection is lost, shows what it knew, and goes on by itself', async () => {
  const s = await stub(new Stub(world(3, 3)));
  const { page } = await at(s, '/configuration/ticket/new');
  await page.locator('#name').fill('kept');
  const broken = (r: ServerResponse) => void r.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>Bad gateway</h1>');
  s.answers.set('GET /v1/state', (_, r) => broken(r));
  s.cut();
  await page.getByText('No connection to the management daemon').waitFor();
  await page.getByText('The server answered 502').or(page.getByText(/nothing that you typed is lost/)).first().waitFor();
  await accessible(page);
  await picture(page, 'hostile-lost');
  s.answers.clear();
  await page.getByText('No connection to the management daemon').waitFor({ state: 'detached' });
  expect(await page.locator('#name').inputValue()).toBe('kept');
  // Half a message, and one that is none, do no harm.
  s.tell('{"revision": 1, "clus');
  await page.getByText('No connection').first().waitFor();
  await page.getByText('Live').waitFor();
  expect(await page.locator('#name').inputValue()).toBe('kept');
});

it('says when there is no quorum, and how old what it shows is', async () => {
  const w = world(3, 3);
  w.cluster.state = 'no-quorum';
  w.quorum = { ...w.quorum, state: 'inquorate', votes: 1, reason: '1 of 3 votes, 2 needed' };
  const s = new Stub(w);
  s.age = 95;
  await stub(s);
  const { page, complaints } = await at(s, '/');
  const banner = page.locator('.b-banners');
  await banner.getByText('The node that serves this page has no quorum').waitFor();
  await banner.getByText(/What it knows is 1 min 3\d s old|What it knows is .* old/).waitFor();
  await banner.getByText('1 of 3 votes, 2 needed').waitFor();
  await accessible(page);
  await picture(page, 'hostile-no-quorum');
  s.age = 0;
  s.summary = { ...world(3, 3), revision: 101 };
  s.tell();
  await banner.waitFor({ state: 'detached' });
  expect(complaints).toEqual([]);
});

it('counts ages by the clock of the server, and says so', async () => {
  const s = new Stub(world(3, 3));
  const hour = 3_600_000;
  s.clock = -3 * hour;
  const back = (t: string | undefined) => (t ? new Date(Date.parse(t) - 3 * hour).toISOString() : t);
  s.summary = { ...s.summary, nodes: s.summary.nodes!.map((n) => ({ ...n, since: back(n.since), upSince: back(n.since) })) };
  await stub(s);
  const { page, complaints } = await at(s, '/nodes');
  await page.getByText('The clock of this computer differs from the server’s').waitFor();
  await page.getByText(/^1 h( \d+ min)? ago$|^60 min ago$|^1 h ago$/).first().waitFor();
  expect(await page.getByText(/^in /).count()).toBe(0);
  await accessible(page);
  await picture(page, 'hostile-clock');
  expect(complaints).toEqual([]);
});

it('logs in although the first answers fail', async () => {
  const s = new Stub(world(3, 3));
  s.who = undefined;
  await stub(s);
  s.answers.set('GET /v1/session', (_, r) => void r.writeHead(503, { 'Content-Type': 'text/plain' }).end('starting'));
  const { page } = await open('/', { rest: s.url });
  await page.getByText('The server answered 503').waitFor();
  await accessible(page);
  await picture(page, 'hostile-start');
  s.answers.clear();
  await page.getByRole('button', { name: 'Try again' }).click();
  await typeIn(page, 'admin', 'x');
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
});
