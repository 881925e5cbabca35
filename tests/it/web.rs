//! The dashboard's way in: grpc-web over HTTP/1.1.

use linkforty::pb::v1::{
    CreateLinkRequest, CreateLinkResponse, GetLinkRequest, GetLinkResponse, GetOverviewRequest,
    GetOverviewResponse, Link,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{call_web, link, on_every_store, reason};

const CREATE: &str = "/linkforty.v1.LinkService/CreateLink";
const GET: &str = "/linkforty.v1.LinkService/GetLink";
const OVERVIEW: &str = "/linkforty.v1.AnalyticsService/GetOverview";

#[tokio::test]
async fn a_page_creates_a_link_and_reads_it_back() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let bearer = format!("Bearer {}", tenant.key);
        let headers = [("authorization", &*bearer), ("origin", "https://dash.example.test")];
        let request = CreateLinkRequest {
            link: Some(Link { title: "Über uns".into(), ..link("web", "https://example.com/") }),
            ..CreateLinkRequest::default()
        };
        let (made, answer) = call_web::<CreateLinkResponse>(app.api(), CREATE, &request, &headers).await;
        let made = made.expect("creates").link.expect("always there");
        assert_eq!(made.short_url, "https://go.example.test/web");
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "application/grpc-web+proto")
        );
        assert_eq!(answer.header("access-control-allow-origin"), "https://dash.example.test");

        app.visit("/web").await;
        app.settled().await;
        let request = GetLinkRequest { link_id: made.id.clone(), ..GetLinkRequest::default() };
        let (read, _) = call_web::<GetLinkResponse>(app.api(), GET, &request, &headers).await;
        let read = read.expect("reads").link.expect("always there");
        assert_eq!(read, Link { click_count: 1, ..made });
        let request = GetOverviewRequest::default();
        let (numbers, _) = call_web::<GetOverviewResponse>(app.api(), OVERVIEW, &request, &headers).await;
        assert_eq!(numbers.expect("numbers").clicks, 1);
    })
    .await;
}

fn fields(status: &Status) -> Vec<String> {
    let wrong = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    wrong.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn a_page_learns_everything_that_is_wrong() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let bearer = format!("Bearer {}", tenant.key);
        let headers = [("authorization", &*bearer)];
        let wrong = Link { title: "x".repeat(1000), ..link("-", "javascript:alert(1)") };
        let request = CreateLinkRequest { link: Some(wrong), ..CreateLinkRequest::default() };
        let (refused, answer) = call_web::<CreateLinkResponse>(app.api(), CREATE, &request, &headers).await;
        let refused = refused.expect_err("all of it is wrong");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::InvalidArgument, "INVALID_FIELDS"));
        assert_eq!(fields(&refused), ["link.short_code", "link.destination_url", "link.title"]);
        // A page cannot read HTTP/1.1 trailers: they come in the body, or among the headers when there is no body.
        assert_eq!(answer.status, 200);
        assert!(
            answer.headers.contains_key("grpc-status")
                || answer.body.first().is_some_and(|kind| kind & 0x80 != 0)
        );

        let (refused, _) = call_web::<CreateLinkResponse>(app.api(), CREATE, &request, &[]).await;
        assert_eq!(reason(&refused.expect_err("nobody")), "CREDENTIALS_MISSING");
    })
    .await;
}
