import { expect, it } from 'vitest';
import { accessible, belay, enter, open, picture, typeIn, withBrowser } from './browser';

withBrowser();

it('refuses a wrong password, keeps the name, and lets the right one in', async () => {
  const { page, complaints } = await open('/');
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  await accessible(page);
  await picture(page, 'login');
  await typeIn(page, 'viewer', 'not the password');
  await page.getByText('Log-in refused').waitFor();
  expect(await page.getByLabel('User name').inputValue()).toBe('viewer');
  expect(await page.getByRole('textbox', { name: 'Password' }).inputValue()).toBe('');
  await accessible(page);
  await typeIn(page, 'viewer');
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await page.locator('.b-user').click();
  await page.getByText('Roles: viewer').waitFor();
  await page.getByRole('menuitem', { name: 'Log out' }).click();
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  expect(complaints).toEqual([]);
});

it('shows a change of the cluster by itself', async () => {
  const { page, complaints } = await enter('/');
  await page.getByText('Live').waitFor();
  await page.getByRole('img', { name: '3 nodes; 6 of 6 links are up' }).waitFor();
  await picture(page, 'overview');
  await accessible(page);
  await belay('node', 'standby', 'n3');
  await page.locator('.b-nodebox', { hasText: 'n3' }).getByText('Standby').waitFor();
  await belay('node', 'online', 'n3');
  await page.locator('.b-nodebox', { hasText: 'n3' }).getByText('Standby').waitFor({ state: 'detached' });
  expect(complaints).toEqual([]);
});

it('is right in the dark, and on a phone', async () => {
  const { page, complaints } = await enter('/', 'viewer', { colorScheme: 'dark', viewport: { width: 375, height: 740 } });
  await page.getByRole('heading', { name: 'Topology' }).waitFor();
  await accessible(page);
  await picture(page, 'overview-phone-dark');
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(375);
  expect(complaints).toEqual([]);
});
