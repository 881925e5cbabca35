import assert from "node:assert/strict";
import { test } from "node:test";
import { signInPrinted } from "./server.js";

test("the printed sign-in is found among other lines", () => {
  const found = { email: "owner@localhost", password: "x9-Qq.7/+" };
  for (const output of [
    "linkforty 0.1.0 is running.\n  Data         /d\n\nSign in with this, shown only once; the first sign-in asks for a new password:\n" +
      "  E-mail       owner@localhost\n  Password     x9-Qq.7/+\n",
    "linkforty is new here.\n\n  e-mail    owner@localhost\n  password  x9-Qq.7/+\n\nChange the password first.\n",
    "Email: owner@localhost\r\nPassword: x9-Qq.7/+\r\n",
    "\u001b[1m  e-mail\u001b[0m   owner@localhost\nINFO the password is shown once\n  password = x9-Qq.7/+\nlistening\n",
  ]) {
    assert.deepEqual(signInPrinted(output), found, output);
  }
  assert.equal(signInPrinted("  e-mail    owner@localhost\n  password  "), undefined);
  assert.equal(signInPrinted("the password is shown once\n"), undefined);
});
