import { expect, it } from 'vitest';
import { accessible, belay, enter, open, password, picture, typeIn, withBrowser } from './browser';

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

it('asks what a log-in asks besides the password', async () => {
  const { page, complaints } = await open('/');
  // The users of this cluster have a password only: the server's part is played.
  const ask = (text: string, hidden: boolean) => ({ status: 202, json: { challenge: { id: text, questions: [{ text, hidden }], messages: ['A code was sent to <b>you</b>.'], expires: new Date(Date.now() + 120_000).toISOString() } } });
  let refuse = true;
  await page.route('**/v1/session', async (route) => {
    if (route.request().method() === 'POST') await route.fulfill(ask('Code: ', true));
    else await route.fallback();
  });
  await page.route('**/v1/session/answers', async (route) => {
    const sent = route.request().postDataJSON() as { id: string; answers: string[]; cookie: boolean };
    expect(sent.cookie).toBe(true);
    if (sent.answers[0] === 'wrong') {
      refuse = false;
      await route.fulfill({ status: 401, contentType: 'application/problem+json', json: { title: 'Log-in refused', status: 401, code: 'BLY2021' } });
    } else if (sent.id === 'Code: ') {
      expect(sent.answers).toEqual(['123456']);
      await route.fulfill(ask('Which desk?', false));
    } else {
      expect(sent.answers).toEqual(['7']);
      await route.fulfill({ response: await route.fetch({ url: new URL('/v1/session', page.url()).href, postData: { user: 'viewer', password: password('viewer'), cookie: true } }) });
    }
  });
  await typeIn(page, 'viewer');
  await page.getByLabel('Code:').fill('wrong');
  await page.getByText('A code was sent to <b>you</b>.').waitFor();
  await accessible(page);
  await picture(page, 'login-code');
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByText('Log-in refused').waitFor();
  expect(refuse).toBe(false);
  expect(await page.getByLabel('User name').inputValue()).toBe('viewer');
  await typeIn(page, 'viewer');
  await page.getByLabel('Code:').fill('123456');
  await page.keyboard.press('Enter');
  await page.getByLabel('Which desk?').fill('7');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  expect(complaints).toEqual([]);
});
