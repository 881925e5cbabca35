// The page that opens an app: what it tries, when it gives up, and where it does nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { drawn, serve, start, stop, tab } from "./browser.mjs";

const pages = drawn("pages.json").filter(({ language }) => language === "en");
const WEB = "https://shop.example.com/spring?collection=linen";

let browser;
let site;
before(async () => {
  browser = await start();
  site = await serve(pages);
});
after(async () => {
  await browser?.close();
  await site?.close();
});

/** Opens a page with its clock in hand, and notes what it asks the browser to go to. */
async function open(name, fragment = "") {
  const { page, context, close } = await tab(browser, [site.origin]);
  const place = pages.findIndex((drawn) => drawn.name === name);
  const tried = [];
  const reached = [];
  await context.unroute("**/*");
  await context.route((url) => url.origin !== site.origin, (route) => {
    reached.push(route.request().url());
    return route.fulfill({ contentType: "text/html", body: "elsewhere" });
  });
  const session = await context.newCDPSession(page);
  await session.send("Page.enable");
  session.on("Page.frameRequestedNavigation", ({ url }) => tried.push(url));
  await stop(page);
  await page.goto(`${site.origin}/${place}${fragment}`);
  return { page, tried, reached, close };
}

/** Waits until `condition` holds: for the browser, not for its clock. */
async function until(condition, what) {
  for (let round = 0; round < 200; round += 1) {
    if (condition()) return;
    await new Promise((done) => setTimeout(done, 25));
  }
  assert.fail(what());
}

test("it tries the app at once and goes on to the store after 1,500 ms", async () => {
  const { page, tried, reached, close } = await open("open_app");
  await until(() => tried.includes("myapp://spring/linen"), () => `tried ${tried}`);
  await page.clock.runFor(1400);
  assert.deepEqual(reached, []);
  await page.clock.runFor(200);
  await until(() => reached.length > 0, () => `tried ${tried}, reached nothing`);
  assert.deepEqual(reached, [WEB]);
  await close();
});

test("an app that opened is not left behind for a store", async () => {
  const { page, reached, close } = await open("open_app");
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    // Back from the app before the time is up: still nobody is sent away.
    Object.defineProperty(document, "hidden", { value: false, configurable: true });
  });
  await page.clock.runFor(5000);
  assert.deepEqual(reached, []);
  assert.ok(page.url().startsWith(site.origin));
  await close();
});

test("the fragment of the short URL goes on to the app and the web, not to the store", async () => {
  const fragment = "#key=a'\"<b>;end&#Intent;scheme=javascript;end";
  const { page, tried, close } = await open("open_app", fragment);
  await until(() => tried.some((url) => url.startsWith("myapp:")), () => `tried ${tried}`);
  const hash = await page.evaluate(() => location.hash);
  const [bare, store, web] = await Promise.all(
    ["open", "store", "web"].map((id) => page.locator(`#${id}`).getAttribute("href")));
  assert.equal(bare, `myapp://spring/linen${hash}`);
  assert.equal(store, WEB);
  assert.equal(web, WEB + hash);
  await close();

  const android = await open("open_app_android", fragment);
  const intent = await android.page.locator("#open").getAttribute("href");
  assert.equal(intent, `intent://spring/linen${hash}#Intent;scheme=myapp;package=com.example.shop;end`);
  await android.close();
});

test("a link without a store goes on to the web", async () => {
  const { page, reached, close } = await open("open_app_web_only", "#key");
  await page.clock.runFor(1600);
  await until(() => reached.length > 0, () => "reached nothing");
  assert.deepEqual(reached, [WEB]);
  await until(() => page.url() === `${WEB}#key`, () => page.url());
  await close();
});

test("inside another app nothing happens by itself, and the fragment still goes along", async () => {
  const { page, tried, reached, close } = await open("open_app_webview", "#key");
  await page.clock.runFor(60_000);
  assert.deepEqual([tried, reached], [[], []]);
  assert.equal(await page.locator("#open").getAttribute("href"), "myapp://spring/linen#key");
  assert.ok(await page.locator(".note").isVisible());
  await close();
});
