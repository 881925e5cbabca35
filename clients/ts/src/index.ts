/**
 * The TypeScript client of linkforty, for browsers and Node 20.
 *
 * `createLinkforty` is the way in. The rest of this module is what its methods take, return and throw; every message
 * and enum of the contract is exported under its own name.
 *
 * @packageDocumentation
 */

export { createLinkforty, type Linkforty, type LinkfortyOptions } from "./linkforty.js";
export { LinkfortyError, type Reason, type Violation } from "./error.js";
export { memoryStore, webStore, type Session, type SessionStore } from "./session.js";
export { pages } from "./pages.js";
export { Code, type CallOptions } from "@connectrpc/connect";

export * from "../gen/linkforty/v1/analytics_service_pb.js";
export * from "../gen/linkforty/v1/api_key_service_pb.js";
export * from "../gen/linkforty/v1/app_pb.js";
export * from "../gen/linkforty/v1/app_service_pb.js";
export * from "../gen/linkforty/v1/auth_service_pb.js";
export * from "../gen/linkforty/v1/breakdown_pb.js";
export * from "../gen/linkforty/v1/campaign_pb.js";
export * from "../gen/linkforty/v1/dimension_pb.js";
export * from "../gen/linkforty/v1/error_reason_pb.js";
export * from "../gen/linkforty/v1/funnel_pb.js";
export * from "../gen/linkforty/v1/item_error_pb.js";
export * from "../gen/linkforty/v1/link_pb.js";
export * from "../gen/linkforty/v1/link_service_pb.js";
export * from "../gen/linkforty/v1/measures_pb.js";
export * from "../gen/linkforty/v1/member_pb.js";
export * from "../gen/linkforty/v1/money_pb.js";
export * from "../gen/linkforty/v1/overview_pb.js";
export * from "../gen/linkforty/v1/platform_pb.js";
export * from "../gen/linkforty/v1/report_span_pb.js";
export * from "../gen/linkforty/v1/retention_pb.js";
export * from "../gen/linkforty/v1/time_series_pb.js";
export * from "../gen/linkforty/v1/webhook_service_pb.js";
export * from "../gen/linkforty/v1/workspace_service_pb.js";
