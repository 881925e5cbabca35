//! What stands between a visitor and where a link leads: safety states, targeting, previews, the app, the workspace.

use std::time::Duration;

use http::Method;
use linkforty::{
    entity::workspace,
    pb::v1::{
        Launchpad, LaunchpadDesktop, LaunchpadMobile, LaunchpadMode, Link, Og, Platform, Targeting,
        UpdateWorkspaceRequest, Workspace, WorkspaceSettings,
        workspace_service_client::WorkspaceServiceClient,
    },
    workspaces::{Role, enter_as_operator, suspend},
};
use prost_types::{FieldMask, Timestamp};
use sea_orm::{ActiveValue::Set, EntityTrait as _};
use tonic::{Code, Status};

use crate::{
    accounts::settled_owner,
    support::{
        Answer, App, Bearer, DESKTOP, IPHONE, PIXEL, Store, Tenant, eventually, get, link, on_every_store,
        reason, within, wrong,
    },
    workspaces::person,
};

const SCRAPER: &str = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)";
pub const DESTINATION: &str = "https://example.com/secret-place";

pub async fn as_agent(app: &App, path: &str, agent: &str) -> Answer {
    get(app.links(), path, &[("user-agent", agent)]).await
}

/// The present of the server.
pub fn now(app: &App) -> Option<Timestamp> {
    Some(Timestamp { seconds: app.env().now().timestamp(), nanos: 0 })
}

/// Changes settings of a workspace as somebody who is signed in.
pub async fn update_settings(
    app: &App,
    (token, workspace): (&str, &str),
    settings: WorkspaceSettings,
    paths: &[&str],
) -> Result<Workspace, Status> {
    let mut client = WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(token.to_owned()));
    let request = UpdateWorkspaceRequest {
        workspace_id: workspace.to_owned(),
        workspace: Some(Workspace { settings: Some(settings), ..Workspace::default() }),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        request_id: String::new(),
    };
    Ok(client.update_workspace(request).await?.into_inner().workspace.expect("always there"))
}

async fn clicks(app: &App, tenant: &Tenant, id: &str) -> i64 {
    app.settled().await;
    tenant.get(id).await.expect("it is there").click_count
}

/// A page that stands in the way gives nothing away, is kept by nobody and is no click.
fn is_a_door(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!((answer.header("location"), answer.header("x-click-id")), ("", ""));
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert_eq!(answer.header("x-robots-tag"), "noindex, nofollow");
    assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(!answer.text().contains("the reason"));
}

#[tokio::test]
async fn a_disabled_link_is_gone_and_a_warned_one_says_where_it_leads() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant
            .create(Link {
                disable_time: now(app),
                disable_reason: "the reason".into(),
                ..link("disabled", DESTINATION)
            })
            .await;
        assert_eq!(made.disable_reason, "the reason");
        let answer = as_agent(app, "/disabled", DESKTOP).await;
        is_a_door(&answer, 410);
        assert!(!answer.text().contains("secret-place"));
        is_a_door(&as_agent(app, "/disabled", SCRAPER).await, 410);

        let odd = "https://example.com/secret-place?a=%22&b=1";
        let made = tenant.create(Link { warn_time: now(app), ..link("warned", odd) }).await;
        let answer = as_agent(app, "/warned?c=2", DESKTOP).await;
        is_a_door(&answer, 200);
        let text = answer.text();
        assert!(text.contains("secret-place?a=%22&#38;b=1&#38;c=2"), "{text}");
        assert!(text.contains("nofollow noopener noreferrer"), "{text}");
        assert_eq!(clicks(app, &tenant, &made.id).await, 0);

        // Not before their time.
        let later = now(app).map(|now| Timestamp { seconds: now.seconds + 60, ..now });
        tenant.create(Link { warn_time: later, disable_time: later, ..link("later", DESTINATION) }).await;
        assert_eq!(as_agent(app, "/later", DESKTOP).await.header("location"), DESTINATION);
        app.clock.advance(chrono::Duration::seconds(60));
        is_a_door(&as_agent(app, "/later", DESKTOP).await, 410);
        app.clock.advance(chrono::Duration::seconds(-60));

        // A copy stays as safe as its original.
        let fields = ["disable_time", "disable_reason"];
        let cleared = tenant.update(Link { id: made.id.clone(), ..Link::default() }, &["warn_time"]).await;
        assert_eq!(cleared.warn_time, None);
        assert_eq!(as_agent(app, "/warned", DESKTOP).await.header("location"), odd);
        let disabled = Link { id: made.id, disable_time: now(app), ..Link::default() };
        tenant.update(disabled, &fields).await;
        is_a_door(&as_agent(app, "/warned", DESKTOP).await, 410);
    })
    .await;
}

