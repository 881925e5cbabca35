import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AuthService,
  Code,
  createLinkforty,
  LinkfortyError,
  LinkService,
  memoryStore,
  webStore,
  type Session,
} from "@linkforty/client";
import { bearerOf, refusal, serving, session, tokens } from "./stub.js";

const baseUrl = "http://linkforty.test";

/** A server that knows one session; `ended` are the access tokens it no longer takes. */
function server(refresh?: (refreshToken: string) => void | Promise<void>) {
  const state = { ended: new Set<string>(), refreshes: [] as string[], seen: [] as (string | undefined)[], signOuts: 0 };
  const fetch = serving((router) => {
    router.service(AuthService, {
      signIn(_, context) {
        assert.equal(bearerOf(context), undefined);
        return { tokens: tokens(1) };
      },
      async refreshSession({ refreshToken }, context) {
        assert.equal(bearerOf(context), undefined);
        state.refreshes.push(refreshToken);
        await refresh?.(refreshToken);
        return { tokens: tokens(Number(refreshToken.replace("refresh-", "")) + 1) };
      },
      changePassword: () => ({ tokens: tokens(50) }),
      signOut() {
        state.signOuts++;
        return {};
      },
    });
    router.service(LinkService, {
      async getLink(_, context) {
        const token = bearerOf(context);
        state.seen.push(token);
        // Long enough for calls to overlap.
        await new Promise((resolve) => setTimeout(resolve, 10));
        if (token === undefined) throw refusal(Code.Unauthenticated, "CREDENTIALS_MISSING");
        if (state.ended.has(token)) throw refusal(Code.Unauthenticated, "CREDENTIALS_INVALID");
        return {};
      },
    });
  });
  return { ...state, state, fetch };
}

test("an API key goes with every call", async () => {
  const { fetch, seen } = server();
  await createLinkforty({ baseUrl, credentials: "lf_live_k", fetch }).links.getLink({});
  assert.deepEqual(seen, ["lf_live_k"]);
  assert.throws(() => createLinkforty({ baseUrl, credentials: "" }), TypeError);
  assert.throws(() => createLinkforty({ baseUrl: "no address" }), TypeError);
});

test("an API key that is refused is not tried again", async () => {
  const { fetch, seen, ended, refreshes } = server();
  ended.add("lf_live_k");
  const call = createLinkforty({ baseUrl, credentials: "lf_live_k", fetch }).links.getLink({});
  await assert.rejects(call, { reason: "CREDENTIALS_INVALID" });
  assert.equal(seen.length, 1);
  assert.deepEqual(refreshes, []);
});

test("signing in, changing the password and signing out keep the store up to date", async () => {
  const { fetch, seen, state } = server();
  const store = memoryStore();
  const client = createLinkforty({ baseUrl, credentials: store, fetch });
  await assert.rejects(client.links.getLink({}), { reason: "CREDENTIALS_MISSING" });

  await client.auth.signIn({ email: "a@b.c", password: "p" });
  await client.links.getLink({});
  await client.auth.changePassword({});
  await client.links.getLink({});
  assert.deepEqual(seen, [undefined, "access-1", "access-50"]);

  await client.auth.signOut({});
  assert.equal(state.signOuts, 1);
  assert.equal(await store.load(), undefined);
});

test("a token about to end is renewed before the call", async () => {
  const { fetch, seen, refreshes } = server();
  const store = memoryStore(session(1, 5_000));
  await createLinkforty({ baseUrl, credentials: store, fetch }).links.getLink({});
  assert.deepEqual(seen, ["access-2"]);
  assert.deepEqual(refreshes, ["refresh-1"]);
  assert.equal((await store.load())?.refreshToken, "refresh-2");
});

test("a token the server refuses is renewed once, and the call goes out again", async () => {
  const { fetch, seen, ended, refreshes } = server();
  ended.add("access-1");
  const client = createLinkforty({ baseUrl, credentials: memoryStore(session(1)), fetch });
  await client.links.getLink({});
  assert.deepEqual(seen, ["access-1", "access-2"]);

  ended.add("access-2").add("access-3");
  await assert.rejects(client.links.getLink({}), { reason: "CREDENTIALS_INVALID" });
  assert.deepEqual(refreshes, ["refresh-1", "refresh-2"]);
});

