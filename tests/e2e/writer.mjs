// A person who writes on a page: types every second, saves now and then, and leaves the last of it unsaved.
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

/**
 * Makes the page `title` in the space WELCOME and goes on by itself. `visit`: what newPage() gave, signed in. A text
 * counts as typed when each of its keys was pressed.
 */
export async function startWriter({ page }, site, title) {
  const typed = [];
  const asked = []; // where the browser was led without a click of ours
  const seen = { saves: 0, versions: new Set() };
  let unsaved = [];
  let gone = false;
  let failed = null;
  page.on("framenavigated", (frame) => {
    if (frame === page.mainFrame() && !/^\/pages\/\d+(\/edit)?$|^\/spaces\/WELCOME\/new$/.test(new URL(frame.url()).pathname)) asked.push(frame.url());
  });
  const text = page.getByLabel("Text, in storage format");
  const see = async () => seen.versions.add(/\(Afloat (\S+), node/.exec(await page.locator(".foot").innerText())?.[1]);

  await page.getByRole("link", { name: "New page", exact: true }).click();
  await page.getByLabel("Title").fill(title);
  await text.fill("<p>All quiet.</p>");
  await page.getByRole("button", { name: "Create" }).click();
  await page.locator("article.wiki").getByText("All quiet").waitFor();
  const [, id] = /\/pages\/(\d+)$/.exec(page.url()) ?? assert.fail(page.url());

  async function type() {
    const words = `entry ${typed.length + 1} of the watch`;
    await text.press("Control+End");
    await page.keyboard.type(`<p>${words}.</p>`);
    // With the full stop, so that entry 1 is not found in entry 11.
    typed.push(`${words}.`);
    unsaved.push(`${words}.`);
  }
  async function edit() {
    await page.getByRole("link", { name: "Edit", exact: true }).click();
    await text.waitFor();
    assert.equal(await page.getByText("unsaved draft").count(), 0, "what was saved is offered as a draft");
    await see();
  }
  async function save() {
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.locator("article.wiki").getByText(unsaved.at(-1)).waitFor({ timeout: 15_000 });
    await see();
    unsaved = [];
    seen.saves += 1;
  }
  const work = (async () => {
    await edit();
    for (let count = 1; !gone; count += 1) {
      const began = Date.now();
      await type();
      if (count % 3 === 0) {
        await save();
        await edit();
      }
      await pause(Math.max(0, 1000 - (Date.now() - began)));
    }
  })().catch((error) => {
    failed = error;
  });
  const stop = async () => {
    gone = true;
    await work;
  };
  return {
    id,
    seen,
    stop,
    async until(done, what, seconds = 60) {
      for (let waited = 0; !done(); waited += 1) {
        if (failed) throw failed;
        assert.ok(waited < seconds * 10, `${what}: not within ${seconds} s; ${seen.saves} saves, answers of ${[...seen.versions]}`);
        await pause(100);
      }
    },
    /** Types once more, and goes away as soon as the page says that the draft is kept. */
    async leave() {
      await stop();
      if (failed) throw failed;
      await type();
      await page.locator("#af-state").getByText("Draft saved at").waitFor({ timeout: 15_000 });
      await page.waitForFunction(() => Object.keys(localStorage).length === 0);
      await page.goto("about:blank");
      return { typed, unsaved, asked: asked.filter((url) => url !== "about:blank") };
    },
  };
}
