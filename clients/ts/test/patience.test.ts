import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  ApiKeyService,
  AuthService,
  Code,
  createLinkforty,
  type CreateLinkRequest,
  CreateLinkRequestSchema,
  LinkfortyError,
  LinkService,
  ListLinksRequestSchema,
  pages,
} from "@linkforty/client";
import { waitBeforeRepeat } from "#src/patience.js";
import { refusal, serving } from "./stub.js";

const baseUrl = "http://linkforty.test";
const credentials = "lf_live_test";
const soon = { retryMs: 5 };
const overloaded = () => refusal(Code.Unavailable, "SERVER_OVERLOADED", soon);

test("the wait before a repeat", () => {
  const { Unavailable, ResourceExhausted, Internal, DeadlineExceeded, Aborted } = Code;
  const table: [Code, number | undefined, number, number, number | undefined][] = [
    // code, what the server asks, attempt, random, the wait
    [Unavailable, undefined, 1, 0, 100],
    [Unavailable, undefined, 1, 1, 200],
    [Unavailable, undefined, 3, 1, 800],
    [Unavailable, 1000, 1, 0, 1000],
    [Unavailable, 1000, 3, 1, 1250],
    [Unavailable, 1000, 4, 0, undefined],
    [ResourceExhausted, 2000, 1, 0, 2000],
    [ResourceExhausted, undefined, 1, 0, undefined],
    [Internal, 1000, 1, 0, undefined],
    [DeadlineExceeded, undefined, 1, 0, undefined],
    [Aborted, undefined, 1, 0, undefined],
  ];
  for (const [code, retryDelay, attempt, random, wait] of table) {
    const found = waitBeforeRepeat({ code, retryDelay }, attempt, random);
    assert.equal(found, wait, `${Code[code]} asked ${retryDelay} attempt ${attempt} random ${random}`);
  }
});

test("a read is repeated until it is answered", async () => {
  let calls = 0;
  const fetch = serving((router) =>
    router.service(LinkService, {
      getLink() {
        if (++calls < 4) throw overloaded();
        return { link: { id: "7" } };
      },
    }),
  );
  const { link } = await createLinkforty({ baseUrl, credentials, fetch }).links.getLink({ linkId: "7" });
  assert.equal(link?.id, "7");
  assert.equal(calls, 4);
});

test("four attempts are the most", async () => {
  let calls = 0;
  const fetch = serving((router) =>
    router.service(LinkService, {
      getLink() {
        calls++;
        throw overloaded();
      },
    }),
  );
  const call = createLinkforty({ baseUrl, credentials, fetch }).links.getLink({});
  await assert.rejects(call, { reason: "SERVER_OVERLOADED", code: Code.Unavailable, retryDelay: 5 });
  assert.equal(calls, 4);
});

test("a change is repeated under one request id, and the next one has another", async () => {
  const seen: CreateLinkRequest[] = [];
  const fetch = serving((router) =>
    router.service(LinkService, {
      createLink(request) {
        seen.push(request);
        if (seen.length < 3) throw overloaded();
        return { link: request.link! };
      },
    }),
  );
  const { links } = createLinkforty({ baseUrl, credentials, fetch });
  const request = create(CreateLinkRequestSchema, { link: { title: "a" } });
  await links.createLink(request);
  const ids = seen.map((request) => request.requestId);
  assert.match(ids[0]!, /^[0-9a-f-]{36}$/);
  assert.deepEqual(ids, [ids[0], ids[0], ids[0]]);
  assert.equal(request.requestId, "", "the caller's message is left alone");

  await links.createLink(request);
  assert.notEqual(seen[3]!.requestId, ids[0]);
  await links.createLink({ ...request, requestId: "chosen" });
  assert.equal(seen[4]!.requestId, "chosen");
});

test("a change without a request id is sent once", async () => {
  let calls = 0;
  const refuse = () => {
    calls++;
    throw overloaded();
  };
  const fetch = serving((router) => {
    router.service(AuthService, { signIn: refuse });
    router.service(ApiKeyService, { revokeApiKey: refuse });
  });
  const client = createLinkforty({ baseUrl, credentials, fetch });
  await assert.rejects(client.auth.signIn({}), { reason: "SERVER_OVERLOADED" });
  await assert.rejects(client.apiKeys.revokeApiKey({}), { reason: "SERVER_OVERLOADED" });
  assert.equal(calls, 2);
});

test("a lost connection is repeated and then named", async () => {
  let calls = 0;
  const fetch: typeof globalThis.fetch = async () => {
    calls++;
    throw new TypeError("fetch failed");
  };
  const { links } = createLinkforty({ baseUrl, credentials, fetch });
  await assert.rejects(links.getLink({}), {
    name: "LinkfortyError",
    code: Code.Unavailable,
    reason: "UNSPECIFIED",
    message: "http://linkforty.test cannot be reached: fetch failed",
  });
  assert.equal(calls, 4);
});