#[tokio::test]
async fn whom_a_link_is_not_for_finds_nothing() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let targeting = Targeting {
            platforms: vec![Platform::Ios.into()],
            languages: vec!["en-US".into()],
            ..Targeting::default()
        };
        let made = Link { targeting: Some(targeting), ..link("aimed", DESTINATION) };
        let made = tenant.create(made).await;
        assert_eq!(made.targeting.as_ref().map(|targeting| targeting.languages.len()), Some(1));
        for (agent, language, found) in
            [(IPHONE, "en-US,de;q=0.5", true), (IPHONE, "de,en-US;q=0.5", false), (DESKTOP, "en-US", false)]
        {
            let headers = [("user-agent", agent), ("accept-language", language)];
            let answer = get(app.links(), "/aimed", &headers).await;
            assert_eq!(answer.status == 302, found, "{agent} {language}");
            if !found {
                is_a_door(&answer, 404);
                let unknown = get(app.links(), "/unknown", &headers).await;
                assert_eq!(answer.body, unknown.body);
            }
        }
        // A scraper sees the card of the link, not the 404 of the country it happens to call from.
        assert_eq!(as_agent(app, "/aimed", SCRAPER).await.status, 200);
        assert_eq!(clicks(app, &tenant, &made.id).await, 1);
        tenant.update(Link { id: made.id, ..Link::default() }, &["targeting"]).await;
        assert_eq!(as_agent(app, "/aimed", DESKTOP).await.status, 302);
    })
    .await;
}

#[tokio::test]
async fn scrapers_get_a_card_that_cannot_be_broken_out_of() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let og = Og {
            title: "</title><script>alert(1)</script>".into(),
            image_url: "https://example.com/i.png?a=1&b=2".into(),
            ..Og::default()
        };
        let made = tenant.create(Link { og: Some(og), ..link("card", DESTINATION) }).await;
        let answer = as_agent(app, "/card", SCRAPER).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (200, ""));
        assert!(!answer.header("x-click-id").is_empty(), "it is recorded, as a preview");
        let text = answer.text();
        assert!(!text.contains("<script>alert") && !text.contains("secret-place"), "{text}");
        assert!(text.contains("&#60;script&#62;") && text.contains("i.png?a=1&#38;b=2"), "{text}");
        assert_eq!(as_agent(app, "/card", DESKTOP).await.header("location"), DESTINATION);
        assert_eq!(clicks(app, &tenant, &made.id).await, 1, "of people");
        assert_eq!(tenant.overview("").await.bot_clicks, 1);
        // Without a card of its own they draw that of the destination.
        tenant.create(Link { title: "for us".into(), ..link("plain", DESTINATION) }).await;
        assert_eq!(as_agent(app, "/plain", SCRAPER).await.header("location"), DESTINATION);
    })
    .await;
}

