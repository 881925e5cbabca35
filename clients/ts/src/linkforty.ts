import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { AnalyticsService } from "../gen/linkforty/v1/analytics_service_pb.js";
import { ApiKeyService } from "../gen/linkforty/v1/api_key_service_pb.js";
import { AppService } from "../gen/linkforty/v1/app_service_pb.js";
import { AttributionService } from "../gen/linkforty/v1/attribution_service_pb.js";
import { AuditService } from "../gen/linkforty/v1/audit_service_pb.js";
import { AuthService } from "../gen/linkforty/v1/auth_service_pb.js";
import { CostService } from "../gen/linkforty/v1/cost_service_pb.js";
import { DomainService } from "../gen/linkforty/v1/domain_service_pb.js";
import { LinkService } from "../gen/linkforty/v1/link_service_pb.js";
import { PostbackService } from "../gen/linkforty/v1/postback_service_pb.js";
import { ProjectService } from "../gen/linkforty/v1/project_service_pb.js";
import { ReportService } from "../gen/linkforty/v1/report_service_pb.js";
import { TemplateService } from "../gen/linkforty/v1/template_service_pb.js";
import { UtmPresetService } from "../gen/linkforty/v1/utm_preset_service_pb.js";
import { WebhookService } from "../gen/linkforty/v1/webhook_service_pb.js";
import { WorkspaceService } from "../gen/linkforty/v1/workspace_service_pb.js";
import { byApiKey, bySession } from "./credentials.js";
import type { LinkfortyError } from "./error.js";
import { networkFailures, patient } from "./patience.js";
import { memoryStore, type SessionStore } from "./session.js";

/** What `createLinkforty` needs to know. */
export interface LinkfortyOptions {
  /** The API listener, for example `https://api.example.com`. In a browser `""` means the page's own origin. */
  baseUrl: string;
  /**
   * Who calls. A text is an API key (`lf_live_...`). A store holds the session of a person: empty until
   * `auth.signIn`, renewed by itself, emptied by `auth.signOut`. Default: a store in memory.
   */
  credentials?: string | SessionStore;
  /** What sends requests. Default: the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /**
   * Called when the server has ended the session by itself: signed out elsewhere, or not used for too long. The store
   * is empty by then, and calls under way fail with `CREDENTIALS_INVALID`.
   */
  onSignedOut?: (error: LinkfortyError) => void;
  /** How long a call may take with all its repeats unless it sets its own `timeoutMs`. Default: 30,000; 0: no bound. */
  timeoutMs?: number;
}

/** The services of one server, seen by one caller. Every method takes a request and `CallOptions`. */
export interface Linkforty {
  /** Signs people in and out. */
  readonly auth: Client<typeof AuthService>;
  /** The tenants. */
  readonly workspaces: Client<typeof WorkspaceService>;
  /** The credentials of programs. */
  readonly apiKeys: Client<typeof ApiKeyService>;
  /** Hosts of a workspace for its links. */
  readonly domains: Client<typeof DomainService>;
  /** Mobile apps, and which links open them. */
  readonly apps: Client<typeof AppService>;
  /** Short links. */
  readonly links: Client<typeof LinkService>;
  /** Folders for links. */
  readonly projects: Client<typeof ProjectService>;
  /** What links have in common. */
  readonly templates: Client<typeof TemplateService>;
  /** Campaign parameters under names. */
  readonly utmPresets: Client<typeof UtmPresetService>;
  /** What was recorded. */
  readonly analytics: Client<typeof AnalyticsService>;
  /** Questions that are kept, and links to their answers. */
  readonly reports: Client<typeof ReportService>;
  /** What campaigns cost. */
  readonly costs: Client<typeof CostService>;
  /** Installs and events, and why they were credited. */
  readonly attribution: Client<typeof AttributionService>;
  /** What Apple says of installs. */
  readonly postbacks: Client<typeof PostbackService>;
  /** URLs that are called with what happens. */
  readonly webhooks: Client<typeof WebhookService>;
  /** Who did what. */
  readonly audit: Client<typeof AuditService>;
}

/**
 * Returns a client. It opens no connection and calls nothing until a method is called.
 *
 * Every method throws `LinkfortyError`. A call that cannot be reached or is put off is repeated, four attempts at the
 * most and never past its deadline, if that cannot do its work twice: reads always, changes by their `requestId`,
 * which is filled when it is empty.
 */
export function createLinkforty(options: LinkfortyOptions): Linkforty {
  const { baseUrl, credentials = memoryStore(), onSignedOut, timeoutMs = 30_000 } = options;
  if (credentials === "") throw new TypeError("credentials is an empty text: an API key starts with lf_");
  // Throws at once for what is no address, instead of at each call.
  new URL(baseUrl, globalThis.location?.href);

  const through = (...interceptors: Interceptor[]) =>
    patient(
      createGrpcWebTransport({
        baseUrl,
        useBinaryFormat: true,
        interceptors: [...interceptors, networkFailures],
        ...(options.fetch && { fetch: options.fetch }),
      }),
      timeoutMs,
    );
  const transport = through(
    typeof credentials === "string"
      ? byApiKey(credentials)
      : bySession(credentials, createClient(AuthService, through()), onSignedOut),
  );
  return {
    auth: createClient(AuthService, transport),
    workspaces: createClient(WorkspaceService, transport),
    apiKeys: createClient(ApiKeyService, transport),
    domains: createClient(DomainService, transport),
    apps: createClient(AppService, transport),
    links: createClient(LinkService, transport),
    projects: createClient(ProjectService, transport),
    templates: createClient(TemplateService, transport),
    utmPresets: createClient(UtmPresetService, transport),
    analytics: createClient(AnalyticsService, transport),
    reports: createClient(ReportService, transport),
    costs: createClient(CostService, transport),
    attribution: createClient(AttributionService, transport),
    postbacks: createClient(PostbackService, transport),
    webhooks: createClient(WebhookService, transport),
    audit: createClient(AuditService, transport),
  };
}
