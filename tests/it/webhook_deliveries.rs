//! How endpoints are told what they are to be told: real receivers on loopback, good ones and the worst, and a clock that is moved.

use chrono::{Duration, TimeDelta};
use linkforty::{
    entity::{outbox, webhook_delivery},
    webhooks::{
        DeliveryState, EventType,
        endpoint::{DisableReason, Format, Postback, PostbackMethod, Signing, State},
        retry::{Outcome, SCHEDULE},
        sign,
    },
};
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use serde_json::json;

use crate::support::{
    App, DESKTOP, Mood, PostOffice, Receiver, Store, Zone, a_link, an_endpoint, eventually, guest_of, hooks,
    stores, told,
};

/// Runs a test on every store, with a receiver that the server may call.
async fn with_receiver(settings: &[(&str, &str)], test: impl AsyncFn(&App, &Receiver, &str)) {
    for store in stores() {
        eprintln!("on {store}");
        let receiver = Receiver::open().await;
        let app = receiver.guest(store, settings).await;
        let workspace = app.tenant().await.id;
        test(&app, &receiver, &workspace).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn what_is_told_is_signed_and_written_down() {
    with_receiver(&[], async |app, receiver, workspace| {
        receiver.is(Mood::Says(202, String::new(), b"thanks".to_vec()));
        let hook = app.hook(an_endpoint(app, workspace, &receiver.url("/in?a=b"))).await;
        let data = json!({"link": {"id": "x", "title": "Größe"}});
        let message = app.tell(&[hook], EventType::LinkCreated, &data).await;
        let heard = receiver.hears(1).await.remove(0);
        assert_eq!((heard.method.as_str(), heard.path.as_str()), ("POST", "/in?a=b"));
        assert_eq!(
            heard.json(),
            json!({"type": "link.created", "timestamp": "2026-11-22T12:00:00Z", "data": data})
        );
        let (id, seconds) = (told(message), app.env().now().timestamp());
        assert_eq!(heard.header("webhook-id"), id);
        assert_eq!(heard.header("webhook-timestamp"), seconds.to_string());
        assert_eq!(
            heard.header("webhook-signature"),
            sign::hmac([&hooks::KEY[..]], (&id, seconds, &heard.body))
        );
        assert_eq!(heard.header("content-type"), "application/json");

        let delivery = app.tried(hook, message, 1).await;
        assert_eq!(delivery.state, DeliveryState::Delivered as i16);
        assert_eq!((delivery.last_outcome, delivery.last_status), (Outcome::Delivered as i16, Some(202)));
        let attempts = app.attempts(hook, message).await;
        assert_eq!(attempts.len(), 1);
        assert_eq!((attempts[0].number, attempts[0].status), (1, Some(202)));
        assert_eq!(attempts[0].response.as_deref(), Some(&b"thanks"[..]));
    })
    .await;
}

#[tokio::test]
async fn what_fails_is_tried_ten_times_in_three_days_and_given_up() {
    with_receiver(&[], async |app, receiver, workspace| {
        receiver.is(Mood::Says(500, String::new(), vec![b'e'; 10_000]));
        let hook = app.hook(an_endpoint(app, workspace, &receiver.url("/"))).await;
        let message = app.tell(&[hook], EventType::LinkUpdated, &json!({})).await;
        let mut delivery = app.tried(hook, message, 1).await;
        for (number, wait) in (2..).zip(&SCHEDULE[1..]) {
            let waits = delivery.next_time - app.env().now();
            assert!(waits >= *wait * 8 / 10 && waits <= *wait * 12 / 10, "{waits} before attempt {number}");
            assert_eq!(delivery.state, DeliveryState::Due as i16);
            app.skip_to(&delivery).await;
            delivery = app.tried(hook, message, number).await;
        }
        assert_eq!((delivery.state, delivery.attempts), (DeliveryState::GivenUp as i16, 10));
        let attempts = app.attempts(hook, message).await;
        assert_eq!(
            attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(),
            (1..=10).collect::<Vec<_>>()
        );
        assert!(
            attempts.iter().all(|attempt| attempt.response.as_ref().is_some_and(|body| body.len() == 4096))
        );
        let ids: Vec<String> =
            receiver.heard().iter().map(|heard| heard.header("webhook-id").to_owned()).collect();
        assert_eq!(ids, vec![told(message); 10], "the same id each time");
        assert!(app.stored_hook(hook).await.failing_since.is_some());
        // And a success is forgotten as little as a failure.
        receiver.is(Mood::status(200));
        let next = app.tell(&[hook], EventType::LinkUpdated, &json!({})).await;
        app.clock.advance(Duration::minutes(3));
        app.tried(hook, next, 1).await;
        eventually("it does not fail any more", async || app.stored_hook(hook).await.failing_since.is_none())
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_receiver_says_when_to_come_again_and_what_it_will_never_take() {
    with_receiver(&[], async |app, receiver, workspace| {
        let hook = app.hook(an_endpoint(app, workspace, &receiver.url("/"))).await;
        receiver.once(Mood::with_header(429, "retry-after", "120"));
        let message = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
        let delivery = app.tried(hook, message, 1).await;
        assert_eq!(delivery.next_time - app.env().now(), TimeDelta::seconds(120));
        // Others wait as long: it is the endpoint that is asked too much.
        let other = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
        app.clock.advance(Duration::seconds(119));
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        assert_eq!(receiver.count(), 1);
        app.clock.advance(Duration::seconds(2));
        app.tried(hook, message, 2).await;
        app.tried(hook, other, 1).await;
        assert_eq!(app.deliveries(hook, DeliveryState::Delivered).await, 2);

        for status in [400, 401, 404, 413] {
            receiver.once(Mood::status(status));
            let message = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
            let delivery = app.tried(hook, message, 1).await;
            assert_eq!(delivery.state, DeliveryState::GivenUp as i16, "{status}");
            assert_eq!(delivery.last_status, Some(status.into()));
        }
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_its_owner_hears_of_it() {
    let office = PostOffice::open().await;
    let url = office.url();
    let mail =
        [("MAIL_DRIVER", "smtp"), ("SMTP_URL", &*url), ("MAIL_FROM", "linkforty <no-reply@example.com>")];
    with_receiver(&mail, async |app, receiver, workspace| {
        let before = office.mails().len();
        receiver.is(Mood::status(410));
        let hook = app.hook(an_endpoint(app, workspace, &receiver.url("/"))).await;
        let message = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
        let delivery = app.tried(hook, message, 1).await;
        assert_eq!(delivery.state, DeliveryState::GivenUp as i16);
        let disabled = app.stored_hook(hook).await;
        assert_eq!((disabled.state, disabled.version), (State::Disabled(DisableReason::Gone), 2));
        let noted = outbox::Entity::find().all(&app.env().db.api).await.expect("the stores answer");
        assert_eq!(
            noted
                .iter()
                .filter(|row| row.kind == "webhook_endpoint.disabled" && row.subject_id == hook.0)
                .count(),
            1
        );
        eventually("the owner is written to", async || office.mails().len() > before).await;
        let mail = office.mails().pop().expect("it came");
        assert!(mail.header("subject").contains("Orders") && mail.text().contains("410 (Gone)"), "{mail:?}");

        let next = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        assert_eq!((receiver.count(), app.delivery(hook, next).await.attempts), (1, 0), "it is left alone");
        receiver.is(Mood::status(200));
        app.change_hook(hook, |hook| hook.state = State::Active).await;
        app.tried(hook, next, 1).await;
        assert_eq!(receiver.count(), 2);
    })
    .await;
}

#[tokio::test]
async fn five_days_of_failures_disable_an_endpoint() {
    with_receiver(&[], async |app, receiver, workspace| {
        receiver.is(Mood::status(503));
        let hook = app.hook(an_endpoint(app, workspace, &receiver.url("/"))).await;
        let begin = app.env().now();
        for day in 0..=5 {
            if app.env().now() - begin < Duration::hours(119) {
                assert_eq!(app.stored_hook(hook).await.state, State::Active, "day {day}");
            }
            let message = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
            // The older ones come again too, so it is tried one at a time with pauses.
            while app.delivery(hook, message).await.attempts == 0 {
                app.clock.advance(Duration::minutes(3));
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                if app.stored_hook(hook).await.state != State::Active {
                    break;
                }
            }
            app.clock.advance(Duration::days(1));
        }
        eventually("it is disabled", async || {
            app.stored_hook(hook).await.state == State::Disabled(DisableReason::Failing)
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_paused_endpoint_waits() {
    with_receiver(&[], async |app, receiver, workspace| {
        let (mut endpoint, sealed) = an_endpoint(app, workspace, &receiver.url("/"));
        endpoint.state = State::Paused;
        let hook = app.hook((endpoint, sealed)).await;
        app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        assert_eq!(receiver.count(), 0);
        app.change_hook(hook, |hook| hook.state = State::Active).await;
        receiver.hears(1).await;
        app.delivered(hook, DeliveryState::Delivered, 1).await;
    })
    .await;
}

#[tokio::test]
async fn while_a_secret_is_changed_both_sign_and_then_the_new_one() {
    with_receiver(&[], async |app, receiver, workspace| {
        let (endpoint, mut sealed) = an_endpoint(app, workspace, &receiver.url("/"));
        let now = app.env().now();
        sealed.secrets[0].expire_time = Some(now + Duration::hours(24));
        sealed.secrets.insert(0, hooks::secret([9; 32], now, None));
        let hook = app.hook((endpoint, sealed)).await;
        for keys in [&[[9; 32], hooks::KEY][..], &[[9; 32]]] {
            let message = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
            app.tried(hook, message, 1).await;
            let heard = receiver.heard().pop().expect("it came");
            let keys = keys.iter().map(|key| &key[..]);
            let content = (&*told(message), app.env().now().timestamp(), &heard.body[..]);
            assert_eq!(heard.header("webhook-signature"), sign::hmac(keys, content));
            app.clock.advance(Duration::hours(24));
        }
        // With Ed25519, a signature of each too.
        let (mut endpoint, sealed) = an_endpoint(app, workspace, &receiver.url("/"));
        endpoint.settings.signing = Signing::Ed25519;
        let hook = app.hook((endpoint, sealed)).await;
        let message = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
        app.tried(hook, message, 1).await;
        let heard = receiver.heard().pop().expect("it came");
        let content = (&*told(message), app.env().now().timestamp(), &heard.body[..]);
        assert_eq!(heard.header("webhook-signature"), sign::ed25519([&hooks::KEY[..]], content));
    })
    .await;
}

#[tokio::test]
async fn headers_of_the_workspace_come_and_never_over_ours() {
    with_receiver(&[], async |app, receiver, workspace| {
        let (endpoint, mut sealed) = an_endpoint(app, workspace, &receiver.url("/"));
        // What no call lets through, put into the store all the same.
        for (name, value) in [
            ("authorization", "Bearer 7"),
            ("x-team", "growth"),
            ("webhook-id", "msg_other"),
            ("webhook-signature", "v1,AAAA"),
            ("content-type", "text/html"),
        ] {
            sealed.headers.push((name.to_owned(), value.to_owned()));
        }
        let hook = app.hook((endpoint, sealed)).await;
        let message = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
        let heard = receiver.hears(1).await.remove(0);
        assert_eq!((heard.header("authorization"), heard.header("x-team")), ("Bearer 7", "growth"));
        assert_eq!(heard.header("webhook-id"), told(message));
        assert_eq!(heard.header("content-type"), "application/json");
        assert_eq!(heard.headers.get_all("webhook-signature").iter().count(), 1);
        assert!(!heard.header("webhook-signature").contains("AAAA"));

        let (endpoint, mut sealed) = an_endpoint(app, workspace, &receiver.url("/"));
        sealed.headers.push(("host".to_owned(), "inside.example.com".to_owned()));
        let hook = app.hook((endpoint, sealed)).await;
        let message = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
        assert_eq!(app.tried(hook, message, 1).await.last_outcome, Outcome::Refused as i16);
        assert_eq!(receiver.count(), 1, "nobody is called with such headers");
    })
    .await;
}

#[tokio::test]
async fn a_postback_is_filled_from_what_is_told() {
    with_receiver(&[], async |app, receiver, workspace| {
        let install = json!({"install": {"id": "019bc0ff-0000-7000-8000-000000000001", "platform": "ios",
            "utm": {"campaign": "a b&c"}, "click_query": "clickid=42"}});
        let url = receiver.url("/postback?click={query.clickid}&c={campaign}&none={revenue}");
        for (method, body, content_type, sent) in [
            (PostbackMethod::Get, "", "", ""),
            (PostbackMethod::Post, r#"{"p":"{platform}"}"#, "application/json", r#"{"p":"ios"}"#),
        ] {
            let (mut endpoint, sealed) = an_endpoint(app, workspace, &url);
            endpoint.settings.format = Format::Postback;
            endpoint.settings.postback =
                Some(Postback { method, body: body.to_owned(), content_type: content_type.to_owned() });
            let hook = app.hook((endpoint, sealed)).await;
            let message = app.tell(&[hook], EventType::InstallAttributed, &install).await;
            app.tried(hook, message, 1).await;
            let heard = receiver.heard().pop().expect("it came");
            assert_eq!(heard.path, "/postback?click=42&c=a%20b%26c&none=");
            assert_eq!(heard.method, if body.is_empty() { "GET" } else { "POST" });
            assert_eq!(String::from_utf8_lossy(&heard.body), sent);
            assert_eq!(heard.header("content-type"), content_type);
            assert_eq!(heard.header("webhook-signature"), "");
        }
    })
    .await;
}

/// Each costs one attempt that ends within its time, whatever it does; what it sends without an end is not kept.
#[tokio::test]
async fn hostile_receivers_cost_one_bounded_attempt_each() {
    let outcome = |name: &str| match name {
        "hangs" | "drips its headers" | "drips its body" => Outcome::Timeout,
        "never ends" | "sends what unpacks to more than it is" => Outcome::Delivered,
        "sends us to the metadata address" | "sends us to itself" => Outcome::Status,
        _ => Outcome::Answer,
    };
    let moods = Mood::hostile();
    for store in stores() {
        let receivers = {
            let mut open = Vec::new();
            for (_, mood) in &moods {
                let receiver = Receiver::open().await;
                receiver.is(mood.clone());
                open.push(receiver);
            }
            open
        };
        let all: Vec<&Receiver> = receivers.iter().collect();
        // All are one host: places enough for each.
        let app =
            guest_of(&all, store, &[("OUTBOUND_TIMEOUT_MS", "2000"), ("OUTBOUND_MAX_PER_HOST", "64")]).await;
        let workspace = app.tenant().await.id;
        let mut told = Vec::new();
        for receiver in &receivers {
            let hook = app.hook(an_endpoint(&app, &workspace, &receiver.url("/"))).await;
            told.push((hook, app.tell(&[hook], EventType::LinkCreated, &json!({})).await));
        }
        for (((hook, message), (name, _)), receiver) in told.iter().zip(&moods).zip(&receivers) {
            let delivery = app.tried(*hook, *message, 1).await;
            assert_eq!(delivery.last_outcome, outcome(name) as i16, "{name}, on {store}");
            assert_eq!(receiver.connections(), 1, "{name}, on {store}");
            let attempts = app.attempts(*hook, *message).await;
            let kept: usize =
                attempts.iter().filter_map(|attempt| attempt.response.as_ref().map(Vec::len)).sum();
            assert!(
                attempts.len() == 1 && kept <= 4096,
                "{name} left {kept} bytes in {} attempts",
                attempts.len()
            );
        }
        app.stop().await;
    }
}

/// Saved when the operator still allowed it, or by a mistake: what counts is what is called.
#[tokio::test]
async fn no_form_of_an_inner_address_is_called() {
    with_receiver(&[("OUTBOUND_TIMEOUT_MS", "2000")], async |app, receiver, workspace| {
        let inside = Receiver::open_at(&format!("127.0.0.1:{}", receiver.port)).await;
        let mut hooks = Vec::new();
        for host in INNER {
            let url = format!("http://{host}:{}/", receiver.port);
            hooks.push((host, app.hook(an_endpoint(app, workspace, &url)).await));
        }
        let to: Vec<_> = hooks.iter().map(|(_, hook)| *hook).collect();
        let message = app.tell(&to, EventType::LinkCreated, &json!({})).await;
        for (host, hook) in hooks {
            let outcome = app.tried(hook, message, 1).await.last_outcome;
            // Where the operator has opened a network, a name may lead there; these lead nowhere.
            let is_name = host.ends_with(|last: char| last.is_ascii_alphabetic() || last == '.');
            let nowhere = [Outcome::Name as i16, Outcome::Connect as i16];
            assert!(
                outcome == Outcome::Refused as i16 || is_name && nowhere.contains(&outcome),
                "{host}: {outcome}"
            );
        }
        assert_eq!((inside.connections(), receiver.connections()), (0, 0));
    })
    .await;
}

/// Every way of writing an address that is not on the public internet, and names that lead there.
pub const INNER: [&str; 38] = [
    "127.0.0.1",
    "[::1]",
    "0.0.0.0",
    "0",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1%25eth0]",
    "169.254.169.254",
    "2852039166",
    "[::ffff:a9fe:a9fe]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fc00::1]",
    "[ff02::1]",
    "localhost",
    "localhost.",
    "app.localhost",
    "db.internal",
    "metadata.google.internal",
    "printer.local",
];

/// A name server that changes its mind between the look and the call.
#[tokio::test]
async fn a_name_that_leads_inside_by_the_time_of_the_call_is_not_called() {
    let receiver = Receiver::open().await;
    let inside = Receiver::open_at(&format!("127.0.0.1:{}", receiver.port)).await;
    let zone = Zone::open().await;
    zone.addresses("hooks.shop.test.example.com", &["127.0.0.2"]);
    let app = receiver.guest(Store::Embedded, &[("DNS_SERVERS", &zone.setting())]).await;
    let workspace = app.tenant().await.id;
    let url = format!("http://hooks.shop.test.example.com:{}/", receiver.port);
    // Each time by an endpoint of its own, so that none has failed too often to be called.
    let outcome = async || {
        let hook = app.hook(an_endpoint(&app, &workspace, &url)).await;
        let message = app.tell(&[hook], EventType::LinkCreated, &json!({})).await;
        app.tried(hook, message, 1).await.last_outcome
    };
    assert_eq!(outcome().await, Outcome::Delivered as i16);
    for addresses in [&["127.0.0.1"][..], &["169.254.169.254"], &["::1"]] {
        zone.addresses("hooks.shop.test.example.com", addresses);
        // Longer than any name is remembered.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        assert_eq!(outcome().await, Outcome::Refused as i16, "{addresses:?}");
    }
    assert_eq!((receiver.connections(), inside.connections()), (1, 0));
    // One that may be called among others that may not is.
    zone.addresses("hooks.shop.test.example.com", &["127.0.0.1", "127.0.0.2"]);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(outcome().await, Outcome::Delivered as i16);
    assert_eq!((receiver.connections(), inside.connections()), (2, 0));
    app.stop().await;
}

#[tokio::test]
async fn a_dead_endpoint_has_few_places_and_others_do_not_wait_for_it() {
    for store in stores() {
        let (dead, alive) = (Receiver::open().await, Receiver::open().await);
        dead.is(Mood::Hangs);
        let app = guest_of(&[&dead, &alive], store, &[]).await;
        let workspace = app.tenant().await.id;
        let silent = app.hook(an_endpoint(&app, &workspace, &dead.url("/"))).await;
        let quick = app.hook(an_endpoint(&app, &workspace, &alive.url("/"))).await;
        let data: Vec<_> = (0..60).map(|number| json!({ "number": number })).collect();
        app.tell_many(&[silent, quick], EventType::LinkCreated, &data).await;
        // The dead one holds its calls for fifteen seconds; all that is for the other arrives meanwhile.
        app.delivered(quick, DeliveryState::Delivered, 60).await;
        assert_eq!(alive.count(), 60, "each once, on {store}");
        assert_eq!((dead.connections(), dead.most_open()), (4, 4), "on {store}");
        assert!(alive.most_open() <= 4, "{} at once, on {store}", alive.most_open());
        assert_eq!(app.deliveries(silent, DeliveryState::Due).await, 60);
        app.stop().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_tried_one_at_a_time_until_it_answers() {
    with_receiver(&[], async |app, receiver, workspace| {
        receiver.is(Mood::status(500));
        let hook = app.hook(an_endpoint(app, workspace, &receiver.url("/"))).await;
        let data: Vec<_> = (0..50).map(|number| json!({ "number": number })).collect();
        app.tell_many(&[hook], EventType::LinkCreated, &data).await;
        receiver.hears(5).await;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let before = receiver.count();
        assert!(before <= 8, "{before} calls, of which five were enough");
        for _ in 0..3 {
            let before = receiver.count();
            app.clock.advance(Duration::minutes(2));
            receiver.hears(before + 1).await;
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
            assert_eq!(receiver.count(), before + 1, "one, and then a pause");
        }
        receiver.is(Mood::status(200));
        app.clock.advance(Duration::hours(1));
        app.delivered(hook, DeliveryState::Delivered, 50).await;
    })
    .await;
}

#[tokio::test]
async fn nodes_share_the_work_and_each_thing_is_told_once() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let receiver = Receiver::open().await;
    let app = receiver.guest(Store::Production, &[]).await;
    let beside = app.start_beside(&[]).await;
    let workspace = app.tenant().await.id;
    let mut hooks = Vec::new();
    for number in 0..5 {
        hooks.push(app.hook(an_endpoint(&app, &workspace, &receiver.url(&format!("/{number}")))).await);
    }
    let data: Vec<_> = (0..40).map(|number| json!({ "number": number })).collect();
    for _ in 0..3 {
        app.tell_many(&hooks, EventType::LinkCreated, &data).await;
        linkforty::webhooks::wake(beside.env());
    }
    for hook in &hooks {
        app.delivered(*hook, DeliveryState::Delivered, 120).await;
    }
    assert_eq!(receiver.count(), 600);
    beside.stop().await;
    app.stop().await;
}

#[tokio::test]
async fn a_node_that_stops_gives_back_what_it_has_not_told() {
    let receiver = Receiver::open().await;
    receiver.is(Mood::Hangs);
    let app = receiver.guest(Store::Embedded, &[]).await;
    let workspace = app.tenant().await.id;
    let hook = app.hook(an_endpoint(&app, &workspace, &receiver.url("/"))).await;
    let data: Vec<_> = (0..20).map(|number| json!({ "number": number })).collect();
    app.tell_many(&[hook], EventType::LinkCreated, &data).await;
    receiver.hears(4).await;
    let app = app.restart().await;
    receiver.is(Mood::status(200));
    // The clock stands: nothing waits for the end of a claim.
    app.delivered(hook, DeliveryState::Delivered, 20).await;
    let left = webhook_delivery::Entity::find().count(&app.env().db.api).await.expect("the stores answer");
    assert_eq!((left, receiver.count()), (20, 24));
    app.stop().await;
}

/// From what somebody does to what receivers hear: as Standard Webhooks has it, and as receivers of LinkForty know it.
#[tokio::test]
async fn what_happens_is_told_in_either_form() {
    with_receiver(&[], async |app, receiver, workspace| {
        let (mut endpoint, sealed) = an_endpoint(app, workspace, &receiver.url("/standard"));
        endpoint.settings.event_types = vec![EventType::LinkCreated];
        let standard = app.hook((endpoint, sealed)).await;
        let (mut endpoint, sealed) = an_endpoint(app, workspace, &receiver.url("/linkforty"));
        endpoint.settings.event_types = vec![EventType::ClickRecorded];
        endpoint.settings.format = Format::LinkForty;
        let linkforty = app.hook((endpoint, sealed)).await;

        let made = app.tenant().await.create(a_link()).await;
        app.delivered(standard, DeliveryState::Delivered, 1).await;
        let heard = receiver.heard().remove(0);
        assert_eq!(heard.json()["type"], "link.created");
        assert_eq!(heard.json()["data"]["link"]["id"], made.id);

        let path = format!("/{}", made.short_code);
        let visit = app.visit_as(http::Method::GET, &path, &[("user-agent", DESKTOP)]).await;
        assert_eq!(visit.status, 302);
        app.settled().await;
        app.delivered(linkforty, DeliveryState::Delivered, 1).await;
        let heard = receiver.heard().pop().expect("it came");
        assert_eq!(heard.path, "/linkforty");
        let body = heard.json();
        assert_eq!((&body["event"], &body["data"]["linkId"]), (&json!("click_event"), &json!(made.id)));
        assert_eq!(heard.header("x-linkforty-event"), "click_event");
        assert_eq!(body["event_id"], heard.header("x-linkforty-event-id"));
        let secret = sign::secret_text(&hooks::KEY);
        assert_eq!(heard.header("x-linkforty-signature"), sign::of_body(&secret, &heard.body));
        assert_eq!(heard.header("user-agent"), "LinkForty-Webhook/1.0");
        assert!(heard.header("webhook-signature").starts_with("v1,"));
    })
    .await;
}
