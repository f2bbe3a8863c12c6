// What each page weighs, cold: requests, bytes as they were sent, first contentful paint. Prints a table; a page that is
// heavier than allowed, or loads what belongs to others, fails. Started by ./run test e2e.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { newPage, startBrowser } from "./browser.mjs";
import { expectGoodLooks, open, watchShifts } from "./looks.mjs";
import { makeSample } from "./sample.mjs";
import { startSite } from "./site.mjs";

const kB = 1000;
/** Without images. */
const limits = { reading: 40 * kB, console: 90 * kB, plots: 120 * kB };
const rows = [];
let site;
let browser;
let ids;
let signedIn;

before(async () => {
  site = await startSite();
  browser = await startBrowser();
  ids = await makeSample(site);
  const { context } = await open(browser, site, "/");
  signedIn = await context.storageState();
  await context.close();
});
after(async () => {
  await browser?.close();
  await site?.stop();
  const columns = ["page", "kind", "requests", "kB", "of it scripts", "images", "first paint, ms"];
  const table = [columns, ...rows.map((row) => [row.name, row.kind, row.requests, ...[row.bytes, row.scripts, row.images].map((bytes) => (bytes / kB).toFixed(1)), row.paint])].map((row) => row.map(String));
  const widths = columns.map((_, at) => Math.max(...table.map((row) => row[at].length)));
  console.log(table.map((row) => row.map((cell, at) => (at < 2 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join("  ")).join("\n"));
});

/** Opens a page with an empty cache. `ready`: a selector of what is there once the page is. */
async function weigh(name, kind, where, ready, { state = signedIn, status = 200 } = {}) {
  const visit = await newPage(browser, state ? { storageState: state } : {}, (answered) => answered === status);
  const { page, context, wrong } = visit;
  const row = { name, kind, requests: 0, bytes: 0, scripts: 0, images: 0, paint: 0 };
  const kinds = new Map();
  const urls = [];
  const devtools = await context.newCDPSession(page);
  await devtools.send("Network.enable");
  devtools.on("Network.responseReceived", ({ requestId, type, response }) => {
    kinds.set(requestId, type);
    urls.push(new URL(response.url).pathname);
    row.requests += 1;
  });
  devtools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const type = kinds.get(requestId);
    if (type === "Image") row.images += encodedDataLength;
    else row.bytes += encodedDataLength;
    if (type === "Script") row.scripts += encodedDataLength;
  });
  await watchShifts(page);
  const answer = await page.goto(site.url + where, { waitUntil: "load" });
  assert.equal(answer.status(), status, where);
  await page.locator(ready).first().waitFor({ timeout: 30_000 });
  // What a page asks for by itself right after it is there counts, too.
  await page.waitForTimeout(300);
  row.paint = Math.round(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0));
  rows.push(row);
  assert.ok(row.bytes > 0 && row.bytes <= limits[kind], `${name}: ${row.bytes} bytes, allowed are ${limits[kind]}`);
  assert.ok(row.paint > 0, `${name}: nothing was painted`);
  const loads = (script) => urls.some((url) => url.startsWith(`/assets/${script}.`));
  assert.equal(loads("console"), kind !== "reading", `${name} and the console's script`);
  assert.equal(loads("plots"), kind === "plots", `${name} and the script that draws plots`);
  assert.deepEqual(wrong, [], name);
  return visit;
}

test("pages for reading and writing are light, for everybody, and nothing jumps", { timeout: 240_000 }, async () => {
  const page = `/pages/${ids["Moving the database"]}`;
  const pages = [
    ["login", "/login", "#af-password", { state: null }],
    ["home", "/", ".list li"],
    ["space", "/spaces/OPS", ".tree li"],
    ["article", page, "article.wiki h2"],
    ["edit", `${page}/edit`, "#af-body"],
    ["new", "/spaces/OPS/new", "#af-body"],
    ["history", `${page}/history`, ".history tbody tr"],
    ["diff", `${page}/diff?from=1&to=4`, ".diff ins"],
    ["search", "/search?q=the+database", ".results li"],
    ["not-found", "/pages/999999", "h1", { status: 404 }],
  ];
  for (const [name, where, ready, options] of pages) {
    const visit = await weigh(name, "reading", where, ready, options);
    await expectGoodLooks(visit.page, `pages-${name}`, name === "new" ? "" : undefined);
    await visit.context.close();
  }
});

test("the console's pages load its script, and the one that draws plots only where there are plots", { timeout: 120_000 }, async () => {
  const pages = [
    ["General settings", "/admin/general", ".settings"],
    ["Users and groups", "/admin/users", "tbody tr"],
    ["Clustering", "/admin/clustering", ".node-card"],
    ["Rolling upgrades", "/admin/upgrade", ".nodes tbody tr"],
    ["Plan your upgrade", "/admin/upgrade/plan", ".checks li"],
    ["Upgrade history", "/admin/upgrade/history", ".empty"],
    ["Troubleshooting", "/admin/troubleshooting", ".check"],
    ["Audit log", "/admin/audit-log", ".events tbody tr"],
  ];
  for (const [name, where, ready] of pages) await (await weigh(name, "console", where, ready)).context.close();
  assert.equal((await site.call("POST", "/rest/zdu/start")).status, 200);
  await (await weigh("Rolling upgrades, at work", "plots", "/admin/upgrade", ".plot canvas")).context.close();
  await (await weigh("Clustering, meanwhile", "console", "/admin/clustering", ".node-card")).context.close();
  assert.equal((await site.call("POST", "/rest/zdu/cancel")).status, 200);
});