for (const [how, life] of [["early", 5_000], ["refused", 600_000]] as const) {
  test(`parallel calls renew once (${how})`, async () => {
    const { fetch, ended, refreshes } = server();
    ended.add("access-1");
    const client = createLinkforty({ baseUrl, credentials: memoryStore(session(1, life)), fetch });
    await Promise.all(Array.from({ length: 20 }, () => client.links.getLink({})));
    assert.deepEqual(refreshes, ["refresh-1"]);
  });
}

test("a call that learns late of a renewal uses it", async () => {
  const { fetch, ended, refreshes } = server();
  ended.add("access-1");
  const store = memoryStore(session(1));
  const client = createLinkforty({ baseUrl, credentials: store, fetch });
  const late = client.links.getLink({});
  store.save(session(2));
  await late;
  assert.deepEqual(refreshes, []);
});

test("two clients on one store do not fight over the refresh token", async () => {
  const store = memoryStore(session(1));
  const { fetch, ended, refreshes } = server(async (refreshToken) => {
    if (refreshToken !== "refresh-1") return;
    // The other tab is quicker; a token used twice is refused after its grace.
    await store.save(session(7));
    throw refusal(Code.Unauthenticated, "CREDENTIALS_INVALID");
  });
  ended.add("access-1");
  let signedOut = 0;
  const client = createLinkforty({ baseUrl, credentials: store, fetch, onSignedOut: () => signedOut++ });
  await client.links.getLink({});
  assert.equal(signedOut, 0);
  assert.deepEqual(refreshes, ["refresh-1"]);
  assert.equal((await store.load())?.accessToken, "access-7");
});

test("a session that the server ended empties the store and is told once", async () => {
  const { fetch, ended } = server(() => {
    throw refusal(Code.Unauthenticated, "CREDENTIALS_INVALID");
  });
  ended.add("access-1");
  const store = memoryStore(session(1));
  const told: LinkfortyError[] = [];
  const client = createLinkforty({ baseUrl, credentials: store, fetch, onSignedOut: (error) => told.push(error) });
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => client.links.getLink({})));
  for (const outcome of outcomes) {
    assert.equal(outcome.status === "rejected" && outcome.reason.reason, "CREDENTIALS_INVALID");
  }
  assert.equal(told.length, 1);
  assert.equal(await store.load(), undefined);
});

test("a renewal that cannot be reached is repeated and signs nobody out", async () => {
  let calls = 0;
  const { fetch, ended } = server(() => {
    if (++calls < 3) throw refusal(Code.Unavailable, "STORE_UNAVAILABLE", { retryMs: 5 });
  });
  ended.add("access-1");
  const store = memoryStore(session(1));
  const client = createLinkforty({ baseUrl, credentials: store, fetch, onSignedOut: () => assert.fail() });
  await client.links.getLink({});
  assert.equal(calls, 3);

  calls = -1000;
  ended.add("access-2");
  await assert.rejects(client.links.getLink({}), { reason: "STORE_UNAVAILABLE" });
  assert.equal((await store.load())?.accessToken, "access-2");
});

test("who signs out during a renewal stays signed out", async () => {
  const store = memoryStore(session(1));
  const { fetch, ended } = server(() => store.save(undefined) as void);
  ended.add("access-1");
  const client = createLinkforty({ baseUrl, credentials: store, fetch });
  await assert.rejects(client.links.getLink({}), { reason: "CREDENTIALS_INVALID" });
  assert.equal(await store.load(), undefined);
});

test("a caller who gives up does not stop the renewal for the others", async () => {
  const { fetch, ended } = server(() => new Promise((resolve) => setTimeout(resolve, 60)));
  ended.add("access-1");
  const client = createLinkforty({ baseUrl, credentials: memoryStore(session(1, 5_000)), fetch });
  const impatient = client.links.getLink({}, { signal: AbortSignal.timeout(20) });
  const patient = client.links.getLink({});
  await assert.rejects(impatient, { code: Code.Canceled });
  await patient;
});

test("a web store keeps a session as text", () => {
  const kept = new Map<string, string>();
  const store = webStore({
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
  });
  assert.equal(store.load(), undefined);
  const signedIn: Session = session(1);
  store.save(signedIn);
  assert.deepEqual(store.load(), signedIn);
  store.save(undefined);
  assert.equal(kept.size, 0);
});
