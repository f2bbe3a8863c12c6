// One whole story in a real browser, through the balancer of three nodes: the first run, a page and what is done with
// it, and an upgrade by clicks that a second administrator watches while somebody writes.
// Started by ./run test e2e. The tests of this file use one site after one another, in their order.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { newPage, signIn, startBrowser } from "./browser.mjs";
import { expectGoodLooks, open, watchShifts } from "./looks.mjs";
import { bundles, start, startSite } from "./site.mjs";
import { startWriter } from "./writer.mjs";

const { program, from, to } = bundles();
let site;
let browser;
let admin; // the first administrator's page, open all the while

before(async () => {
  site = await startSite({ firstRun: true });
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

const button = (page, name) => page.getByRole("button", { name, exact: true });
const link = (page, name) => page.getByRole("link", { name, exact: true });
const body = (page) => page.getByLabel("Text, in storage format");

const enter = (user, password, where) => open(browser, site, where, undefined, { user, password });

test("whoever runs the nodes makes the first account, and is led to pages that show how things are done", async () => {
  admin = await newPage(browser, {}, (status, where) => where === "/setup" && (status === 400 || status === 403));
  const { page } = admin;
  await watchShifts(page);
  await page.goto(`${site.url}/spaces/OPS`);
  await page.waitForURL(`${site.url}/setup`);
  await page.getByText("encoding UTF8").waitFor();
  await page.getByText("3 in site.toml").waitFor();
  await expectGoodLooks(page, "setup");

  const fill = async (code, again) => {
    if (code) await page.getByLabel("Setup code").fill(code);
    await page.getByLabel("Full name").fill("Ada Lovelace");
    await page.getByLabel("Password", { exact: true }).fill(site.password);
    await page.getByLabel("The same password once more").fill(again);
    await button(page, "Set up").click();
  };
  await fill("0123456789abcdef", site.password);
  await page.getByRole("alert").getByText("This is not the setup code").waitFor();
  await page.goto(site.setup);
  await fill("", `${site.password}?`);
  await page.getByRole("alert").getByText("The two passwords differ").waitFor();
  assert.equal(await page.getByLabel("Full name").inputValue(), "Ada Lovelace");
  await expectGoodLooks(page, "setup, refused", "");
  await fill("", site.password);
  await page.waitForURL(`${site.url}/spaces/WELCOME`);
  for (const title of ["Write a page", "Find things", "Before the first upgrade"]) await page.locator(".tree").getByRole("link", { name: title }).waitFor();
  await page.goto(`${site.url}/setup`);
  await page.waitForURL(`${site.url}/`);

  await button(page, "Sign out").click();
  await page.waitForURL(/\/login/);
  await signIn(page, site);
  await page.waitForURL(`${site.url}/`);
  assert.deepEqual(admin.wrong, []);
});

test("a page is written, changed, given a file, found, and its history read", async () => {
  const { page } = admin;
  await page.goto(`${site.url}/spaces/WELCOME`);
  await link(page, "New page").click();
  await page.getByLabel("Title").fill("Harbour rota");
  await body(page).fill("<p>Who watches the harbour, and when.</p><h2>Week one</h2><p>Ada from Monday to Thursday.</p>");
  await button(page, "Create").click();
  await page.getByRole("heading", { name: "Harbour rota", level: 1 }).waitFor();
  await page.locator(".tree [aria-current=page]").getByText("Harbour rota").waitFor();

  // The server's time is UTC; here it is where the reader is, and says which.
  await page.locator('.meta time[title$=" UTC"]').filter({ hasText: /^\d+ \w+ \d{4}, \d\d:\d\d$/ }).waitFor();

  await link(page, "Edit").click();
  await body(page).fill((await body(page).inputValue()).replace("to Thursday", "to Friday"));
  await page.getByLabel("What changed (optional)").fill("Friday, too");
  await button(page, "Save").click();
  await page.locator("article.wiki").getByText("to Friday").waitFor();

  await page.getByText("Add files").click();
  await page.getByLabel("Files to add").setInputFiles({ name: "tides.csv", mimeType: "text/csv", buffer: Buffer.from("day,high\nMonday,06:12\n") });
  await button(page, "Upload").click();
  await link(page, "tides.csv").waitFor();
  const here = page.url();
  const file = await page.request.get(site.url + (await link(page, "tides.csv").getAttribute("href")));
  assert.equal(await file.text(), "day,high\nMonday,06:12\n");

  await page.keyboard.press("/");
  await page.keyboard.type("harb");
  await page.getByRole("option").filter({ hasText: "Harbour rota" }).waitFor();
  await page.getByRole("combobox", { name: "Search" }).fill("watches friday");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/search\?/);
  assert.deepEqual(new Set(await page.locator(".results mark").allTextContents()), new Set(["watches", "Friday"]));
  await page.locator(".results").getByRole("link", { name: "Harbour rota" }).click();
  await page.waitForURL(here.replace(/#.*/, ""));

  await link(page, "History").click();
  await page.getByText("Friday, too").waitFor();
  await button(page, "Compare the chosen versions").click();
  await page.getByText("1 word added, 1 removed").waitFor();
  assert.deepEqual([await page.locator("del").allTextContents(), await page.locator("ins").allTextContents()], [["Thursday"], ["Friday"]]);
  assert.deepEqual(admin.wrong, []);
});

/** `afloat load` until it is told to end; `end()` gives what it says then. */
async function startLoad(t) {
  const folder = await mkdtemp(path.join(tmpdir(), "afloat-e2e-"));
  const [ready, enough] = ["ready", "enough"].map((name) => path.join(folder, name));
  const rest = ["--rate", "120", "--users", "8", "--connections", "16", "--seconds", "240", "--space", "WELCOME", "--quiet"];
  const load = start(program, ["load", "--site", site.url, "--ledger", path.join(folder, "ledger"), "--ready-file", ready, "--until-file", enough, ...rest], { AFLOAT_USER: "admin", AFLOAT_PASSWORD: site.password });
  t.after(async () => {
    await load.stop();
    await rm(folder, { recursive: true, force: true });
  });
  for (let waited = 0; !existsSync(ready); waited += 1) {
    assert.ok(load.alive() && waited < 300, load.said());
    await pause(100);
  }
  return {
    async end() {
      await writeFile(enough, "");
      await load.ended;
      return load.said();
    },
  };
}

test("the upgrade is driven by clicks, a second administrator sees it live, and a person writes on undisturbed", { timeout: 300_000 }, async (t) => {
  for (const [userName, fullName] of [
    ["grace", "Grace Hopper"],
    ["vera", "Vera Rubin"],
  ]) {
    const made = await site.call("POST", "/rest/api/admin/user", { userName, fullName, password: "correct-horse-7" });
    assert.equal(made.status, 200, JSON.stringify(made));
  }
  const { page } = admin;
  await link(page, "Administration").click();
  await page.locator(".console-nav").getByRole("link", { name: "Users and groups" }).click();
  await button(page.getByRole("row").filter({ hasText: "Grace Hopper" }), "Make administrator").click();
  await button(page.getByRole("dialog"), "Make administrator").click();
  await page.getByText("grace is a system administrator.").waitFor();

  const load = await startLoad(t);
  const second = await enter("grace", "correct-horse-7", "/admin/upgrade");
  const vera = await enter("vera", "correct-horse-7", "/spaces/WELCOME");
  const writer = await startWriter(vera, site, "Log of the watch");
  t.after(() => writer.stop());
  const phase = (which, name, seconds = 60) =>
    which.page.waitForSelector(`.status-phase[data-phase="${name}"]`, { timeout: seconds * 1000 }).catch(async () => {
      assert.fail(`not ${name} after ${seconds} s:\n${await which.page.locator("main").innerText()}`);
    });

  await page.locator(".console-nav").getByRole("link", { name: "Plan your upgrade" }).click();
  await page.getByRole("radio", { name: to }).check();
  await button(page, "I have read these release notes").click();
  await page.getByText("Read by admin").waitFor();
  await page.waitForFunction((name) => [...document.querySelectorAll("button")].some((each) => each.textContent === name && !each.disabled), `Start the upgrade to ${to}`, { timeout: 60_000 });
  await page.getByLabel("Reason").fill("CHG-2041");
  // Else it is over before a person has found the next button.
  await page.getByText("More choices").click();
  await page.getByLabel("Compare each new node with the others for").selectOption("10 s");
  await button(page, `Start the upgrade to ${to}`).click();
  await button(page, "Start").click();
  await page.waitForURL(`${site.url}/admin/upgrade`);
  await page.waitForSelector(".piece-restart", { timeout: 60_000 });
  await second.page.waitForSelector(".piece-restart", { timeout: 10_000 });

  // Half-way: both versions serve for a while, the page is loaded anew, and both administrators see the same.
  await button(page, "Pause").click();
  await button(page, "Resume").waitFor({ timeout: 60_000 });
  await page.reload();
  await phase(admin, "MIXED");
  await phase(second, "MIXED");
  await page.waitForSelector(".piece-restart");
  await button(second.page, "Resume").waitFor();
  // The plots below the lanes come when their script is there.
  for (const each of [page, second.page]) await each.locator(".lane.plot").nth(2).waitFor();
  const [lanes, hers] = await Promise.all([page, second.page].map((each) => each.locator(".lane").count()));
  assert.equal(lanes, hers);
  const { saves } = writer.seen;
  await writer.until(() => writer.seen.saves >= saves + 2 && writer.seen.versions.has(from) && writer.seen.versions.has(to), "two saves in the mixed cluster, and answers of both versions");
  await button(page, "Resume").click();

  // What one administrator begins, the other ends: each sees what the other did.
  const finalize = button(second.page, "Run upgrade tasks and finalize upgrade");
  await finalize.waitFor({ timeout: 120_000 });
  await phase(admin, "READY_TO_RUN_UPGRADE_TASKS");
  for (const each of [page, second.page]) await each.locator(".live").getByText("Live").waitFor();
  await finalize.click();
  await second.page.getByLabel("To confirm, type the site's name").fill("Afloat");
  await button(second.page, "Finalize, no way back").click();
  for (const each of [admin, second]) {
    await each.page.getByRole("heading", { name: "Latest upgrade" }).waitFor({ timeout: 60_000 });
    await phase(each, "STABLE");
    await each.page.locator(".facts").getByText(to).waitFor();
  }
  const { body: cluster } = await site.call("GET", "/rest/afloat/1/cluster");
  assert.deepEqual(new Set(cluster.members.map((member) => `${member.state} ${member.version}`)), new Set([`ACTIVE ${to}`]));

  // Once more after finalize, from a page that a node of the old release has served; then one text is left unsaved.
  const { saves: soFar } = writer.seen;
  await writer.until(() => writer.seen.saves > soFar, "a save after finalize");
  const { typed, unsaved, asked } = await writer.leave();
  assert.ok(typed.length >= 10 && unsaved.length > 0, `${typed.length} typed, ${unsaved.length} of them unsaved`);
  assert.deepEqual(asked, [], "pages that were not asked for");
  const saved = (await site.call("GET", `/rest/api/content/${writer.id}?expand=body.storage`)).body.body.storage.value;
  const again = await enter("vera", "correct-horse-7", `/pages/${writer.id}/edit`);
  await again.page.getByText("You have an unsaved draft").waitFor();
  await expectGoodLooks(again.page, "a page with a draft", "");
  await link(again.page, "Continue the draft").click();
  const draft = await body(again.page).inputValue();
  assert.deepEqual(
    typed.filter((each) => !saved.includes(each) && !draft.includes(each)),
    [],
    "typed, and neither in the page nor in its draft",
  );
  assert.deepEqual(
    unsaved.filter((each) => !draft.includes(each)),
    [],
  );

  t.diagnostic(`${typed.length} texts typed, ${writer.seen.saves} saves, the last ${unsaved.length} left as a draft`);
  const said = await load.end();
  assert.match(said, / 0 failed; [1-9]\d* writes acknowledged/, said);
  for (const each of [admin, second, vera, again]) assert.deepEqual(each.wrong, []);
  for (const each of [admin, second, vera, again]) await each.context.close();
});
