// Debian's Chromium, driven by playwright-core, which brings no browser of its own.
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { chromium } from "playwright-core";

export async function startBrowser() {
  return chromium.launch({
    executablePath: process.env.AFLOAT_BROWSER ?? "/usr/bin/chromium",
    // Its own sandbox does not work for root, as whom containers and CI run.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--font-render-hinting=none"],
  });
}

/**
 * A page of a fresh visitor, and what went wrong on it: errors of scripts, answers that are an error, and what the
 * page's policy refused. `expected(status, path)` tells which errors belong to the test.
 */
export async function newPage(browser, options = {}, expected = () => false) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", locale: "en-GB", timezoneId: "UTC", ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
  page.on("console", (message) => {
    if (/Content Security Policy/.test(message.text())) wrong.push(`policy: ${message.text()}`);
  });
  page.on("response", (answer) => {
    const where = new URL(answer.url()).pathname;
    if (answer.status() >= 400 && !expected(answer.status(), where)) wrong.push(`${answer.status()} ${answer.request().method()} ${where}`);
  });
  return { context, page, wrong };
}

export async function signIn(page, site, name = "admin", password = site.password) {
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

const folder = process.env.AFLOAT_SCREENS;

/** No picture is higher than what people scroll through to see how a page is. */
const highest = { wide: 1500, 390: 1900 };

/** Paths of whoever takes the pictures tell readers nothing. */
const hidePaths = (page) =>
  page.evaluate((root) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const shown = texts.currentNode.data.replaceAll(root, "/srv/afloat").replaceAll(/\/tmp\/afloat-\w+/g, "/srv/afloat");
      if (shown !== texts.currentNode.data) texts.currentNode.data = shown;
    }
  }, new URL("..", import.meta.url).pathname.replace(/\/$/, ""));

/** Wide and at 390 px, where AFLOAT_SCREENS names a folder. */
export async function screens(page, name) {
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await hidePaths(page);
  const before = page.viewportSize();
  for (const [kind, width, height] of [
    ["wide", 1280, 800],
    ["390", 390, 844],
  ]) {
    await page.setViewportSize({ width, height });
    // A page is shown whole, in a window of its height, so that what sticks to an edge is at that of the page. A dialog
    // is shown over what can be seen of its page.
    if ((await page.locator("dialog[open]").count()) === 0) {
      const whole = await page.evaluate(() => document.documentElement.scrollHeight);
      await page.setViewportSize({ width, height: Math.min(whole, highest[kind]) });
      await page.evaluate(() => scrollTo(0, 0));
    }
    await page.waitForTimeout(150);
    await page.screenshot({ path: path.join(folder, `${name}-${kind}.png`) });
  }
  await page.setViewportSize(before);
}
