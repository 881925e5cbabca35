import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { SessionTokens } from "../gen/linkforty/v1/auth_service_pb.js";

/** The tokens of one sign-in: plain data, fit for `JSON.stringify`. As secret as a password while it lasts. */
export interface Session {
  /** The token that calls carry. */
  accessToken: string;
  /** When the access token ends, in milliseconds since 1970. */
  accessTokenExpireTime: number;
  /** The token for new tokens; single use. */
  refreshToken: string;
  /** When the refresh token ends if it is not used, in milliseconds since 1970. */
  refreshTokenExpireTime: number;
}

/**
 * Where the client keeps a session. It is asked before every call and told after every change, so that several
 * clients (the tabs of a browser) may share one place: the first to renew the session does it for all.
 */
export interface SessionStore {
  /** Returns the newest session, or `undefined` when nobody is signed in. */
  load(): Session | undefined | Promise<Session | undefined>;
  /** Keeps a session in place of the one before; `undefined` forgets it. */
  save(session: Session | undefined): void | Promise<void>;
}

/** Returns a store that lasts as long as the program, or the page. */
export function memoryStore(session?: Session): SessionStore {
  return {
    load: () => session,
    save: (next) => {
      session = next;
    },
  };
}

/**
 * Returns a store in `sessionStorage` (one tab) or `localStorage` (all tabs, until sign-out). Any script of the page's
 * origin can read either.
 */
export function webStore(
  storage: Pick<Storage, "getItem" | "setItem" | "removeItem">,
  key = "linkforty.session",
): SessionStore {
  return {
    load() {
      const text = storage.getItem(key);
      return text === null ? undefined : (JSON.parse(text) as Session);
    },
    save(session) {
      if (session) storage.setItem(key, JSON.stringify(session));
      else storage.removeItem(key);
    },
  };
}

/** Returns the tokens of an answer as a session. */
export function sessionOf(tokens: SessionTokens): Session {
  const { accessToken, accessTokenExpireTime, refreshToken, refreshTokenExpireTime } = tokens;
  return {
    accessToken,
    // An answer without a time is renewed when the server says so.
    accessTokenExpireTime: accessTokenExpireTime ? timestampMs(accessTokenExpireTime) : Infinity,
    refreshToken,
    refreshTokenExpireTime: refreshTokenExpireTime ? timestampMs(refreshTokenExpireTime) : Infinity,
  };
}
