// The page that puts a click on the pasteboard: nothing before the tap, and the store whatever becomes of it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { drawn, serve, start, stop, tab } from "./browser.mjs";

const pages = drawn("pages.json").filter(({ language, name }) => language === "en" && name === "pasteboard");
const STORE = "https://shop.example.com/spring?collection=linen";
const TEXT = "https://go.example.com/spring?lf=token";

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

/** How `navigator.clipboard.writeText` behaves; each notes what it is asked to write. */
const CLIPBOARDS = {
  works: "(text) => { noted('written', text); return Promise.resolve(); }",
  refuses: "(text) => { noted('asked', text); return Promise.reject(new DOMException('no', 'NotAllowedError')); }",
  throws: "(text) => { noted('asked', text); throw new Error('no'); }",
  never: "(text) => { noted('asked', text); return new Promise(() => {}); }",
  none: "undefined",
};

/** Opens the page with a clipboard that behaves so, and notes what becomes of it. */
async function open(clipboard, options = {}) {
  const { page, context, trouble, close } = await tab(browser, [site.origin], options);
  const notes = [];
  const reached = [];
  await context.exposeFunction("noted", (what, text) => { notes.push([what, text]); });
  await context.addInitScript(`{
    const writeText = ${CLIPBOARDS[clipboard]};
    Object.defineProperty(navigator, "clipboard", { value: writeText && { writeText } });
    document.execCommand = (command) => {
      noted(command, String(document.activeElement.value).slice(document.activeElement.selectionStart, document.activeElement.selectionEnd));
      return true;
    };
  }`);
  await context.unroute("**/*");
  await context.route((url) => url.origin !== site.origin, (route) => {
    reached.push(route.request().url());
    return route.fulfill({ contentType: "text/html", body: "elsewhere" });
  });
  if (options.javaScriptEnabled !== false) await stop(page);
  await page.goto(`${site.origin}/0#key`);
  return { page, notes, reached, trouble, close };
}

/** Waits until the store was asked for. */
async function arrives(page) {
  await page.waitForURL(STORE, { timeout: 5000 });
}

test("nothing is written and nobody is sent away before the tap", async () => {
  const { page, notes, reached, trouble, close } = await open("works");
  await page.clock.runFor(60_000);
  await page.mouse.move(100, 100);
  await page.keyboard.press("Tab");
  assert.deepEqual([notes, reached, trouble], [[], [], []]);
  await close();
});

test("a tap on the button writes what the page holds, without the fragment, and goes to the store", async () => {
  const { page, notes, reached, close } = await open("works");
  await page.locator("#copy").click();
  await arrives(page);
  assert.deepEqual([notes, reached], [[["written", TEXT]], [STORE]]);
  await close();
});

test("where the clipboard refuses, what is selected is copied", async () => {
  for (const clipboard of ["refuses", "throws", "none"]) {
    const { page, notes, reached, trouble, close } = await open(clipboard);
    await page.locator("#copy").click();
    await arrives(page);
    const asked = clipboard === "none" ? [] : [["asked", TEXT]];
    assert.deepEqual([notes, reached, trouble], [[...asked, ["copy", TEXT]], [STORE], []], clipboard);
    await close();
  }
});

test("a clipboard that never answers keeps nobody for more than a second", async () => {
  const { page, reached, close } = await open("never");
  await page.locator("#copy").click();
  await page.clock.runFor(900);
  assert.deepEqual(reached, []);
  await page.clock.runFor(200);
  await arrives(page);
  await close();
});

test("whoever continues without is sent to the store, and nothing is written", async () => {
  const { page, notes, reached, close } = await open("works");
  await page.locator("#without").click();
  await arrives(page);
  assert.deepEqual([notes, reached], [[], [STORE]]);
  await close();
});

test("without its script both ways lead to the store", async () => {
  for (const id of ["copy", "without"]) {
    const { page, reached, close } = await open("works", { javaScriptEnabled: false });
    await page.locator(`#${id}`).click();
    await arrives(page);
    assert.deepEqual(reached, [STORE], id);
    await close();
  }
});

test("the real clipboard holds it afterwards", async () => {
  const { page, context, close } = await tab(browser, [site.origin]);
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: site.origin });
  await context.unroute("**/*");
  await context.route((url) => url.origin !== site.origin, (route) => route.fulfill({ contentType: "text/html", body: "elsewhere" }));
  await page.goto(`${site.origin}/0`);
  await page.locator("#copy").click();
  await arrives(page);
  const reader = await context.newPage();
  await reader.goto(`${site.origin}/0`);
  assert.equal(await reader.evaluate(() => navigator.clipboard.readText()), TEXT);
  await close();
});
