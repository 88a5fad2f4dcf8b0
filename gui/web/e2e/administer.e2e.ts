import { expect, it } from 'vitest';
import { accessible, belay, dev, enter, picture, withBrowser } from './browser';

withBrowser();

it('lets an auditor search, verify and export the audit log', async () => {
  const { page, complaints } = await enter('/audit', 'auditor');
  const records = page.getByRole('grid', { name: 'Records' }).locator('tbody tr');
  await records.first().waitFor();
  await page.getByRole('button', { name: 'Verify' }).click();
  await page.getByText('The log is whole').waitFor();
  expect(await page.evaluate<number>('Math.max(...[...document.querySelectorAll("table")].map((t) => t.offsetWidth - t.parentElement.clientWidth))')).toBeLessThanOrEqual(0);
  await accessible(page);
  await picture(page, 'audit');
  await page.getByLabel('User', { exact: true }).fill('root');
  await page.getByLabel('Phase', { exact: true }).selectOption('outcome');
  await page.getByRole('button', { name: 'Search', exact: true }).click();
  await page.waitForURL(/user=root&phase=outcome/);
  await page.getByText('belay audit show --user root --phase outcome').waitFor();
  await expect.poll(async () => (await records.allInnerTexts()).every((r) => r.includes('root') && r.includes('outcome'))).toBe(true);
  await records.first().getByRole('button', { name: /^Details: Record / }).click();
  await page.getByRole('heading', { name: /^Record / }).waitFor();
  await page.emulateMedia({ colorScheme: 'dark' });
  await accessible(page);
  await picture(page, 'audit-record-dark');
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Export: CSV' }).click();
  const file = await (await download).createReadStream();
  let text = '';
  for await (const part of file) text += String(part);
  expect(text).toMatch(/^seq,time,/);
  // The search holds for the export, too.
  expect(text.split('\n').slice(1).filter((l) => /^\d+,/.test(l) && !l.includes(',outcome,root,'))).toEqual([]);
  expect(complaints).toEqual([]);
});

it('tells who may not read the audit log, why', async () => {
  const { page } = await enter('/audit', 'operator');
  await page.getByText('You may not read the audit log').waitFor();
  await expect.poll(() => page.getByRole('button', { name: 'Verify' }).getAttribute('aria-disabled')).toBe('true');
  await accessible(page);
  await picture(page, 'audit-not-allowed');
});

it('makes a token, shows it once, and voids it', async () => {
  const { page, complaints } = await enter('/access?tab=tokens', 'operator');
  await page.getByRole('button', { name: 'New token' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('What it is for').fill('monitoring');
  await accessible(page);
  await picture(page, 'token-new');
  await dialog.getByRole('button', { name: 'Make the token' }).click();
  const secret = await dialog.getByLabel('Secret').inputValue();
  await accessible(page);
  await picture(page, 'token-made');
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  const headers = { Authorization: `Bearer ${secret}` };
  const asked = () => page.context().request.get(`${dev.rest}/v1/cluster`, { headers: { ...headers, Cookie: '' } });
  expect((await asked()).status()).toBe(200);
  const row = page.getByRole('grid', { name: 'API tokens' }).locator('tbody tr').filter({ hasText: 'monitoring' });
  await row.getByRole('button', { name: 'Void… monitoring' }).click();
  await dialog.getByText('Void the token for monitoring?').waitFor();
  await dialog.getByRole('button', { name: 'Void the token' }).click();
  await row.waitFor({ state: 'detached' });
  expect((await asked()).status()).toBe(401);
  expect(await page.content()).not.toContain(secret);
  expect(complaints).toEqual([]);
});

it('lets a certificate in, and keeps it out again', async () => {
  const { page, complaints } = await enter('/access?tab=certificates', 'security-admin');
  await page.getByRole('button', { name: 'New certificate' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'User' }).fill('robot');
  await dialog.getByRole('textbox', { name: 'SHA-256 of the public key' }).fill('ab'.repeat(32));
  await dialog.getByRole('textbox', { name: 'Note' }).fill('the backup host');
  await accessible(page);
  await picture(page, 'certificate-new');
  await dialog.getByRole('button', { name: 'Let it in' }).click();
  const row = page.getByRole('grid', { name: 'Certificates' }).locator('tbody tr').filter({ hasText: 'robot' });
  await row.getByRole('button', { name: 'Actions: robot' }).click();
  await page.getByRole('menuitem', { name: 'Keep out…' }).click();
  await dialog.getByRole('button', { name: 'Keep it out' }).click();
  await row.waitFor({ state: 'detached' });
  expect(complaints).toEqual([]);
});

it('asks a second person', async () => {
  const chief = await enter('/approvals', 'security-admin');
  const second = chief.page.getByRole('checkbox', { name: 'refresh', exact: true });
  const save = async (on: boolean) => {
    await second.setChecked(on);
    const answer = chief.page.waitForResponse((r) => r.url().endsWith('/v1/settings/approval') && r.request().method() === 'PUT');
    await chief.page.getByRole('button', { name: 'Save' }).click();
    expect((await answer).status()).toBe(204);
    await chief.page.getByText(/Saved$/).waitFor();
  };
  await save(true);
  await accessible(chief.page);
  await picture(chief.page, 'approval-policy');

  const { page, complaints } = await enter('/resources/demo', 'admin');
  await page.getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Forget everything and look again' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('A second person must agree.').waitFor();
  await dialog.getByRole('button', { name: 'Send for approval' }).click();
  await dialog.getByText('It waits for a second person').waitFor();
  await dialog.getByRole('link', { name: 'Show the approval' }).click();
  await page.getByText('You asked for it yourself').waitFor();
  expect(await page.getByRole('button', { name: 'Agree' }).getAttribute('aria-disabled')).toBe('true');
  await accessible(page);
  await picture(page, 'approval-own');

  const other = await enter(new URL(page.url()).pathname, 'operator');
  await other.page.getByLabel('Reason').fill('we spoke about it');
  await accessible(other.page);
  await picture(other.page, 'approval');
  await other.page.getByRole('button', { name: 'Agree' }).click();
  await other.page.locator('.b-title').getByText('done').waitFor();
  // Who asked for it sees it, too.
  await page.locator('.b-title').getByText('done').waitFor();
  await save(false);
  expect(complaints).toEqual([]);
});

it('shows the options of the cluster, and its maintenance', async () => {
  const { page, complaints } = await enter('/cluster');
  await page.getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Maintenance…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('belay cluster maintenance on').waitFor();
  await dialog.getByRole('button', { name: 'Apply' }).click();
  await page.getByText('The cluster is in maintenance: nothing').waitFor();
  await accessible(page);
  await picture(page, 'cluster-maintenance');
  await belay('cluster', 'maintenance', 'off');
  await page.getByText('The cluster is in maintenance: nothing').waitFor({ state: 'detached' });
  expect(complaints).toEqual([]);
});

it('makes a backup', async () => {
  const { page, complaints } = await enter('/backup');
  await page.getByRole('button', { name: 'Back up now' }).click();
  await page.getByText('The backup is written').waitFor();
  // The engine tells the cluster of it a moment later.
  await page.getByRole('grid', { name: 'Last backups' }).getByText('ago').first().waitFor();
  await accessible(page);
  await picture(page, 'backup');
  const refused = await enter('/backup', 'viewer');
  await expect.poll(() => refused.page.getByRole('button', { name: 'Back up now' }).getAttribute('aria-disabled')).toBe('true');
  expect(complaints).toEqual([]);
});
