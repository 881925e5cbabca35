//! What other rules would have credited: `ReplayAttribution`, through the front door.

use futures::{StreamExt as _, stream};
use linkforty::{
    entity::install,
    ids::WorkspaceId,
    pb::{
        sdk::v1::ForgetInstallRequest,
        v1::{
            FraudAction, ReplayAttributionRequest, ReplayDiff, ReplayFraudRule, ReplayGap, ReplayRules,
            TouchOrder, attribution_service_client::AttributionServiceClient,
        },
    },
};
use prost_types::Duration;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::support::{
    App, Bearer, HERE, Tenant, an_app, behind_a_proxy, coded, first_open, iphone, report, wrong,
};

type People = AttributionServiceClient<InterceptedService<Channel, Bearer>>;

async fn people(app: &App, tenant: &Tenant) -> People {
    AttributionServiceClient::with_interceptor(app.channel().await, Bearer(tenant.key.clone()))
}

async fn replayed(people: &mut People, rules: Option<ReplayRules>) -> Result<ReplayDiff, Status> {
    let request = ReplayAttributionRequest { rules, ..Default::default() };
    let mut parts = people.replay_attribution(request).await?.into_inner();
    let (mut done, mut diff) = (0, None);
    while let Some(part) = parts.message().await? {
        assert!(diff.is_none() && part.done_count >= done && part.done_count <= part.total_count, "{part:?}");
        (done, diff) = (part.done_count, part.diff);
    }
    Ok(diff.expect("the last part has it"))
}

async fn rows(app: &App, tenant: &Tenant) -> Vec<install::Model> {
    let workspace = WorkspaceId::parse(&tenant.id).expect("a UUID");
    let query = install::Entity::find().filter(install::Column::WorkspaceId.eq(workspace));
    query.order_by_asc(install::Column::Id).all(&app.env().db.api).await.expect("reads")
}

#[tokio::test]
async fn by_the_rules_of_today_several_hundred_installs_come_out_as_they_are() {
    behind_a_proxy(async |app, tenant| {
        for code in ["one", "two"] {
            tenant.create(coded(code)).await;
        }
        let token = tenant.app_token().await;
        let mut people = people(app, tenant).await;
        for round in 0..10 {
            for place in 0..10 {
                let path = if place % 2 == 0 { "/one?utm_campaign=spring" } else { "/two" };
                app.tap(path, &format!("203.0.{round}.{place}")).await;
            }
            app.settled().await;
            app.clock.advance(chrono::Duration::minutes(3));
            stream::iter(0..30)
                .for_each_concurrent(8, |place| {
                    let token = &token;
                    async move {
                        let sdk = app.sdk(token, &format!("203.0.{round}.{place}")).await;
                        report(&sdk, first_open(&format!("phone-{round}-{place:04}"), iphone())).await;
                    }
                })
                .await;
        }
        app.clock.advance(chrono::Duration::seconds(1));
        let before = rows(app, tenant).await;
        assert_eq!(before.len(), 300);
        let diff = replayed(&mut people, None).await.expect("is answered");
        assert_eq!((diff.replayed_count, diff.unchanged_count, diff.moved_count), (300, 300, 0), "{diff:?}");
        let credited: i64 =
            diff.credits.iter().filter(|one| !one.link_id.is_empty()).map(|one| one.before_count).sum();
        assert_eq!(credited, 100);
        assert!(diff.credits.iter().all(|one| one.before_count == one.after_count));

        // Without likeness nobody is credited, and nothing of that is stored.
        let off = ReplayRules { probabilistic: Some(false), ..Default::default() };
        let diff = replayed(&mut people, Some(off)).await.expect("is answered");
        assert_eq!((diff.replayed_count, diff.moved_count, diff.incomplete_count), (300, 100, 0));
        let spring = diff.credits.iter().find(|one| one.campaign == "spring").expect("is there");
        assert_eq!((spring.before_count, spring.after_count), (50, 0));
        let to_nobody: i64 = diff.moves.iter().map(|one| one.install_count).sum();
        assert_eq!(to_nobody, 100);
        for one in &diff.moves {
            assert!(one.to_link_id.is_empty() && one.example_install_ids.len() == 3, "{one:?}");
        }
        assert_eq!(rows(app, tenant).await, before);
    })
    .await;
}

