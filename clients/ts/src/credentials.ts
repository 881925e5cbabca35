import { isMessage } from "@bufbuild/protobuf";
import { type Client, Code, type Interceptor, type UnaryResponse } from "@connectrpc/connect";
import {
  AuthService,
  ChangePasswordResponseSchema,
  CompleteSignInResponseSchema,
  RefreshSessionResponseSchema,
  SignInResponseSchema,
  SignOutResponseSchema,
} from "../gen/linkforty/v1/auth_service_pb.js";
import { orAborted } from "./abort.js";
import { LinkfortyError } from "./error.js";
import { type Session, sessionOf, type SessionStore } from "./session.js";

/** How long before its end an access token is renewed, so that none ends on its way. */
const EARLY_MS = 30_000;
/** A token younger than this is not renewed early: this machine's clock may be wrong, and the server's decides. */
const YOUNG_MS = 60_000;

/** Sends an API key with every call. */
export function byApiKey(apiKey: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${apiKey}`);
    return next(request);
  };
}

/**
 * Sends the access token of the session in `store` with every call, renews it in time, and keeps the store up to date
 * with what SignIn, CompleteSignIn, RefreshSession, ChangePassword and SignOut answer. `auth` is called to renew and must not pass here.
 */
export function bySession(
  store: SessionStore,
  auth: Pick<Client<typeof AuthService>, "refreshSession">,
  onSignedOut: ((error: LinkfortyError) => void) | undefined,
): Interceptor {
  let renewal: Promise<Session | undefined> | undefined;
  let savedAt = -Infinity;

  async function save(session: Session): Promise<Session> {
    savedAt = performance.now();
    await store.save(session);
    return session;
  }

  function isDue(session: Session): boolean {
    return session.accessTokenExpireTime - Date.now() < EARLY_MS && performance.now() - savedAt > YOUNG_MS;
  }

  /** Returns a session newer than `stale`. However many ask at once, the refresh token is used once. */
  function renew(stale: Session, signal: AbortSignal): Promise<Session | undefined> {
    renewal ??= renewOnce(stale).finally(() => {
      renewal = undefined;
    });
    // Whoever started it may give up; the others still wait for it.
    return orAborted(renewal, signal);
  }

  async function renewOnce(stale: Session): Promise<Session | undefined> {
    const current = await store.load();
    if (current?.accessToken !== stale.accessToken) return current;
    const outcome = await auth.refreshSession({ refreshToken: current.refreshToken }).catch(LinkfortyError.from);
    // Meanwhile somebody signed out or in, or another tab was quicker: their word is the newer one.
    const latest = await store.load();
    if (latest?.refreshToken !== current.refreshToken) return latest;
    if (outcome instanceof LinkfortyError) {
      if (outcome.code === Code.Unauthenticated) {
        await store.save(undefined);
        onSignedOut?.(outcome);
      }
      throw outcome;
    }
    return outcome.tokens && save(sessionOf(outcome.tokens));
  }

  async function heed(response: UnaryResponse): Promise<void> {
    const { message } = response;
    if (
      isMessage(message, SignInResponseSchema) ||
      isMessage(message, CompleteSignInResponseSchema) ||
      isMessage(message, RefreshSessionResponseSchema) ||
      isMessage(message, ChangePasswordResponseSchema)
    ) {
      if (message.tokens) await save(sessionOf(message.tokens));
    } else if (isMessage(message, SignOutResponseSchema)) {
      await store.save(undefined);
    }
  }

  return (next) => async (request) => {
    const send: typeof next = async (request) => {
      const response = await next(request);
      if (!response.stream) await heed(response);
      return response;
    };
    if (needsNoSession(request.method)) return send(request);

    let session = await store.load();
    if (!session) return send(request);
    if (isDue(session)) {
      // If it fails the token at hand may still do; if it does not, the answer says so below.
      const stale = session;
      session = (await renew(stale, request.signal).catch(() => undefined)) ?? stale;
    }
    request.header.set("authorization", `Bearer ${session.accessToken}`);
    try {
      return await send(request);
    } catch (thrown) {
      // A stream's request is used up by the first attempt.
      if (request.stream || !wantsNewToken(LinkfortyError.from(thrown))) throw thrown;
      const renewed = await renew(session, request.signal);
      if (!renewed || renewed.accessToken === session.accessToken) throw thrown;
      request.header.set("authorization", `Bearer ${renewed.accessToken}`);
      return send(request);
    }
  };
}

function needsNoSession(method: { parent: { typeName: string }; name: string }): boolean {
  const auth = AuthService.method;
  const open = [
    auth.signIn,
    auth.completeSignIn,
    auth.getSignInMethods,
    auth.beginOidcSignIn,
    auth.completeOidcSignIn,
    auth.beginPasskeySignIn,
    auth.finishPasskeySignIn,
    auth.refreshSession,
    auth.requestPasswordReset,
    auth.resetPassword,
    auth.verifyEmail,
  ];
  return method.parent.typeName === AuthService.typeName && open.some(({ name }) => name === method.name);
}

/** A server whose secret was changed no longer knows its own access tokens and calls them missing. */
function wantsNewToken({ reason }: LinkfortyError): boolean {
  return reason === "CREDENTIALS_INVALID" || reason === "CREDENTIALS_MISSING";
}
