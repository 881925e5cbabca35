// Checks a request as a receiver does that uses the package for Node: `verify.mjs PATH_OF_MODULES FILE`, where the file holds the secret, the
// headers and the body. Prints what it found.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, file] = process.argv.slice(2);
const { Webhook } = createRequire(`${modules}/`)("standardwebhooks");
const { secret, headers, body } = JSON.parse(readFileSync(file, "utf8"));
try {
  new Webhook(secret).verify(body, headers);
  console.log("good");
} catch (error) {
  console.log(`bad: ${error.message}`);
}