#[tokio::test]
async fn the_first_touch_and_a_rule_that_rejects_move_what_they_should() {
    behind_a_proxy(async |app, tenant| {
        let (one, two) = (tenant.create(coded("one")).await, tenant.create(coded("two")).await);
        let made = tenant.create_app(an_app()).await;
        let sdk = app.sdk(&made.app_token, HERE).await;
        app.tap("/one?utm_campaign=first", HERE).await;
        app.settled().await;
        app.clock.advance(chrono::Duration::minutes(1));
        app.tap("/two?utm_campaign=last", HERE).await;
        app.settled().await;
        app.clock.advance(chrono::Duration::seconds(5));
        let install = report(&sdk, first_open("phone-0001", iphone())).await;
        assert_eq!(install.deep_link.map(|told| told.link_id), Some(two.id.clone()));
        let mut people = people(app, tenant).await;
        app.clock.advance(chrono::Duration::minutes(1));

        let first = ReplayRules { touch_order: TouchOrder::First.into(), ..Default::default() };
        let diff = replayed(&mut people, Some(first)).await.expect("is answered");
        let moved = &diff.moves[0];
        assert_eq!((diff.moved_count, moved.install_count), (1, 1), "{diff:?}");
        assert_eq!((&moved.from_link_id, &*moved.from_campaign), (&two.id, "last"));
        assert_eq!((&moved.to_link_id, &*moved.to_campaign), (&one.id, "first"));
        assert_eq!(moved.example_install_ids, [install.install_id.clone()]);

        let rejecting = ReplayFraudRule {
            id: "short_time".to_owned(),
            action: FraudAction::RejectCredit.into(),
            threshold: Some(6),
        };
        let strict = ReplayRules { fraud_rules: vec![rejecting.clone()], ..Default::default() };
        let diff = replayed(&mut people, Some(strict)).await.expect("is answered");
        assert_eq!((diff.moved_count, &diff.moves[0].to_link_id[..]), (1, ""));
        let lenient = ReplayFraudRule { threshold: Some(5), ..rejecting.clone() };
        let lenient = ReplayRules { fraud_rules: vec![lenient], ..Default::default() };
        assert_eq!(replayed(&mut people, Some(lenient)).await.expect("is answered").moved_count, 0);

        // Longer than clicks were gathered for.
        let month = ReplayRules {
            probabilistic_window: Some(Duration { seconds: 30 * 86_400, nanos: 0 }),
            ..Default::default()
        };
        let diff = replayed(&mut people, Some(month)).await.expect("is answered");
        assert_eq!((diff.incomplete_count, diff.moved_count), (1, 0));
        assert_eq!(diff.incomplete[0].gap(), ReplayGap::Window);

        let bad = ReplayRules {
            probabilistic_threshold: Some(101),
            crowd: Some(0),
            attribution_window: Some(Duration { seconds: 59, nanos: 0 }),
            fraud_rules: vec![rejecting.clone(), rejecting],
            ..Default::default()
        };
        let refused = replayed(&mut people, Some(bad)).await.expect_err("is wrong");
        assert_eq!(
            wrong(&refused),
            [
                "rules.fraud_rules[1].id",
                "rules.probabilistic_threshold",
                "rules.crowd",
                "rules.attribution_window"
            ]
        );

        let forget = ForgetInstallRequest { install_id: install.install_id };
        sdk.clone().forget_install(forget).await.expect("is forgotten");
        let diff = replayed(&mut people, None).await.expect("is answered");
        assert_eq!((diff.replayed_count, diff.forgotten_count), (0, 1));

        // Strangers see none of it.
        let other = app.another_tenant().await;
        let mut strangers = self::people(app, &other).await;
        let diff = replayed(&mut strangers, None).await.expect("is answered");
        assert_eq!((diff.replayed_count, diff.forgotten_count), (0, 0));
        let foreign = ReplayAttributionRequest { app_id: made.id, ..Default::default() };
        let refused = strangers.replay_attribution(foreign).await.expect_err("is unknown");
        assert_eq!(refused.code(), Code::NotFound);
    })
    .await;
}