test("no repeat passes the deadline", async () => {
  let calls = 0;
  const fetch = serving((router) =>
    router.service(LinkService, {
      getLink() {
        calls++;
        throw refusal(Code.ResourceExhausted, "RATE_LIMITED", { retryMs: 900, metadata: { limit: "calls" } });
      },
    }),
  );
  const { links } = createLinkforty({ baseUrl, credentials, fetch });
  const began = performance.now();
  await assert.rejects(links.getLink({}, { timeoutMs: 500 }), {
    reason: "RATE_LIMITED",
    retryDelay: 900,
    metadata: { limit: "calls" },
  });
  assert.equal(calls, 1);
  assert.ok(performance.now() - began < 450, "it did not wait in vain");
});

test("each attempt tells the server what is left", async () => {
  const told: number[] = [];
  const fetch = serving((router) =>
    router.service(LinkService, {
      getLink(_, context) {
        told.push(parseInt(context.requestHeader.get("grpc-timeout")!));
        if (told.length === 1) throw refusal(Code.Unavailable, "SHUTTING_DOWN", { retryMs: 50 });
        return {};
      },
    }),
  );
  await createLinkforty({ baseUrl, credentials, fetch, timeoutMs: 5_000 }).links.getLink({});
  assert.ok(told[0]! <= 5_000 && told[0]! > 4_000 && told[1]! <= told[0]! - 50, String(told));
});

test("a call that hangs ends at its deadline, whoever notices", async () => {
  const fetch = serving((router) => router.service(LinkService, { getLink: () => new Promise(() => {}) }));
  const call = createLinkforty({ baseUrl, credentials, fetch, timeoutMs: 50 }).links.getLink({});
  await assert.rejects(call, { reason: "DEADLINE_EXCEEDED", code: Code.DeadlineExceeded });
});

test("an abort ends the wait", async () => {
  let calls = 0;
  const fetch = serving((router) =>
    router.service(LinkService, {
      getLink() {
        calls++;
        throw refusal(Code.Unavailable, "STORE_UNAVAILABLE", { retryMs: 900 });
      },
    }),
  );
  const { links } = createLinkforty({ baseUrl, credentials, fetch });
  const began = performance.now();
  const call = links.getLink({}, { signal: AbortSignal.timeout(50) });
  await assert.rejects(call, { name: "LinkfortyError", code: Code.Canceled });
  assert.ok(performance.now() - began < 500);
  assert.equal(calls, 1);
});

test("an error says all there is to know", async () => {
  const violations = [
    { field: "link.destination_url", description: "must be http or https" },
    { field: "link.title", description: "is longer than 255 characters" },
  ];
  const fetch = serving((router) =>
    router.service(LinkService, {
      createLink() {
        throw refusal(Code.InvalidArgument, "INVALID_FIELDS", { violations, requestId: "req-1" });
      },
    }),
  );
  const call = createLinkforty({ baseUrl, credentials, fetch }).links.createLink({});
  const error = await call.then(() => assert.fail(), (error: unknown) => error);
  assert.ok(error instanceof LinkfortyError);
  assert.equal(error.message, "refused by the stub");
  assert.equal(error.reason, "INVALID_FIELDS");
  assert.deepEqual(error.violations, violations);
  assert.equal(error.requestId, "req-1");
  assert.equal(error.retryDelay, undefined);
});

test("a reason that is newer than the client is none it can name", async () => {
  const fetch = serving((router) =>
    router.service(LinkService, {
      getLink() {
        throw refusal(Code.FailedPrecondition, "FROM_TOMORROW" as "INTERNAL", { metadata: { since: "2031" } });
      },
    }),
  );
  const call = createLinkforty({ baseUrl, credentials, fetch }).links.getLink({});
  await assert.rejects(call, { reason: "UNSPECIFIED", code: Code.FailedPrecondition, metadata: { since: "2031" } });
});

test("pages are read one after the other and only as far as needed", async () => {
  const asked: string[] = [];
  const fetch = serving((router) =>
    router.service(LinkService, {
      listLinks({ pageToken, search, filter }) {
        asked.push(`${search} ${filter?.active} ${pageToken}`);
        const first = Number(pageToken || "0");
        return {
          links: [{ id: String(first) }, { id: String(first + 1) }],
          nextPageToken: first < 4 ? String(first + 2) : "",
        };
      },
    }),
  );
  const { links } = createLinkforty({ baseUrl, credentials, fetch });
  const request = { search: "s", filter: { active: false } };
  const found: string[] = [];
  for await (const link of pages(links.listLinks, request, (page) => page.links)) found.push(link.id);
  assert.deepEqual(found, ["0", "1", "2", "3", "4", "5"]);
  assert.deepEqual(asked, ["s false ", "s false 2", "s false 4"]);

  asked.length = 0;
  for await (const link of pages(links.listLinks, request, (page) => page.links)) if (link.id === "1") break;
  assert.equal(asked.length, 1);
});

test("a list that starts from a whole message asks the same question on every page", async () => {
  const asked: string[] = [];
  const fetch = serving((router) =>
    router.service(LinkService, {
      listLinks({ pageToken, search, pageSize }) {
        asked.push(`${search} ${pageSize} ${pageToken}`);
        return { nextPageToken: pageToken ? "" : "more" };
      },
    }),
  );
  const { links } = createLinkforty({ baseUrl, credentials, fetch });
  const request = create(ListLinksRequestSchema, { search: "s", pageSize: 2 });
  for await (const _ of pages(links.listLinks, request, (page) => page.links)) assert.fail();
  assert.deepEqual(asked, ["s 2 ", "s 2 more"]);
});
