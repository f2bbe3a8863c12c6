// An upgrade with downtime, for a release that says it needs one: planned and begun by clicks, and followed in the same
// tab while no node answers. Started by ./run test e2e.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startBrowser } from "./browser.mjs";
import { expectGoodLooks, open } from "./looks.mjs";
import { bundles, startSite } from "./site.mjs";

const { from, to } = bundles();
let site;
let browser;

before(async () => {
  site = await startSite();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

const button = (page, name) => page.getByRole("button", { name, exact: true });

test("an upgrade with downtime is planned, begun and followed by clicks, and the tab waits while the site is closed", { timeout: 120_000 }, async () => {
  // While the site is closed the balancer answers, with its maintenance page.
  const { page, context, wrong } = await open(browser, site, "/admin/upgrade/plan", (status) => status === 503);
  await page.getByRole("radio", { name: to }).check();
  await page.getByText("This version needs downtime.").waitFor();
  const start = button(page, `Close the site and upgrade to ${to}`);
  await start.waitFor();
  await page.getByText(/the site is closed for about .* of it/).waitFor();
  for (const stage of ["Before it is closed", "The site is closed", "It opens again"]) await page.locator(".fold-title").getByText(stage, { exact: true }).waitFor();
  assert.equal(await page.getByText("Wait for me before finalizing").count(), 0, "nothing is held while people wait");
  if (await button(page, "I have read these release notes").count()) await button(page, "I have read these release notes").click();
  await page.getByText("All of them were acknowledged.").waitFor();
  await page.waitForFunction((name) => [...document.querySelectorAll("button")].some((each) => each.textContent === name && !each.disabled), `Close the site and upgrade to ${to}`, { timeout: 60_000 });
  await expectGoodLooks(page, "offline-plan");

  await start.click();
  const dialog = page.getByRole("dialog", { name: `Close the site and upgrade it to ${to}?` });
  await dialog.getByText("closed for everybody at once").waitFor();
  assert.equal(await button(dialog, "Close the site").isDisabled(), true, "the name of the site is asked for first");
  await dialog.getByLabel("To confirm, type the site's name").fill("Afloat");
  await button(dialog, "Close the site").click();
  await page.waitForURL(`${site.url}/admin/upgrade`);
  await page.locator(".timeline").waitFor({ timeout: 30_000 });

  // The site is closed for a second or two here; for long enough to be read it is closed to this tab.
  const refuse = (route) => route.fulfill({ status: 503, contentType: "text/html", body: "closed" });
  await page.route("**/rest/**", refuse);
  await page.getByText("The site is closed while its nodes are upgraded.").waitFor({ timeout: 15_000 });
  assert.equal(await page.locator(".status-phase").textContent(), "Closed");
  await page.getByText("afloat upgrade status --config site.toml").waitFor();
  await expectGoodLooks(page, "offline-closed");
  await page.unroute("**/rest/**", refuse);

  await page.getByRole("heading", { name: "Latest upgrade" }).waitFor({ timeout: 60_000 });
  await page.waitForSelector('.status-phase[data-phase="STABLE"]');
  assert.equal(await page.getByText("The site is closed").count(), 0);
  const { body: cluster } = await site.call("GET", "/rest/afloat/1/cluster");
  assert.deepEqual(new Set(cluster.members.map((member) => `${member.state} ${member.version}`)), new Set([`ACTIVE ${to}`]));
  const run = (await site.call("GET", "/rest/afloat/1/runs?limit=1")).body.runs[0];
  assert.equal(run.options.offline, true);
  assert.ok(run.downtime_ms > 0, JSON.stringify(run));
  assert.notEqual(from, to);
  assert.deepEqual(wrong, []);
  await context.close();
});
