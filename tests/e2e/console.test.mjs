// The administrator's console in a real browser: a three-node site behind HAProxy, upgraded by clicks alone.
// Started by ./run test e2e. The tests of this file use one site after one another, in their order.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { newPage, signIn, startBrowser } from "./browser.mjs";
import { expectGoodLooks, expectStill, open } from "./looks.mjs";
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

const phase = (page) => page.locator(".status-phase");
const button = (page, name) => page.getByRole("button", { name, exact: true });
async function expectPhase(page, wanted, seconds = 30) {
  await page.waitForFunction((name) => document.querySelector(".status-phase")?.dataset.phase === name, wanted, { timeout: seconds * 1000 }).catch(async () => {
    assert.fail(`the page shows "${await phase(page).textContent()}" and not ${wanted} after ${seconds} s:\n${await page.locator("main").innerText()}`);
  });
}

/** Users all the while: each answer that is not 200 is kept. They leave with the test at the latest. */
function visitors(t) {
  const failures = [];
  let count = 0;
  let gone = false;
  const headers = { Authorization: `Basic ${Buffer.from(`admin:${site.password}`).toString("base64")}` };
  const work = (async () => {
    while (!gone) {
      try {
        const answer = await fetch(site.url + (count % 2 ? "/" : "/rest/api/space?limit=5"), { headers });
        await answer.arrayBuffer();
        if (answer.status !== 200) failures.push(answer.status);
      } catch (error) {
        failures.push(String(error.cause ?? error));
      }
      count += 1;
      await pause(15);
    }
  })();
  const leave = async () => {
    gone = true;
    await work;
    return { failures, count };
  };
  t.after(leave);
  return { leave };
}

const openConsole = (where, expected) => open(browser, site, where, expected);

/** After its first seconds the site knows everything that the checks ask for. */
const everythingKnown = (page) =>
  page.waitForFunction(() => document.querySelectorAll(".check-counts").length === 1 && !document.querySelector(".check-counts").textContent.includes("not known"), null, { timeout: 60_000 });

async function planAndStart(page) {
  await page.locator(".console-nav").getByRole("link", { name: "Plan your upgrade" }).click();
  await page.getByRole("radio", { name: to }).check();
  const start = button(page, `Start the upgrade to ${to}`);
  await start.waitFor();
  return start;
}

test("whoever is not signed in is sent to sign in, and comes back to the console", async () => {
  const answer = await fetch(`${site.url}/admin/upgrade/plan`, { redirect: "manual" });
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get("location"), "/login?next=%2Fadmin%2Fupgrade%2Fplan");
  const { page, context, wrong } = await openConsole("/admin/upgrade/plan");
  await page.getByRole("heading", { name: "Plan your upgrade", level: 1 }).waitFor();
  await page.reload();
  await button(page, `Start the upgrade to ${to}`).waitFor();
  await expectStill(page, "Plan your upgrade");
  assert.deepEqual(wrong, []);
  await context.close();
});

