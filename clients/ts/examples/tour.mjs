// The README's tour: makes a link (once), prints its short URL and how often it was clicked.
//
//   npm ci --prefix clients/ts && npm run build --prefix clients/ts
//   LINKFORTY_KEY=lf_live_... node clients/ts/examples/tour.mjs https://example.com/spring

import { createHash } from "node:crypto";
import process from "node:process";

import { LinkfortyError, createLinkforty } from "../dist/src/index.js";

const destinationUrl = process.argv[2] ?? "https://example.com/spring";
const baseUrl = process.env.LINKFORTY_API ?? "http://localhost:8081";
const key = process.env.LINKFORTY_KEY;
if (!key) {
  console.error("Set LINKFORTY_KEY: target/debug/linkforty key create --help");
  process.exit(2);
}

/** The same text gives the same id, so that running the tour again finds the link it made (for 24 hours). */
function requestIdFor(text) {
  const hex = createHash("sha256").update(text).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-");
}

const linkforty = createLinkforty({ baseUrl, credentials: key });
try {
  const { link } = await linkforty.links.createLink({
    link: { destinationUrl, title: "The tour" },
    requestId: requestIdFor(`tour ${destinationUrl}`),
  });
  const overview = await linkforty.analytics.getOverview({ linkId: link.id });
  console.log(`${link.shortUrl}  ->  ${link.destinationUrl}`);
  console.log(`clicks: ${overview.clicks} by people, ${overview.botClicks} by bots`);
} catch (error) {
  if (!(error instanceof LinkfortyError)) throw error;
  console.error(`${error.reason}: ${error.message}`);
  for (const violation of error.violations) console.error(`  ${violation.field}: ${violation.description}`);
  process.exit(1);
}
