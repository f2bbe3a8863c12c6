// What every page must hold: it can be used by everybody, on every screen, and nothing jumps about.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { newPage, screens, signIn } from "./browser.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe-core calls serious or critical; a rule that it can't decide is not one. */
export async function expectAccessible(page, where) {
  const { violations } = await page.evaluate(`${axe}; axe.run(document, { resultTypes: ["violations"] })`);
  const bad = violations.filter((rule) => ["serious", "critical"].includes(rule.impact));
  assert.deepEqual(
    bad.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`),
    [],
    where,
  );
}

export async function expectNothingSideways(page, where) {
  const width = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(width[0] <= width[1], `${where} is ${width[0]} px wide in a window of ${width[1]} px`);
}

/** Counts from now on, in each document that the page opens, how far things jump that nobody has touched. */
export async function watchShifts(page) {
  await page.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
      const named = (node) => (node?.nodeType === 1 ? node : node?.parentElement)?.outerHTML.slice(0, 80) ?? "gone";
      const at = (box) => `${box.x},${box.y} ${box.width}x${box.height}`;
      for (const entry of list.getEntries())
        if (!entry.hadRecentInput)
          window.shifts.push({
            value: entry.value,
            moved: entry.sources.map((each) => `${named(each.node)} from ${at(each.previousRect)} to ${at(each.currentRect)}`),
          });
    }).observe({ type: "layout-shift", buffered: true });
  });
}

/** Since the last look, or since the document was opened. */
export async function expectStill(page, where) {
  const shifts = await page.evaluate(() => window.shifts.splice(0));
  const shift = shifts.reduce((sum, each) => sum + each.value, 0);
  assert.ok(shift < 0.05, `layout shift of ${shift} on ${where}: ${shifts.map((each) => `${each.value.toFixed(4)}: ${each.moved.join(", ")}`).join("; ")}`);
}

/** All of it, wide and narrow; and pictures, where they are wanted. `picture` is their name, "" for none. */
export async function expectGoodLooks(page, where, picture = where) {
  await expectStill(page, where);
  await expectNothingSideways(page, where);
  await expectAccessible(page, where);
  await page.setViewportSize({ width: 390, height: 844 });
  await expectNothingSideways(page, where);
  await expectAccessible(page, `${where} at 390 px`);
  await page.setViewportSize({ width: 1280, height: 900 });
  if (picture) await screens(page, picture);
  // What was moved by the windows of another width does not count.
  await page.waitForTimeout(600);
  await page.evaluate(() => window.shifts?.splice(0));
}

/** A page of a fresh visitor who has signed in. `as`: who, if not the administrator; what else is in it is the browser's. */
export async function open(browser, site, where, expected, { user, password, ...as } = {}) {
  const visit = await newPage(browser, as, expected);
  if (as.javaScriptEnabled !== false) await watchShifts(visit.page);
  await visit.page.goto(site.url + where);
  await signIn(visit.page, site, user, password);
  await visit.page.waitForURL(site.url + where);
  return visit;
}
