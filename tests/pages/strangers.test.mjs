// What strangers write into a link stays text: nothing runs, nothing is asked for, no element or attribute appears that the page
// does not have when people write plain words.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { drawn, serve, start, tab } from "./browser.mjs";

const pages = drawn("strangers.json");
const TABS = 3;

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

/** What is in the page: each element by its path, each of its attributes by path and name; and where its URLs lead. */
function look() {
  const path = (part) => (part.parentElement ? `${path(part.parentElement)}>` : "") + part.localName;
  const parts = [...document.querySelectorAll("*")];
  return {
    shape: parts.flatMap((part) => [path(part), ...[...part.attributes].map(({ name }) => `${path(part)}[${name}]`).sort()]),
    urls: parts.flatMap((part) =>
      ["href", "src", "action", "formaction", "data", "srcset", "xlink:href"].filter((name) => part.hasAttribute(name)).map((name) => {
        const url = part.getAttribute(name);
        let protocol = "none";
        try { ({ protocol } = new URL(url, location.href)); } catch { /* no URL */ }
        return { name, protocol, opens: part.id === "open" || part.matches("nav .button:first-child") };
      })),
    own: [...document.querySelectorAll("style, script")].map((part) => part.textContent.length),
    h1: document.querySelector("h1").textContent,
    violations: globalThis.violations,
  };
}

/** Whether `some` has nothing that `all` has not, counting. */
function within(some, all) {
  const left = [...all];
  return some.filter((one) => {
    const place = left.indexOf(one);
    if (place !== -1) left.splice(place, 1);
    return place === -1;
  });
}

test(`${pages.length} pages show what strangers write as text`, async () => {
  const plain = new Map();
  const check = async (one, place) => {
    const { name, payload, place: where } = pages[place];
    const what = `${name}, ${where}: ${JSON.stringify(payload)}`;
    await one.page.goto(`${site.origin}/${place}`, { waitUntil: "load" });
    const seen = await one.page.evaluate(look);
    assert.deepEqual(one.trouble, [], what);
    assert.deepEqual(seen.violations, [], what);
    for (const { name, protocol, opens } of seen.urls) {
      const good = ["http:", "https:"].includes(protocol) && name !== "src"
        || name === "src" && protocol === "https:"
        // What is no URL leads nowhere.
        || name === "href" && opens && ["myapp:", "intent:", "none"].includes(protocol);
      assert.ok(good, `${what}: ${name} to ${protocol}`);
    }
    if (where === "none") {
      plain.set(name, seen);
      return;
    }
    const expected = plain.get(name);
    if (where === "words") {
      assert.deepEqual(seen.shape, expected.shape, what);
      assert.deepEqual(seen.own, expected.own, what);
      // Where there is nothing to take out, every character arrives.
      const whole = /^[\x20-\x7e]+$/.test(payload);
      if (whole && ["launchpad", "preview"].includes(name)) assert.equal(seen.h1, payload.trim(), what);
    } else {
      assert.deepEqual(within(seen.shape, expected.shape), [], what);
      assert.deepEqual(within(seen.own, expected.own), [], what);
    }
  };
  const queue = pages.keys();
  // Nothing is ever late, so nobody is sent on. Cheaper than a stopped clock, for so many pages.
  const open = () => tab(browser, [site.origin]).then(async (one) => {
    await one.context.addInitScript(() => { globalThis.setTimeout = () => 0; });
    return one;
  });
  const first = await open();
  while (plain.size < new Set(pages.map(({ name }) => name)).size) await check(first, queue.next().value);
  const rest = await Promise.all([first, ...Array.from({ length: TABS - 1 }, open)]);
  await Promise.all(rest.map(async (one) => {
    for (const place of queue) await check(one, place);
    await one.close();
  }));
});
