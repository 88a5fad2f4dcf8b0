import { expect, it } from 'vitest';
import { accessible, belay, enter, picture, withBrowser } from './browser';

withBrowser();

it('tells what would happen if a node were lost, and saves the question', async () => {
  const status = JSON.parse(await belay('status', '-o', 'json')) as { revision: number; cluster: { generation: number }; resources: { id: string; nodes?: string[] }[] };
  const at = status.resources.find((r) => r.id === 'demo')!.nodes![0]!;
  const { page, complaints } = await enter('/what-if');
  await page.getByText('Nothing is supposed yet').waitFor();
  await page.getByRole('button', { name: `${at} is lost`, exact: true }).click();
  await page.waitForURL(new RegExp(`node=${at}%3Dunclean`));
  const row = page.getByRole('grid', { name: 'Where everything would be' }).locator('tbody tr').filter({ has: page.getByRole('link', { name: 'web', exact: true }) });
  await row.getByText('moves').waitFor();
  await page.locator('.b-effect', { hasText: 'Is fenced' }).getByText(at).waitFor();
  await row.getByRole('button', { name: 'The scores of web' }).click();
  await page.getByRole('heading', { name: 'The scores of web' }).waitFor();
  await page.getByRole('button', { name: /Steps in order/ }).click();
  await accessible(page);
  await picture(page, 'what-if');
  await page.emulateMedia({ colorScheme: 'dark' });
  await accessible(page);
  await picture(page, 'what-if-dark');
  await page.getByText(`belay simulate --live --node ${at}=unclean`).waitFor();

  await page.getByLabel('Name', { exact: true }).fill('one node less');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'As a file: one node less' }).click();
  const file = await download;
  expect(file.suggestedFilename()).toBe('one-node-less.json');
  const path = await file.path();
  await page.getByRole('button', { name: 'Suppose nothing' }).click();
  await page.getByText('Nothing is supposed yet').waitFor();
  await page.reload();
  await page.getByRole('link', { name: 'one node less' }).click();
  await row.getByText('moves').waitFor();
  await page.getByRole('button', { name: 'Suppose nothing' }).click();
  await page.getByLabel('Open a file').setInputFiles(path);
  await row.getByText('moves').waitFor();
  await page.getByLabel('Open a file').setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('{"a":') });
  await page.getByText('This file holds no scenario.').waitFor();

  // Nothing was changed by all this.
  const after = JSON.parse(await belay('status', '-o', 'json')) as typeof status;
  expect(after.cluster.generation).toBe(status.cluster.generation);
  expect(after.resources.find((r) => r.id === 'demo')!.nodes![0]).toBe(at);
  expect(complaints).toEqual([]);
});

it('supposes anything, also with the keyboard alone, and says what it does not understand', async () => {
  const { page } = await enter('/what-if', 'viewer');
  await page.getByLabel('What', { exact: true }).selectOption('resource');
  await page.getByLabel('Which').fill('web');
  await page.getByLabel('Is', { exact: true }).selectOption('stop');
  await page.getByLabel('Which').press('Enter');
  await page.getByRole('listitem').filter({ hasText: 'Resource web is stopped' }).waitFor();
  await page.locator('.b-effect', { hasText: 'Stops' }).getByText(/web on n\d/).waitFor();
  await page.getByLabel('What', { exact: true }).selectOption('quorum');
  await page.getByRole('button', { name: 'Suppose it' }).click();
  await page.waitForURL(/quorum=lost/);
  await page.getByRole('button', { name: 'Do not suppose: Resource web is stopped' }).click();
  await page.waitForURL((u) => u.search === '?quorum=lost');
  await page.goto(`${page.url()}&node=nobody%3Dunclean`);
  await page.getByText(/BLY\d{4}/).waitFor();
  await accessible(page);
  await picture(page, 'what-if-unknown');
});
