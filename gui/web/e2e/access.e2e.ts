import { expect, it } from 'vitest';
import { accessible, enter, picture, withBrowser } from './browser';

withBrowser();

it('tells who may do what, and ends a session', async () => {
  const other = await enter('/', 'viewer');
  const { page, complaints } = await enter('/access', 'security-admin');
  await page.getByRole('grid', { name: 'Who holds what' }).getByText('belay-auditor').waitFor();
  await accessible(page);
  await picture(page, 'access');
  await page.getByRole('tab', { name: 'Who may do what' }).click();
  await page.getByLabel('User', { exact: true }).fill('alice');
  await page.getByLabel('Groups', { exact: true }).fill('belay-operator');
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.getByText('Roles: operator').waitFor();
  await accessible(page);
  await picture(page, 'access-can');
  await page.getByRole('tab', { name: 'Sessions' }).click();
  const row = page.getByRole('grid', { name: 'Sessions' }).locator('tbody tr').filter({ hasText: 'viewer' });
  await row.first().waitFor();
  const before = await row.count();
  await picture(page, 'access-sessions');
  // The newest of them is the one that was just begun.
  await page.getByRole('button', { name: 'Began' }).click();
  await row.last().getByRole('button', { name: 'Actions: viewer' }).click();
  await page.getByRole('menuitem', { name: 'End…' }).click();
  await page.getByRole('dialog').getByText('End the session of viewer?').waitFor();
  await accessible(page);
  await picture(page, 'access-end');
  await page.getByRole('dialog').getByRole('button', { name: 'End the session' }).click();
  await expect.poll(() => row.count()).toBe(before - 1);
  await other.page.goto(other.page.url());
  await other.page.getByLabel('User name').waitFor();
  expect(complaints).toEqual([]);
});
