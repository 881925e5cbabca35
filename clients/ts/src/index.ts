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
export * from "../gen/linkforty/v1/attribution_service_pb.js";
export * from "../gen/linkforty/v1/audit_service_pb.js";
export * from "../gen/linkforty/v1/auth_service_pb.js";
export * from "../gen/linkforty/v1/breakdown_pb.js";
export * from "../gen/linkforty/v1/campaign_pb.js";
export * from "../gen/linkforty/v1/cost_service_pb.js";
export * from "../gen/linkforty/v1/dimension_pb.js";
export * from "../gen/linkforty/v1/domain_service_pb.js";
export * from "../gen/linkforty/v1/error_reason_pb.js";
export * from "../gen/linkforty/v1/fraud_pb.js";
export * from "../gen/linkforty/v1/funnel_pb.js";
export * from "../gen/linkforty/v1/item_error_pb.js";
export * from "../gen/linkforty/v1/link_export_pb.js";
export * from "../gen/linkforty/v1/link_import_pb.js";
export * from "../gen/linkforty/v1/link_pb.js";
export * from "../gen/linkforty/v1/link_service_pb.js";
export * from "../gen/linkforty/v1/measures_pb.js";
export * from "../gen/linkforty/v1/member_pb.js";
export * from "../gen/linkforty/v1/money_pb.js";
export * from "../gen/linkforty/v1/overview_pb.js";
export * from "../gen/linkforty/v1/platform_pb.js";
export * from "../gen/linkforty/v1/postback_service_pb.js";
export * from "../gen/linkforty/v1/project_service_pb.js";
export * from "../gen/linkforty/v1/qr_code_pb.js";
export * from "../gen/linkforty/v1/recorded_click_pb.js";
export * from "../gen/linkforty/v1/replay_pb.js";
export * from "../gen/linkforty/v1/report_export_pb.js";
export * from "../gen/linkforty/v1/report_service_pb.js";
export * from "../gen/linkforty/v1/report_span_pb.js";
export * from "../gen/linkforty/v1/resolution_pb.js";
export * from "../gen/linkforty/v1/retention_pb.js";
export * from "../gen/linkforty/v1/routing_pb.js";
export * from "../gen/linkforty/v1/routing_test_pb.js";
export * from "../gen/linkforty/v1/template_service_pb.js";
export * from "../gen/linkforty/v1/time_series_pb.js";
export * from "../gen/linkforty/v1/utm_preset_service_pb.js";
export * from "../gen/linkforty/v1/webhook_service_pb.js";
export * from "../gen/linkforty/v1/workspace_service_pb.js";
