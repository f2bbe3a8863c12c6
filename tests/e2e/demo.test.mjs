// `afloat demo --hands-on`, finished by clicks alone while its load runs: it says where to click, and ends with the report.
// Started by ./run test e2e.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { newPage, signIn, startBrowser } from "./browser.mjs";
import { bundles, start as startProgram } from "./site.mjs";

const { program, catalogue, from, to } = bundles();

test("the demo is finished by clicks alone, with no request failed", { timeout: 300_000 }, async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "afloat-demo-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(path.join(folder, "content"));
  for (const name of ["index", "harbour", "anchor", "tides", "signals"])
    await writeFile(path.join(folder, "content", `${name}.html`), `<html><head><title>The ${name}</title></head><body><h1>The ${name}</h1><p>All about the ${name}; see <a href="index.html">the start</a>.</p></body></html>`);
  const report = path.join(folder, "report");
  const demo = startProgram(program, ["demo", "--hands-on", "--from", from, "--to", to, "--catalogue", catalogue, "--content", path.join(folder, "content"), "--report", report, "--rate", "60", "--users", "10", "--seconds-before", "1", "--seconds-after", "1"]);
  t.after(() => demo.stop());
  for (let waited = 0; !demo.said().includes("The demo goes on by itself"); waited += 1) {
    assert.ok(demo.alive() && waited < 1200, demo.said());
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const [, address, user, password] = /In your browser: (\S+)\s+user (\S+), password (\S+)/.exec(demo.said()) ?? assert.fail(demo.said());

  const browser = await startBrowser();
  t.after(() => browser.close());
  const { page, wrong } = await newPage(browser);
  await page.goto(address);
  await signIn(page, { password }, user, password);
  await page.waitForURL(address);
  await page.getByRole("link", { name: "Plan your upgrade" }).first().click();
  await page.getByRole("radio", { name: to }).check();
  await page.getByRole("button", { name: /^I have read/ }).click();
  const start = page.getByRole("button", { name: `Start the upgrade to ${to}` });
  await page.waitForFunction((name) => [...document.querySelectorAll("button")].some((each) => each.textContent === name && !each.disabled), `Start the upgrade to ${to}`, { timeout: 60_000 });
  await start.click();
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await page.locator(".plot canvas").nth(2).waitFor({ timeout: 60_000 });
  await page.getByRole("button", { name: "Run upgrade tasks and finalize upgrade" }).click({ timeout: 180_000 });
  await page.getByLabel("To confirm, type the site's name").fill("Afloat");
  await page.getByRole("button", { name: "Finalize, no way back" }).click();
  await page.waitForSelector('.status-phase[data-phase="STABLE"]', { timeout: 60_000 });
  assert.deepEqual(wrong, []);

  assert.equal(await demo.ended, 0, demo.said());
  const { outcome } = JSON.parse(await readFile(path.join(report, "report.json"), "utf8"));
  assert.equal(outcome, "succeeded", demo.said());
});
