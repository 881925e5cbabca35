import { Code, ConnectError } from "@connectrpc/connect";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";
import { ErrorReason } from "../gen/linkforty/v1/error_reason_pb.js";

/**
 * Why a call failed, for programs. `UNSPECIFIED` when no linkforty server said why: the network, a proxy, the caller's
 * own `AbortSignal`, or a server newer than this client.
 */
export type Reason = keyof typeof ErrorReason;

/** One wrong field of a request. */
export interface Violation {
  /** The path of the field in the names of the contract, for example `link.destination_url`. */
  readonly field: string;
  /** What is wrong with it, for people. */
  readonly description: string;
}

/** The domain of every `ErrorInfo` that linkforty sends. */
const DOMAIN = "linkforty";

/**
 * What every method of the client throws. `message` is for people; branch on `reason`.
 *
 * @example
 * ```ts
 * try {
 *   await client.links.createLink({ link: { shortCode: "spring", destinationUrl } });
 * } catch (error) {
 *   if (error instanceof LinkfortyError && error.reason === "SHORT_CODE_TAKEN") askForAnother();
 *   else throw error;
 * }
 * ```
 */
export class LinkfortyError extends Error {
  override readonly name = "LinkfortyError";
  /** The canonical gRPC code. */
  readonly code: Code;
  /** Why, for programs. */
  readonly reason: Reason;
  /** All fields that are wrong, when the reason is `INVALID_FIELDS`; otherwise empty. */
  readonly violations: readonly Violation[];
  /** Facts that go with the reason, for example `permission`; see the comments of `ErrorReason`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** After how many milliseconds a repeat makes sense, when the server said so. */
  readonly retryDelay: number | undefined;
  /** The id under which the server's log knows the call, when the answer carried one. Quote it in a report. */
  readonly requestId: string | undefined;

  private constructor(error: ConnectError) {
    super(error.rawMessage, { cause: error.cause ?? error });
    const info = error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === DOMAIN);
    const retry = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
    this.code = error.code;
    this.reason = reasonOf(info?.reason, error.code);
    this.violations = error
      .findDetails(BadRequestSchema)
      .flatMap((detail) => detail.fieldViolations)
      .map(({ field, description }) => ({ field, description }));
    this.metadata = { ...info?.metadata };
    this.retryDelay = retry && durationMs(retry);
    this.requestId = error.metadata.get("x-request-id") ?? undefined;
  }

  /** Returns anything that was thrown as a `LinkfortyError`; one that is one already stays itself. */
  static from(thrown: unknown): LinkfortyError {
    if (thrown instanceof LinkfortyError) return thrown;
    const error = ConnectError.from(thrown);
    // Connect wraps what its interceptors throw.
    return error.cause instanceof LinkfortyError ? error.cause : new LinkfortyError(error);
  }
}

function reasonOf(name: string | undefined, code: Code): Reason {
  if (name !== undefined && isReason(name)) return name;
  // The client's own clock may run out before the server's: for the caller that is the same.
  return code === Code.DeadlineExceeded ? "DEADLINE_EXCEEDED" : "UNSPECIFIED";
}

function isReason(name: string): name is Reason {
  // The compiled enum also maps numbers to names; those keys are no reasons.
  return Object.hasOwn(ErrorReason, name) && Number.isNaN(Number(name));
}
