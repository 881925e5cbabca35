//! What was recorded, as people see it.

use linkforty::{
    analytics::rollup,
    entity::click_rollup,
    ids::{LinkId, WorkspaceId},
    pb::v1::{DayClicks, DeleteLinkRequest, GetOverviewRequest, GetOverviewResponse, Link},
    rpc::Permission,
};
use prost_types::Timestamp;
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _};
use tonic::{Code, Status};

use crate::support::{App, Tenant, coded, eventually, on_every_store, reason, request_id, wrong};

/// 2026-11-20T00:00:00Z in hours since 1970.
const MIDNIGHT: i32 = 498_648;

fn hour(hour: i32) -> Option<Timestamp> {
    Some(Timestamp { seconds: i64::from(hour) * 3600, nanos: 0 })
}

/// Writes down the clicks of an hour, which may be one that visits cannot choose.
async fn rollup(app: &App, tenant: &Tenant, link: &Link, hour: i32, clicks: i64, bot_clicks: i64) {
    let workspace_id = WorkspaceId::parse(&tenant.id).expect("an id");
    let link_id = LinkId::parse(&link.id).expect("an id");
    let row = click_rollup::Model { workspace_id, link_id, hour, clicks, bot_clicks };
    let row = row.into_active_model().reset_all();
    let db = &app.env().db.api;
    click_rollup::Entity::insert(row).exec(db).await.expect("a rollup is stored");
    // As an earlier release kept it, which the roller takes over.
    eventually("it is counted", async || {
        rollup::take_over(app.env()).await.expect("takes over");
        click_rollup::Entity::find().count(db).await.expect("rows can be counted") == 0
    })
    .await;
}

async fn overview(tenant: &mut Tenant, request: GetOverviewRequest) -> Result<GetOverviewResponse, Status> {
    Ok(tenant.analytics.get_overview(request).await?.into_inner())
}

fn day(date: &str, clicks: i64, bot_clicks: i64) -> DayClicks {
    DayClicks { date: date.into(), clicks, bot_clicks }
}

