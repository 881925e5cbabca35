// Takes the pictures of docs/pages.md: of each page one, which shows it on a phone and on a desktop, in light and in dark.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { drawn, serve, start, stop, tab } from "./browser.mjs";

const OUT = fileURLToPath(new URL("../../docs/pages/", import.meta.url));
const SIZES = [
  { kind: "phone", viewport: { width: 390, height: 740 } },
  { kind: "desktop", viewport: { width: 960, height: 740 } },
];
const SCHEMES = ["light", "dark"];
/** How much smaller they are in the picture. */
const SCALE = 0.45;
const ONLY = process.env.PAGES_LANGUAGE ?? "en";
const out = process.env.PAGES_OUT ?? OUT;

const pages = drawn("pages.json").filter(({ language }) => language === ONLY);
const site = await serve(pages);
const browser = await start();
mkdirSync(out, { recursive: true });

/** The pictures of each page, by its name, in the order they are shown in. */
const shots = new Map();
for (const { kind, viewport } of SIZES) {
  for (const colorScheme of SCHEMES) {
    const { page, close } = await tab(browser, [site.origin], { colorScheme, viewport, deviceScaleFactor: SCALE });
    await stop(page);
    for (const [place, { name }] of pages.entries()) {
      // One is for phones alone, and the other shows on a phone what nobody sees there.
      if (name === (kind === "phone" ? "launchpad" : "launchpad_phone")) continue;
      if (["open_app_android", "open_app_web_only"].includes(name)) continue;
      await page.goto(`${site.origin}/${place}`);
      const shown = name.replace("launchpad_phone", "launchpad");
      const png = await page.screenshot({ fullPage: true });
      shots.set(shown, [...(shots.get(shown) ?? []), png.toString("base64")]);
    }
    await close();
  }
}

const context = await browser.newContext({ viewport: { width: 1560, height: 420 } });
const sheet = await context.newPage();
for (const [name, pictures] of shots) {
  const images = pictures.map((png) => `<img src="data:image/png;base64,${png}">`);
  await sheet.setContent(`<style>body { margin: 0; display: inline-flex; gap: 8px; padding: 8px; background: #8b93a0; align-items: start }</style>${images.join("")}`);
  await sheet.locator("body").screenshot({ path: join(out, `${name}.png`) });
}
await browser.close();
await site.close();
