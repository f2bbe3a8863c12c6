// The console in the middle of an upgrade from the release before this tree: some nodes are older than it.
// Started by ./run test e2e.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { newPage, signIn, startBrowser } from "./browser.mjs";
import { bundles, startSite } from "./site.mjs";

const { from, to } = bundles();

async function eventually(what, seconds, look) {
  for (let waited = 0; waited < seconds * 10; waited += 1) {
    const seen = await look();
    if (seen) return seen;
    await pause(100);
  }
  return assert.fail(`${what} did not come within ${seconds} s`);
}

test("an upgrade that older nodes began is watched, held and finalized in the console of a newer one", { timeout: 240_000 }, async (t) => {
  const site = await startSite();
  t.after(() => site.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  // What an older node does not know, it says so; the console asks the next one.
  const older = (status, where) => (status === 404 || status === 400) && /^\/(admin|rest)\//.test(where);
  const { page, wrong } = await newPage(browser, {}, older);
  await page.goto(site.url);
  await signIn(page, site);
  await page.waitForURL(`${site.url}/`);

  const run = await site.call("POST", "/rest/afloat/1/runs", { to, acknowledge_notes: true, options: { hold_before_finalize: true } });
  assert.equal(run.status, 201, JSON.stringify(run.body));
  const versions = async () => new Set((await site.call("GET", "/rest/afloat/1/cluster")).body.members.map((member) => member.version));
  // Paused as soon as a new node takes requests; one that is not back in the balancer yet would show nobody its console.
  await eventually("a new node that takes requests", 60, async () => (await site.call("GET", "/health/ready")).body.version === to);
  const pauseAsked = await eventually("a pause", 10, async () => {
    const answer = await site.call("POST", `/rest/afloat/1/runs/${run.body.id}/pause`, {});
    return answer.status === 202 && answer;
  });
  assert.equal(pauseAsked.status, 202);
  await eventually("a node with this console", 20, async () => (await page.goto(`${site.url}/admin/upgrade`)).status() === 200 && (await page.locator("#console").getAttribute("data-version")) === to);
  await page.waitForSelector('.status-phase[data-phase="MIXED"]');
  await page.waitForSelector(".piece-restart");
  // A node that is too old to report is named as that; another one may be away, for the pause comes where it comes.
  await page.waitForFunction(
    (reason) => {
      const rows = [...document.querySelectorAll(".figures tbody tr")];
      const told = rows.map((row) => row.querySelectorAll("td").length === 3 || row.textContent.includes(reason) || row.textContent.includes("is away"));
      return rows.length === 4 && told.every(Boolean);
    },
    `runs ${from}, which does not report these figures`,
    { timeout: 20_000 },
  );
  await page.getByRole("button", { name: "Resume", exact: true }).click({ timeout: 60_000 });

  const finalize = page.getByRole("button", { name: "Run upgrade tasks and finalize upgrade" });
  await finalize.click({ timeout: 90_000 });
  await page.getByLabel("To confirm, type the site's name").fill("Afloat");
  await page.getByRole("button", { name: "Finalize, no way back" }).click();
  await page.getByRole("heading", { name: "Latest upgrade" }).waitFor({ timeout: 60_000 });
  await page.waitForSelector('.status-phase[data-phase="STABLE"]');
  await page.locator(".run-way").getByText(`${from} → ${to}`).waitFor();
  assert.deepEqual(await versions(), new Set([to]));
  assert.deepEqual(wrong, []);
});
