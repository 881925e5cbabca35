//! Starts the server for a test and speaks to it.
//!
//! A test says what it wants of [`on_every_store`]; it runs embedded always, and on Postgres and Redis when `LINKFORTY_TEST_DATABASE_URL`
//! and `LINKFORTY_TEST_REDIS_URL` say where they are (`make test` does). `LINKFORTY_TEST_REQUIRE_STORES=1` makes their absence a failure.

mod app;
mod apple;
mod authenticator;
mod authority;
pub mod canary;
mod countries;
mod dns;
mod folders;
pub mod hooks;
mod identity_provider;
pub mod phone;
mod plain;
mod post_office;
mod postgres;
mod receiver;
mod sqlite;
mod statements;
mod strangers;
mod tenant;
mod web;
pub mod year;

pub use self::app::{App, Store, eventually, on_every_store, stores, variable, within};
pub use self::apple::{AD_ATTRIBUTION_KIT, Apple, SKADNETWORK, STORE_ID};
pub use self::authenticator::Authenticator;
pub use self::authority::{Authority, EXTERNAL, Place, Troubles};
pub use self::countries::{City, Shape, cities, countries};
pub use self::dns::Zone;
pub use self::folders::Folders;
pub use self::hooks::{an_endpoint, told};
pub use self::identity_provider::{Browser, IdentityProvider, Signer};
pub use self::phone::{ELSEWHERE, HERE, Sdk, behind_a_proxy, first_open, iphone, pixel, report, try_report};
pub use self::plain::{Answer, get, get_many, json, send, send_h2};
pub use self::post_office::PostOffice;
pub use self::postgres::TestDatabase;
pub use self::receiver::{Heard, Mood, Receiver, guest_of};
pub use self::statements::Statements;
pub use self::strangers::{Says, Stranger, asked, html, moved, respond};
pub use self::tenant::{ALL_SCOPES, Tenant, a_link, an_app, coded, link, request_id};
pub use self::web::{WebStream, call_web, frame, read as read_web};

use tonic::{Request, Status, service::Interceptor};
use tonic_types::StatusExt as _;

/// Returns a text that nobody guesses, in base64url: shorter than what the canary takes for a secret.
pub fn random_text() -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use std::io::Read as _;
    let mut bytes = [0; 24];
    let mut system = std::fs::File::open("/dev/urandom").expect("every Unix has it");
    system.read_exact(&mut bytes).expect("it never ends");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Safari on an iPhone.
pub const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
/// Chrome on an Android phone.
pub const PIXEL: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36";
/// Firefox on Linux.
pub const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// Adds `authorization: Bearer ...` to every call.
#[derive(Clone)]
pub struct Bearer(pub String);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value =
            format!("Bearer {}", self.0).parse().map_err(|_| Status::internal("not a header value"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// Returns the reason of a status, or nothing when it has none.
pub fn reason(status: &Status) -> String {
    canary::hear("error", &format!("{} {}", status.message(), String::from_utf8_lossy(status.details())));
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Returns the paths of the fields that are wrong.
pub fn wrong(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}