#[tokio::test]
async fn the_scheme_opens_the_app_and_a_link_may_have_nothing_else() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = Link {
            app_scheme: "myapp".into(),
            deep_link_path: "/product/42\"><script>".into(),
            deep_link_parameters: [("id".to_owned(), "7".to_owned())].into(),
            android_url: "https://play.google.com/store/apps/details?id=com.example".into(),
            append_click_id: true,
            ..link("app", "")
        };
        let made = tenant.create(made).await;
        assert_eq!(made.destination_url, "");
        let answer = as_agent(app, "/app", IPHONE).await;
        let id = answer.header("x-click-id").to_owned();
        let text = answer.text();
        assert_eq!(answer.status, 200);
        assert!(
            text.contains(&format!("myapp://product/42%22%3E%3Cscript%3E?id=7&#38;lf_click={id}")),
            "{text}"
        );
        let text = as_agent(app, "/app", PIXEL).await.text();
        assert!(text.contains("intent://product/42") && text.contains("package=com.example;"), "{text}");
        assert!(text.contains("referrer"), "the store learns of the click: {text}");
        // A desktop finds the ways into the app, and each page that led on is a click.
        let answer = as_agent(app, "/app", DESKTOP).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("play.google.com"), "{}", answer.text());
        assert_eq!(clicks(app, &tenant, &made.id).await, 3);

        let nothing = tenant.try_create(link("nothing", "")).await.expect_err("it leads nowhere");
        assert_eq!(wrong(&nothing), ["link.destination_url"]);
        let off = Link {
            launchpad_mode: LaunchpadMode::Off.into(),
            ios_url: DESTINATION.into(),
            ..link("ios", "")
        };
        let off = tenant.create(off).await;
        assert_eq!(off.launchpad_mode(), LaunchpadMode::Off);
        assert_eq!(as_agent(app, "/ios", IPHONE).await.header("location"), DESTINATION);
        is_a_door(&as_agent(app, "/ios", DESKTOP).await, 200);
        assert_eq!(clicks(app, &tenant, &off.id).await, 1);
    })
    .await;
}

#[tokio::test]
async fn what_the_workspace_says_holds_for_all_its_links() {
    on_every_store(async |app| {
        let (token, workspace) = settled_owner(app).await;
        let tenant = app.tenant_of(&workspace).await;
        tenant.create(Link { app_scheme: "myapp".into(), ..link("bare", "") }).await;
        tenant.create(link("full", DESTINATION)).await;
        assert_eq!(as_agent(app, "/full", DESKTOP).await.status, 302);
        let settings = WorkspaceSettings {
            web_url: "https://example.com/fallback".into(),
            launchpad: Some(Launchpad {
                mobile: LaunchpadMobile::Page.into(),
                app_name: "The <App>".into(),
                ..Launchpad::default()
            }),
            report_abuse_url: "https://example.com/report".into(),
            ..WorkspaceSettings::default()
        };
        let place = (token.as_str(), workspace.as_str());
        let changed = update_settings(app, place, settings.clone(), &["settings"]).await.expect("updates");
        assert_eq!(changed.settings.map(|settings| settings.web_url), Some(settings.web_url));
        eventually("the fallback is followed", async || {
            as_agent(app, "/bare", DESKTOP).await.header("location") == "https://example.com/fallback"
        })
        .await;
        eventually("phones see the launchpad", async || {
            as_agent(app, "/full", IPHONE).await.text().contains("The &#60;App&#62;")
        })
        .await;
        assert_eq!(as_agent(app, "/full", DESKTOP).await.header("location"), DESTINATION);
        let always = WorkspaceSettings {
            launchpad: Some(Launchpad { desktop: LaunchpadDesktop::Always.into(), ..Launchpad::default() }),
            ..WorkspaceSettings::default()
        };
        update_settings(app, place, always, &["settings.launchpad"]).await.expect("updates");
        eventually("so do desktops", async || as_agent(app, "/full", DESKTOP).await.status == 200).await;

        // Whoever may not, may not; what is wrong is told.
        let viewer = person(app, "viewer@example.com", Some((&workspace, Role::Member))).await;
        let none = WorkspaceSettings::default;
        let refused = update_settings(app, (&viewer, &workspace), none(), &["settings"]).await;
        assert_eq!(reason(&refused.expect_err("a member")), "PERMISSION_MISSING");
        let bad = WorkspaceSettings { web_url: "https://go.example.test/x".into(), ..none() };
        let refused = update_settings(app, place, bad, &["settings"]).await.expect_err("in circles");
        assert_eq!(
            (refused.code(), wrong(&refused)),
            (Code::InvalidArgument, vec!["workspace.settings.web_url".into()])
        );
    })
    .await;
}

