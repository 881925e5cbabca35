//! Installs that are reported while the database is away, and nodes that die in between.

use std::{collections::BTreeMap, time::Duration};

use linkforty::{
    feed::{self, Items, Position},
    pb::{
        sdk::v1::{
            AttributionState, Device, Platform, ReportInstallRequest, ReportInstallResponse,
            sdk_service_client::SdkServiceClient,
        },
        v1::{App, CreateAppRequest, Link, app_service_client::AppServiceClient},
    },
};
use tonic::{Request, Status, transport::Endpoint};

use super::support::{Node, World, on_every_store, within};
use crate::support::Bearer;

/// An iPhone at one address. A proxy on this machine says so.
fn report_of(token: &str, phone: &str) -> Request<ReportInstallRequest> {
    let device = Device {
        platform: Platform::Ios.into(),
        os_version: "17.5".to_owned(),
        language: "de-CH".to_owned(),
        ..Device::default()
    };
    let mut request = Request::new(ReportInstallRequest {
        installation_id: phone.to_owned(),
        device: Some(device),
        ..ReportInstallRequest::default()
    });
    let value = |text: &str| text.parse().expect("a header value");
    request.metadata_mut().insert("authorization", value(&format!("Bearer {token}")));
    request.metadata_mut().insert("x-forwarded-for", value(&address_of(phone)));
    request
}

/// Each phone has an address of its own.
fn address_of(phone: &str) -> String {
    let number: u32 = phone.rsplit('-').next().and_then(|number| number.parse().ok()).expect("a number");
    format!("203.0.{}.{}", 113 + number / 200, 1 + number % 200)
}

async fn try_report(node: &Node, token: &str, phone: &str) -> Result<ReportInstallResponse, Status> {
    let endpoint = Endpoint::from_shared(format!("http://{}", node.links)).expect("a valid address");
    let channel = endpoint.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut sdk = SdkServiceClient::new(channel);
    sdk.report_install(report_of(token, phone)).await.map(tonic::Response::into_inner)
}

/// Counts how often an install was decided, by what is told of it.
async fn decisions(world: &World) -> usize {
    let db = sea_orm::Database::connect(world.database()).await.expect("the database answers");
    let rows = feed::read_after(&db, None, Position::default(), 10_000).await.expect("reads");
    let of_row = |row: &feed::Row| match &*row.items {
        Items::Installs(installs) => {
            installs.iter().filter(|install| install.now.state != AttributionState::Pending as i16).count()
        }
        _ => 0,
    };
    rows.iter().map(of_row).sum()
}

/// Reports an install until the answer is `good`.
async fn report_until(
    node: &Node,
    token: &str,
    phone: &str,
    good: impl Fn(&ReportInstallResponse) -> bool,
) -> ReportInstallResponse {
    let answer = std::cell::RefCell::new(None);
    within(Duration::from_secs(60), "the install is answered", async || {
        let told = try_report(node, token, phone).await.ok().filter(|told| good(told));
        let is_there = told.is_some();
        *answer.borrow_mut() = told;
        is_there
    })
    .await;
    answer.into_inner().expect("it was answered")
}

async fn report(node: &Node, token: &str, phone: &str) -> ReportInstallResponse {
    report_until(node, token, phone, |_| true).await
}

async fn decided(node: &Node, token: &str, phone: &str) -> ReportInstallResponse {
    report_until(node, token, phone, |told| told.state() != AttributionState::Pending).await
}

/// Taps a link from an address.
async fn tap(node: &Node, code: &str, from: &str) -> u16 {
    let headers =
        [("x-forwarded-for", from), ("user-agent", crate::support::IPHONE), ("accept-language", "de-CH")];
    let path = format!("/{code}");
    crate::support::send(node.links, http::Method::GET, &path, &headers, bytes::Bytes::new())
        .await
        .status
        .as_u16()
}

async fn an_app(world: &World) -> String {
    let key = world.node.run(&["key", "create", "--name", "apps", "--scopes", "apps.write", "--secret-only"]);
    let endpoint = Endpoint::from_shared(format!("http://{}", world.node.api)).expect("a valid address");
    let mut apps = AppServiceClient::with_interceptor(endpoint.connect_lazy(), Bearer(key));
    let app = App { name: "Shop".to_owned(), url_schemes: vec!["shop".to_owned()], ..App::default() };
    let request = CreateAppRequest { app: Some(app), ..CreateAppRequest::default() };
    apps.create_app(request).await.expect("makes one").into_inner().app.expect("always there").app_token
}

const PHONES: usize = 40;

#[tokio::test]
async fn installs_answered_without_a_database_are_decided_once_by_when_they_were() {
    on_every_store(&[("TRUSTED_PROXIES", "127.0.0.1/32")], async |world| {
        world.forget_clicks().await;
        let link = world
            .create_link(Link { destination_url: "https://shop.example.com/".to_owned(), ..Link::default() })
            .await;
        let token = an_app(world).await;
        let phone = |number: usize| format!("phone-{number:04}");
        // The node has to know the link and the token before it is cut off.
        for number in 0..PHONES / 2 {
            assert_eq!(tap(&world.node, &link.short_code, &address_of(&phone(number))).await, 302);
        }
        report(&world.node, &token, "phone-9999").await;
        let outage = world.outage().await;
        for number in PHONES / 2..PHONES {
            assert_eq!(tap(&world.node, &link.short_code, &address_of(&phone(number))).await, 302);
        }
        let mut told = BTreeMap::new();
        for number in 0..PHONES {
            let answer = report(&world.node, &token, &phone(number)).await;
            assert_eq!(answer.state(), AttributionState::Pending);
            // A repeat is the same, and is no other install.
            assert_eq!(report(&world.node, &token, &phone(number)).await, answer);
            told.insert(phone(number), answer.install_id);
        }
        world.node.kill();
        world.end(outage).await;
        world.node.start().await;
        for (phone, install) in &told {
            let answer = decided(&world.node, &token, phone).await;
            assert_eq!(&answer.install_id, install, "{phone} keeps the id it was told");
            assert_eq!(answer.state(), AttributionState::Attributed, "{phone}: {answer:?}");
            assert_eq!(decided(&world.node, &token, phone).await, answer);
        }
        world.node.drained().await;
        assert_eq!(world.count("installs").await, PHONES as i64 + 1);
        assert_eq!(decisions(world).await, PHONES + 1, "one decision of each");
    })
    .await;
}
