import assert from "node:assert/strict";
import { test } from "node:test";
import { AnalyticsService, Code, createLinkforty, LinkfortyError, type WatchEventsResponse } from "@linkforty/client";
import { refusal, serving } from "./stub.js";

const baseUrl = "http://linkforty.test";
const credentials = "lf_live_test";

/** A client of a server whose stream says `cursors`, and then fails with `error`. */
function failing(cursors: string[], error: Error, through = (fetch: typeof globalThis.fetch) => fetch) {
  const fetch = serving((router) =>
    router.service(AnalyticsService, {
      async *watchEvents() {
        for (const resumeCursor of cursors) yield { resumeCursor };
        throw error;
      },
    }),
  );
  return createLinkforty({ baseUrl, credentials, fetch: through(fetch) });
}

/** Reads a stream to its end. Returns the cursors in it, and what it failed with. */
async function read(stream: AsyncIterable<WatchEventsResponse>): Promise<[string[], unknown]> {
  const seen: string[] = [];
  try {
    for await (const { resumeCursor } of stream) seen.push(resumeCursor);
    return [seen, undefined];
  } catch (thrown) {
    return [seen, thrown];
  }
}

test("a stream that is refused says why, as a call does", async () => {
  const violations = [{ field: "countries", description: "must be two letters" }];
  const error = refusal(Code.InvalidArgument, "INVALID_FIELDS", { violations, requestId: "r1" });
  const [seen, thrown] = await read(failing([], error).analytics.watchEvents({}));
  assert.deepEqual(seen, []);
  assert.ok(thrown instanceof LinkfortyError);
  assert.equal(thrown.reason, "INVALID_FIELDS");
  assert.deepEqual(thrown.violations, violations);
});

test("a stream that ends early says why, behind all that it told", async () => {
  const error = refusal(Code.Unavailable, "SERVER_OVERLOADED", { retryMs: 5 });
  const [seen, thrown] = await read(failing(["a", "b"], error).analytics.watchEvents({}));
  assert.deepEqual(seen, ["a", "b"]);
  assert.ok(thrown instanceof LinkfortyError);
  assert.deepEqual([thrown.code, thrown.reason, thrown.retryDelay], [Code.Unavailable, "SERVER_OVERLOADED", 5]);
});

test("a connection that breaks in the middle of a stream is one that cannot be reached", async () => {
  const cutOff = (fetch: typeof globalThis.fetch): typeof globalThis.fetch => async (input, init) => {
    const answer = await fetch(input, init);
    let sent = 0;
    const body = answer.body?.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(bytes, out) {
          if (sent++ > 0) throw new TypeError("terminated");
          out.enqueue(bytes);
        },
      }),
    );
    return new Response(body, answer);
  };
  const client = failing(["a", "b", "c"], refusal(Code.Internal, "INTERNAL"), cutOff);
  const [seen, thrown] = await read(client.analytics.watchEvents({}));
  assert.ok(thrown instanceof LinkfortyError, `${seen} ${thrown}`);
  assert.equal(thrown.code, Code.Unavailable, thrown.message);
});

test("who stops reading ends the call", async () => {
  let ended = false;
  const fetch = serving((router) =>
    router.service(AnalyticsService, {
      async *watchEvents(_, { signal }) {
        signal.addEventListener("abort", () => (ended = true));
        for (let number = 0; !signal.aborted; number++) yield { resumeCursor: `${number}` };
      },
    }),
  );
  const hangUp = new AbortController();
  const stream = createLinkforty({ baseUrl, credentials, fetch }).analytics.watchEvents({}, { signal: hangUp.signal });
  for await (const { resumeCursor } of stream) {
    if (resumeCursor === "2") break;
  }
  hangUp.abort();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(ended);
});
