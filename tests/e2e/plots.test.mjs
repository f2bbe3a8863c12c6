// The plots of a run: on the axis of the lanes, with the figures of each node; and a tab that is older than the nodes.
// Started by ./run test e2e.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { newPage, screens, signIn, startBrowser } from "./browser.mjs";
import { expectAccessible, expectNothingSideways } from "./looks.mjs";
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

async function openConsole(expected) {
  const visit = await newPage(browser, {}, expected);
  await visit.page.goto(`${site.url}/admin/upgrade`);
  await signIn(visit.page, site);
  await visit.page.waitForURL(`${site.url}/admin/upgrade`);
  return visit;
}

/** People who read; they leave with the test. */
function readers(t) {
  let gone = false;
  const headers = { Authorization: `Basic ${Buffer.from(`admin:${site.password}`).toString("base64")}` };
  const work = Promise.all(
    Array.from({ length: 3 }, async () => {
      while (!gone) {
        await fetch(`${site.url}/`, { headers }).then((answer) => answer.arrayBuffer()).catch(() => {});
        await pause(20);
      }
    }),
  );
  t.after(async () => {
    gone = true;
    await work;
  });
}

const plotsOf = (html) => /data-plots="([^"]+)"/.exec(html)?.[1];
async function figures(page) {
  return Object.fromEntries(await page.locator(".figures tbody tr").evaluateAll((rows) => rows.map((row) => [row.querySelector("th").textContent.trim(), [...row.querySelectorAll("td")].map((cell) => cell.textContent.trim())])));
}

test("a run is plotted under its lanes, and a tab of the release before gets the script for it from the nodes of the new one", { timeout: 240_000 }, async (t) => {
  readers(t);
  const { page, context, wrong } = await openConsole();
  const before = plotsOf(await (await context.request.get(`${site.url}/admin/upgrade`)).text());
  // The script does not come before each node that served this page is gone.
  await page.route("**/assets/plots.*", (route) => route.abort());
  const run = await site.call("POST", "/rest/afloat/1/runs", { to, acknowledge_notes: true, options: { hold_before_finalize: true } });
  assert.equal(run.status, 201, JSON.stringify(run.body));
  await page.locator(".figures tbody tr").nth(3).waitFor({ timeout: 60_000 });
  const mixed = await figures(page);
  assert.deepEqual(Object.keys(mixed).sort(), ["Site", "node1", "node2", "node3"], "the figures are there without it");
  await page.getByRole("button", { name: "Run upgrade tasks and finalize upgrade" }).waitFor({ timeout: 120_000 });
  assert.equal(await page.locator(".plot canvas").count(), 0);

  const after = plotsOf(await (await context.request.get(`${site.url}/admin/upgrade`)).text());
  assert.notEqual(before, after, "the two releases have the same script, so this shows nothing");
  const answered = new Set();
  for (let asked = 0; asked < 60 && answered.size < 3; asked += 1) {
    const answer = await fetch(site.url + before);
    assert.equal(answer.status, 200);
    await answer.arrayBuffer();
    answered.add(answer.headers.get("x-afloat-node"));
  }
  assert.equal(answered.size, 3, "every node of the new release has the old one's script");
  await page.unroute("**/assets/plots.*");
  await page.locator(".plot canvas").nth(2).waitFor({ timeout: 15_000 });

  const lanes = await page.locator(".lane-track").evaluateAll((all) => all.map((each) => each.getBoundingClientRect()).map((box) => `${Math.round(box.left)} ${Math.round(box.width)}`));
  const plots = await page.locator(".plot .u-over").evaluateAll((all) => all.map((each) => each.getBoundingClientRect()).map((box) => `${Math.round(box.left)} ${Math.round(box.width)}`));
  assert.deepEqual(new Set(plots), new Set(lanes), "plots and lanes have one axis");
  // Requests of the readers, and no error of anybody's.
  await pause(4000);
  const held = await figures(page);
  for (const [name, [requests, errors, p99]] of Object.entries(held)) {
    assert.ok(Number(requests.replace(",", "")) > 1, `${name}: ${requests} requests/s`);
    assert.equal(errors, "0", name);
    assert.match(p99, /^[\d.,]+$/, name);
  }
  const drawn = await page.locator(".plot canvas").evaluateAll((all) => all.map((each) => each.getContext("2d").getImageData(0, 0, each.width, each.height).data.filter((value, at) => at % 4 === 3 && value > 0).length));
  assert.ok(drawn.every((pixels) => pixels > 50), `drawn pixels: ${drawn}`);
  await screens(page, "plots");
  await page.locator(".plot").first().scrollIntoViewIfNeeded();
  const box = await page.locator(".plot .u-over").first().boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.locator(".figures caption").getByText(/^At \d\d:\d\d:\d\d/).waitFor();
  await page.mouse.move(0, 0);
  await page.locator(".figures caption").getByText("Now").waitFor();
  await page.setViewportSize({ width: 390, height: 844 });
  await expectNothingSideways(page, "Rolling upgrades, plotted");
  await expectAccessible(page, "Rolling upgrades, plotted");
  assert.deepEqual(wrong, []);
  await context.close();
});

test("a node that does not report is named with the reason, and so is a site that can't", { timeout: 120_000 }, async (t) => {
  readers(t);
  const { page, context, wrong } = await openConsole();
  await page.locator(".figures tbody tr").nth(3).waitFor();
  // As while node3 is still of the release before, which knows nothing of this.
  await page.route("**/rest/afloat/1/series?**", async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    await route.fulfill({ response: answer, json: { ...body, nodes: body.nodes.filter((node) => node.name !== "node3") } });
  });
  await page.route("**/rest/afloat/1/cluster", async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    await route.fulfill({ response: answer, json: { ...body, members: body.members.map((member) => (member.name === "node3" ? { ...member, version: "1.1.1" } : member)) } });
  });
  await page.reload();
  await page.getByText("runs 1.1.1, which does not report these figures").waitFor();
  await page.getByText("Site: of the 2 of 3 nodes that report").waitFor();
  await page.unroute("**/rest/afloat/1/series?**");
  const message = "The nodes of this site do not record what they answer.";
  const none = { requests_per_s: [], errors_per_s: [], p99_ms: [] };
  await page.route("**/rest/afloat/1/series?**", (route) => route.fulfill({ json: { now_ms: Date.now(), every_ms: 2000, kept_ms: 900000, message, at_ms: [], site: none, nodes: [] } }));
  await page.reload();
  await page.getByText(message).waitFor();
  await page.locator(".timeline").waitFor();
  assert.equal(await page.locator(".plot").count(), 0);
  assert.deepEqual(wrong, []);
  await context.close();
  assert.notEqual(from, to);
});