#[tokio::test]
async fn a_suspended_workspace_has_no_links_and_a_restored_one_has_them_again() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(link("spring", DESTINATION)).await;
        assert_eq!(as_agent(app, "/spring", DESKTOP).await.status, 302);
        let operator = enter_as_operator(app.env(), None).await.expect("there is one");
        assert!(suspend(app.env(), &operator, Some("the reason")).await.expect("suspends"));
        assert!(!suspend(app.env(), &operator, Some("the reason")).await.expect("again"));
        eventually("the link is gone", async || as_agent(app, "/spring", DESKTOP).await.status == 410).await;
        let answer = as_agent(app, "/spring", DESKTOP).await;
        is_a_door(&answer, 410);
        assert!(!answer.text().contains("secret-place"));
        is_a_door(&as_agent(app, "/spring+", DESKTOP).await, 410);
        assert!(suspend(app.env(), &operator, None).await.expect("restores"));
        eventually("the link is back", async || as_agent(app, "/spring", DESKTOP).await.status == 302).await;
    })
    .await;
}

/// An embedded server hears nothing of what the command line does beside it, so it looks.
#[tokio::test]
async fn what_the_operator_does_beside_an_embedded_server_counts_within_a_second() {
    let app = App::start(Store::Embedded).await;
    app.tenant().await.create(link("spring", DESTINATION)).await;
    assert_eq!(as_agent(&app, "/spring", DESKTOP).await.status, 302);
    let beside = enter_as_operator(app.env(), None).await.expect("there is one").id;
    let row = workspace::Entity::find_by_id(beside).one(&app.env().db.api).await.expect("answers");
    let now = app.env().now();
    let suspended = workspace::ActiveModel {
        suspend_time: Set(Some(now)),
        redirect_time: Set(Some(now)),
        ..row.expect("it is there").into()
    };
    workspace::Entity::update(suspended).exec(&app.env().db.api).await.expect("updates");
    within(Duration::from_secs(1), "it is gone", async || {
        as_agent(&app, "/spring", DESKTOP).await.status == 410
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn a_plus_says_where_a_link_leads_without_a_click() {
    on_every_store(async |app| {
        let (token, workspace) = settled_owner(app).await;
        let tenant = app.tenant_of(&workspace).await;
        let made = tenant.create(Link { title: "<b>Spring</b>".into(), ..link("spring", DESTINATION) }).await;
        let answer = as_agent(app, "/spring+", DESKTOP).await;
        is_a_door(&answer, 200);
        let text = answer.text();
        assert!(text.contains("secret-place") && text.contains("&#60;b&#62;Spring"), "{text}");
        assert!(text.contains("2026-11"), "{text}");
        for (code, change) in [
            ("locked", Link { password: "open".into(), title: "Spring".into(), ..Link::default() }),
            ("warned", Link { warn_time: now(app), ..Link::default() }),
        ] {
            let change = Link { short_code: code.into(), destination_url: DESTINATION.into(), ..change };
            tenant.create(change).await;
            let answer = as_agent(app, &format!("/{code}+"), DESKTOP).await;
            is_a_door(&answer, 200);
            assert!(!answer.text().contains("secret-place") && !answer.text().contains("Spring"), "{code}");
        }
        tenant.create(Link { active: Some(false), ..link("off", DESTINATION) }).await;
        for (path, status) in [("/off+", 404), ("/unknown+", 404)] {
            is_a_door(&as_agent(app, path, DESKTOP).await, status);
        }
        for path in ["/+", "/spring++", "/a/b+"] {
            assert_eq!(
                as_agent(app, path, DESKTOP).await.header("content-type"),
                "application/json",
                "{path}"
            );
        }
        let answer = app.visit_as(Method::POST, "/spring+", &[]).await;
        assert!(matches!(answer.status.as_u16(), 404 | 405), "{}", answer.status);
        assert_eq!(clicks(app, &tenant, &made.id).await, 0);

        let off = WorkspaceSettings { public_preview: Some(false), ..WorkspaceSettings::default() };
        let paths = ["settings.public_preview"];
        let changed = update_settings(app, (&token, &workspace), off, &paths).await.expect("updates");
        assert_eq!(changed.settings.and_then(|settings| settings.public_preview), Some(false));
        eventually("nobody is told", async || as_agent(app, "/spring+", DESKTOP).await.status == 404).await;
        assert_eq!(as_agent(app, "/spring", DESKTOP).await.status, 302);
    })
    .await;
}
