//! What apps may say of an install, read once at the door, and what an install is known by. Pure, but for the keys of hashes.

use std::{net::IpAddr, sync::Arc};

use chrono::Duration;
use ring::{digest, hmac};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::{
    apps::tokens::Holder,
    attribution::{
        decide::{LIKENESS_WINDOW, THRESHOLD, WINDOW},
        networks::{self, referrer::unwrapped},
        shared,
    },
    clicks::{VisitorHash, network_of},
    clock::Moment,
    env::Env,
    error::{Error, Result, Violations},
    ids::{AppId, InstallId, WorkspaceId},
    links::moment,
    pb::{internal::v1::InstallRecord, sdk::v1 as sdk, v1},
};

/// The longest texts that are read.
const MAX_REFERRER: usize = 2048;
const MAX_URL: usize = 8192;
const MAX_ID: usize = 128;
const MAX_TOKEN: usize = 4096;
const MAX_SIDE: u32 = 100_000;

/// How long after its last install a device is a new one, unless the app says otherwise (AppsFlyer's default).
const REATTRIBUTION: Duration = Duration::days(90);

/// How long a device without an id is known by its likeness alone, after it was last seen.
pub fn likeness_life() -> Duration {
    Duration::hours(24)
}

/// Whose app reports, as far as the caller said.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Which app.
    pub app: Option<AppId>,
    /// How the app's installs are credited.
    pub attribution: v1::AppAttribution,
    /// What the workspace says of likeness, where the app does not.
    pub probabilistic: bool,
    /// What the operator says the workspace may have, where that is not the default.
    pub quotas: Option<serde_json::Value>,
    /// The app's number in the App Store; may be empty.
    pub app_store_id: String,
    /// The app's package on Android; may be empty.
    pub package_name: String,
}

impl From<&Holder> for Scope {
    fn from(holder: &Holder) -> Self {
        let content = &holder.content;
        Self {
            workspace: holder.workspace,
            app: Some(holder.app),
            attribution: content.attribution.unwrap_or_default(),
            probabilistic: holder.probabilistic,
            quotas: holder.quotas.clone(),
            app_store_id: content.ios.as_ref().map(|ios| ios.app_store_id.clone()).unwrap_or_default(),
            package_name: content.android.as_ref().map(|on| on.package_name.clone()).unwrap_or_default(),
        }
    }
}

impl Scope {
    /// Returns a report that says whose it is, how it is decided, from where and when it came, and nothing else.
    pub fn begin(
        &self,
        env: &Env,
        client: Option<IpAddr>,
        platform: sdk::Platform,
        now: Moment,
    ) -> InstallRecord {
        let of = &self.attribution;
        let asked = match platform {
            sdk::Platform::Ios => of.probabilistic_ios,
            sdk::Platform::Android => of.probabilistic_android,
            sdk::Platform::Unspecified => None,
        };
        let derived = derived(env);
        let client = client.filter(|client| !shared::is_shared(env, *client));
        let seconds = |given: Option<prost_types::Duration>, otherwise: chrono::Duration| {
            given.map_or(otherwise.num_seconds(), |given| given.seconds)
        };
        InstallRecord {
            workspace_id: bytes(self.workspace.0),
            app_id: self.app.map(|app| bytes(app.0)).unwrap_or_default(),
            receive_time_micros: now.timestamp_micros(),
            install_time_micros: now.timestamp_micros(),
            platform: platform.into(),
            network: client.map(|client| network_of(client).to_vec()).unwrap_or_default().into(),
            address: client.map_or(0, |client| derived.hashes.address(self.workspace, client)),
            likeness: asked.unwrap_or(self.probabilistic),
            threshold: u32::try_from(of.probabilistic_threshold)
                .ok()
                .filter(|threshold| *threshold != 0)
                .unwrap_or(THRESHOLD.into()),
            likeness_window_seconds: seconds(of.probabilistic_window, LIKENESS_WINDOW),
            default_window_seconds: seconds(of.attribution_window, WINDOW),
            view_window_seconds: seconds(of.view_window, chrono::Duration::zero()),
            reattribution_window_seconds: seconds(of.reattribution_window, REATTRIBUTION),
            app_store_id: self.app_store_id.clone(),
            package_name: self.package_name.clone(),
            ..InstallRecord::default()
        }
    }

    /// Returns what something is known by: 16 bytes of a hash that nobody without this server's secret can make, and that is
    /// another one in every app.
    pub fn key(&self, env: &Env, kind: &str, text: &str) -> Vec<u8> {
        let app = self.app.map(|app| app.0).unwrap_or_default();
        keyed(env, &[self.workspace.0.as_bytes(), app.as_bytes(), kind.as_bytes(), &[0], text.as_bytes()])
    }

    /// The same, in all apps of the workspace: a click may come by another one.
    pub fn identity(&self, env: &Env, kind: &str, text: &str) -> Vec<u8> {
        identity(env, self.workspace, kind, text)
    }
}

