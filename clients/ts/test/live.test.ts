// These tests call the real server, one after the other on one data directory.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import {
  Code,
  createLinkforty,
  Dimension,
  ErrorReason,
  Granularity,
  type Linkforty,
  LinkfortyError,
  type LinkfortyOptions,
  memoryStore,
  pages,
  Role,
  Scope,
  type Session,
  WebhookEndpointState,
  WebhookEventType,
} from "@linkforty/client";
import { type Server, skipped, startServer } from "./server.js";

/** A person's browser: what looks like a program is counted as a bot. */
const BROWSER = {
  "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  "accept-language": "en-US,en;q=0.5",
};
const PASSWORD = `a good long ${randomUUID()}`;

describe("against the server", { skip: skipped() }, () => {
  let server: Server;
  let client: Linkforty;
  let workspaceId: string;
  const store = memoryStore();

  const another = (options: Partial<LinkfortyOptions> = {}) =>
    createLinkforty({ baseUrl: server.apiUrl, credentials: store, ...options });

  before(async () => {
    server = await startServer();
    client = another({ onSignedOut: (error) => assert.fail(error) });
  });
  after(() => server?.stop());

  test("the first owner signs in and must change the password", async () => {
    await assert.rejects(client.auth.getMe({}), { reason: "CREDENTIALS_MISSING", code: Code.Unauthenticated });
    await assert.rejects(client.auth.signIn({ email: server.owner.email, password: "not the one" }), {
      reason: "SIGN_IN_FAILED",
    });

    const { user } = await client.auth.signIn(server.owner);
    assert.equal(user?.email, server.owner.email);
    assert.equal(user?.passwordChangeRequired, true);
    const { memberships } = await client.auth.getMe({});
    assert.equal(memberships.length, 1);
    assert.equal(memberships[0]!.role, Role.OWNER);
    ({ workspaceId } = memberships[0]!);
    await assert.rejects(client.links.listLinks({ workspaceId }), { reason: "PASSWORD_CHANGE_REQUIRED" });

    await assert.rejects(client.auth.changePassword({ currentPassword: server.owner.password, newPassword: "short" }), {
      reason: "INVALID_FIELDS",
    });
    await client.auth.changePassword({ currentPassword: server.owner.password, newPassword: PASSWORD });
    assert.equal((await client.auth.getMe({})).user?.passwordChangeRequired, false);
    assert.equal((await client.links.listLinks({ workspaceId })).links.length, 0);
  });

  test("a link is created, read back, followed and counted", async () => {
    const destinationUrl = "https://example.com/spring?from=linkforty";
    const { link } = await client.links.createLink({ workspaceId, link: { destinationUrl, title: "Spring" } });
    assert.ok(link);
    assert.match(link.shortCode, /^[A-Za-z0-9]{8}$/);
    assert.equal(link.shortUrl, `${server.linksUrl}/${link.shortCode}`);
    assert.equal(link.active, true);
    const read = await client.links.getLink({ workspaceId, linkId: link.id });
    assert.deepEqual(read.link, link);

    const answer = await fetch(link.shortUrl, { redirect: "manual", headers: BROWSER });
    await answer.body?.cancel();
    assert.equal(answer.status, 302);
    assert.equal(answer.headers.get("location"), destinationUrl);

    await eventually("the click is counted", async () => {
      const overview = await client.analytics.getOverview({ workspaceId, linkId: link.id });
      assert.equal(overview.botClicks, 0n);
      return overview.clicks === 1n;
    });
    const overview = await client.analytics.getOverview({ workspaceId });
    assert.deepEqual(
      overview.topLinks.map(({ linkId, clicks }) => ({ linkId, clicks })),
      [{ linkId: link.id, clicks: 1n }],
    );
    assert.equal(overview.byDay.reduce((sum, day) => sum + day.clicks, 0n), overview.clicks);
  });

  test("a webhook endpoint is kept, its secret told once, and what it cannot be is refused", async () => {
    const endpoint = {
      name: "Shop",
      url: "https://example.com/hooks",
      eventTypes: [WebhookEventType.CLICK_RECORDED],
      headers: [{ name: "authorization", value: "Bearer open-up" }],
    };
    const made = await client.webhooks.createWebhookEndpoint({ workspaceId, webhookEndpoint: endpoint });
    assert.match(made.secret, /^whsec_/);
    assert.deepEqual(made.webhookEndpoint?.headers.map(({ name, value }) => [name, value]), [["authorization", ""]]);
    const { webhookEndpoints } = await client.webhooks.listWebhookEndpoints({ workspaceId });
    assert.deepEqual(webhookEndpoints, [made.webhookEndpoint]);
    const paused = await client.webhooks.updateWebhookEndpoint({
      workspaceId,
      webhookEndpoint: { id: made.webhookEndpoint!.id, state: WebhookEndpointState.PAUSED },
      updateMask: { paths: ["state"] },
    });
    assert.equal(paused.webhookEndpoint?.state, WebhookEndpointState.PAUSED);
    const inside = { ...endpoint, url: "https://169.254.169.254/latest" };
    await assert.rejects(client.webhooks.createWebhookEndpoint({ workspaceId, webhookEndpoint: inside }), {
      reason: "INVALID_FIELDS",
    });
    const webhookEndpointId = made.webhookEndpoint!.id;
    assert.deepEqual((await client.webhooks.listDeliveries({ workspaceId, webhookEndpointId })).deliveries, []);
    await client.webhooks.deleteWebhookEndpoint({ workspaceId, webhookEndpointId });
    await assert.rejects(client.webhooks.getWebhookEndpoint({ workspaceId, webhookEndpointId }), { reason: "NOT_FOUND" });
  });

  test("reports say where a click came from and when", async () => {
    const link = await linkTo("https://example.com/report", { title: "Reported" });
    const answer = await fetch(link.shortUrl, { redirect: "manual", headers: BROWSER });
    await answer.body?.cancel();
    const scope = { workspaceId, part: { case: "linkId" as const, value: link.id } };
    await eventually("the click is counted", async () => {
      const { total } = await client.analytics.queryTimeSeries({ scope });
      return total?.clicks === 1n;
    });
    const span = { timeZone: "Asia/Kathmandu" };
    const series = await client.analytics.queryTimeSeries({ scope, span, granularity: Granularity.WEEK, comparePrevious: true });
    assert.equal(series.buckets.reduce((sum, { measures }) => sum + measures!.clicks, 0n), 1n);
    assert.equal(series.previousTotal?.clicks, 0n);
    assert.equal(series.span?.timeZone, "Asia/Kathmandu");
    const request = { scope: { workspaceId }, dimension: Dimension.LINK, pageSize: 1 };
    const labels = [];
    for await (const row of pages(client.analytics.queryBreakdown, request, (page) => page.rows)) {
      labels.push(row.label);
    }
    assert.ok(labels.includes("Reported"));
    const { rows } = await client.analytics.queryBreakdown({ scope, dimension: Dimension.BROWSER });
    assert.deepEqual(rows.map(({ value, measures }) => [value, measures?.clicks]), [["firefox", 1n]]);
    await assert.rejects(client.analytics.queryTimeSeries({ scope, span: { timeZone: "Nepal/Everest" } }), {
      reason: "INVALID_FIELDS",
    });
  });

  test("a stream that broke off goes on where it was", async () => {
    const link = await linkTo("https://example.com/watched");
    const follow = async () => {
      const answer = await fetch(link.shortUrl, { redirect: "manual", headers: BROWSER });
      await answer.body?.cancel();
      assert.equal(answer.status, 302);
    };
    let resumeCursor = "";
    // Takes one message that `wanted` wants, hangs up, and returns the click in it.
    const watch = async (wanted: "heartbeat" | "click") => {
      const hangUp = new AbortController();
      for await (const message of client.analytics.watchEvents(
        { workspaceId, linkIds: [link.id], resumeCursor },
        { signal: hangUp.signal },
      )) {
        if (message.event.case !== wanted) continue;
        ({ resumeCursor } = message);
        hangUp.abort();
        return message.event.case === "click" ? message.event.value.id : "";
      }
      return assert.fail("the stream has no end");
    };
    await watch("heartbeat");
    for (let times = 0; times < 3; times++) await follow();
    const seen = [await watch("click"), await watch("click"), await watch("click")];
    assert.equal(new Set(seen).size, 3);
    assert.deepEqual(seen, [...seen].sort(), "in the order in which they were stored");
    await assert.rejects(
      async () => {
        for await (const message of client.analytics.watchEvents({ workspaceId, resumeCursor: "mine" })) {
          assert.fail(message.resumeCursor);
        }
      },
      { name: "LinkfortyError", code: Code.InvalidArgument, reason: "INVALID_FIELDS" },
    );
  });

  test("a change keeps to its mask and to its etag", async () => {
    const link = await linkTo("https://example.com/edit", { title: "old", description: "kept" });
    const changed = await client.links.updateLink({
      workspaceId,
      link: { id: link.id, title: "new", description: "not in the mask", etag: link.etag },
      updateMask: { paths: ["title"] },
    });
    assert.equal(changed.link?.title, "new");
    assert.equal(changed.link?.description, "kept");
    await assert.rejects(
      client.links.updateLink({
        workspaceId,
        link: { id: link.id, title: "newer", etag: link.etag },
        updateMask: { paths: ["title"] },
      }),
      { reason: "ETAG_MISMATCH", code: Code.Aborted },
    );
  });

  test("a taken code is said to be taken", async () => {
    const link = { destinationUrl: "https://example.com/", shortCode: "taken-once" };
    await client.links.createLink({ workspaceId, link });
    const error = await refused(client.links.createLink({ workspaceId, link }));
    assert.equal(error.reason, "SHORT_CODE_TAKEN");
    assert.equal(error.code, Code.AlreadyExists);
    assert.equal(error.metadata["short_code"], "taken-once");
    assert.ok(error.requestId, "the answer carries a request id");
    assert.notEqual(error.message, "");
  });

  test("all violations come at once", async () => {
    const link = { destinationUrl: "javascript:alert(1)", title: "x".repeat(256), shortCode: "no blanks please" };
    const error = await refused(client.links.createLink({ workspaceId, link }));
    assert.equal(error.reason, "INVALID_FIELDS");
    const fields = error.violations.map((violation) => violation.field).sort();
    assert.deepEqual(fields, ["link.destination_url", "link.short_code", "link.title"]);
    assert.ok(error.violations.every((violation) => violation.description !== ""));
  });

  test("a batch has one result for each item, and a list comes in pages", async () => {
    const links = Array.from({ length: 7 }, (_, n) => ({
      destinationUrl: n === 3 ? "ftp://example.com/" : `https://example.com/${n}`,
      title: `paged ${n}`,
      tags: ["paged"],
    }));
    const batch = await client.links.batchCreateLinks({ workspaceId, links });
    assert.deepEqual([batch.succeeded, batch.failed], [6, 1]);
    const { result } = batch.results[3]!;
    assert.ok(result.case === "error");
    assert.equal(result.value.reason, ErrorReason.INVALID_FIELDS);

    const request = { workspaceId, pageSize: 2, filter: { tags: ["paged"] } };
    const titles: string[] = [];
    let asked = 0;
    const list: typeof client.links.listLinks = (...call) => {
      asked++;
      return client.links.listLinks(...call);
    };
    for await (const link of pages(list, request, (page) => page.links)) titles.push(link.title);
    assert.deepEqual(titles.sort(), [0, 1, 2, 4, 5, 6].map((n) => `paged ${n}`));
    assert.equal(asked, 3);
    await assert.rejects(client.links.listLinks({ ...request, pageToken: "made up" }), { reason: "PAGE_TOKEN_INVALID" });
  });

  test("a repeat with the same request id does nothing twice", async () => {
    const requestId = randomUUID();
    const link = { destinationUrl: "https://example.com/once", title: "once" };
    const first = await client.links.createLink({ workspaceId, link, requestId });
    const second = await client.links.createLink({ workspaceId, link, requestId });
    assert.equal(second.link?.id, first.link?.id);
    await assert.rejects(client.links.createLink({ workspaceId, link: { ...link, title: "other" }, requestId }), {
      reason: "IDEMPOTENCY_KEY_REUSED",
    });
  });

  test("a link whose answer is lost is made once", async () => {
    const { fetch, lost } = losingTheFirst("CreateLink");
    const link = { destinationUrl: "https://example.com/lost", tags: ["lost"] };
    const made = await another({ fetch }).links.createLink({ workspaceId, link });
    assert.equal(lost(), 1);
    const { links } = await client.links.listLinks({ workspaceId, filter: { tags: ["lost"] } });
    assert.deepEqual(links.map((link) => link.id), [made.link?.id]);
  });

  test("a session renews itself, also when the answer is lost", async () => {
    const before = (await store.load())!;
    // As if its time were up.
    await store.save({ ...before, accessTokenExpireTime: 0 });
    const { fetch, lost } = losingTheFirst("RefreshSession");
    const tired = another({ fetch });
    await Promise.all([tired.auth.getMe({}), tired.links.listLinks({ workspaceId }), tired.auth.getMe({})]);
    assert.equal(lost(), 1);
    const renewed = (await store.load())!;
    assert.notEqual(renewed.accessToken, before.accessToken);
    assert.notEqual(renewed.refreshToken, before.refreshToken);

    // As if its time were up by the server's clock alone.
    await store.save({ ...renewed, accessToken: `${renewed.accessToken.slice(0, -8)}AAAAAAAA` });
    await client.auth.getMe({});
    assert.notEqual((await store.load())!.refreshToken, renewed.refreshToken);
  });

  test("an API key does what its scopes say until it is revoked", async () => {
    const { apiKey, secret } = await client.apiKeys.createApiKey({
      workspaceId,
      apiKey: { name: "reader", scopes: [Scope.LINKS_READ] },
    });
    assert.ok(apiKey && secret.startsWith(apiKey.prefix));
    const program = another({ credentials: secret });
    assert.ok((await program.links.listLinks({})).links.length > 0, "the workspace is the key's own");
    const error = await refused(program.links.createLink({ link: { destinationUrl: "https://example.com/" } }));
    assert.equal(error.reason, "PERMISSION_MISSING");
    assert.equal(error.metadata["permission"], "links.write");

    await client.apiKeys.revokeApiKey({ workspaceId, apiKeyId: apiKey.id });
    await eventually("the key is refused", () =>
      program.links.listLinks({}).then(
        () => false,
        (error: LinkfortyError) => error.reason === "CREDENTIALS_INVALID",
      ),
    );
  });

  test("another workspace shows nothing of the first", async () => {
    const { workspace } = await client.workspaces.createWorkspace({ workspace: { name: "Second" } });
    assert.ok(workspace);
    assert.equal(workspace.role, Role.OWNER);
    const names: string[] = [];
    for await (const { name } of pages(client.workspaces.listWorkspaces, { pageSize: 1 }, (page) => page.workspaces)) {
      names.push(name);
    }
    assert.equal(names.length, 2);
    assert.equal(names[1], "Second");
    const link = await linkTo("https://example.com/first");
    assert.equal((await client.links.listLinks({ workspaceId: workspace.id })).links.length, 0);
    const foreign = await refused(client.links.getLink({ workspaceId: workspace.id, linkId: link.id }));
    const unknown = await refused(client.links.getLink({ workspaceId: workspace.id, linkId: randomUUID() }));
    assert.equal(foreign.reason, "NOT_FOUND");
    assert.deepEqual([foreign.reason, foreign.message], [unknown.reason, unknown.message]);
  });

  test("a browser on the dashboard's origin may call and read errors", async () => {
    const url = `${server.apiUrl}/linkforty.v1.LinkService/GetLink`;
    const wanted = ["authorization", "content-type", "grpc-timeout", "x-grpc-web", "x-user-agent"];
    const preflight = await fetch(url, {
      method: "OPTIONS",
      headers: {
        origin: server.origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": wanted.join(","),
      },
    });
    assert.ok(preflight.ok, `the preflight answered ${preflight.status}`);
    assert.equal(preflight.headers.get("access-control-allow-origin"), server.origin);
    // A `*` would not do: it does not cover `authorization`.
    const allowed = words(preflight, "access-control-allow-headers");
    assert.deepEqual(wanted.filter((header) => !allowed.includes(header)), []);

    let answer: Response | undefined;
    const asBrowser: typeof fetch = async (input, init) => {
      const headers = new Headers(init?.headers);
      headers.set("origin", server.origin);
      return (answer = await fetch(input, { ...init, headers }));
    };
    const error = await refused(another({ fetch: asBrowser }).links.getLink({ workspaceId, linkId: randomUUID() }));
    assert.equal(error.reason, "NOT_FOUND");
    assert.equal(answer!.headers.get("access-control-allow-origin"), server.origin);
    const exposed = words(answer!, "access-control-expose-headers");
    const needed = ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"];
    assert.deepEqual(exposed.includes("*") ? [] : needed.filter((header) => !exposed.includes(header)), []);
  });

  test("who signs out is out, here and elsewhere", async () => {
    const taken = (await store.load()) as Session;
    await client.auth.signOut({});
    assert.equal(await store.load(), undefined);
    const told: LinkfortyError[] = [];
    const thief = another({ credentials: memoryStore(taken), onSignedOut: (error) => told.push(error) });
    await eventually("the tokens are refused", () =>
      thief.auth.getMe({}).then(
        () => false,
        (error: LinkfortyError) => error.code === Code.Unauthenticated,
      ),
    );
    assert.equal(told.length, 1);

    await client.auth.signIn({ email: server.owner.email.toUpperCase(), password: PASSWORD });
    assert.equal((await client.auth.getMe({})).user?.email, server.owner.email);
  });

  async function linkTo(destinationUrl: string, more: { title?: string; description?: string } = {}) {
    const { link } = await client.links.createLink({ workspaceId, link: { destinationUrl, ...more } });
    assert.ok(link);
    return link;
  }
});

/** Returns what the call was refused with. */
async function refused(call: Promise<unknown>): Promise<LinkfortyError> {
  const outcome = await call.catch((error: unknown) => error);
  assert.ok(outcome instanceof LinkfortyError, `this was not refused: ${outcome}`);
  return outcome;
}

/** Waits until something holds, ten seconds at the most. */
async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A `fetch` that reaches the server but loses the first answer of a method, as a broken connection does. */
function losingTheFirst(method: string): { fetch: typeof globalThis.fetch; lost: () => number } {
  let lost = 0;
  return {
    lost: () => lost,
    async fetch(input, init) {
      const answer = await fetch(input, init);
      if (lost > 0 || !String(input).endsWith(`/${method}`)) return answer;
      lost++;
      await answer.arrayBuffer();
      throw new TypeError("the connection broke");
    },
  };
}

function words(answer: Response, header: string): string[] {
  return (answer.headers.get(header) ?? "").split(",").map((word) => word.trim().toLowerCase());
}
