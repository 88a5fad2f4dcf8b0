import { execFile } from 'node:child_process';
import { expect, it } from 'vitest';
import { accessible, belay, dev, enter, picture, withBrowser } from './browser';

withBrowser();

/** merge changes the configuration as root. */
function merge(part: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    const p = execFile(dev.belay, ['--socket', dev.nodes[0]!.socket, 'apply', '--merge', '-f', '-'], (e, _, err) => (e ? reject(new Error(`${e.message}: ${err}`)) : resolve()));
    p.stdin!.end(JSON.stringify(part));
  });
}

it('says of a link, of a member of the store and of a ticket why it is so', async () => {
  await merge({ tickets: { k: { granted: true } }, constraints: { 'demo-needs-k': { ticket: { ticket: 'k', resource: 'demo', 'loss-policy': 'freeze' } } } });
  const { page, complaints } = await enter('/links');
  const links = page.getByRole('grid', { name: 'Links' });
  await links.getByRole('row', { name: /^n1 n3/ }).getByRole('link', { name: 'link 1' }).click();
  await page.getByRole('heading', { name: 'Link 1 between n1 and n3' }).waitFor();
  await page.getByText('Both nodes hear each other.').waitFor();
  await page.getByRole('grid', { name: 'Links' }).getByRole('link', { name: 'link 0' }).first().waitFor();
  await accessible(page);
  await picture(page, 'link');
  // A link is found by its address from both ends, and one that is not there is said to be none.
  await page.goto(`${dev.rest}/links/n3/n1/1`);
  await page.getByRole('heading', { name: 'Link 1 between n3 and n1' }).waitFor();
  await page.goto(`${dev.rest}/links/n3/n1/9`);
  await page.getByRole('heading', { name: 'This is not there, or no longer' }).first().waitFor();

  await page.goto(`${dev.rest}/store`);
  await page.getByRole('grid', { name: 'Members' }).getByRole('link', { name: 'n2' }).click();
  await page.getByText(/of 3 members are healthy, 2 are needed to write/).waitFor();
  await accessible(page);
  await picture(page, 'store-member');

  await page.goto(`${dev.rest}/tickets`);
  await page.getByRole('link', { name: 'k', exact: true }).click();
  await page.getByText('This cluster has the ticket: what needs it may run here.').waitFor();
  await page.getByRole('row', { name: /^demo .*it goes on, and is left alone demo-needs-k$/ }).waitFor();
  await page.getByText('root: apply cluster').waitFor();
  await page.getByRole('button', { name: 'Actions', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Revoke' }).click();
  await page.getByRole('dialog').getByText('belay ticket revoke k').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await accessible(page);
  await picture(page, 'ticket');
  expect(complaints).toEqual([]);
  await merge({ constraints: { 'demo-needs-k': null }, tickets: { k: null } });
});

it('takes a site down in a copy, with its votes', async () => {
  // Another test may have had a node away.
  await expect.poll(() => belay('status'), { timeout: 120_000 }).toContain('quorum 3 of 3 votes');
  await merge({ nodes: { n1: { site: 'here' }, n2: { site: 'here' }, n3: { site: 'there' } } });
  const { page } = await enter('/what-if');
  await page.getByRole('button', { name: 'Site there is lost' }).click();
  await page.getByText(/2 of 3 votes would be here, 2 are needed$/).waitFor();
  await page.locator('.b-effect', { hasText: 'Is fenced' }).getByText('n3').waitFor();
  await page.getByRole('button', { name: 'Suppose nothing' }).click();
  await page.getByRole('button', { name: 'Site here is lost' }).click();
  await page.getByText('1 of 3 votes would be here, 2 are needed: quorum would be lost').waitFor();
  const row = page.getByRole('grid', { name: 'Where everything would be' }).locator('tbody tr').filter({ has: page.getByRole('link', { name: 'web', exact: true }) });
  await row.getByText('stops').waitFor();
  await accessible(page);
  await picture(page, 'what-if-site');
  await merge({ nodes: { n1: { site: null }, n2: { site: null }, n3: { site: null } } });
  expect(await belay('status')).toContain('quorum 3 of 3');
});
