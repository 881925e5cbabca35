//! Compiles `proto/` without a system protoc and without a network (protox), and keeps the descriptor
//! set beside the code, for reflection and for the tests that walk over every RPC.

use std::{env, fs, path::PathBuf};

const FILES: &[&str] = &[
    "linkforty/v1/error_reason.proto",
    "linkforty/v1/fraud.proto",
    "linkforty/v1/replay.proto",
    "linkforty/v1/auth_service.proto",
    "linkforty/v1/workspace_service.proto",
    "linkforty/v1/api_key_service.proto",
    "linkforty/v1/routing.proto",
    "linkforty/v1/domain_service.proto",
    "linkforty/v1/resolution.proto",
    "linkforty/v1/routing_test.proto",
    "linkforty/v1/link_service.proto",
    "linkforty/v1/project_service.proto",
    "linkforty/v1/template_service.proto",
    "linkforty/v1/utm_preset_service.proto",
    "linkforty/v1/recorded_click.proto",
    "linkforty/v1/report_export.proto",
    "linkforty/v1/analytics_service.proto",
    "linkforty/v1/report_service.proto",
    "linkforty/v1/cost_service.proto",
    "linkforty/v1/app_service.proto",
    "linkforty/v1/attribution_service.proto",
    "linkforty/v1/postback_service.proto",
    "linkforty/v1/audit_service.proto",
    "linkforty/v1/webhook_service.proto",
    "linkforty/sdk/v1/sdk_service.proto",
    "linkforty/internal/v1/page_token.proto",
    "linkforty/internal/v1/postback_record.proto",
    "linkforty/internal/v1/click_record.proto",
    "linkforty/internal/v1/event_record.proto",
    "linkforty/internal/v1/feed.proto",
    "linkforty/internal/v1/import_reading.proto",
    "linkforty/internal/v1/install_record.proto",
    "linkforty/internal/v1/webhook.proto",
];

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    // tonic-prost-build does not name the files it read.
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let descriptors = compiler.file_descriptor_set();
    compiler.include_source_info(false);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // As bytes, since prost's own types do not know every option, such as the one that marks secrets.
    fs::write(out.join("descriptors.binpb"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .bytes(".linkforty.internal.v1")
        .bytes(".linkforty.v1.ImportChunkRequest.data")
        .bytes(".linkforty.v1.ImportLinksRequest.data")
        .bytes(".linkforty.v1.ExportLinksResponse.data")
        .bytes(".linkforty.v1.ExportImportErrorsResponse.data")
        .bytes(".linkforty.v1.ExportAuditEventsResponse.data")
        .bytes(".linkforty.v1.ExportReportResponse.data")
        .bytes(".linkforty.v1.QrStyle.logo")
        .bytes(".linkforty.v1.GetQrCodeResponse.image")
        // Ordered, so that one message has one encoding: request ids compare encodings.
        .btree_map(".linkforty.v1")
        .btree_map(".linkforty.sdk.v1")
        .compile_fds(descriptors)?;
    Ok(())
}
