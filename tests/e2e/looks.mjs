// What every page must hold: it can be used by everybody, on every screen, and nothing jumps about.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { newPage, signIn } from "./browser.mjs";

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

/** A page of the console, signed in; `shifted` then tells how far things have jumped since. */
export async function openConsole(browser, site, where, expected) {
  const visit = await newPage(browser, {}, expected);
  await visit.page.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts.push(entry.value);
    }).observe({ type: "layout-shift", buffered: true });
  });
  await visit.page.goto(site.url + where);
  await signIn(visit.page, site);
  await visit.page.waitForURL(site.url + where);
  return visit;
}
export const shifted = (page) => page.evaluate(() => window.shifts.reduce((sum, value) => sum + value, 0));
