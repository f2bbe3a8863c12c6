// What people who read and write see in a real browser, with scripts and without. Started by ./run test e2e.
// The tests of this file use one node after one another, in their order.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { screens, signIn, startBrowser } from "./browser.mjs";
import { expectAccessible, expectGoodLooks, expectStill, open } from "./looks.mjs";
import { runbook } from "./sample.mjs";
import { startTrial } from "./site.mjs";

let site;
let browser;
const ids = {};

async function make(title, body, parent, space = "OPS") {
  const made = await site.call("POST", "/rest/api/content", {
    type: "page",
    title,
    space: { key: space },
    ...(parent ? { ancestors: [{ id: parent }] } : {}),
    body: { storage: { value: body, representation: "storage" } },
  });
  assert.equal(made.status, 200, JSON.stringify(made));
  ids[title] = made.body.id;
  return made.body.id;
}
async function save(title, body, version) {
  const saved = await site.call("PUT", `/rest/api/content/${ids[title]}`, { type: "page", title, version: { number: version }, body: { storage: { value: body, representation: "storage" } } });
  assert.equal(saved.status, 200, JSON.stringify(saved));
}

before(async () => {
  site = await startTrial();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

const visit = (where, as = {}, expected = undefined) => open(browser, site, where, expected, as);

test("an empty wiki says how to begin", async () => {
  const { page, context, wrong } = await visit("/");
  await page.getByText("There is no space yet.").waitFor();
  await expectGoodLooks(page, "pages-nothing-yet");
  await page.getByLabel("Name").fill("Operations");
  await page.getByLabel("Key").fill("OPS");
  await page.getByRole("button", { name: "Make the space" }).click();
  await page.waitForURL(`${site.url}/spaces/OPS`);
  await page.getByRole("link", { name: "Write the first page" }).waitFor();
  await expectGoodLooks(page, "pages-empty-space");
  assert.deepEqual(wrong, []);
  await context.close();
});

test("pages can be read, compared and written without scripts", async () => {
  await make("Runbooks", "<p>What to do when.</p>");
  await make("Moving the database", runbook, ids.Runbooks);
  await make("Renewing certificates", "<p>Each spring.</p>", ids.Runbooks);
  await make("Drills", "<p>What we practise.</p>", ids["Moving the database"]);
  await make("On call", "<p>Who and when.</p>");
  await save("Moving the database", runbook.replace("Stop the writers", "Stop all the writers").replace("<li>Tell the people on call</li>", "").replace("a day.", "two days."), 2);
  const { page, context, wrong } = await visit("/", { javaScriptEnabled: false });
  await page.getByRole("link", { name: "Operations" }).first().click();
  await page.locator(".tree").getByRole("link", { name: "Runbooks" }).click();
  await page.locator(".tree").getByRole("link", { name: "Moving the database" }).click();
  assert.equal(await page.locator(".tree [aria-current=page]").textContent(), "Moving the database");
  await page.getByRole("link", { name: "History" }).click();
  await page.getByRole("button", { name: "Compare the chosen versions" }).click();
  await page.getByText("3 words added, 7 removed.").waitFor();
  assert.deepEqual(await page.locator("ins").allTextContents(), ["all ", "two days"]);
  assert.deepEqual(await page.locator("del").allTextContents(), ["Tell the people on call", "a day"]);
  await page.getByRole("link", { name: "Moving the database" }).first().click();
  await page.getByRole("link", { name: "Edit", exact: true }).click();
  await page.getByLabel("Text, in storage format").fill("<p>Shown before it is saved</p>");
  await page.getByRole("button", { name: "Preview" }).click();
  await page.locator(".preview").getByText("Shown before it is saved").waitFor();
  assert.equal(await page.getByLabel("Text, in storage format").inputValue(), "<p>Shown before it is saved</p>");
  assert.deepEqual(wrong, []);
  await context.close();
});

test("titles are offered while one types, and the keyboard is enough", async () => {
  const { page, context, wrong } = await visit(`/pages/${ids.Runbooks}`);
  await page.keyboard.press("/");
  const field = page.getByRole("combobox", { name: "Search" });
  assert.ok(await field.evaluate((element) => element === document.activeElement));
  await page.keyboard.type("mov");
  const options = page.getByRole("option");
  await options.filter({ hasText: "Moving the database" }).waitFor();
  assert.equal(await field.getAttribute("aria-expanded"), "true");
  await screens(page, "pages-suggestions");
  await page.keyboard.press("Escape");
  assert.equal(await field.getAttribute("aria-expanded"), "false");
  await page.keyboard.press("ArrowDown");
  await options.first().waitFor();
  await page.keyboard.press("ArrowDown");
  assert.equal(await options.first().getAttribute("aria-selected"), "true");
  await expectAccessible(page, "suggestions");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${site.url}/pages/${ids["Moving the database"]}`);
  await page.keyboard.press("/");
  await page.keyboard.type('quote" \\ and*');
  await options.last().waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/search\?q=quote/);
  await page.getByText("No page has all of these words.").waitFor();
  await expectGoodLooks(page, "pages-no-results");
  assert.deepEqual(wrong, []);
  await context.close();
});

test("the tree opens where one asks, remembers it, and nothing moves about", async () => {
  const { page, context, wrong } = await visit(`/pages/${ids["On call"]}`);
  const opener = page.getByRole("button", { name: "Pages below Runbooks" });
  assert.equal(await opener.getAttribute("aria-expanded"), "false");
  await opener.focus();
  await page.keyboard.press("Enter");
  const inner = page.getByRole("button", { name: "Pages below Moving the database" });
  await inner.click();
  await page.locator(".tree").getByRole("link", { name: "Drills" }).waitFor();
  await page.reload();
  await page.locator(".tree").getByRole("link", { name: "Drills" }).waitFor();
  assert.equal(await opener.getAttribute("aria-expanded"), "true");
  await page.waitForTimeout(200);
  await expectStill(page, "a page with branches opened");
  await opener.click();
  assert.equal(await page.locator(".tree").getByRole("link", { name: "Drills" }).isVisible(), false);
  await page.goto(`${site.url}/pages/${ids["Moving the database"]}`);
  await expectStill(page, "a page with contents");
  await expectGoodLooks(page, "pages-article", "");
  await page.setViewportSize({ width: 390, height: 844 });
  await page.reload();
  assert.equal(await page.locator(".side").isVisible(), false);
  await page.getByRole("button", { name: "Pages", exact: true }).click();
  await page.locator(".side").getByRole("link", { name: "On call" }).click();
  await page.waitForURL(`${site.url}/pages/${ids["On call"]}`);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("a page of a space with very many pages stays light", async () => {
  assert.equal((await site.call("POST", "/rest/api/space", { key: "BIG", name: "Big" })).status, 200);
  const top = await make("Shelf", "<p>All of it.</p>", undefined, "BIG");
  for (let i = 0; i < 130; i += 1) await make(`A page with a title of usual length, number ${i}`, "<p/>", i < 70 ? top : undefined, "BIG");
  const last = await make("The last", "<p>Down here</p>", top, "BIG");
  const { page, context } = await visit("/");
  let bytes = 0;
  page.on("response", async (answer) => {
    // What `bytes` is, is asked after the body is there: others have been counted meanwhile.
    const { length } = await answer.body().catch(() => "");
    bytes += length;
  });
  await page.goto(`${site.url}/pages/${last}`, { waitUntil: "networkidle" });
  assert.ok(bytes > 10_000 && bytes < 60_000, `${bytes} bytes`);
  assert.equal(await page.locator(".tree [aria-current=page]").textContent(), "The last");
  const more = page.locator(".tree ul .tree-more a");
  while (await more.count()) {
    const before = await page.locator(".tree li").count();
    await more.first().click();
    await page.waitForFunction((count) => document.querySelectorAll(".tree li").length > count - 1, before);
    await page.waitForTimeout(150);
  }
  assert.equal(await page.locator(".tree ul > li").count(), 71);
  await context.close();
});

test("labels and files are hung on a page from the page itself", async () => {
  const { page, context, wrong } = await visit(`/pages/${ids["On call"]}`);
  await page.getByText("Add labels").click();
  await page.getByLabel("Labels to add").fill("rota weekly");
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "rota" }).waitFor();
  await page.getByRole("button", { name: "Remove the label rota" }).click();
  await page.waitForFunction(() => !document.querySelector(".tools").textContent.includes("rota"));
  await page.getByText("Add files").click();
  const files = page.getByLabel("Files to add");
  await files.evaluate((input) => (input.form.dataset.limit = "150000"));
  await files.setInputFiles({ name: "large.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc(90_000) });
  await page.getByText("the limit is").waitFor();
  await files.setInputFiles({ name: "rota.txt", mimeType: "text/plain", buffer: Buffer.from("Monday: nobody") });
  await page.getByRole("button", { name: "Upload" }).click();
  await page.getByRole("link", { name: "rota.txt" }).waitFor();
  await expectGoodLooks(page, "pages-files");
  assert.deepEqual(wrong, []);
  await context.close();
});

const body = (page) => page.getByLabel("Text, in storage format");
const state = (page, text) => page.locator("#af-state").filter({ hasText: text }).waitFor({ timeout: 15_000 });
const away = (status) => (route) => (route.request().method() === "PUT" ? route.fulfill({ status, body: "{}" }) : route.continue());

test("what is typed is kept by the server, and by the browser until the server has it", async () => {
  const edit = `/pages/${ids["On call"]}/edit`;
  const expected = (status, where) => where.startsWith("/drafts/") || status === 401;
  const { page, context, wrong } = await visit(edit, {}, expected);
  await body(page).fill("<p>kept by the server</p>");
  await state(page, "Draft saved at");
  assert.equal(await page.evaluate(() => Object.keys(localStorage).length), 0);
  await page.goto(site.url + edit);
  await page.getByText("You have an unsaved draft").waitFor();
  await expectGoodLooks(page, "pages-draft-found");
  // An older draft is not replaced by typing on; what is typed is kept beside it, in another tab as well.
  await body(page).fill("<p>typed without a decision</p>");
  await state(page, "Draft saved at");
  await page.goto(site.url + edit);
  const found = page.locator("form.draft-found");
  assert.equal(await found.count(), 2);
  const second = await context.newPage();
  await second.goto(site.url + edit);
  await body(second).fill("<p>typed in a second tab</p>");
  await state(second, "Draft saved at");
  await body(page).fill("<p>typed in the first tab</p>");
  await state(page, "Draft saved at");
  await second.close();
  await page.goto(site.url + edit);
  assert.equal(await found.count(), 4);
  assert.equal(await page.locator("div.draft-found").count(), 0, "the server has all of it");
  // The newest first: the first tab's, the second's, the one without a decision.
  for (const left of [4, 3, 2]) {
    assert.equal(await found.count(), left);
    await found.first().getByRole("button", { name: "Discard it" }).click();
    await page.waitForLoadState("load");
  }
  await page.getByRole("link", { name: "Continue the draft" }).click();
  assert.equal(await body(page).inputValue(), "<p>kept by the server</p>");

  // A node of an older release knows no drafts; then one leaves; then the answer comes.
  for (const status of [404, 503]) {
    await page.route("**/drafts/**", away(status));
    await body(page).fill(`<p>kept by the browser, ${status}</p>`);
    await state(page, "Kept in this browser");
    await page.goto(`${site.url}/`);
    await page.goto(site.url + edit);
    // What is sent while a page is left goes round the route. Where it has arrived, it is offered once, as the server's.
    await page.waitForTimeout(1000);
    const mine = page.getByRole("button", { name: "Put it into the form" });
    await ((await mine.count()) ? mine : page.getByRole("link", { name: "Continue the draft" })).click();
    await page.waitForFunction((text) => document.querySelector("#af-body").value === text, `<p>kept by the browser, ${status}</p>`);
    await page.unroute("**/drafts/**");
    await body(page).press("End");
    await page.keyboard.type(" ");
    await state(page, "Draft saved at");
  }

  // The session ends while somebody writes, and begins anew in another tab.
  const cookies = await context.cookies();
  await context.clearCookies();
  await body(page).fill("<p>written through the end of a session</p>");
  await state(page, "Sign in in another tab");
  const other = await context.newPage();
  await other.goto(`${site.url}/login`);
  await signIn(other, site);
  await other.waitForURL(`${site.url}/`);
  await other.close();
  assert.ok(cookies.length > 0);
  await state(page, "Draft saved at");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.locator("article.wiki").getByText("written through the end of a session").waitFor();
  assert.equal(await page.evaluate(() => Object.keys(localStorage).length), 0);
  await page.goto(site.url + edit);
  assert.equal(await page.getByText("unsaved draft").count(), 0);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("a save that fails loses nothing, and one that succeeds leaves nothing behind", async () => {
  const edit = `/pages/${ids["Renewing certificates"]}/edit`;
  const { page, context } = await visit(edit);
  await page.route("**/drafts/**", away(503));
  await page.route(`**${edit}`, (route) => (route.request().method() === "POST" ? route.fulfill({ status: 503, contentType: "application/json", body: "{}" }) : route.continue()));
  await body(page).fill("<p>Each autumn.</p>");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.waitForFunction(() => document.body.innerText.trim() === "{}");
  await page.unroute(`**${edit}`);
  await page.goto(site.url + edit);
  await page.getByRole("button", { name: "Put it into the form" }).click();
  assert.equal(await body(page).inputValue(), "<p>Each autumn.</p>");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.locator("article.wiki").getByText("Each autumn.").waitFor();
  assert.equal(await page.evaluate(() => Object.keys(localStorage).length), 0);
  await context.close();
});

test("whoever saves second sees what the first one changed", async () => {
  const title = "Moving the database";
  const edit = `/pages/${ids[title]}/edit`;
  const { page, context } = await visit(edit, {}, (status) => status === 409);
  const mine = (await body(page).inputValue()).replace("<h2>Before</h2>", "<h2>Before you begin</h2>");
  await save(title, (await body(page).inputValue()).replace("on call</td>", "two people</td>"), 3);
  await body(page).fill(mine);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("while you were writing").waitFor();
  assert.equal(await body(page).inputValue(), mine);
  assert.deepEqual(await page.locator(".theirs ins").allTextContents(), ["two people"]);
  await expectGoodLooks(page, "pages-conflict");
  await page.getByRole("button", { name: "Save as version 4" }).click();
  await page.getByRole("heading", { name: "Before you begin" }).waitFor();
  await page.getByRole("link", { name: "History" }).click();
  await expectGoodLooks(page, "pages-history", "");
  await page.getByRole("radio", { name: "From version 1" }).check();
  await page.getByRole("button", { name: "Compare the chosen versions" }).click();
  await page.locator("ins").first().waitFor();
  await expectStill(page, "the changes");
  await expectGoodLooks(page, "pages-diff", "");
  await context.close();
});

test("a preview stands beside the text and follows it", async () => {
  const { page, context, wrong } = await visit(`/pages/${ids["On call"]}/edit`, {}, (status, where) => status === 400 && where.endsWith("/preview"));
  await page.getByRole("button", { name: "Preview" }).click();
  const shown = page.locator(".preview article");
  await shown.getByText("end of a session").waitFor();
  await body(page).fill("<p>one</p><h2>two");
  await page.waitForTimeout(1200);
  assert.match(await shown.innerText(), /end of a session/);
  await body(page).fill("<p>one</p><h2>two</h2>");
  await shown.getByRole("heading", { name: "two" }).waitFor();
  await body(page).fill(runbook);
  await shown.getByText("caught up").waitFor();
  await expectGoodLooks(page, "pages-preview");
  await page.getByRole("button", { name: "Close" }).click();
  assert.equal(await page.locator(".preview").isVisible(), false);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("buttons write the markup, and a page is linked by its title", async () => {
  const { page, context, wrong } = await visit(`/spaces/OPS/new?parent=${ids.Runbooks}`);
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 900 });
    await page.reload();
    await expectStill(page, `the form at ${width} px`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.getByLabel("Title", { exact: true }).fill("Written with buttons");
  await body(page).fill("");
  await page.getByRole("button", { name: "Heading", exact: true }).click();
  await page.keyboard.type("Why");
  await body(page).press("Control+End");
  await page.keyboard.type("\nfirst\nsecond");
  await body(page).evaluate((area) => area.setSelectionRange(area.value.indexOf("first"), area.value.length));
  await page.getByRole("button", { name: "List", exact: true }).click();
  await body(page).press("Control+End");
  await page.getByRole("combobox", { name: "Link to a page" }).fill("dril");
  await page.getByRole("option", { name: "Drills" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.id === "af-body");
  assert.equal(await body(page).inputValue(), '<h2>Why</h2>\n<ul>\n<li>first</li>\n<li>second</li>\n</ul>\n<ac:link><ri:page ri:content-title="Drills"/></ac:link>');
  await expectGoodLooks(page, "pages-writing");
  await state(page, "Draft saved at");
  await page.getByRole("button", { name: "Create" }).click();
  await page.locator("article.wiki").getByRole("link", { name: "Drills" }).click();
  await page.waitForURL(`${site.url}/pages/${ids.Drills}`);
  assert.deepEqual(wrong, []);
  await context.close();
});
