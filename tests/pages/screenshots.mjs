// Takes the pictures of docs/pages.md: one on a phone in light, one on a desktop in dark, for each page.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { drawn, serve, start, stop, tab } from "./browser.mjs";

const OUT = fileURLToPath(new URL("../../docs/pages/", import.meta.url));
const KINDS = [
  { kind: "phone", colorScheme: "light", viewport: { width: 390, height: 700 } },
  { kind: "desktop", colorScheme: "dark", viewport: { width: 1100, height: 640 } },
];
const ONLY = process.env.PAGES_LANGUAGE ?? "en";
const out = process.env.PAGES_OUT ?? OUT;

const pages = drawn("pages.json").filter(({ language }) => language === ONLY);
const site = await serve(pages);
const browser = await start();
mkdirSync(out, { recursive: true });
for (const { kind, ...options } of KINDS) {
  const { page, close } = await tab(browser, [site.origin], options);
  await stop(page);
  for (const [place, { name }] of pages.entries()) {
    // One is for phones alone, and the other shows on a phone what nobody sees there.
    if (name === (kind === "phone" ? "launchpad" : "launchpad_phone")) continue;
    if (["open_app_android", "open_app_web_only"].includes(name)) continue;
    await page.goto(`${site.origin}/${place}`);
    await page.screenshot({ path: join(out, `${name.replace("launchpad_phone", "launchpad")}-${kind}.png`), fullPage: true });
  }
  await close();
}
await browser.close();
await site.close();