#[tokio::test]
async fn totals_are_the_sum_of_the_days() {
    on_every_store(async |app| {
        let (mut tenant, other) = (app.tenant().await, app.another_tenant().await);
        let one = tenant.create(Link { title: "One".into(), ..coded("one") }).await;
        let two = tenant.create(coded("two")).await;
        let bots = tenant.create(coded("bots")).await;
        for (link, at, people, robots) in [
            (&one, MIDNIGHT - 1, 100, 100),
            (&one, MIDNIGHT, 1, 10),
            (&one, MIDNIGHT + 23, 2, 0),
            (&two, MIDNIGHT + 24, 4, 0),
            (&two, MIDNIGHT + 71, 8, 20),
            (&bots, MIDNIGHT + 25, 0, 5),
            (&one, MIDNIGHT + 72, 100, 100),
        ] {
            rollup(app, &tenant, link, at, people, robots).await;
        }
        rollup(app, &other, &one, MIDNIGHT, 1000, 1000).await;
        let span = GetOverviewRequest {
            start_time: hour(MIDNIGHT),
            end_time: hour(MIDNIGHT + 72),
            ..GetOverviewRequest::default()
        };
        let all = overview(&mut tenant, span.clone()).await.expect("numbers");
        assert_eq!((all.clicks, all.bot_clicks), (15, 35));
        assert_eq!(all.by_day, [day("2026-11-20", 3, 10), day("2026-11-21", 4, 5), day("2026-11-22", 8, 20)]);
        let top: Vec<_> = all
            .top_links
            .iter()
            .map(|top| (top.short_code.as_str(), top.title.as_str(), top.clicks))
            .collect();
        assert_eq!(top, [("two", "", 12), ("one", "One", 3)]);
        assert_eq!((all.start_time, all.end_time), (hour(MIDNIGHT), hour(MIDNIGHT + 72)));

        let alone = GetOverviewRequest { link_id: one.id.clone(), ..span.clone() };
        let alone = overview(&mut tenant, alone).await.expect("numbers");
        assert_eq!((alone.clicks, alone.bot_clicks, alone.top_links.len()), (3, 10, 1));
        assert_eq!(alone.by_day[2], day("2026-11-22", 0, 0));

        // A deleted link's clicks stay; the link itself is unknown from then on.
        let delete = DeleteLinkRequest { link_id: two.id.clone(), ..DeleteLinkRequest::default() };
        tenant.links.delete_link(delete).await.expect("deleted");
        let after = overview(&mut tenant, span.clone()).await.expect("numbers");
        assert_eq!((after.clicks, &after.by_day), (15, &all.by_day));
        assert_eq!(
            (after.top_links[0].link_id.as_str(), after.top_links[0].short_code.as_str()),
            (two.id.as_str(), "")
        );
        let gone = GetOverviewRequest { link_id: two.id, ..span };
        assert_eq!(overview(&mut tenant, gone).await.expect_err("gone").code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn the_last_thirty_days_are_the_default() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        app.clock.advance(chrono::Duration::minutes(20));
        let empty = overview(&mut tenant, GetOverviewRequest::default()).await.expect("numbers");
        // Now is 2026-11-22T12:20:00.
        assert_eq!((empty.by_day.len(), empty.clicks, empty.top_links.len()), (31, 0, 0));
        assert_eq!((empty.start_time, empty.end_time), (hour(MIDNIGHT - 28 * 24 + 12), hour(MIDNIGHT + 61)));
        assert_eq!(empty.by_day[0].date, "2026-10-23");
        assert_eq!(empty.by_day[30].date, "2026-11-22");
    })
    .await;
}

#[tokio::test]
async fn ten_links_are_the_top() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        for number in 1..=12 {
            let link = tenant.create(coded(format!("code{number}"))).await;
            rollup(app, &tenant, &link, MIDNIGHT, number, 0).await;
        }
        let all = overview(&mut tenant, GetOverviewRequest::default()).await.expect("numbers");
        let top: Vec<_> = all.top_links.iter().map(|top| top.clicks).collect();
        assert_eq!((all.clicks, top), (78, (3..=12).rev().collect::<Vec<_>>()));
    })
    .await;
}

#[tokio::test]
async fn wrong_spans_and_foreign_links_are_refused() {
    on_every_store(async |app| {
        let (mut tenant, other) = (app.tenant().await, app.another_tenant().await);
        let bad = GetOverviewRequest {
            link_id: "x".into(),
            start_time: hour(MIDNIGHT),
            end_time: hour(MIDNIGHT - 1),
            ..GetOverviewRequest::default()
        };
        assert_eq!(wrong(&overview(&mut tenant, bad).await.expect_err("wrong")), ["link_id", "end_time"]);
        let bad = GetOverviewRequest {
            start_time: Some(Timestamp { seconds: 0, nanos: -1 }),
            end_time: Some(Timestamp { seconds: i64::MAX, nanos: 0 }),
            ..GetOverviewRequest::default()
        };
        assert_eq!(wrong(&overview(&mut tenant, bad).await.expect_err("wrong")), ["start_time", "end_time"]);

        let theirs = other.create(coded("theirs")).await;
        let mut refused = Vec::new();
        for link_id in [theirs.id, request_id()] {
            let request = GetOverviewRequest { link_id, ..GetOverviewRequest::default() };
            let status = overview(&mut tenant, request).await.expect_err("not mine");
            refused.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        }
        assert_eq!(refused[0], refused[1]);
        assert_eq!(refused[0].0, Code::NotFound);
        let key = app.key(&tenant.id, &[Permission::LinksRead, Permission::LinksWrite]).await;
        let mut writer = app.with_key(&tenant.id, key).await;
        let denied = overview(&mut writer, GetOverviewRequest::default()).await.expect_err("may not");
        assert_eq!(reason(&denied), "PERMISSION_MISSING");
    })
    .await;
}