/// Returns what a device or a user is known by in a workspace.
pub fn identity(env: &Env, workspace: WorkspaceId, kind: &str, text: &str) -> Vec<u8> {
    keyed(env, &[workspace.0.as_bytes(), b"identity", kind.as_bytes(), &[0], text.as_bytes()])
}

/// Returns what the id of an install that was kept is known by, when the device turned out to be known already.
pub fn alias(env: &Env, workspace: WorkspaceId, id: InstallId) -> Vec<u8> {
    keyed(env, &[workspace.0.as_bytes(), b"alias", id.0.as_bytes()])
}

/// What is derived from the server's secret, once.
struct Derived {
    hashes: VisitorHash,
    key: hmac::Key,
}

fn derived(env: &Env) -> Arc<Derived> {
    env.memory.of(|| {
        let secret = env.secrets.session.expose_secret().as_bytes();
        let purpose = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"linkforty install v1");
        let key = hmac::Key::new(hmac::HMAC_SHA256, purpose.as_ref());
        Derived { hashes: VisitorHash::new(secret), key }
    })
}

fn keyed(env: &Env, parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = hmac::Context::with_key(&derived(env).key);
    parts.iter().for_each(|part| hash.update(part));
    hash.sign().as_ref()[..16].to_vec()
}

/// Returns the id of the install that is known by `key`: the same on every node and without a database. A likeness is another install
/// on another day.
pub fn provisional_id(workspace: WorkspaceId, key: &[u8], fleeting: bool, now: Moment) -> InstallId {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(workspace.0.as_bytes());
    hash.update(key);
    if fleeting {
        hash.update(&now.timestamp().div_euclid(86_400).to_be_bytes());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finish().as_ref()[..16]);
    InstallId(uuid::Builder::from_custom_bytes(id).into_uuid())
}

/// Gives a report what it is known by, strongest first, and the id that follows from it.
pub fn known_by(report: &mut InstallRecord, keys: Vec<Vec<u8>>, fleeting: bool, now: Moment) {
    let workspace = WorkspaceId(Uuid::from_slice(&report.workspace_id).unwrap_or_default());
    let first = keys.first().map(Vec::as_slice).unwrap_or_default();
    report.install_id = bytes(provisional_id(workspace, first, fleeting, now).0);
    report.keys = keys.into_iter().map(Into::into).collect();
    report.fleeting = fleeting;
}

/// Reads a report over gRPC.
pub fn read(
    env: &Env,
    scope: &Scope,
    asked: sdk::ReportInstallRequest,
    client: Option<IpAddr>,
    now: Moment,
) -> Result<InstallRecord> {
    let mut wrong = Violations::default();
    wrong.take("installation_id", client_id(&asked.installation_id));
    let device = read_device(asked.device, &mut wrong);
    let platform = sdk::Platform::try_from(device.platform).unwrap_or_default();
    let identity = asked.identity.unwrap_or_default();
    for (field, text, most) in [
        ("pasteboard", &asked.pasteboard, MAX_REFERRER),
        ("opened_url", &asked.opened_url, MAX_URL),
        ("app_clip_click_id", &asked.app_clip_click_id, MAX_ID),
        ("identity.device_id", &identity.device_id, MAX_ID),
        ("identity.user_id", &identity.user_id, MAX_ID),
    ] {
        if text.len() > most {
            wrong.add(field, format!("must have at most {most} bytes"));
        }
    }
    let referrer = asked.store_referrer.unwrap_or_default();
    if referrer.referrer.len() > MAX_REFERRER {
        wrong.add("store_referrer.referrer", format!("must have at most {MAX_REFERRER} bytes"));
    }
    let time = |field: &str, given: Option<prost_types::Timestamp>, wrong: &mut Violations| {
        given.and_then(|given| wrong.take(field, moment(&given)))
    };
    let first_open = time("first_open_time", asked.first_open_time, &mut wrong);
    let click = time("store_referrer.click_server_time", referrer.click_server_time, &mut wrong);
    let begin =
        time("store_referrer.install_begin_server_time", referrer.install_begin_server_time, &mut wrong);
    let click_device = time("store_referrer.click_time", referrer.click_time, &mut wrong);
    let begin_device = time("store_referrer.install_begin_time", referrer.install_begin_time, &mut wrong);
    check_store(&referrer, &mut wrong);
    let meta = asked.meta_referrer.unwrap_or_default();
    if meta.install_referrer.len() > MAX_URL {
        wrong.add("meta_referrer.install_referrer", format!("must have at most {MAX_URL} bytes"));
    }
    let meta_time = time("meta_referrer.actual_time", meta.actual_time, &mut wrong);
    let token = asked.adservices_token.trim();
    if token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        wrong
            .add("adservices_token", format!("must have at most {MAX_TOKEN} characters of ASCII, no blanks"));
    }
    let window = asked.attribution_window.map_or(0, |window| window.seconds);
    if asked.attribution_window.is_some() && !(3600..=90 * 86_400).contains(&window) {
        wrong.add("attribution_window", "must be an hour to 90 days");
    }
    wrong.into_result(())?;

    let mut report = scope.begin(env, client, platform, now);
    put_device(&mut report, device);
    report.install_time_micros = first_open.unwrap_or(now).min(now).timestamp_micros();
    let seconds = |time: Option<Moment>| time.map_or(0, |time| time.timestamp());
    report.store_referrer = unwrapped(&referrer.referrer).into_owned();
    report.store_click_seconds = seconds(click);
    report.store_begin_seconds = seconds(begin);
    report.store_click_device_seconds = seconds(click_device);
    report.store_begin_device_seconds = seconds(begin_device);
    report.store = referrer.store;
    report.install_version = referrer.install_version;
    report.google_play_instant = referrer.google_play_instant;
    report.meta_referrer = meta.install_referrer;
    report.meta_click_through = meta.click_through;
    report.meta_seconds = seconds(meta_time);
    if !token.is_empty() {
        report.adservices_token = networks::seal_token(env, scope.workspace, token).into();
    }
    report.pasteboard = asked.pasteboard;
    report.app_clip_click_id = asked.app_clip_click_id;
    report.opened_url = asked.opened_url;
    report.window_seconds = window;
    report.test = asked.test;
    if identity.allowed {
        report.identities = identities(env, scope, &identity).into_iter().map(Into::into).collect();
    }
    let mut keys = vec![scope.key(env, "installation", &asked.installation_id)];
    // A developers' device is a new one every time.
    if !identity.device_id.is_empty() && !asked.test {
        keys.push(scope.key(env, "device", &identity.device_id));
    }
    known_by(&mut report, keys, false, now);
    Ok(report)
}

