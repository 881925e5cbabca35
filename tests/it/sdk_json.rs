//! The paths that LinkForty's SDKs call, as the versions in app stores call them: which field is there, which is null, and what they
//! need to read (the rules have numbers there: SC1 to SC24).

use bytes::Bytes;
use http::Method;
use linkforty::pb::v1::{
    self, Link, ListEventsRequest, attribution_service_client::AttributionServiceClient,
};
use serde_json::{Value, json};

use crate::support::{App, Bearer, ELSEWHERE, HERE, an_app, behind_a_proxy, coded};

/// Calls a path as an SDK does: `Content-Type` always, and its credentials always if it has any.
async fn call(
    app: &App,
    method: Method,
    path: &str,
    (from, key): (&str, &str),
    body: Option<Value>,
) -> (u16, Value) {
    let bearer = format!("Bearer {key}");
    let mut headers =
        vec![("x-forwarded-for", from), ("content-type", "application/json"), ("user-agent", "okhttp/4.12")];
    if !key.is_empty() {
        headers.push(("authorization", &bearer));
    }
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let answer = crate::support::send(app.links(), method, path, &headers, body).await;
    let read = serde_json::from_slice(answer.body.as_ref());
    (answer.status.as_u16(), read.unwrap_or_else(|_| panic!("{path} answers {} without JSON", answer.status)))
}

async fn post(app: &App, path: &str, body: Value) -> (u16, Value) {
    call(app, Method::POST, path, (HERE, ""), Some(body)).await
}

/// What the SDK for iOS sends at every start.
fn of_ios() -> Value {
    json!({
        "userAgent": "Shop/1.2 iOS/17.5", "timezone": "Europe/Zurich", "language": "de_CH",
        "screenWidth": 1179, "screenHeight": 2556, "platform": "iOS", "platformVersion": "17.5",
        "appVersion": "1.2", "attributionWindowHours": 168
    })
}

/// What the one for Flutter sends: nulls, a zone that is none, its own name.
fn of_flutter() -> Value {
    json!({
        "userAgent": "Shop/1.2 iOS/17.5", "timezone": "CEST", "language": "de-CH",
        "screenWidth": 1179, "screenHeight": 2556, "platform": "iOS", "platformVersion": "17.5",
        "appVersion": "1.2", "deviceId": null, "attributionWindowHours": 168, "appToken": null,
        "sdkName": "flutter", "sdkVersion": "0.2.0"
    })
}

fn a_while_later(app: &App) {
    app.clock.advance(chrono::Duration::minutes(2));
}

