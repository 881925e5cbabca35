// Every page, in every state and language: it fits, it is accessible, it asks for nothing, and its policy has nothing to object to.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { createRequire } from "node:module";

import jsqr from "jsqr";

import { WIDTHS, drawn, serve, start, stop, tab } from "./browser.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const pages = drawn("pages.json");
const at = (name, language = "en") => {
  const found = pages.findIndex((page) => page.name === name && page.language === language);
  assert.notEqual(found, -1, `${name} in ${language} was not drawn`);
  return found;
};

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

/** A tab in which apps do not open and time stands still, so that pages stay. */
async function still(options) {
  const one = await tab(browser, [site.origin], options);
  await stop(one.page);
  return one;
}

test("every page fits every width in every language, and nothing is asked or objected to", async () => {
  const { page, trouble, close } = await still();
  for (const [place, { name, language }] of pages.entries()) {
    await page.setViewportSize({ width: WIDTHS[0], height: 700 });
    await page.goto(`${site.origin}/${place}`);
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      const seen = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth,
        // Whatever sticks out of the card is cut off there.
        cut: [...document.querySelectorAll("main, main *:not(svg *, .picture)")].filter((part) => part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display !== "inline").map((part) => part.outerHTML.slice(0, 80)),
        lang: document.documentElement.lang,
        dir: document.documentElement.dir,
        title: document.title,
        h1: document.querySelectorAll("h1").length,
        violations: globalThis.violations,
      }));
      const what = `${name} in ${language} at ${width}`;
      assert.ok(seen.wide <= width, `${what} is ${seen.wide} wide`);
      assert.deepEqual(seen.cut, [], what);
      assert.deepEqual([seen.lang, seen.dir, seen.h1], [language, "ltr", 1], what);
      assert.ok(seen.title.length > 3, what);
      assert.deepEqual(seen.violations, [], what);
    }
  }
  assert.deepEqual(trouble, []);
  await close();
});

test("no page has anything that axe objects to, in light and dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const { page, close } = await still({ colorScheme, viewport: { width: 390, height: 844 } });
    for (const [place, { name, language }] of pages.entries()) {
      if (language !== "en") continue;
      await page.goto(`${site.origin}/${place}`);
      await page.evaluate(AXE);
      // axe waits by the page's clock.
      const run = page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
      await page.clock.runFor(100);
      const { violations } = await run;
      const seen = violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html).join(" ")}`);
      assert.deepEqual(seen, [], `${name} in ${colorScheme}`);
    }
    await close();
  }
});

test("whoever goes by keyboard sees where they are, on everything that can be pressed or filled in", async () => {
  const { page, context, close } = await still();
  // An app that is opened takes the focus along.
  await context.addInitScript(() => {
    const calm = () => { delete document.querySelector("main")?.dataset.automatic; };
    new MutationObserver(calm).observe(document, { childList: true, subtree: true });
  });
  for (const [place, { language, name }] of pages.entries()) {
    if (language !== "en") continue;
    await page.goto(`${site.origin}/${place}`);
    const targets = await page.locator("a, button, input").count();
    for (let step = 0; step < targets; step += 1) {
      await page.keyboard.press("Tab");
      const outline = await page.evaluate(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        return document.activeElement === document.body ? "nowhere" : `${outlineStyle} ${outlineWidth}`;
      });
      assert.equal(outline, "solid 3px", `${name}, step ${step} of ${targets}`);
    }
    const small = await page.evaluate(() =>
      [...document.querySelectorAll(".button, input")].filter((part) => part.getBoundingClientRect().height < 44).length);
    assert.equal(small, 0, `${name}: what fingers press is at least 44 pixels high`);
  }
  await close();
});

test("without its script the page that opens an app offers all its ways", async () => {
  const { page, close } = await tab(browser, [site.origin], { javaScriptEnabled: false });
  await page.goto(`${site.origin}/${at("open_app")}`);
  for (const id of ["open", "store", "web"]) assert.ok(await page.locator(`#${id}`).isVisible(), id);
  await close();
});

test("the code on the landing page says the short URL, in light and dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const { page, close } = await tab(browser, [site.origin], { colorScheme, viewport: { width: 1280, height: 900 } });
    await page.goto(`${site.origin}/${at("launchpad")}`);
    const picture = (await page.locator(".code svg").screenshot()).toString("base64");
    await page.goto("about:blank");
    const { data, width, height } = await page.evaluate(async (picture) => {
      const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${picture}`)).blob());
      const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
      canvas.drawImage(image, 0, 0);
      const { data, width, height } = canvas.getImageData(0, 0, image.width, image.height);
      return { data: [...data], width, height };
    }, picture);
    const read = (jsqr.default ?? jsqr)(new Uint8ClampedArray(data), width, height);
    assert.equal(read?.data, "https://go.example.com/spring?utm_source=poster", colorScheme);
    await close();
  }
});

test("the right password may lead to any site, and the form goes nowhere else by itself", async () => {
  const sent = [];
  const elsewhere = await serve([{ status: 200, headers: { "content-type": "text/html" }, html: "<h1>There</h1>" }]);
  const { page, close, trouble } = await tab(browser, [site.origin, elsewhere.origin]);
  const asking = await serve([pages[at("password")]], (request, response) => {
    if (request.method !== "POST") return false;
    let body = "";
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      sent.push([request.url, body, request.headers.origin]);
      response.writeHead(303, { location: `${elsewhere.origin}/0` }).end();
    });
    return true;
  });
  await page.context().unroute("**/*");
  await page.goto(`${asking.origin}/0?utm_source=poster`);
  await page.getByLabel("Password").fill("open sesame & more");
  await page.getByRole("button").click();
  await page.waitForURL(`${elsewhere.origin}/0`, { timeout: 5000 });
  assert.deepEqual(sent, [["/0?utm_source=poster", "password=open+sesame+%26+more", asking.origin]]);
  assert.deepEqual(trouble, []);
  await close();
  await asking.close();
  await elsewhere.close();
});
