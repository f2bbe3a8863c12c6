// An upgrade task that fails while finalizing, as an administrator meets it: read, mended, retried.
// Started by ./run test e2e, with a test build whose contract task fails until a file is there.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { newPage, screens, signIn, startBrowser } from "./browser.mjs";
import { bundles, startSite } from "./site.mjs";

const { from, to } = bundles();

test("finalizing that failed is read, mended and retried in the console, while the site serves", { timeout: 240_000 }, async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "afloat-e2e-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const mended = path.join(folder, "mended");
  const site = await startSite({ env: { AFLOAT_FAULT_MENDED: mended } });
  t.after(() => site.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const { page, wrong } = await newPage(browser);
  await page.goto(site.url);
  await signIn(page, site);
  await page.waitForURL(`${site.url}/`);

  const run = await site.call("POST", "/rest/afloat/1/runs", { to, acknowledge_notes: true, options: { hold_before_finalize: true } });
  assert.equal(run.status, 201, JSON.stringify(run.body));
  // Once the run is held, every node has the console.
  for (let waited = 0; ; waited += 1) {
    const { body } = await site.call("GET", "/rest/afloat/1/cluster");
    if (body.phase === "READY_TO_RUN_UPGRADE_TASKS") break;
    assert.ok(waited < 600, JSON.stringify(body));
    await page.waitForTimeout(100);
  }
  await page.goto(`${site.url}/admin/upgrade`);
  await page.getByRole("button", { name: "Run upgrade tasks and finalize upgrade" }).click({ timeout: 60_000 });
  await page.getByText(`The site moves to ${to} for good`).waitFor();
  await page.getByLabel("To confirm, type the site's name").fill("Afloat");
  await page.getByRole("button", { name: "Finalize, no way back" }).click();

  await page.waitForSelector('.status-phase[data-phase="UPGRADE_TASKS_FAILED"]', { timeout: 60_000 });
  await page.getByRole("heading", { name: "Upgrade tasks" }).waitFor();
  await page.getByText("the fault profile contract_fails lets it fail").first().waitFor();
  assert.equal(await page.getByRole("button", { name: "Cancel the upgrade" }).count(), 0, "there is no way back");
  await page.waitForTimeout(500);
  await screens(page, "failed");
  assert.equal((await site.call("GET", "/rest/api/space")).status, 200);

  await writeFile(mended, "");
  await page.getByRole("button", { name: "Retry", exact: true }).click();
  // Where the run has paused for it meanwhile, it is resumed as well.
  const resume = page.getByRole("button", { name: "Resume", exact: true });
  const ended = page.getByRole("heading", { name: "Latest upgrade" });
  await ended.or(resume).first().waitFor({ timeout: 60_000 });
  if (await resume.count()) await resume.click();
  await ended.waitFor({ timeout: 60_000 });
  await page.waitForSelector('.status-phase[data-phase="STABLE"]');
  const { body } = await site.call("GET", "/rest/afloat/1/cluster");
  assert.equal(body.clusterVersion, to);
  assert.notEqual(from, to);
  assert.deepEqual(wrong, []);
});
