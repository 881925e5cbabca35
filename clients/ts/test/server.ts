import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** How long the server may take to start, and to stop: it promises 30 seconds for the latter. */
const PATIENCE_MS = 35_000;

/** The server's program: `LINKFORTY_BIN`, or what a debug build of this repository leaves. */
export const BINARY = resolve(
  process.env["LINKFORTY_BIN"] ?? fileURLToPath(new URL("../../../../target/debug/linkforty", import.meta.url)),
);

/**
 * Why the live tests are left out, or `false`. Where somebody asked for them (`LINKFORTY_BIN`, or `CI=true`) they are
 * not: a missing program fails them.
 */
export function skipped(): string | false {
  if (existsSync(BINARY) || process.env["LINKFORTY_BIN"] !== undefined || process.env["CI"] === "true") return false;
  return `there is no ${BINARY}; build it (cargo build) or set LINKFORTY_BIN`;
}

/** A server of its own, in embedded mode, with an empty data directory. */
export interface Server {
  readonly apiUrl: string;
  readonly linksUrl: string;
  /** The origin that browsers may call from. */
  readonly origin: string;
  /** The first owner's sign-in, as printed at the first start. */
  readonly owner: { readonly email: string; readonly password: string };
  stop(): Promise<void>;
}

/** Starts the server and waits until it answers. */
export async function startServer(): Promise<Server> {
  assert.ok(existsSync(BINARY), `the live tests need the server, and there is no ${BINARY}`);
  const dataDir = await mkdtemp(join(tmpdir(), "linkforty-ts-"));
  const [links, api, ops] = await freePorts(3);
  const linksUrl = `http://127.0.0.1:${links}`;
  const apiUrl = `http://127.0.0.1:${api}`;
  const origin = "http://dash.linkforty.test";

  // Nothing of the developer's own settings gets in, least of all a DATABASE_URL.
  const { PATH, HOME, TMPDIR, LLVM_PROFILE_FILE } = process.env;
  const child = spawn(BINARY, ["serve"], {
    cwd: dataDir,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...Object.fromEntries(Object.entries({ PATH, HOME, TMPDIR, LLVM_PROFILE_FILE }).filter(([, value]) => value)),
      APP_ENV: "development",
      DATA_DIR: dataDir,
      LINKS_ADDR: `127.0.0.1:${links}`,
      API_ADDR: `127.0.0.1:${api}`,
      OPS_ADDR: `127.0.0.1:${ops}`,
      LINKS_URL: linksUrl,
      FRONTEND_URL: origin,
      NO_COLOR: "1",
    },
  });
  let output = "";
  let failure: Error | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  }
  child.on("error", (error) => (failure = error));
  // When the tests end without their `after`, for example by an exception nobody caught.
  process.once("exit", () => child.kill("SIGKILL"));

  async function stop(): Promise<void> {
    const ended = await end(child);
    await rm(dataDir, { recursive: true, force: true });
    assert.ok(ended, `the server did not stop within ${PATIENCE_MS} ms of SIGTERM. It said:\n${output}`);
  }

  try {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const owner = signInPrinted(output);
      if (owner && (await answers(`${apiUrl}/health`)) && (await answers(`${linksUrl}/health`))) {
        return { apiUrl, linksUrl, origin, owner, stop };
      }
      if (failure) throw failure;
      const said = `It said:\n${output}`;
      const status = child.exitCode ?? child.signalCode;
      assert.ok(status === null, `the server ended (${status}) before it was ready. ${said}`);
      assert.ok(
        performance.now() < deadline,
        `the server ${owner ? "does not answer /health" : "printed no sign-in"} after ${PATIENCE_MS} ms. ${said}`,
      );
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}

/** Finds the first owner's e-mail and password in what the server printed: two lines of a name and a value. */
export function signInPrinted(output: string): { email: string; password: string } | undefined {
  const plain = output.replace(/\u001b\[[0-9;]*m/g, "");
  const email = /^\W*e-?mail\s*[:=]?\s+(\S+@\S+)\s*$/im.exec(plain)?.[1];
  const password = /^\W*password\s*[:=]?[ \t]+(\S+)[ \t]*\r?$/im.exec(plain)?.[1];
  return email !== undefined && password !== undefined ? { email, password } : undefined;
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}

/** Stops the process and says whether it went by itself. */
async function end(child: ChildProcess): Promise<boolean> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return true;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, "late");
  });
  const outcome = await Promise.race([exited, late]);
  clearTimeout(timer);
  if (outcome !== "late") return true;
  child.kill("SIGKILL");
  await exited;
  return false;
}

/** Returns ports nobody listens on. All are held until all are known, so they differ. */
async function freePorts(count: number): Promise<number[]> {
  const held = Array.from({ length: count }, () => createServer());
  const ports = [];
  for (const server of held) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(typeof address === "object" && address);
    ports.push(address.port);
  }
  await Promise.all(held.map((server) => once(server.close(), "close")));
  return ports;
}