#[tokio::test]
async fn an_install_of_every_sdk_is_credited_to_the_tap_in_safari() {
    behind_a_proxy(async |app, tenant| {
        let link = tenant
            .create(Link {
                deep_link_path: "/product/42".to_owned(),
                deep_link_parameters: [("id".to_owned(), "42".to_owned())].into(),
                app_scheme: "shop".to_owned(),
                web_url: "https://example.com/web".to_owned(),
                ..coded("spring")
            })
            .await;
        for (number, body) in [of_ios(), of_flutter()].into_iter().enumerate() {
            let from = format!("203.0.{}.7", 113 + number);
            app.tap("/spring?coupon=x&utm_source=mail", &from).await;
            app.settled().await;
            a_while_later(app);
            let path = "/api/sdk/v1/install";
            let (status, told) = call(app, Method::POST, path, (&from, ""), Some(body.clone())).await;
            assert_eq!(status, 200, "{told}");
            assert_eq!((&told["attributed"], &told["confidenceScore"]), (&json!(true), &json!(80)), "{told}");
            assert_eq!(told["matchedFactors"], json!(["ip", "platform", "platform_version", "language"]));
            let data = &told["deepLinkData"];
            assert_eq!(data["shortCode"], "spring");
            assert_eq!(data["linkId"], json!(link.id));
            assert_eq!(data["deepLinkPath"], "/product/42");
            assert_eq!(data["appScheme"], "shop");
            assert_eq!(data["customParameters"], json!({"coupon": "x", "id": "42"}));
            assert_eq!(data["deepLinkParameters"], data["customParameters"]);
            assert_eq!(data["utmParameters"], json!({"source": "mail"}));
            assert_eq!((&data["iosUrl"], &data["webUrl"]), (&Value::Null, &json!("https://example.com/web")));
            assert_eq!(data["isDeferred"], true);
            let clicked = data["clickedAt"].as_str().expect("a time");
            assert!(clicked.len() == 20 && clicked.ends_with('Z'), "{clicked}");
            // Every cold start says so again.
            for _ in 0..3 {
                app.clock.advance(chrono::Duration::hours(20));
                assert_eq!(call(app, Method::POST, path, (&from, ""), Some(body.clone())).await.1, told);
            }
        }
        let (status, organic) =
            call(app, Method::POST, "/api/sdk/v1/install", (ELSEWHERE, ""), Some(of_ios())).await;
        assert_eq!(status, 200);
        assert_eq!(organic["deepLinkData"], Value::Null);
        assert_eq!((&organic["attributed"], &organic["confidenceScore"]), (&json!(false), &json!(0)));
        assert_eq!(organic["matchedFactors"], json!([]));
        assert!(!organic["installId"].as_str().expect("an id").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_device_keeps_its_install_and_a_token_says_whose_it_is() {
    behind_a_proxy(async |app, tenant| {
        let other = app.another_tenant().await;
        let (token, foreign) = (tenant.app_token().await, other.app_token().await);
        tenant.create(coded("spring")).await;
        app.tap("/spring", HERE).await;
        app.settled().await;
        a_while_later(app);
        let with = |device: &str, token: &str| {
            let mut body = of_ios();
            (body["deviceId"], body["appToken"], body["ipAddress"]) =
                (device.into(), token.into(), "1.2.3.4".into());
            body
        };
        let (_, theirs) = post(app, "/api/sdk/v1/install", with("device-1", &foreign)).await;
        assert_eq!(theirs["attributed"], false, "another workspace's app has no part in it: {theirs}");
        let (_, first) = post(app, "/api/sdk/v1/install", with("device-1", &token)).await;
        assert_eq!(first["attributed"], true, "{first}");
        assert_eq!(first["clientReportedIp"], "1.2.3.4");
        // From elsewhere, much later, at once and again.
        app.clock.advance(chrono::Duration::days(200));
        let again = (0..5).map(|_| {
            call(app, Method::POST, "/api/sdk/v1/install", (ELSEWHERE, ""), Some(with("device-1", &token)))
        });
        for (status, told) in futures::future::join_all(again).await {
            assert_eq!((status, &told), (200, &first));
        }
        // A token nobody has is no error.
        let (status, told) =
            post(app, "/api/sdk/v1/install", with("device-2", "at_00000000000000000000000000000000")).await;
        assert_eq!((status, &told["attributed"]), (200, &json!(false)));
        let mut wrong = of_ios();
        (wrong["screenWidth"], wrong["language"]) = (json!([]), json!({}));
        let (status, told) = post(app, "/api/sdk/v1/install", wrong).await;
        assert_eq!(status, 400);
        assert_eq!(told["validation"].as_object().map(|wrong| wrong.len()), Some(2), "{told}");
        assert!(told["message"].is_string() && told["error"].is_string());
    })
    .await;
}

#[tokio::test]
async fn a_link_that_the_system_opened_says_where_to_go_in_both_of_its_forms() {
    behind_a_proxy(async |app, tenant| {
        let link = tenant
            .create(Link {
                deep_link_parameters: [("id".to_owned(), "42".to_owned())].into(),
                ..coded("spring")
            })
            .await;
        let query = "fp_tz=Europe%2FZurich&fp_lang=de-CH&fp_sw=393&fp_sh=852&fp_platform=ios&fp_pv=17.5&x=1";
        let get = async |path: String| call(app, Method::GET, &path, (HERE, ""), None).await;
        let (status, told) = get(format!("/api/sdk/v1/resolve/spring?{query}")).await;
        assert_eq!(status, 200, "{told}");
        assert_eq!((&told["linkId"], &told["isDeferred"]), (&json!(link.id), &json!(false)));
        assert_eq!(told["customParameters"], json!({"id": "42", "x": "1"}));
        assert!(told["clickId"].is_string());
        // The tap counts: nobody else saw it.
        app.settled().await;
        assert_eq!(tenant.get(&link.id).await.expect("is there").click_count, 1);
        for path in ["/api/sdk/v1/resolve/nobody", "/api/sdk/v1/resolve/slug/spring"] {
            let (status, told) = get(path.to_owned()).await;
            assert_eq!(status, 404, "{path}");
            assert!(told["error"].is_string());
        }
        let (status, told) = get("/api/sdk/v1/health".to_owned()).await;
        assert_eq!((status, &told["status"]), (200, &json!("healthy")));
    })
    .await;
}

#[tokio::test]
async fn links_are_made_once_for_a_user_with_a_key_or_a_token() {
    behind_a_proxy(async |app, tenant| {
        let body = json!({
            "deepLinkParameters": {"id": 42, "nested": {"a": [1]}, "none": null}, "title": null, "templateId": null,
            "externalUserId": "user-1", "utmParameters": {"source": "share"}, "webFallbackUrl": "https://example.com/x"
        });
        let token = tenant.app_token().await;
        for key in [tenant.key.as_str(), &token] {
            let make = async |path: &str| call(app, Method::POST, path, (HERE, key), Some(body.clone())).await;
            let (status, made) = make("/api/sdk/v1/links").await;
            assert_eq!(status, 200, "{made}");
            let id = made["id"].as_str().expect("an id");
            for (one, other) in [("id", "linkId"), ("short_code", "shortCode"), ("short_url", "url")] {
                assert_eq!(made[one], made[other]);
            }
            let link = tenant.get(id).await.expect("is there");
            assert_eq!(link.deep_link_parameters.get("id").map(String::as_str), Some("42"));
            assert_eq!((link.source.as_str(), link.external_user_id.as_str()), ("sdk", "user-1"));
            let (_, again) = make("/api/links").await;
            assert_eq!((&again["id"], &again["deduplicated"]), (&made["id"], &json!(true)));
        }
        for key in ["", "nonsense", "lf_nobody"] {
            let (status, _) = call(app, Method::POST, "/api/sdk/v1/links", (HERE, key), Some(body.clone())).await;
            assert_eq!(status, 401, "{key}");
        }
        let nowhere = json!({"externalUserId": "user-2"});
        let (status, told) = call(app, Method::POST, "/api/sdk/v1/links", (HERE, &token), Some(nowhere)).await;
        assert_eq!(status, 400, "{told}");
    })
    .await;
}

#[tokio::test]
async fn events_are_acknowledged_in_the_words_of_every_sdk_and_stored_once() {
    behind_a_proxy(async |app, tenant| {
        let token = tenant.create_app(an_app()).await.app_token;
        let mut body = of_ios();
        (body["deviceId"], body["appToken"]) = ("device-1".into(), token.as_str().into());
        let (_, installed) = post(app, "/api/sdk/v1/install", body).await;
        let event = json!({
            "installId": installed["installId"], "eventName": "revenue",
            "eventData": {"revenue": 9.99, "currency": "CHF", "nested": {"a": null}},
            "timestamp": "2026-11-20T10:00:00.123", "sessionId": null, "attributedLinkId": null,
            "attributedClickId": null, "linkOpenedAt": null, "sdkName": "flutter", "sdkVersion": "0.2.0"
        });
        let (status, told) = post(app, "/api/sdk/v1/event", event.clone()).await;
        assert_eq!(status, 200, "{told}");
        assert_eq!((&told["success"], &told["acknowledged"]), (&json!(true), &json!(true)));
        for _ in 0..3 {
            assert_eq!(post(app, "/api/sdk/v1/event", event.clone()).await, (200, told.clone()));
        }
        let unknown = json!({"installId": "01936d6e-0000-4000-8000-000000000000", "eventName": "x"});
        let (status, refused) = post(app, "/api/sdk/v1/event", unknown).await;
        assert_eq!(status, 404, "{refused}");
        let bad = json!({"installId": installed["installId"], "eventName": "x", "timestamp": "yesterday"});
        let (status, refused) = post(app, "/api/sdk/v1/event", bad).await;
        assert_eq!((status, refused["validation"]["timestamp"].is_string()), (400, true), "{refused}");
        app.settled().await;
        let channel = app.channel().await;
        let mut people = AttributionServiceClient::with_interceptor(channel, Bearer(tenant.key.clone()));
        let stored =
            people.list_events(ListEventsRequest::default()).await.expect("a page").into_inner().events;
        assert_eq!(stored.len(), 1);
        // Ten o'clock in Zurich, whose zone the install named.
        assert_eq!(stored[0].event_time.map(|time| time.seconds % 86_400), Some(9 * 3600));
        assert_eq!(stored[0].id, told["eventId"]);
        let money = v1::Money { currency: "CHF".to_owned(), units: 9, nanos: 990_000_000 };
        assert_eq!(stored[0].revenue, Some(money));
    })
    .await;
}
