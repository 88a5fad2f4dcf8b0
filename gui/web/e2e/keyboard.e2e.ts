import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { belay, open, password, withBrowser } from './browser';

withBrowser();

/** to presses the key until the focus is on what has this name. */
async function to(page: Page, name: string | RegExp, key = 'Tab', max = 80) {
  const seen: string[] = [];
  for (let i = 0; i < max; i++) {
    const focused = await page.evaluate<string>(`(() => {
      const e = document.activeElement;
      if (!e || e === document.body) return '';
      const text = e.getAttribute('aria-label') ?? (e.labels && e.labels[0] ? e.labels[0].innerText : e.innerText) ?? '';
      return text.trim();
    })()`);
    if (typeof name === 'string' ? focused === name : name.test(focused)) return;
    seen.push(focused);
    await page.keyboard.press(key);
  }
  expect(seen, `the way to ${String(name)}`).toContain(name);
}

it('can be used with the keyboard alone: log in, find a resource, see the plan of a change, leave it', async () => {
  const { page } = await open('/');
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  await expect.poll(() => page.evaluate('document.activeElement?.id')).toBe('user');
  await page.keyboard.type('operator');
  await page.keyboard.press('Tab');
  await page.keyboard.type(password('operator'));
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Overview' }).waitFor();

  // Past the navigation in one step.
  await page.getByRole('link', { name: 'Skip to the content' }).waitFor({ state: 'attached' });
  await page.evaluate('document.activeElement?.blur()');
  await page.keyboard.press('Tab');
  await to(page, 'Skip to the content', 'Tab', 3);
  await page.keyboard.press('Enter');
  expect(await page.evaluate('document.activeElement?.id')).toBe('content');

  // Back to the navigation, and to a page by it.
  await to(page, 'Resources', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Resources', exact: true }).waitFor();
  expect(await page.evaluate('document.activeElement?.id')).toBe('content');

  await page.getByRole('link', { name: 'demo', exact: true }).waitFor();
  await to(page, 'demo');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'demo', exact: true }).waitFor();
  await to(page, 'Actions');
  await page.keyboard.press('Enter');
  await page.getByRole('menuitem', { name: /^Start/ }).waitFor();
  await to(page, /^Stop/, 'ArrowDown', 10);
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.getByText('belay resource stop demo').waitFor();
  // The focus stays in the dialog.
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press('Tab');
    expect(await page.evaluate(`document.activeElement?.closest('[role="dialog"]') !== null`)).toBe(true);
  }
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  const status = JSON.parse(await belay('status', '-o', 'json')) as { resources: { id: string; wanted: string }[] };
  expect(status.resources.find((r) => r.id === 'demo')!.wanted).toBe('Started');

  // The tabs of a page, with the arrows.
  await to(page, 'Why here', 'Tab', 80).catch(async () => to(page, 'Why here', 'ArrowRight', 5));
  await page.keyboard.press('Enter');
  await page.waitForURL(/tab=why/);
});
