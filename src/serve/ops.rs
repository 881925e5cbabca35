//! What operators look at: metrics, health in detail, reflection. Not for the public: bind it to loopback or a private network.

use std::{
    fs,
    sync::{Arc, OnceLock},
};

use anyhow::Context as _;
use axum::{Router, extract::Query, routing::get};
use http::{StatusCode, header::CONTENT_TYPE};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tonic::service::Routes;

use super::{
    health::{Eyes, Health},
    layers::{self, DURATIONS, Methods},
    refusal,
};
use crate::{
    domains::{self, Site, Sites},
    env::Env,
    pb,
};

/// The recorder belongs to the process, because the `metrics` crate has one: servers in the same test process share it.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder, before the first handle is made: a handle made earlier counts for nobody.
pub(super) fn install_recorder() {
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = builder
            .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &DURATIONS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let delay = Matcher::Full("linkforty_link_change_delay_seconds".to_owned());
        let builder =
            builder.set_buckets_for_metric(delay, &DURATIONS).unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("somebody else installed a metrics recorder; /metrics stays empty");
        }
        handle
    });
}

/// Returns the ops listener's router.
pub(super) fn router(env: &Env, health: &Health, sites: Sites) -> anyhow::Result<Router> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection = Routes::new(reflection().build_v1().context("the descriptors cannot be read")?)
        .add_service(reflection().build_v1alpha().context("the descriptors cannot be read")?)
        .into_axum_router()
        .reset_fallback();
    let router = Router::new()
        .route("/metrics", get(render))
        .route("/tls/ask", get(move |question| ask(sites.clone(), question)))
        .merge(health.routes(Eyes::Operators))
        .merge(reflection)
        .fallback(async || refusal::refuse(refusal::unknown_path()));
    Ok(layers::common(router, "ops", env, &Arc::new(Methods::of_the_contract())))
}

/// What a proxy asks before it gets a certificate for a host.
#[derive(serde::Deserialize)]
struct Question {
    domain: String,
}

/// Says whether a host is the server's own or a proved domain: 200 or 404, and 503 when nobody can say. Not for addresses and
/// `localhost`, for which nobody gets a certificate.
async fn ask(sites: Sites, Query(Question { domain }): Query<Question>) -> (StatusCode, &'static str) {
    match sites.named(domain.as_bytes()) {
        Site::Of(_) => (StatusCode::OK, "a proved domain\n"),
        Site::Own if domains::parse_host(&domain).is_ok() => (StatusCode::OK, "our own\n"),
        Site::Own | Site::Unknown => (StatusCode::NOT_FOUND, "not ours\n"),
        Site::Away => (StatusCode::SERVICE_UNAVAILABLE, "cannot say\n"),
    }
}

async fn render() -> ([(http::HeaderName, &'static str); 1], String) {
    measure_process();
    let mut text = RECORDER.get().map(PrometheusHandle::render).unwrap_or_default();
    layers::add_redirects(&mut text);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// Folds what histograms have collected, so that they do not grow while nobody asks.
pub(super) fn upkeep() {
    if let Some(recorder) = RECORDER.get() {
        recorder.run_upkeep();
    }
}

/// Reads what the kernel knows of this process. Anywhere but on Linux there is nothing to read.
fn measure_process() {
    let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        for (key, name) in
            [("VmRSS:", "process_resident_memory_bytes"), ("VmSize:", "process_virtual_memory_bytes")]
        {
            if let Some(kib) = status.lines().find_map(|line| line.strip_prefix(key)).and_then(number) {
                metrics::gauge!(name).set(kib * 1024.0);
            }
        }
        if let Some(threads) = status.lines().find_map(|line| line.strip_prefix("Threads:")).and_then(number)
        {
            metrics::gauge!("process_threads").set(threads);
        }
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(files.count() as f64);
    }
    if let Ok(stat) = fs::read_to_string("/proc/self/stat")
        && let Some((_, after_name)) = stat.rsplit_once(')')
    {
        // Fields 14 and 15 of proc(5), counted in hundredths of a second, which is what the kernel shows to programs.
        let ticks: f64 = after_name.split_whitespace().skip(11).take(2).filter_map(number).sum();
        metrics::gauge!("process_cpu_seconds_total").set(ticks / 100.0);
    }
}
