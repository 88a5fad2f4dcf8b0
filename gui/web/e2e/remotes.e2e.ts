import { afterEach, expect, it } from 'vitest';
import type { Node } from '../src/api/types';
import { accessible, open, picture, withBrowser } from './browser';
import { Stub, world } from './stub';

withBrowser();

let running: Stub | undefined;
afterEach(() => running?.stop());

const remote = (part: Partial<Node>): Node => ({
  name: 'far1', id: 0, state: 'online', reason: 'connected to n2', admin: 'online', member: false, role: 'remote', voter: false, votes: 0, host: 'n2', site: 'berlin',
  health: 'green', running: 1, failed: 0, fence: 'ready', clockOffsetNs: 0, attributes: { rack: '7' }, ...part,
});

it('shows remote nodes among the others, and what can be done with them', async () => {
  const w = world(3, 2);
  w.remotes = [remote({}), remote({ name: 'far2', state: 'offline', reason: 'never connected', host: undefined, attributes: {} })];
  w.cluster.counts.remotes = 2;
  w.cluster.counts.remotesOnline = 1;
  w.resources![0]!.nodes = ['far1'];
  w.resources![0]!.instances![0]!.node = 'far1';
  running = await new Stub(w, { 'remote-nodes': { far1: { attributes: { rack: '7' } } } }).start();
  const { page, complaints } = await open('/', { rest: running.url });
  await page.getByText('1 of 2 remote nodes').waitFor();
  await page.locator('.b-nodebox').filter({ hasText: 'far1' }).getByText('r0001').waitFor();
  expect(await page.locator('.b-link--remote').count()).toBe(1);
  await page.getByRole('columnheader', { name: 'far2' }).waitFor();
  await accessible(page);
  await picture(page, 'remotes-overview');

  await page.goto(`${running.url}/nodes`);
  await page.getByRole('row', { name: /far1.*connected to n2.*remote, at n2/ }).waitFor();
  await page.getByRole('button', { name: 'Actions: far2' }).click();
  await page.getByRole('menuitem', { name: 'Confirm that it is off…' }).waitFor();
  expect(await page.getByRole('menuitem', { name: /vote/ }).count()).toBe(0);
  await accessible(page);
  await picture(page, 'remotes-nodes');

  await page.goto(`${running.url}/nodes/far1`);
  await page.getByText('Connected by resource').waitFor();
  expect(await page.getByRole('tab', { name: 'Links' }).count()).toBe(0);
  await page.getByRole('tab', { name: 'Attributes' }).click();
  await page.getByRole('row', { name: /rack.*7.*permanent/ }).waitFor();
  await page.getByRole('button', { name: 'Actions', exact: true }).click();
  await page.getByRole('menuitem', { name: /^Confirm that it is off/ }).getByText('it answers').waitFor();
  await page.getByRole('menuitem', { name: 'Standby: move everything off' }).click();
  // The other settings stay.
  await page.getByRole('dialog').getByText('{"remote-nodes":{"far1":{"attributes":{"rack":"7"},"standby":true}}}').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Apply' }).click();
  await expect.poll(() => running!.changes.filter((c) => !c.includes('"dryRun":true')).map((c) => JSON.parse(c.slice(c.indexOf('{'))) as unknown)).toMatchObject([
    { action: 'update', object: 'remote-node/far1', value: { attributes: { rack: '7' }, standby: true }, expectedGeneration: 7 },
  ]);

  // One without settings gets its first ones.
  await page.goto(`${running.url}/configuration/remote-node/far2`);
  await page.getByLabel('site').fill('paris');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await page.getByRole('dialog').getByText('{"remote-nodes":{"far2":{"site":"paris"}}}').waitFor();
  // The stand-in knows no plan that is carried out.
  expect(complaints.filter((c) => !c.includes('404'))).toEqual([]);
});
