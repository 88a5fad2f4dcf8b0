import { expect, it } from 'vitest';
import { accessible, belay, dev, enter, picture, withBrowser } from './browser';

withBrowser();

const pages: [string, string][] = [
  ['/resources', 'Resources'],
  ['/resources/web', 'web'],
  ['/resources/web?tab=why', 'Why here'],
  ['/resources/web?tab=operations', 'Operations'],
  ['/resources/web?tab=configuration', 'Document'],
  ['/resources/web?tab=history', 'History'],
  ['/resources/demo', 'demo'],
  ['/constraints', 'Constraints'],
  ['/nodes', 'Nodes'],
  ['/nodes/n1', 'n1'],
  ['/nodes/n1?tab=running', 'What runs here'],
  ['/nodes/n1?tab=links', 'Links'],
  ['/attributes', 'Node attributes'],
  ['/tickets', 'Tickets'],
  ['/fencing', 'Fencing'],
  ['/quorum', 'Quorum'],
  ['/links', 'Links'],
  ['/links/n1/n2/0', 'Link 0 between n1 and n2'],
  ['/store', 'Store'],
  ['/store/n1', 'n1'],
  ['/events', 'Events'],
  ['/events?severity=major&node=n1', 'Events'],
  ['/transitions', 'Transitions'],
  ['/history', 'Configuration history'],
  ['/history/2', 'Generation 2'],
  ['/what-if', 'What if'],
  ['/what-if?node=n2%3Dunclean', 'Where everything would be'],
  ['/cluster', 'Options'],
  ['/configuration/cluster/cluster', 'cluster'],
  ['/backup', 'Last backups'],
  ['/approvals', 'Approvals'],
  ['/audit', 'Audit log'],
  ['/access', 'Who holds what'],
  ['/access?tab=can', 'Who may do what'],
  ['/access?tab=roles', 'Roles'],
  ['/access?tab=tokens', 'API tokens'],
  ['/access?tab=certificates', 'Certificates'],
  ['/access?tab=sessions', 'Sessions'],
  ['/notifications', 'Notifications'],
  ['/notifications?tab=web', 'Webhooks'],
  ['/notifications?tab=cim', 'Subscriptions'],
  ['/configuration', 'Configuration as YAML'],
  ['/fencing/new', 'New fence device'],
  ['/fencing/power/test', 'Test of power'],
  ['/two-nodes', 'Two nodes'],
  ['/join', 'Add a node'],
  ['/nowhere', 'There is no such page'],
  ['/resources/nothing', 'This is not there, or no longer'],
];

for (const scheme of ['light', 'dark'] as const) {
  it(`opens every page, ${scheme}`, async () => {
    const { page, complaints } = await enter('/', 'admin', { colorScheme: scheme });
    for (const [path, heading] of pages) {
      await page.goto(dev.rest + path);
      await page.getByRole('heading', { name: heading, exact: true }).first().waitFor();
      await expect.poll(() => page.locator('.pf-v6-c-spinner').count(), { timeout: 20_000 }).toBe(0);
      await accessible(page);
      await picture(page, `page${path.replace(/\W+/g, '-')}-${scheme}`);
    }
    expect(complaints).toEqual([]);
  }, 400_000);
}

it('is usable on a phone', async () => {
  const { page } = await enter('/', 'viewer', { viewport: { width: 375, height: 740 } });
  for (const [path, heading] of pages) {
    await page.goto(dev.rest + path);
    await page.getByRole('heading', { name: heading, exact: true }).first().waitFor();
    expect(await page.evaluate<number>('document.documentElement.scrollWidth'), path).toBeLessThanOrEqual(375);
  }
  await page.getByRole('button', { name: 'Show or hide the navigation' }).click();
  await page.getByRole('navigation', { name: 'Main navigation' }).getByRole('link', { name: 'Quorum' }).click();
  await page.getByRole('heading', { name: 'Quorum', exact: true }).first().waitFor();
  await picture(page, 'phone');
}, 300_000);

it('shows the plan of a change, applies it, and follows it to its end', async () => {
  const { page, complaints } = await enter('/resources/demo');
  const before = JSON.parse(await belay('status', '-o', 'json')) as { resources: { id: string; nodes: string[] }[] };
  const from = before.resources.find((r) => r.id === 'demo')!.nodes[0]!;
  await page.getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Move…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('disk from').waitFor();
  await dialog.getByRole('button', { name: /Steps in order/ }).click();
  await accessible(page);
  await picture(page, 'plan');
  const to = await dialog.getByLabel('To which node').inputValue();
  expect(to).not.toBe(from);
  await dialog.getByText(`belay resource move demo --to ${to}`).waitFor();
  await dialog.getByRole('button', { name: 'Apply' }).click();
  await dialog.getByText('Done').waitFor();
  await picture(page, 'plan-done');
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  const after = JSON.parse(await belay('status', '-o', 'json')) as typeof before;
  expect(after.resources.find((r) => r.id === 'demo')!.nodes).toEqual([to]);
  expect(complaints).toEqual([]);
});

it('shows what one may not do, with the reason', async () => {
  const { page } = await enter('/resources/web', 'viewer');
  await page.getByRole('button', { name: 'Actions' }).click();
  const item = page.getByRole('menuitem', { name: /^Stop/ });
  await item.getByText('Not allowed').waitFor();
  expect(await item.getAttribute('aria-disabled')).toBe('true');
  await accessible(page);
  await picture(page, 'not-allowed');
  await item.click({ force: true });
  expect(await page.getByRole('dialog').count()).toBe(0);
});
