import { expect, it } from 'vitest';
import { accessible, belay, dev, enter, picture, withBrowser } from './browser';

withBrowser();

it('shows a transition of the past with its graph', async () => {
  // What the daemon remembers began when it started: the test makes a transition of its own.
  const status = JSON.parse(await belay('status', '-o', 'json')) as { resources: { id: string; nodes?: string[] }[] };
  const to = status.resources.find((r) => r.id === 'demo')!.nodes?.[0] === 'n2' ? 'n3' : 'n2';
  await belay('resource', 'move', 'demo', '--to', to, '--wait');
  const { page, complaints } = await enter('/transitions');
  await page.getByRole('grid', { name: 'Transitions' }).getByRole('rowheader').first().getByRole('link').click();
  await page.getByRole('region', { name: 'The steps as a graph, from left to right' }).getByText(`start web on ${to}`).waitFor();
  await page.getByRole('grid', { name: 'Steps' }).getByText(`start web on ${to}`).waitFor();
  await accessible(page);
  await picture(page, 'transition');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'transition-dark');
  expect(complaints).toEqual([]);
});

it('filters events, by what the address says', async () => {
  const { page, complaints } = await enter('/events');
  const rows = page.getByRole('grid', { name: 'Events' }).locator('tbody tr');
  await rows.first().waitFor();
  await page.getByLabel('Resource', { exact: true }).selectOption('web');
  await page.waitForURL(/resource=web/);
  await page.getByText('resource web was started on').first().waitFor();
  await expect.poll(() => page.getByText('voters are now').count()).toBe(0);
  await page.reload();
  expect(await page.getByLabel('Resource', { exact: true }).inputValue()).toBe('web');
  await rows.getByRole('link', { name: /^BLY/ }).first().click();
  await page.waitForURL(/code=BLY/);
  await page.getByRole('button', { name: 'Show every code' }).click();
  // It is old by now, and may stand on a later page of the list.
  await page.locator('input[aria-label="Search"]').fill('voters are now');
  await rows.getByText('voters are now').first().waitFor();
  expect(complaints).toEqual([]);
});

it('returns to an earlier configuration', async () => {
  const generation = async () => Math.max(...(JSON.parse(await belay('history', '-o', 'json')) as { generation: number }[]).map((g) => g.generation));
  const before = await generation();
  await belay('resource', 'update', 'demo', '--meta', 'priority=3');
  const { page, complaints } = await enter('/history');
  const current = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: `${before + 1} now` }) });
  await current.getByText('resource/demo').first().waitFor();
  await current.getByRole('link', { name: String(before + 1) }).click();
  await page.getByRole('grid', { name: 'resource/demo' }).waitFor();
  await accessible(page);
  await picture(page, 'generation');
  await page.goto(`${dev.rest}/history/${before}`);
  await page.getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Return to this…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText(`belay rollback ${before}`).waitFor();
  await accessible(page);
  await picture(page, 'rollback');
  await dialog.getByRole('button', { name: 'Apply' }).click();
  await dialog.getByText('Done').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  expect(await generation()).toBe(before + 2);
  const demo = JSON.parse(await belay('get', 'resource', 'demo', '-o', 'json')) as { meta: Record<string, unknown> };
  expect(demo.meta.priority).toBeUndefined();
  expect(complaints).toEqual([]);
});

it('refuses a rollback to who may not', async () => {
  const { page } = await enter('/history/1', 'viewer');
  await page.getByRole('button', { name: 'Actions' }).click();
  const item = page.getByRole('menuitem', { name: /^Return to this/ });
  await item.getByText('Not allowed').waitFor();
  expect(await item.getAttribute('aria-disabled')).toBe('true');
});

it('says so where a generation or a transition is not kept', async () => {
  const { page, complaints } = await enter('/history/4711');
  for (const path of ['/history/4711', '/history/x', '/transitions/0']) {
    await page.goto(dev.rest + path);
    await page.getByRole('heading', { name: 'This is not there, or no longer' }).first().waitFor();
  }
  await accessible(page);
  // The browser notes each answer 404.
  expect(complaints.filter((c) => !c.includes('404'))).toEqual([]);
});
