//! What is odd about installs and links, and what a workspace makes of it.

use linkforty::pb::{
    sdk::v1::{AttributionState, NoMatchReason, ReportInstallRequest, StoreReferrer},
    v1::{
        ExplainAttributionRequest, FraudAction, GetFraudReportRequest, GetInstallRequest, Install,
        InstallFlag, ListFraudRulesRequest, LossReason, UpdateFraudRuleRequest,
        attribution_service_client::AttributionServiceClient,
    },
};
use prost_types::{Duration, Timestamp};
use tonic::{Code, service::interceptor::InterceptedService, transport::Channel};

use crate::accounts::settled_owner;
use crate::support::{
    App, Bearer, HERE, behind_a_proxy, coded, first_open, iphone, pixel, report, request_id, wrong,
};

type People = AttributionServiceClient<InterceptedService<Channel, Bearer>>;

async fn people(app: &App, token: &str) -> People {
    AttributionServiceClient::with_interceptor(app.channel().await, Bearer(token.to_owned()))
}

/// The owner, who may change rules.
async fn admin(app: &App) -> People {
    let (token, _) = settled_owner(app).await;
    people(app, &token).await
}

async fn install(people: &mut People, id: &str) -> Install {
    let request = GetInstallRequest { install_id: id.to_owned(), ..Default::default() };
    people.get_install(request).await.expect("is there").into_inner().install.expect("always there")
}

/// The id of the click of a tap, and when that was.
async fn tap(app: &App, path: &str) -> (String, i64) {
    let tapped = app.tap(path, HERE).await;
    let click = tapped.headers.get("x-click-id").and_then(|id| id.to_str().ok()).expect("has one").to_owned();
    app.settled().await;
    (click, app.env().now().timestamp())
}

/// The first open of an app that the store handed a click to.
fn referred(id: &str, click: &str, (clicked, begun): (i64, i64)) -> ReportInstallRequest {
    let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
    ReportInstallRequest {
        store_referrer: Some(StoreReferrer {
            referrer: format!("lf_click={click}"),
            click_server_time: time(clicked),
            install_begin_server_time: time(begun),
            ..StoreReferrer::default()
        }),
        ..first_open(id, pixel())
    }
}

#[tokio::test]
async fn every_rule_holds_where_it_should_and_is_only_shown() {
    behind_a_proxy(async |app, tenant| {
        tenant.create(coded("spring")).await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        let mut people = people(app, &tenant.key).await;
        let second = chrono::Duration::seconds;
        // Seconds until the app is opened; the store's click and beginning, from ours on; what is odd.
        for (number, (after, clicked, begun, expected)) in [
            (60, 0, 10, vec![]),
            (60, 12, 10, vec![InstallFlag::ClickInjection]),
            (60, 11, 10, vec![]),
            (9, 0, 5, vec![InstallFlag::ShortTime]),
            (10, 0, 5, vec![]),
            (900, 301, 400, vec![InstallFlag::HarvestedClick]),
            (900, 300, 400, vec![]),
        ]
        .into_iter()
        .enumerate()
        {
            let (click, time) = tap(app, "/spring").await;
            app.clock.advance(second(after));
            let asked = referred(&format!("phone-{number:04}"), &click, (time + clicked, time + begun));
            let answer = report(&sdk, asked).await;
            assert_eq!(answer.state(), AttributionState::Attributed, "{number}: {answer:?}");
            let shown = install(&mut people, &answer.install_id).await;
            let flags: Vec<InstallFlag> = shown.flags().collect();
            assert_eq!(flags, expected, "{number}");
        }
        // A clock that is behind: the click that the app carries is later than its first open.
        let (click, time) = tap(app, "/spring").await;
        app.clock.advance(second(60));
        let behind = ReportInstallRequest {
            first_open_time: Some(Timestamp { seconds: time - 30, nanos: 0 }),
            ..referred("phone-behind", &click, (time, time + 5))
        };
        let answer = report(&sdk, behind).await;
        let shown = install(&mut people, &answer.install_id).await;
        assert_eq!(shown.flags().collect::<Vec<_>>(), [InstallFlag::ClockAnomaly]);

        let asked = GetFraudReportRequest::default();
        app.clock.advance(second(1));
        let said = people.get_fraud_report(asked).await.expect("reports").into_inner();
        let counts: Vec<(&str, i64)> =
            said.rules.iter().map(|count| (&*count.id, count.install_count)).collect();
        assert_eq!(
            counts,
            [("click_injection", 1), ("short_time", 1), ("harvested_click", 1), ("clock_anomaly", 1)]
        );
        assert_eq!((said.install_count, said.attributed_install_count), (8, 7));
        let source = &said.sources[0];
        assert_eq!((source.install_count, source.flagged_install_count, source.click_count), (7, 3, 8));
        let buckets: Vec<i64> = source.click_to_install.iter().map(|bucket| bucket.install_count).collect();
        assert_eq!(buckets, [1, 1, 3, 0, 2, 0, 0, 0, 0, 0]);
        assert_eq!(source.median_time, Some(Duration { seconds: 60, nanos: 0 }));
        assert!(!source.flooded);
    })
    .await;
}

