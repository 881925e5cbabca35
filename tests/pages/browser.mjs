// Chromium over the pages that `tests/it/pages.rs` drew, served with the headers they are sent with. Nothing leaves this machine:
// requests to anywhere else are answered here or refused, and noted.

import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { chromium } from "playwright-core";

const DIR = process.env.LINKFORTY_PAGES_DIR ?? "";
/** The widths that every page must fit. */
export const WIDTHS = [320, 390, 1280];
/** Pictures come from here, and only pictures. */
const PICTURES = "img.example";

/** Reads what the Rust test wrote. */
export function drawn(name) {
  const file = join(DIR, name);
  if (DIR === "" || !existsSync(file)) throw new Error(`there is no ${file}: run \`make test-pages\``);
  return JSON.parse(readFileSync(file, "utf8"));
}

/** Serves `pages` under /0, /1, ... of an origin of its own, and whatever `more` answers. */
export async function serve(pages, more = () => false) {
  const server = createServer((request, response) => {
    if (more(request, response)) return;
    const page = pages[Number(request.url.slice(1).split("?")[0])];
    if (page === undefined) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(page.status, page.headers).end(page.html);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const close = () => new Promise((done) => { server.close(done); server.closeAllConnections(); });
  return { origin, close };
}

export async function start() {
  const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
  if (executablePath === undefined) throw new Error("there is no Chromium here: `make test-pages` installs it on Debian");
  // A profile of its own comes with every start.
  return chromium.launch({
    executablePath,
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--disable-dev-shm-usage",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

const svg = (width, height, ground, hill) =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="${ground}"/><path d="M0 ${height} L${width} 0 V${height} Z" fill="${hill}"/></svg>`;

/** Stops the clock of the pages that `page` will open: it goes on by `runFor` alone. */
export async function stop(page) {
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(1000);
}

/** Opens a tab and notes in `trouble` whatever must not happen in it. */
export async function tab(browser, origins, options = {}) {
  const context = await browser.newContext({ serviceWorkers: "block", ...options });
  const trouble = [];
  await context.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.violations.push(`${event.effectiveDirective} ${event.blockedURI}`);
    });
  });
  await context.route("**/*", (route) => {
    const url = new URL(route.request().url());
    if (origins.includes(url.origin)) return route.continue();
    if (url.hostname === PICTURES && url.protocol === "https:" && route.request().resourceType() === "image") {
      return route.fulfill({ contentType: "image/svg+xml", body: svg(1200, 628, "#9ed8c0", "#1f7a5c") });
    }
    trouble.push(`request to ${url}`);
    return route.abort();
  });
  const page = await context.newPage();
  page.on("dialog", (dialog) => { trouble.push(`dialog ${dialog.message()}`); void dialog.dismiss(); });
  page.on("pageerror", (error) => trouble.push(`error ${error.message}`));
  page.on("console", (message) => { if (message.text().includes("Content Security Policy")) trouble.push(message.text()); });
  page.on("popup", () => trouble.push("a window opened"));
  return { page, context, trouble, close: () => context.close() };
}
