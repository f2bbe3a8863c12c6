// The console's pages beside upgrades, each in a real browser against a site of three nodes behind HAProxy.
// Started by ./run test e2e. The tests of this file use one site after one another, in their order.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { newPage, screens, signIn, startBrowser } from "./browser.mjs";
import { expectAccessible, expectGoodLooks, open } from "./looks.mjs";
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

const button = (at, name) => at.getByRole("button", { name, exact: true });
const openConsole = (where, expected) => open(browser, site, where, expected);

/** `ready`: something that is there once the page is. */
async function expectGood(page, name, ready, picture = name) {
  await ready.first().waitFor();
  await expectGoodLooks(page, name, picture);
}

test("every page is in the list, which is closed where it is narrow, and each is reached by the keyboard", async () => {
  const { page, context, wrong } = await openConsole("/admin/general");
  const titles = ["General settings", "Users and groups", "Clustering", "Rolling upgrades", "Plan your upgrade", "Upgrade history", "Troubleshooting and support tools", "Audit log"];
  assert.deepEqual(await page.locator(".console-nav a").allTextContents(), titles);
  for (const title of titles) {
    await page.locator(".console-nav").getByRole("link", { name: title }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: title, level: 1 }).waitFor();
    assert.match(await page.title(), new RegExp(`^${title} - `));
  }
  await page.setViewportSize({ width: 390, height: 844 });
  assert.equal(await page.locator(".console-nav a").first().isVisible(), false);
  await page.locator(".console-toggle").click();
  await page.locator(".console-nav").getByRole("link", { name: "Clustering" }).click();
  await page.getByRole("heading", { name: "Clustering", level: 1 }).waitFor();
  assert.equal(await page.locator(".console-nav a").first().isVisible(), false);
  await page.goBack();
  await page.getByRole("heading", { name: "Audit log", level: 1 }).waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test("General settings shows what is in force and no password", async () => {
  const { page, context, wrong } = await openConsole("/admin/general");
  await expectGood(page, "general-settings", page.getByText("shared_home"));
  await page.getByRole("table").getByText("the same file").first().waitFor();
  assert.doesNotMatch(await page.locator("main").innerText(), /password=/);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("Clustering drains a node and takes it back through the balancer, and never removes one that runs", async () => {
  const { page, context, wrong } = await openConsole("/admin/clustering");
  const node2 = page.getByRole("article", { name: "node2" });
  await expectGood(page, "clustering", page.getByText("leads").or(page.getByText("No conductor")), false);
  await node2.getByText("Active", { exact: true }).waitFor();
  assert.equal(await button(page, "Remove").count(), 0, "only a stopped node is removed");
  await button(node2, "Drain").click();
  await page.getByRole("dialog", { name: "Drain node2?" }).getByText("2 other nodes").waitFor();
  await expectAccessible(page, "the question before draining");
  await page.keyboard.press("Escape");
  await button(node2, "Drain").click();
  await button(page, "Drain it").click();
  await node2.getByText("Draining", { exact: true }).waitFor();
  await node2.getByText(/^(Drained|Finishing):/).waitFor();
  await page.waitForTimeout(2500);
  await screens(page, "clustering");
  await button(node2, "Return").click();
  await node2.getByText("Active", { exact: true }).waitFor();
  const { body } = await site.call("GET", "/rest/afloat/1/events?kind=drain");
  assert.deepEqual(
    body.results.map((event) => [event.actor, event.detail.node]),
    [["admin", "node2"]],
  );
  assert.deepEqual(wrong, []);
  await context.close();
});

test("Troubleshooting shows each check with what to do, chooses among them, and gives the support zip", async () => {
  const { page, context, wrong } = await openConsole("/admin/troubleshooting");
  await expectGood(page, "troubleshooting", page.locator(".check"));
  const all = await page.locator(".check").count();
  await page.getByRole("button", { name: /passed$/ }).click();
  await page.waitForFunction(() => document.querySelectorAll(".check:not(.check-pass)").length === 0);
  assert.ok((await page.locator(".check").count()) <= all);
  await page.getByRole("button", { name: /^All/ }).click();
  await page.getByLabel("Also check for an upgrade to").selectOption(to);
  await page.getByRole("heading", { name: `Before an upgrade to ${to}` }).waitFor();
  const coming = page.waitForEvent("download");
  await button(page, "Download the support zip").click();
  const file = await coming;
  assert.equal(file.suggestedFilename(), "afloat-support.zip");
  const bytes = await readFile(await file.path());
  assert.equal(bytes.subarray(0, 2).toString(), "PK");
  assert.equal(bytes.includes(site.password), false);
  await page.getByText("among your browser's downloads").waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test("Users and groups adds a user, resets the password, and gives and takes the administrator's right", async () => {
  for (let at = 0; at < 30; at += 1) {
    const made = await site.call("POST", "/rest/api/admin/user", { userName: `reader${at}`, fullName: `Reader ${at}`, password: "reads-a-lot" });
    assert.equal(made.status, 200, JSON.stringify(made));
  }
  const { page, context, wrong } = await openConsole("/admin/users", (status, where) => (status === 409 && where.endsWith("/users/admin")) || (status === 400 && where.endsWith("/admin/user")));
  const row = (name) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: new RegExp(`^${name}\\b`) }) });
  await expectGood(page, "users", row("admin"));
  await page.getByText("1 to 25 of 31 users").waitFor();
  await button(page, "Next").click();
  await page.getByText("26 to 31 of 31 users").waitFor();

  await button(page, "Add user").click();
  const dialog = page.getByRole("dialog");
  await expectAccessible(page, "Add user");
  await dialog.getByLabel("User name").fill("reader0");
  await dialog.getByLabel("New password").fill("quite-long-enough");
  await button(dialog, "Add user").click();
  await dialog.getByRole("alert").getByText("already exists").waitFor();
  await dialog.getByLabel("User name").fill("olga");
  await dialog.getByLabel("Full name").fill("Olga <b>Ö</b>");
  await dialog.getByLabel("E-mail address").fill("olga@example.org");
  await button(dialog, "Add user").click();
  await page.getByText("olga may sign in now.").waitFor();

  await page.getByLabel("Name or e-mail address").fill("OLGA@");
  await button(page, "Search").click();
  await page.getByText("1 to 1 of 1 user").waitFor();
  await row("olga").getByText("Olga <b>Ö</b>").waitFor();
  await button(row("olga"), "Make administrator").click();
  await button(dialog, "Make administrator").click();
  await row("olga").getByText("Administrator", { exact: true }).waitFor();

  // With the right she sees the pages; once it is taken, and with another password, she sees nothing.
  const hers = await newPage(browser, {}, (status) => status === 403);
  await hers.page.goto(`${site.url}/admin/users`);
  await signIn(hers.page, site, "olga", "quite-long-enough");
  await hers.page.getByRole("heading", { name: "Users and groups", level: 1 }).waitFor();
  await button(row("olga"), "Revoke administrator").click();
  await button(dialog, "Revoke administrator").click();
  await page.getByText("olga is no longer a system administrator.").waitFor();
  assert.equal((await hers.page.goto(`${site.url}/admin/users`)).status(), 403);
  await button(row("olga"), "Reset password").click();
  await dialog.getByLabel("New password").fill("another-long-one");
  await button(dialog, "Reset password").click();
  await page.getByText("olga has a new password.").waitFor();
  await hers.page.goto(`${site.url}/`);
  await hers.page.getByLabel("Password").waitFor();
  await hers.context.close();

  await page.getByLabel("Name or e-mail address").fill("");
  await button(page, "Search").click();
  await page.getByText("1 to 25 of 32 users").waitFor();
  await page.getByLabel("Administrators alone").check();
  await page.getByText("1 to 1 of 1 user").waitFor();
  await button(row("admin"), "Revoke administrator").click();
  await dialog.getByText("This is your own account").waitFor();
  await button(dialog, "Revoke administrator").click();
  await dialog.getByRole("alert").getByText("the only system administrator").waitFor();
  await button(dialog, "Not now").click();
  assert.deepEqual(wrong, []);
  await context.close();
});

test("Upgrade history lists the runs and tells everything of one", { timeout: 240_000 }, async () => {
  const made = await site.call("POST", "/rest/afloat/1/runs", { to, reason: "CHG-1234", acknowledge_notes: true, options: { hold_before_finalize: false } });
  assert.equal(made.status, 201, JSON.stringify(made));
  for (let waited = 0; ; waited += 1) {
    const { body } = await site.call("GET", `/rest/afloat/1/runs/${made.body.id}`);
    if (body?.ended_at_ms > 0) break;
    assert.ok(waited < 150, JSON.stringify(body));
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const { page, context, wrong } = await openConsole("/admin/upgrade/history");
  await expectGood(page, "history", page.getByText("CHG-1234"), false);
  await page.getByRole("row").getByText(`${from} → ${to}`).waitFor();
  await page.getByRole("link", { name: `Run ${made.body.id}` }).click();
  await page.waitForURL(`${site.url}/admin/upgrade/history/${made.body.id}`);
  await expectGood(page, "history-run", page.locator(".piece-restart"));
  await page.getByText(/^Audit log of that time \([1-9]/).click();
  await page.getByText("Finalize approved").waitFor();
  await page.getByText("Run begun").waitFor();
  await page.getByText(/^All steps \(/).click();
  await page.getByRole("cell", { name: "node2: drain", exact: true }).waitFor();
  const coming = page.waitForEvent("download");
  await button(page, "Download the report as JSON").click();
  const report = JSON.parse(await readFile(await (await coming).path(), "utf8"));
  assert.equal(report.outcome.length > 0 && report.steps.length > 20, true);
  await page.reload();
  await page.getByRole("heading", { name: `Upgrade run ${made.body.id}` }).waitFor();
  await page.getByRole("link", { name: "All upgrades" }).click();
  await page.getByRole("heading", { name: "Upgrade history", level: 1 }).waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test("Audit log tells who did it, narrows, turns pages and gives files", async () => {
  const { page, context, wrong } = await openConsole("/admin/audit-log");
  await expectGood(page, "audit-log", page.locator(".events tbody tr"));
  await page.getByText("50 entries, and there are older ones").waitFor();
  const first = await page.locator(".events tbody tr").first().innerText();
  await button(page, "Older").click();
  await page.waitForFunction((text) => document.querySelector(".events tbody tr").innerText !== text, first);
  await page.getByLabel("What", { exact: true }).selectOption("administrator_revoked");
  await button(page, "Show").click();
  await page.getByText("1 entry").waitFor();
  await page.locator(".events").getByText("user olga").waitFor();
  assert.match(page.url(), /\?kind=administrator_revoked$/);
  const coming = page.waitForEvent("download");
  await button(page, "Download as CSV").click();
  const lines = (await readFile(await (await coming).path(), "utf8")).trim().split("\r\n");
  assert.equal(lines[0], "seq,at,actor,kind,detail");
  assert.equal(lines.length, 2);
  await page.reload();
  await page.getByText("1 entry").waitFor();
  await button(page, "Show all").click();
  await page.getByLabel("Contains").fill("CHG-1234 is nowhere in it");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing of that kind has happened.").waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test("whoever is no administrator gets none of these pages and none of their calls", async () => {
  const { page, context, wrong } = await newPage(browser, {}, (status) => status === 403);
  await page.goto(`${site.url}/login`);
  await signIn(page, site, "reader1", "reads-a-lot");
  await page.waitForURL(`${site.url}/`);
  const token = await page.locator('input[name="csrf"]').first().inputValue();
  const seen = [];
  for (const [method, where] of [
    ["GET", "/admin/general"],
    ["GET", "/admin/users"],
    ["GET", "/admin/upgrade/history/1"],
    ["GET", "/rest/afloat/1/settings"],
    ["GET", "/rest/afloat/1/hosts"],
    ["GET", "/rest/afloat/1/users"],
    ["PUT", "/rest/afloat/1/users/reader1"],
    ["POST", "/rest/afloat/1/users/admin/password"],
    ["GET", "/rest/afloat/1/events/export"],
    ["POST", "/rest/afloat/1/nodes/node2/drain"],
    ["DELETE", "/rest/afloat/1/nodes/node2"],
  ]) {
    const answer = await context.request.fetch(site.url + where, { method, headers: { "X-Csrf-Token": token }, data: method === "GET" ? undefined : { administrator: true, password: "mine-from-now" } });
    seen.push(`${answer.status()} ${method} ${where}`);
  }
  assert.deepEqual(
    seen.filter((each) => !each.startsWith("403")),
    [],
  );
  assert.deepEqual(wrong, []);
  await context.close();
});