#[tokio::test]
async fn a_rule_takes_the_credit_away_only_where_an_admin_says_so() {
    behind_a_proxy(async |app, tenant| {
        tenant.create(coded("spring")).await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        let mut people = people(app, &tenant.key).await;
        let rules = people.list_fraud_rules(ListFraudRulesRequest::default()).await.expect("lists");
        let rules = rules.into_inner().rules;
        assert_eq!(rules.len(), 5);
        assert!(rules.iter().all(|rule| rule.action() == FraudAction::Flag));
        let change = |id: &str, action: FraudAction, threshold| UpdateFraudRuleRequest {
            workspace_id: tenant.id.clone(),
            id: id.to_owned(),
            action: action.into(),
            threshold,
            request_id: request_id(),
        };
        // A key cannot.
        let asked = change("short_time", FraudAction::RejectCredit, Some(20));
        assert_eq!(
            people.update_fraud_rule(asked.clone()).await.expect_err("may not").code(),
            Code::PermissionDenied
        );
        let mut admin = admin(app).await;
        for (asked, fields) in [
            (change("nothing", FraudAction::Flag, None), vec!["id"]),
            (change("clock_anomaly", FraudAction::RejectCredit, None), vec!["action"]),
            (change("click_flooding", FraudAction::RejectCredit, None), vec!["action"]),
            (change("short_time", FraudAction::Flag, Some(0)), vec!["threshold"]),
            (change("short_time", FraudAction::Flag, Some(61)), vec!["threshold"]),
        ] {
            let refused = admin.update_fraud_rule(asked).await.expect_err("is wrong");
            assert_eq!(wrong(&refused), fields);
        }
        for _ in 0..2 {
            let rule = admin.update_fraud_rule(asked.clone()).await.expect("changes").into_inner().rule;
            let rule = rule.expect("always there");
            assert_eq!((rule.action(), rule.threshold), (FraudAction::RejectCredit, 20));
        }
        app.tap("/spring", HERE).await;
        app.settled().await;
        app.clock.advance(chrono::Duration::seconds(19));
        let answer = report(&sdk, first_open("phone-0001", iphone())).await;
        // Whoever made it up is not told by what it was found.
        assert_eq!((answer.state(), answer.no_match()), (AttributionState::Organic, NoMatchReason::NoClick));
        let shown = install(&mut people, &answer.install_id).await;
        assert_eq!(shown.no_match(), NoMatchReason::Rejected);
        assert_eq!(shown.flags().collect::<Vec<_>>(), [InstallFlag::ShortTime]);
        assert!(shown.click_id.is_empty() && shown.link_id.is_empty());
        let asked = ExplainAttributionRequest { install_id: answer.install_id, ..Default::default() };
        let said = people.explain_attribution(asked).await.expect("explains").into_inner();
        assert!(said.agrees, "{said:?}");
        assert_eq!(said.candidates[0].loss(), LossReason::Rejected, "the decision keeps the click");
        let report_now = GetFraudReportRequest::default();
        app.clock.advance(chrono::Duration::seconds(1));
        let counted = people.get_fraud_report(report_now).await.expect("reports").into_inner();
        assert_eq!((counted.rejected_install_count, counted.attributed_install_count), (1, 0));
        // Another workspace has rules of its own.
        let other = app.another_tenant().await;
        let mut strangers = self::people(app, &other.key).await;
        let rules = strangers.list_fraud_rules(ListFraudRulesRequest::default()).await.expect("lists");
        assert!(rules.into_inner().rules.iter().all(|rule| rule.action() == FraudAction::Flag));
    })
    .await;
}
