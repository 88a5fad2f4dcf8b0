import { writeFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { accessible, belay, dev, enter, picture, withBrowser } from './browser';

withBrowser();

async function apply(page: Page) {
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Apply' }).click();
  await dialog.getByText('The cluster is as this change wants it.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).last().click();
}

async function merge(value: unknown) {
  const name = `${dev.dir}/setup.yaml`;
  await writeFile(name, JSON.stringify(value));
  await belay('apply', '--merge', '-f', name);
}

async function get(kind: string, id: string): Promise<Record<string, unknown>> {
  return JSON.parse(await belay('get', kind, id, '-o', 'json')) as Record<string, unknown>;
}

it('sets up SNMP, and sends a test', async () => {
  const sec = await enter('/configuration/snmp-user/new', 'security-admin');
  await sec.page.getByLabel('Name').first().fill('pager');
  const secret = sec.page.getByLabel('auth-passphrase', { exact: true });
  expect(await secret.getAttribute('type')).toBe('password');
  await secret.fill('correct horse');
  await sec.page.getByLabel('priv-passphrase', { exact: true }).fill('battery staple');
  await sec.page.getByRole('button', { name: 'Show the plan' }).click();
  await apply(sec.page);
  await sec.page.getByRole('grid', { name: 'Users' }).getByText('pager').waitFor();

  const { page, complaints } = await enter('/notifications');
  await page.getByText('No target: no SNMP notification is sent.').waitFor();
  await page.getByRole('link', { name: 'Add SNMP target' }).click();
  await page.getByLabel('Name').first().fill('nms');
  await page.locator('#doc-address').fill('127.0.0.1:9');
  await page.locator('#doc-user').fill('pager');
  await page.locator('#doc-min-severity').selectOption('major');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await apply(page);
  await page.getByRole('grid', { name: 'Targets' }).getByText('127.0.0.1:9').waitFor();
  await accessible(page);
  await picture(page, 'notifications');

  await page.getByRole('button', { name: 'Send a test…' }).click();
  const dialog = page.getByRole('dialog');
  expect(await dialog.getByLabel('As severe as').locator('option').allTextContents()).toContain('minor – 0 of 1 receivers');
  await dialog.getByText("belay events test --severity major --comment 'test from the web GUI'").waitFor();
  await accessible(page);
  await picture(page, 'notifications-test');
  await apply(page);
  const events = (await belay('events', '-o', 'jsonl')).trim().split('\n').map((l) => JSON.parse(l) as { code: string; severity: string; text: string });
  expect(events.filter((e) => e.code === 'BLY3070')).toMatchObject([{ severity: 'major', text: expect.stringContaining('admin tries') as string }]);

  await page.getByRole('link', { name: 'Edit the agent' }).click();
  await page.locator('#doc-heartbeat').fill('5m');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await apply(page);
  expect(await belay('get')).toMatch(/heartbeat: 5m/);
  expect(complaints).toEqual([]);
});

it('sets up a webhook', async () => {
  const { page, complaints } = await enter('/notifications?tab=web');
  await page.getByText('Nobody gets mail.').waitFor();
  await page.getByRole('link', { name: 'Add webhook' }).click();
  await page.getByLabel('Name').first().fill('chat');
  await page.locator('#doc-url').fill('https://127.0.0.1:9/hook');
  expect(await page.locator('#doc-token').getAttribute('type')).toBe('password');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await apply(page);
  await page.getByRole('grid', { name: 'Webhooks' }).getByText('https://127.0.0.1:9/hook').waitFor();
  // Nobody listens there: it tells so by itself as soon as there is something to send.
  await belay('events', 'test', '--severity', 'major', '--comment', 'for the webhook');
  await page.getByRole('grid', { name: 'Webhooks' }).getByText('Fails', { exact: true }).waitFor({ timeout: 180_000 });
  await accessible(page);
  await picture(page, 'notifications-web');
  expect(complaints).toEqual([]);
  await merge({ webhooks: { chat: null } });
});

it('sets up CIM indications', async () => {
  const { page, complaints } = await enter('/notifications?tab=cim');
  await page.getByRole('grid', { name: 'Filters' }).getByText('belay-lifecycle').waitFor();
  await page.getByRole('link', { name: 'Add CIM destination' }).click();
  await page.getByLabel('Name').first().fill('listener');
  await page.locator('#doc-url').fill('https://127.0.0.1:9/x');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await apply(page);
  await page.getByRole('link', { name: 'Add CIM subscription' }).click();
  await page.getByLabel('Name').first().fill('all');
  await page.locator('#doc-filter').fill('belay-events');
  await page.locator('#doc-destination').fill('listener');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await apply(page);
  await page.getByRole('grid', { name: 'Subscriptions' }).getByText('belay-events').waitFor();
  await accessible(page);
  await picture(page, 'notifications-cim');
  expect(complaints).toEqual([]);
  await merge({ 'cim-subscriptions': { all: null }, 'cim-destinations': { listener: null }, 'snmp-targets': { nms: null }, 'snmp-users': { pager: null }, cluster: { snmp: null } });
});

it('edits the whole configuration as YAML, tells what is wrong by line, and merges what others changed', async () => {
  const { page, complaints } = await enter('/configuration');
  const field = page.getByLabel('Configuration', { exact: true });
  const text = await field.inputValue();
  expect(text).toContain('belay:process');
  const lines = text.split('\n');
  const at = lines.findIndex((l) => l.includes('description: A small web service')) + 1;
  await field.fill(text.replace('description: A small web service', 'descripton: typed'));
  await page.getByText('There is no field descripton. Is description meant?').waitFor();
  await page.getByRole('button', { name: `Line ${at}`, exact: true }).click();
  expect(await page.evaluate<string>(`(() => { const f = document.activeElement; return f.value.slice(f.selectionStart, f.selectionEnd); })()`)).toContain('descripton');
  expect(await page.getByRole('button', { name: 'Show the plan' }).getAttribute('aria-disabled')).toBe('true');
  await accessible(page);
  await picture(page, 'yaml-wrong');
  await field.fill(text.replace('A small web service', 'typed as YAML'));
  await page.getByText('1 field differs').waitFor();
  // Who looks at another page and comes back finds what was typed.
  await page.getByRole('navigation', { name: 'Main navigation' }).getByRole('link', { name: 'Quorum' }).click();
  await page.getByRole('heading', { name: 'Quorum', exact: true }).first().waitFor();
  await page.goBack();
  await page.getByText('This is what you had typed here before.').waitFor();
  expect(await field.inputValue()).toContain('typed as YAML');
  await belay('resource', 'update', 'web', '--meta', 'priority=2');
  await page.getByText('The configuration has changed since.').waitFor();
  await page.getByRole('button', { name: 'Show the plan' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Somebody else changed this in between').waitFor();
  await dialog.getByText('resources.web.meta').waitFor();
  await picture(page, 'yaml-conflict');
  await dialog.getByRole('button', { name: 'Keep my changes on top of theirs' }).click();
  await apply(page);
  expect(await get('resource', 'web')).toMatchObject({ description: 'typed as YAML', meta: { priority: 2 } });
  await expect.poll(() => field.inputValue()).toContain('priority: 2');
  await page.emulateMedia({ colorScheme: 'dark' });
  await picture(page, 'yaml-dark');
  await accessible(page);
  expect(complaints).toEqual([]);
  await merge({ resources: { web: { description: 'A small web service', meta: null } } });
});

it('edits one document as YAML or in its form', async () => {
  const { page, complaints } = await enter('/resources/web/edit');
  await page.getByRole('button', { name: 'YAML', exact: true }).click();
  const field = page.getByLabel('web as YAML');
  const text = await field.inputValue();
  expect(text).toMatch(/^description: .*$/m);
  await field.fill(text.replace(/^description: .*$/m, 'description: both ways'));
  await accessible(page);
  await picture(page, 'yaml-document');
  await page.getByRole('button', { name: 'Form', exact: true }).click();
  expect(await page.locator('#doc-description').inputValue()).toBe('both ways');
  await page.getByRole('button', { name: 'YAML', exact: true }).click();
  expect(await field.inputValue()).toContain('both ways');
  await field.fill('agent: [');
  await page.getByText('1 error').or(page.getByText('2 errors')).first().waitFor();
  expect(await page.getByRole('button', { name: 'Form', exact: true }).isDisabled()).toBe(true);
  expect(complaints).toEqual([]);
});

it('makes a fence device with the wizard, and shows whether it answers', async () => {
  const power = await get('fence-device', 'power');
  const { page, complaints } = await enter('/fencing');
  await page.getByRole('link', { name: 'New device' }).click();
  await page.getByLabel('Name of the device').fill('second');
  await page.locator('#agent').fill('belay:dev');
  await page.locator('#parameters-socket').fill((power.parameters as { socket: string }).socket);
  await accessible(page);
  await picture(page, 'fence-wizard');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByLabel('only these nodes').check();
  await page.getByLabel('n3', { exact: true }).check();
  await accessible(page);
  await picture(page, 'fence-wizard-nodes');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByLabel('After the others').check();
  await page.getByText('Level 1').waitFor();
  await accessible(page);
  await picture(page, 'fence-wizard-levels');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await apply(page);
  await page.getByRole('heading', { name: 'Test of second' }).waitFor();
  await page.getByRole('grid', { name: 'Does it answer?' }).getByText('answers').first().waitFor({ timeout: 60_000 });
  await accessible(page);
  await picture(page, 'fence-test');
  await page.getByRole('button', { name: 'Fence n3…' }).click();
  await page.getByRole('dialog').getByText('belay fence reboot n3').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  expect(await get('fence-topology', 'n3')).toMatchObject({ levels: [['second']] });
  expect(complaints).toEqual([]);
  await merge({ 'fence-topology': { n3: null }, 'fence-devices': { second: null } });
});

it('leads through the settings of two nodes, and tells whether the times fit', async () => {
  const { page, complaints } = await enter('/two-nodes');
  await page.getByText('This cluster has 3 voters.').waitFor();
  await page.getByLabel('Host of belay-quorumd').fill('q1.example.org');
  await page.getByLabel('Its fingerprint').fill(`sha256:${'A'.repeat(43)}=`);
  await accessible(page);
  await picture(page, 'two-nodes');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByLabel('Delay by priority').fill('5s');
  await accessible(page);
  await picture(page, 'two-nodes-delay');
  await page.getByRole('button', { name: 'Next' }).click();
  const worst = page.getByRole('grid', { name: 'How long things take at worst' });
  await worst.waitFor();
  const before = await worst.innerText();
  await page.getByLabel('Silence after which a node is lost').fill('3s');
  await expect.poll(() => worst.innerText()).not.toBe(before);
  await accessible(page);
  await picture(page, 'two-nodes-times');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByText('fingerprint').waitFor();
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await page.getByRole('dialog').getByText('What the cluster would do').or(page.getByRole('dialog').getByText(/BLY\d{4}/)).or(page.getByRole('dialog').getByText(/would do nothing/)).first().waitFor();
  await picture(page, 'two-nodes-plan');
  expect(complaints).toEqual([]);
});

it('makes a token with which a node joins', async () => {
  const { page, complaints } = await enter('/nodes');
  await page.getByRole('link', { name: 'Add a node' }).click();
  await page.getByLabel('Name of the node').fill('n4');
  await page.getByLabel('Its addresses').fill('10.0.0.4, 10.1.0.4');
  await accessible(page);
  await picture(page, 'join');
  await page.getByRole('button', { name: 'Make the token' }).click();
  await page.getByText(/belay cluster join --node n4 --address 10.0.0.4,10.1.0.4 \S+@127\.\S+/).waitFor();
  await page.getByText('Waiting until it has joined…').waitFor();
  await accessible(page);
  await picture(page, 'join-token');
  expect(complaints).toEqual([]);
});