test("a user without the right gets 403 from the page and from each call", async () => {
  const made = await site.call("POST", "/rest/api/admin/user", { userName: "vera", fullName: "Vera", email: "vera@example.org", password: "correct-horse-7" });
  assert.ok(made.status < 300, JSON.stringify(made));
  const { page, context, wrong } = await newPage(browser, {}, (status) => status === 403);
  await page.goto(`${site.url}/login`);
  await signIn(page, site, "vera", "correct-horse-7");
  await page.waitForURL(`${site.url}/`);
  assert.equal(await page.getByRole("link", { name: "Administration" }).count(), 0);
  const answer = await page.goto(`${site.url}/admin/upgrade`);
  assert.equal(answer.status(), 403);
  await page.getByRole("heading", { name: "Not allowed" }).waitFor();
  // With the session and its token, so that nothing but the right is missing.
  const token = await page.locator('input[name="csrf"]').inputValue();
  const statuses = [];
  for (const [method, where] of [
    ["GET", "/rest/afloat/1/cluster"],
    ["GET", "/rest/afloat/1/runs"],
    ["POST", "/rest/afloat/1/runs"],
    ["POST", "/rest/zdu/start"],
    ["POST", "/rest/zdu/approve"],
  ]) {
    const refused = await context.request.fetch(site.url + where, { method, headers: { "X-Csrf-Token": token }, data: method === "POST" ? {} : undefined });
    statuses.push(refused.status());
  }
  assert.deepEqual(statuses, [403, 403, 403, 403, 403]);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("the console's script is loaded on its own pages only, and nothing inline may run there", async () => {
  const { page, context, wrong } = await openConsole("/admin/upgrade");
  await page.goto(site.url);
  assert.equal(await page.locator('script[src*="/console."]').count(), 0);
  const answer = await page.goto(`${site.url}/admin/upgrade`);
  const policy = answer.headers()["content-security-policy"];
  assert.match(policy, /script-src 'self'/);
  assert.doesNotMatch(policy, /unsafe/);
  const script = await page.locator('script[type="module"]').getAttribute("src");
  assert.match(script, /^\/assets\/console\.[0-9a-f]{16}\.js$/);
  await page.evaluate(() => {
    const inline = document.createElement("script");
    inline.textContent = "window.ran = true";
    document.body.append(inline);
  });
  assert.equal(await page.evaluate(() => window.ran), undefined);
  assert.ok(wrong.length > 0 && wrong.every((each) => each.startsWith("policy:")), wrong.join("\n"));
  await context.close();
});

test("upgrade mode is started and cancelled by hand, each after it was said what happens", async () => {
  const { page, context, wrong } = await openConsole("/admin/upgrade");
  await expectPhase(page, "STABLE");
  await button(page, "Start upgrade mode").click();
  await page.getByRole("dialog", { name: "Start upgrade mode?" }).getByText("Nothing changes for users").waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("dialog").count(), 0);
  await expectPhase(page, "STABLE");
  await button(page, "Start upgrade mode").click();
  await page.getByRole("dialog").getByRole("button", { name: "Start upgrade mode" }).click();
  await expectPhase(page, "READY_TO_UPGRADE");
  await page.locator(".console-nav").getByRole("link", { name: "Plan your upgrade" }).click();
  await page.getByText("An upgrade is under way").waitFor();
  await page.getByRole("link", { name: "Go to Rolling upgrades" }).click();
  await button(page, "Cancel upgrade mode").click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel upgrade mode" }).click();
  await expectPhase(page, "STABLE");
  assert.deepEqual(wrong, []);
  await context.close();
});

test("where only older nodes answer, the page says so and goes on", async () => {
  const { page, context } = await openConsole("/admin/upgrade", (status) => status === 404);
  await page.route("**/rest/afloat/1/runs/notes?**", (route) =>
    route.fulfill({ status: 404, contentType: "application/json", body: '{"statusCode":404,"message":"There is nothing at /rest/afloat/1/runs/notes."}' }),
  );
  await page.locator(".console-nav").getByRole("link", { name: "Plan your upgrade" }).click();
  await page.getByText("A node of an older release answered").waitFor();
  await page.getByRole("heading", { name: "4. Checks" }).waitFor();
  await page.unroute("**/rest/afloat/1/runs/notes?**");
  await context.close();
});

test("an upgrade is cancelled half-way by clicks, and every node is on the old release again", { timeout: 300_000 }, async (t) => {
  const users = visitors(t);
  const { page, context, wrong } = await openConsole("/admin/upgrade");
  const start = await planAndStart(page);
  assert.equal(await start.isDisabled(), true, "the release notes were not acknowledged");
  await page.locator("#in-the-way").getByText("the release notes are not acknowledged").waitFor();
  await everythingKnown(page);
  await expectGoodLooks(page, "plan");
  await button(page, "I have read these release notes").click();
  await page.getByText("Read by admin").waitFor();
  await page.waitForFunction((name) => [...document.querySelectorAll("button")].some((each) => each.textContent === name && !each.disabled), `Start the upgrade to ${to}`);
  await page.getByLabel("Reason").fill("CHG-4711");
  await start.click();
  await button(page, "Start").click();
  await page.waitForURL(`${site.url}/admin/upgrade`);
  await page.waitForSelector(".piece-restart", { timeout: 60_000 });
  await button(page, "Cancel the upgrade").click();
  await page.getByRole("dialog").getByText(`goes back to ${from}`).waitFor();
  await button(page, "Take every node back").click();
  await page.getByRole("heading", { name: "Latest upgrade" }).waitFor({ timeout: 60_000 });
  await expectPhase(page, "STABLE");
  await page.locator(".box-head").getByText("Cancelled").waitFor();
  await page.getByText("Reason given: CHG-4711").waitFor();
  const cluster = await site.call("GET", "/rest/afloat/1/cluster");
  assert.deepEqual(new Set(cluster.body.members.map((member) => member.version)), new Set([from]));
  const { failures, count } = await users.leave();
  assert.deepEqual(failures, [], `of ${count}`);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("an upgrade is planned, watched, paused, reloaded and finalized by clicks, and a second administrator sees it too", { timeout: 300_000 }, async (t) => {
  const users = visitors(t);
  const { page, context, wrong } = await openConsole("/admin/upgrade");
  const second = await openConsole("/admin/upgrade");
  await expectPhase(page, "STABLE");
  await page.waitForSelector(".nodes tbody tr");
  await expectGoodLooks(page, "stable");

  const start = await planAndStart(page);
  await page.getByText("All of them were acknowledged.").waitFor();
  // What rolls may be done with downtime, too: another plan, and asked for in another way.
  await page.getByLabel("With downtime, all nodes at once").check();
  await button(page, `Close the site and upgrade to ${to}`).waitFor();
  assert.equal(await page.getByText("Wait for me before finalizing").count(), 0);
  await page.getByLabel("With downtime, all nodes at once").uncheck();
  await start.waitFor();
  await everythingKnown(page);
  await page.evaluate(() => window.shifts.splice(0));
  await page.getByText("More choices").click();
  // The checks above become shorter or longer by themselves; what is being filled in stays where it is.
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await page.waitForTimeout(400); // whoever reads has come to rest
  const place = () => page.getByLabel("Begin at").evaluate((field) => field.getBoundingClientRect().y);
  const [stood, height] = [await place(), await page.locator(".checks > li").first().evaluate((check) => check.offsetHeight)];
  assert.ok(height > 50, `a check of ${height} px`);
  const show = (display) => page.locator(".checks > li").first().evaluate((check, how) => (check.style.display = how), display);
  await show("none");
  await page.waitForTimeout(100);
  const stands = await place();
  assert.ok(Math.abs(stands - stood) < 2, `it was at ${stood} px and is at ${stands} px`);
  await show("");
  await page.waitForTimeout(100);
  await page.getByLabel("When something fails that waiting does not mend").selectOption("cancel");
  await page.getByLabel("Begin at").fill("2020-01-01T05:00");
  await page.getByText("This time is over.").waitFor();
  assert.equal(await start.isDisabled(), true, "a time that is over starts nothing");
  await page.getByLabel("Begin at").fill("");
  await start.click();
  await page.getByRole("dialog").getByText("the run leads every node back").waitFor();
  await expectGoodLooks(page, "plan-start");
  await button(page, "Start").click();
  await page.waitForSelector(".timeline");
  await second.page.waitForSelector(".timeline", { timeout: 15_000 });
  await page.waitForSelector(".piece-restart", { timeout: 60_000 });
  // From one of the old release, for the page to be offered anew at the end.
  do await page.reload();
  while (!(await page.locator(".foot").innerText()).includes(`Afloat ${from},`));
  await page.waitForSelector(".piece-restart");
  await button(page, "Pause").click();
  await button(page, "Resume").waitFor({ timeout: 60_000 });
  await expectPhase(page, "MIXED");
  await expectGoodLooks(page, "rolling");
  await button(page, "Resume").click();

  const finalize = button(page, "Run upgrade tasks and finalize upgrade");
  await finalize.waitFor({ timeout: 120_000 });
  await expectPhase(page, "READY_TO_RUN_UPGRADE_TASKS");
  for (const watching of [page, second.page]) {
    await watching.waitForFunction(() => document.querySelectorAll(".piece-restart").length >= 12, null, { timeout: 10_000 });
    await watching.locator(".live").getByText("Live").waitFor();
  }
  await expectGoodLooks(page, "held");
  const run = (await site.call("GET", "/rest/afloat/1/runs?limit=1")).body.runs[0];
  assert.equal(run.options.on_failure, "cancel");

  await page.getByRole("button", { name: `Take node1 back to ${from}`, exact: true }).click();
  await button(page, "Take it back").click();
  await button(page, "Resume").waitFor({ timeout: 60_000 });
  await expectPhase(page, "MIXED");
  await page.getByText(`node1 is back on ${from}`).first().waitFor();
  await button(page, "Resume").click();
  await finalize.waitFor({ timeout: 60_000 });

  // With the keyboard alone, as some have to.
  await finalize.focus();
  await page.keyboard.press("Enter");
  const name = page.getByLabel("To confirm, type the site's name");
  const sure = button(page, "Finalize, no way back");
  await page.waitForFunction(() => document.activeElement === document.querySelector("dialog[open] input"));
  await page.keyboard.type("Aflaot");
  assert.equal(await name.inputValue(), "Aflaot");
  assert.equal(await sure.isDisabled(), true, "a wrong name confirms nothing");
  await page.keyboard.press("Enter");
  await expectPhase(page, "READY_TO_RUN_UPGRADE_TASKS");
  await name.fill("");
  await page.keyboard.type("Afloat");
  await expectGoodLooks(page, "finalize");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Latest upgrade" }).waitFor({ timeout: 60_000 });
  for (const watching of [page, second.page]) {
    await expectPhase(watching, "STABLE");
    await watching.locator(".facts").getByText(to).waitFor();
  }
  await button(page, "Reload").waitFor();
  await button(page, "Reload").click();
  await page.getByRole("heading", { name: "Latest upgrade" }).waitFor();
  await page.waitForSelector(".piece-finalize");
  assert.equal(await button(page, "Reload").count(), 0);
  await expectGoodLooks(page, "finished");

  const cluster = await site.call("GET", "/rest/afloat/1/cluster");
  assert.equal(cluster.body.clusterVersion, to);
  assert.deepEqual(new Set(cluster.body.members.map((member) => `${member.state} ${member.version}`)), new Set([`ACTIVE ${to}`]));
  const { failures, count } = await users.leave();
  assert.deepEqual(failures, [], `of ${count}`);
  assert.ok(count > 200, `${count} requests show nothing`);
  assert.deepEqual(wrong, []);
  assert.deepEqual(second.wrong, []);
  await context.close();
  await second.context.close();
});