/// Notes what is wrong with what a store says beside its text.
fn check_store(referrer: &sdk::StoreReferrer, wrong: &mut Violations) {
    if sdk::Store::try_from(referrer.store).is_err() {
        wrong.add("store_referrer.store", "is none this server knows");
    }
    let version = &referrer.install_version;
    if version.chars().count() > 64 || version.chars().any(char::is_control) {
        wrong.add("store_referrer.install_version", "must have at most 64 characters, none a control one");
    }
}

/// Returns the keys of the ids of a device and a user that may be used.
pub fn identities(env: &Env, scope: &Scope, identity: &sdk::Identity) -> Vec<Vec<u8>> {
    let ids = [("device", &identity.device_id), ("user", &identity.user_id)];
    let said = ids.into_iter().filter(|(_, id)| !id.is_empty());
    said.map(|(kind, id)| scope.identity(env, kind, id)).collect()
}

/// Makes sure that a text is an id that an app chose.
pub fn client_id(text: &str) -> Result<(), &'static str> {
    let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if good && (8..=64).contains(&text.len()) {
        return Ok(());
    }
    Err("must be 8 to 64 letters, digits, hyphens and underscores")
}

/// Reads what an app says of its device, and notes what is wrong with it.
pub fn read_device(device: Option<sdk::Device>, wrong: &mut Violations) -> sdk::Device {
    let Some(device) = device else {
        wrong.add("device", "is required");
        return sdk::Device::default();
    };
    if !matches!(sdk::Platform::try_from(device.platform), Ok(sdk::Platform::Ios | sdk::Platform::Android)) {
        wrong.add("device.platform", "must be PLATFORM_IOS or PLATFORM_ANDROID");
    }
    for (field, text, most) in [
        ("os_version", &device.os_version, 32),
        ("model", &device.model, 64),
        ("time_zone", &device.time_zone, 64),
        ("language", &device.language, 35),
        ("app_version", &device.app_version, 64),
        ("sdk_name", &device.sdk_name, 50),
        ("sdk_version", &device.sdk_version, 50),
    ] {
        if text.chars().count() > most {
            wrong.add(format!("device.{field}"), format!("must have at most {most} characters"));
        }
        if text.chars().any(char::is_control) {
            wrong.add(format!("device.{field}"), "must not contain control characters");
        }
    }
    for (field, side) in [("screen_width", device.screen_width), ("screen_height", device.screen_height)] {
        if !u32::try_from(side).is_ok_and(|side| side <= MAX_SIDE) {
            wrong.add(format!("device.{field}"), "must be 0 to 100,000");
        }
    }
    device
}

fn put_device(report: &mut InstallRecord, device: sdk::Device) {
    report.os_version = device.os_version;
    report.model = device.model;
    report.time_zone = device.time_zone;
    report.language = device.language;
    report.screen_width = device.screen_width.unsigned_abs();
    report.screen_height = device.screen_height.unsigned_abs();
    report.app_version = device.app_version;
    report.sdk_name = device.sdk_name;
    report.sdk_version = device.sdk_version;
}

/// Reads the id of an install.
pub fn install_id(text: &str) -> Result<InstallId> {
    InstallId::parse(text)
        .ok_or_else(|| Error::invalid_field("install_id", "must be a UUID of 36 characters"))
}

fn bytes(id: Uuid) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(id.as_bytes())
}
