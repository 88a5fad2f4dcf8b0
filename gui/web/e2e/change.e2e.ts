import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { accessible, belay, dev, enter, picture, typeIn, withBrowser } from './browser';

withBrowser();

it('makes a service with the wizard, and sees it run', async () => {
  const { page, complaints } = await enter('/resources');
  await page.getByRole('link', { name: 'New service' }).click();
  await page.getByLabel('Name of the service').fill('shop');
  await page.getByLabel('a file system on shared storage').uncheck();
  await page.getByLabel('an IP address that clients use').uncheck();
  await accessible(page);
  await picture(page, 'wizard');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByLabel('Agent of the program').fill('belay:dummy');
  await page.getByText('A resource that does nothing, for tests').waitFor();
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByText('They start in this order').waitFor();
  await page.getByRole('button', { name: 'Show the plan' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText(/shop-app on n\d/).first().waitFor();
  await dialog.getByRole('button', { name: 'Apply' }).click();
  await dialog.getByText('The cluster is as this change wants it.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await page.getByRole('heading', { name: 'shop', exact: true }).waitFor();
  await page.locator('.b-title').getByText('Running').waitFor();
  expect(complaints).toEqual([]);
});

it('shows why the engine refuses a change, and keeps what was typed', async () => {
  const { page } = await enter('/resources/new');
  await page.getByLabel('Name').first().fill('bad');
  await page.getByLabel('agent', { exact: true }).fill('ocf:heartbeat:NoSuchAgent');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText(/BLY\d{4}/).waitFor();
  await accessible(page);
  await picture(page, 'refused');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  expect(await page.getByLabel('agent', { exact: true }).inputValue()).toBe('ocf:heartbeat:NoSuchAgent');
});

it('shows what somebody else changed in between, and merges', async () => {
  const { page } = await enter('/resources/shop-app/edit');
  await page.getByLabel('description', { exact: true }).fill('mine');
  await accessible(page);
  await picture(page, 'form');
  await belay('resource', 'update', 'shop-app', '--meta', 'priority=7');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Somebody else changed this in between').waitFor();
  await dialog.getByText('meta').first().waitFor();
  await picture(page, 'conflict');
  await accessible(page);
  await dialog.getByRole('button', { name: 'Keep my changes on top of theirs' }).click();
  await dialog.getByRole('button', { name: 'Apply' }).click();
  await dialog.getByText('The cluster is as this change wants it.').waitFor();
  const r = JSON.parse(await belay('get', 'resource', 'shop-app', '-o', 'json')) as Record<string, unknown>;
  expect(JSON.stringify(r)).toContain('"description":"mine"');
  expect(JSON.stringify(r)).toContain('"priority":7');
});

it('shows names with markup and of the other direction as text', async () => {
  const evil = '<img src=x onerror=document.title=1> \u202e txet ' + 'long'.repeat(2000);
  await belay('apply', '--merge', '-f', await file(JSON.stringify({ resources: { 'shop-app': { description: evil } } })));
  const { page, complaints } = await enter('/resources/shop-app');
  await page.getByText('<img src=x').waitFor();
  expect(await page.title()).toContain('shop-app');
  expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(1400);
  await picture(page, 'markup');
  expect(complaints).toEqual([]);
});

it('asks for the password again on top of a page whose session has ended', async () => {
  const { page } = await enter('/resources/new', 'operator');
  await page.getByLabel('Name').first().fill('kept');
  await page.evaluate(`fetch('/v1/session').then((r) => r.json()).then((s) => fetch('/v1/session', { method: 'DELETE', headers: { 'X-CSRF-Token': s.csrfToken } }))`);
  const again = page.getByRole('dialog', { name: 'Your session has ended' });
  await again.waitFor({ timeout: 60_000 });
  await accessible(page);
  await picture(page, 'session-ended');
  await again.getByRole('textbox', { name: 'Password' }).fill(dev.users.find((u) => u.name === 'operator')!.password);
  await again.getByRole('button', { name: 'Log in' }).click();
  await again.waitFor({ state: 'detached' });
  expect(await page.getByLabel('Name').first().inputValue()).toBe('kept');
});

it('watches a fail-over, and finds the server again when it was gone', async () => {
  const { page } = await enter('/');
  const at = async () => (JSON.parse(await belay('status', '-o', 'json')) as { resources: { id: string; nodes?: string[] }[] }).resources.find((r) => r.id === 'demo')!.nodes?.[0];
  // The page is served by the first node: the service must be on another one.
  if ((await at()) === 'n1') await belay('resource', 'move', 'demo', '--to', 'n2', '--wait');
  const lost = (await at())!;
  const box = page.locator('.b-nodebox', { has: page.getByRole('link', { name: lost, exact: true }) });
  await box.getByText('demo').waitFor();
  execFileSync(dev.belay, ['dev', 'power', 'off', lost, '--dir', dev.dir]);
  await box.getByText('demo').waitFor({ state: 'detached', timeout: 60_000 });
  await page.locator('.b-nodebox:not(.b-nodebox--off)', { hasText: 'demo' }).waitFor({ timeout: 60_000 });
  const move = page.locator('.b-moves > li', { hasText: `${lost} →` }).filter({ hasText: `node ${lost} is lost` }).first();
  await move.getByText('Succeeded').waitFor();
  await picture(page, 'failover');
  execFileSync(dev.belay, ['dev', 'power', 'on', lost, '--dir', dev.dir]);
  await box.getByText('runs nothing').waitFor({ timeout: 60_000 });

  const first = dev.nodes.find((n) => n.name === 'n1')!;
  process.kill(first.mgmt_pid, 'SIGKILL');
  await page.getByText('No connection to the management daemon').waitFor({ timeout: 60_000 });
  await picture(page, 'no-connection');
  await page.getByText('Live').waitFor({ timeout: 60_000 });
  await page.getByText('No connection to the management daemon').waitFor({ state: 'detached' });
});

it('acknowledges an alarm, for everybody to see, and withdraws it', async () => {
  const fencing = async (on: boolean | null) => belay('apply', '--merge', '-f', await file(JSON.stringify({ cluster: { options: { 'fencing-required': on } } })));
  await fencing(false);
  try {
    const { page, complaints } = await enter('/', 'operator');
    const alarm = page.locator('.b-alarm').first();
    await alarm.getByRole('button', { name: /^Acknowledge/ }).click({ timeout: 60_000 });
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Comment').fill('its power supply is being replaced');
    await dialog.getByText("--comment 'its power supply is being replaced'").waitFor();
    await dialog.getByRole('button', { name: 'Apply' }).click();
    await dialog.getByText('The cluster is as this change wants it.').waitFor();
    await dialog.getByRole('button', { name: 'Close' }).last().click();
    await alarm.getByText('Acknowledged by operator').waitFor();
    await alarm.getByText('its power supply is being replaced').waitFor();
    await accessible(page);
    await picture(page, 'acknowledged');
    await alarm.getByRole('button', { name: /^Withdraw/ }).click();
    await dialog.getByRole('button', { name: 'Apply' }).click();
    await dialog.getByText('The cluster is as this change wants it.').waitFor();
    await dialog.getByRole('button', { name: 'Close' }).last().click();
    await alarm.getByText('Acknowledged by operator').waitFor({ state: 'detached' });
    expect(complaints).toEqual([]);
  } finally {
    await fencing(null);
  }
});

async function file(text: string): Promise<string> {
  const { writeFile } = await import('node:fs/promises');
  const name = `${dev.dir}/part.yaml`;
  await writeFile(name, text);
  return name;
}

it('comes back to the same page after a log-out and a log-in', async () => {
  const { page } = await enter('/nodes', 'viewer');
  await page.getByRole('heading', { name: 'Nodes', exact: true }).waitFor();
  await page.locator('.b-user').click();
  await page.getByRole('menuitem', { name: 'Log out' }).click();
  await typeIn(page, 'viewer');
  await page.getByRole('heading', { name: 'Nodes', exact: true }).waitFor();
});
