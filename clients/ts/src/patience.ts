import { clone, create, type DescMessage, type DescMethodUnary, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { AuthService } from "../gen/linkforty/v1/auth_service_pb.js";
import { sleep } from "./abort.js";
import { LinkfortyError } from "./error.js";

/** How often a call is sent at the most, the first time included. */
const MAX_ATTEMPTS = 4;
/** The wait before the first repeat when the server names none; doubled for each further one. */
const FIRST_WAIT_MS = 200;

/**
 * Returns a transport that repeats what may be repeated and throws `LinkfortyError`. `timeoutMs` bounds a call with
 * all its repeats when the caller sets no bound; 0 means none. Streams are not repeated, and have no bound: who reads
 * one knows how far it came.
 */
export function patient(transport: Transport, timeoutMs: number): Transport {
  return {
    async unary(method, signal, callTimeoutMs, header, input, contextValues) {
      const message = withRequestId(method, input);
      const bound = callTimeoutMs ?? timeoutMs;
      const deadline = bound > 0 ? performance.now() + bound : Infinity;
      for (let attempt = 1; ; attempt++) {
        // Each attempt tells the server what is really left; 0 is Connect's word for no bound.
        const left = deadline === Infinity ? 0 : Math.max(1, Math.ceil(deadline - performance.now()));
        try {
          return await transport.unary(method, signal, left, header, message, contextValues);
        } catch (thrown) {
          const error = LinkfortyError.from(thrown);
          const wait = repeatable(method) ? waitBeforeRepeat(error, attempt, Math.random()) : undefined;
          // Nobody would hear an answer after the deadline, and this error says more than a late one.
          if (wait === undefined || performance.now() + wait >= deadline) throw error;
          try {
            await sleep(wait, signal);
          } catch (reason) {
            throw LinkfortyError.from(new ConnectError("aborted by the caller", Code.Canceled, undefined, undefined, reason));
          }
        }
      }
    },
    async stream(...call) {
      try {
        const response = await transport.stream(...call);
        return { ...response, message: explained(response.message) };
      } catch (thrown) {
        throw LinkfortyError.from(thrown);
      }
    },
  };
}

/** Returns the messages of a stream, whose failure is a `LinkfortyError`. */
async function* explained<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (thrown) {
    throw LinkfortyError.from(brokenOff(thrown));
  }
}

/** A connection that breaks while a stream is read is a TypeError too, which Connect knows no code for. */
function brokenOff(thrown: unknown): unknown {
  const { code, cause } = ConnectError.from(thrown);
  if (code !== Code.Unknown || !(cause instanceof TypeError)) return thrown;
  return new ConnectError(`the stream broke off: ${cause.message}`, Code.Unavailable, undefined, undefined, cause);
}

/**
 * Returns how long to wait before a call is sent again, in milliseconds, or `undefined` when it is not. `random` is
 * from 0 to 1: clients that failed together must not come back together.
 */
export function waitBeforeRepeat(
  error: Pick<LinkfortyError, "code" | "retryDelay">,
  attempt: number,
  random: number,
): number | undefined {
  if (attempt >= MAX_ATTEMPTS) return undefined;
  // The server's delay is the least there is; being early would only be refused again.
  const asked = error.retryDelay === undefined ? undefined : error.retryDelay * (1 + random / 4);
  switch (error.code) {
    case Code.Unavailable:
      return asked ?? FIRST_WAIT_MS * 2 ** (attempt - 1) * (0.5 + random / 2);
    case Code.ResourceExhausted:
      // Without a time it is no rate limit but a size or a quota, and waiting changes nothing.
      return asked;
    default:
      return undefined;
  }
}

/**
 * Says whether a call may reach the server twice: it reads, or it carries a request id, which is always filled.
 * RefreshSession forgives a second use of its token within 30 seconds, for exactly this.
 */
function repeatable(method: DescMethodUnary): boolean {
  return (
    /^(Get|List|Match)[A-Z]/.test(method.name) ||
    method.input.field["requestId"] !== undefined ||
    (method.parent.typeName === AuthService.typeName && method.name === AuthService.method.refreshSession.name)
  );
}

/** Returns the request with a request id. The caller's own message stays as it is: used again, it is another call. */
function withRequestId<I extends DescMessage>(
  method: DescMethodUnary<I>,
  input: MessageInitShape<I>,
): MessageShape<I> {
  const message = create(method.input, input);
  const field = method.input.field["requestId"];
  if (field?.fieldKind !== "scalar" || reflect(method.input, message).get(field) !== "") return message;
  const filled = clone(method.input, message);
  reflect(method.input, filled).set(field, crypto.randomUUID());
  return filled;
}

/** Turns a broken connection, which `fetch` reports as a TypeError, into the code that means it. */
export const networkFailures: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
    const message = `${new URL(request.url, globalThis.location?.href).origin} cannot be reached: ${thrown.message}`;
    throw new ConnectError(message, Code.Unavailable, undefined, undefined, thrown);
  }
};
