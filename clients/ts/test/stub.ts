import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { createFetchHandler } from "@connectrpc/connect/protocol";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "#gen/google/rpc/error_details_pb.js";
import { orAborted } from "#src/abort.js";
import type { Reason, Session, SessionTokensSchema, Violation } from "@linkforty/client";

/** A `fetch` behind which stand the given services, with the bytes that a server would send. */
export function serving(routes: (router: ConnectRouter) => void): typeof globalThis.fetch {
  const router = createConnectRouter({ grpcWeb: true, grpc: false, connect: false });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, createFetchHandler(handler)]));
  return async (input, init) => {
    const request = new Request(input, init);
    const handler = handlers.get(new URL(request.url).pathname);
    if (!handler) return new Response(null, { status: 404 });
    return orAborted(handler(request), request.signal);
  };
}

interface Refusal {
  metadata?: Record<string, string>;
  violations?: Violation[];
  retryMs?: number;
  requestId?: string;
}

/** An error as the server sends it. */
export function refusal(code: Code, reason: Reason, refusal: Refusal = {}): ConnectError {
  const { metadata = {}, violations = [], retryMs, requestId } = refusal;
  const error = new ConnectError("refused by the stub", code, requestId ? { "x-request-id": requestId } : {});
  error.details.push({ desc: ErrorInfoSchema, value: { reason, domain: "linkforty", metadata } });
  if (violations.length > 0) {
    error.details.push({ desc: BadRequestSchema, value: { fieldViolations: violations } });
  }
  if (retryMs !== undefined) {
    error.details.push({ desc: RetryInfoSchema, value: { retryDelay: { nanos: retryMs * 1e6 } } });
  }
  return error;
}

/** The token a call carried. */
export function bearerOf(context: { requestHeader: Headers }): string | undefined {
  return context.requestHeader.get("authorization")?.replace(/^Bearer /, "");
}

/** The n-th pair of tokens of a session, as the server sends it. */
export function tokens(n: number): MessageInitShape<typeof SessionTokensSchema> {
  return {
    accessToken: `access-${n}`,
    accessTokenExpireTime: timestampFromMs(Date.now() + 600_000),
    refreshToken: `refresh-${n}`,
    refreshTokenExpireTime: timestampFromMs(Date.now() + 14 * 86_400_000),
  };
}

/** The n-th session, whose access token ends in `lifeMs`. */
export function session(n: number, lifeMs = 600_000): Session {
  return {
    accessToken: `access-${n}`,
    accessTokenExpireTime: Date.now() + lifeMs,
    refreshToken: `refresh-${n}`,
    refreshTokenExpireTime: Date.now() + 14 * 86_400_000,
  };
}
