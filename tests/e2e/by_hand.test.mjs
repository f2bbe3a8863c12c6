// An upgrade by hand: the console says what comes next, and a shell does exactly what it shows.
// Started by ./run test e2e.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { newPage, screens, signIn, startBrowser } from "./browser.mjs";
import { expectAccessible, expectNothingSideways } from "./looks.mjs";
import { bundles, startSite } from "./site.mjs";

const { from, to } = bundles();

/** One bash that stays open; each command is pasted, and then it is waited for. */
function openShell(t) {
  const bash = spawn("bash", [], { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, AFLOAT_PASSWORD: "" } });
  let said = "";
  for (const stream of [bash.stdout, bash.stderr]) stream.on("data", (text) => (said += text));
  t.after(() => bash.kill());
  return {
    said: () => said,
    type: (line) => bash.stdin.write(`${line}\n`),
    async paste(command, seconds = 60) {
      const from = said.length;
      bash.stdin.write(`${command}\necho "ended with $?."\n`);
      for (let waited = 0; !/ended with \d+\./.test(said.slice(from)); waited += 1) {
        if (waited > seconds * 20) assert.fail(`${command} has not ended:\n${said.slice(from)}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.match(said.slice(from), /ended with 0\./, said.slice(from));
    },
  };
}

test("the site is upgraded by the commands that the page shows, one node after the other, there, back and there", { timeout: 240_000 }, async (t) => {
  const site = await startSite();
  t.after(() => site.stop());
  const browser = await startBrowser();
  t.after(() => browser.close());
  const { page, context, wrong } = await newPage(browser, { permissions: ["clipboard-read", "clipboard-write"] });
  await page.goto(`${site.url}/admin/upgrade`);
  await signIn(page, site);
  await page.getByRole("button", { name: "Start upgrade mode", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Start upgrade mode" }).click();
  await page.getByRole("heading", { name: "Upgrade by hand" }).waitFor();
  await page.locator(".run-way").getByText(`${from} → ${to}`).waitFor();

  const textOf = (label) => page.locator(`.command pre[aria-label="${label}"]`).textContent();
  const shell = openShell(t);
  // As a person would: the first line asks, and is answered.
  shell.type(await textOf("ask for the password"));
  shell.type(site.password);
  await shell.paste(await textOf("the functions"));
  assert.doesNotMatch(await textOf("the functions"), new RegExp(site.password), "no password is in the page");

  const here = page.locator('.hand li[aria-current="step"]');
  const nextNode = async (before) => {
    await page.waitForFunction((name) => {
      const at = document.querySelector('.hand li[aria-current="step"]');
      return at && at.dataset.node !== name && (!at.dataset.node || at.querySelector("pre"));
    }, before);
    return here.getAttribute("data-node");
  };
  await expectAccessible(page, "an upgrade by hand");
  const first = await nextNode("");
  await page.getByRole("button", { name: `Copy: upgrade ${first}` }).click();
  await here.getByText("Copied").waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, await textOf(`upgrade ${first}`));
  await shell.paste(copied);
  const second = await nextNode(first);
  await page.waitForSelector('.status-phase[data-phase="MIXED"]');

  await page.getByText("Going back to the old release").click();
  await shell.paste(await textOf(`take ${first} back`));
  await page.waitForSelector('.status-phase[data-phase="READY_TO_UPGRADE"]');
  await page.locator(".run-way").getByText(`${from} → ${to}`).waitFor();

  // Without the clipboard, as on plain HTTP, it is selected and copied in the old way.
  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined, configurable: true }));
  const done = [];
  for (let node = await nextNode(""); node; node = await nextNode(node)) {
    await page.getByRole("button", { name: `Copy: upgrade ${node}` }).click();
    const selected = await page.evaluate(() => getSelection().toString());
    assert.equal(selected, await textOf(`upgrade ${node}`));
    done.push(node);
    await shell.paste(selected);
    if (done.length === 2) await screens(page, "by-hand");
  }
  assert.deepEqual([...done].sort(), ["node1", "node2", "node3"]);
  assert.ok(done.includes(second));
  await page.getByRole("heading", { name: "What the nodes answer" }).waitFor();
  await page.locator(".plot canvas").nth(2).waitFor();
  await page.waitForSelector('.status-phase[data-phase="READY_TO_RUN_UPGRADE_TASKS"]');
  await page.setViewportSize({ width: 390, height: 844 });
  await expectNothingSideways(page, "an upgrade by hand");
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.getByRole("button", { name: "Run upgrade tasks and finalize upgrade" }).click();
  await page.getByLabel("To confirm, type the site's name").fill("Afloat");
  await page.getByRole("button", { name: "Finalize, no way back" }).click();
  await page.waitForSelector('.status-phase[data-phase="STABLE"]', { timeout: 60_000 });
  const cluster = await site.call("GET", "/rest/afloat/1/cluster");
  assert.deepEqual(new Set(cluster.body.members.map((member) => `${member.state} ${member.version}`)), new Set([`ACTIVE ${to}`]));
  assert.deepEqual(wrong, []);
  await context.close();
});
