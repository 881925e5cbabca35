//! The page that puts a click on the pasteboard before the App Store, and what an app that finds it there is told. And what an App Clip
//! hands over.

use linkforty::{
    pb::{
        sdk::v1::{MatchMethod, NoMatchReason, ReportInstallRequest, ResolveLinkRequest},
        v1::{
            self, DescribedVisitor, Link, ResolutionOutcome, ResolutionStep, UpdateWorkspaceRequest,
            Workspace, WorkspaceSettings, workspace_service_client::WorkspaceServiceClient,
        },
    },
    workspaces::Role,
};

use crate::{
    domains::in_every_world,
    installs::{is_of, is_organic},
    support::{
        Answer, App, Bearer, DESKTOP, ELSEWHERE, HERE, IPHONE, PIXEL, Tenant, behind_a_proxy, coded,
        first_open, iphone, report, request_id,
    },
    workspaces::person,
};

const STORE: &str = "https://apps.apple.com/app/id1234567890";
const IN_INSTAGRAM: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 331.0.2.30.93";
const SCRAPER: &str = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)";

/// Changes the settings of a workspace, as its people do.
pub async fn set(app: &App, tenant: &Tenant, settings: WorkspaceSettings) {
    let email = format!("{}@shop.test", request_id());
    let owner = person(app, &email, Some((&tenant.id, Role::Admin))).await;
    let mut workspaces = WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(owner));
    let request = UpdateWorkspaceRequest {
        workspace_id: tenant.id.clone(),
        workspace: Some(Workspace { settings: Some(settings.clone()), ..Workspace::default() }),
        ..UpdateWorkspaceRequest::default()
    };
    let updated = workspaces.update_workspace(request).await.expect("updates").into_inner().workspace;
    let stored = updated.and_then(|workspace| workspace.settings).expect("always there");
    assert_eq!(
        (stored.pasteboard_page, stored.ephemeral_deep_links),
        (settings.pasteboard_page, settings.ephemeral_deep_links)
    );
}

fn with_page() -> WorkspaceSettings {
    WorkspaceSettings { pasteboard_page: true, ..WorkspaceSettings::default() }
}

/// Runs a test on every store, behind a proxy, in a workspace that wants the page.
async fn on_every_store(test: impl AsyncFn(&App, &Tenant)) {
    behind_a_proxy(async |app, tenant| {
        set(app, tenant, with_page()).await;
        test(app, tenant).await;
    })
    .await;
}

fn to_the_store(code: &str) -> Link {
    Link { ios_url: STORE.to_owned(), ..coded(code) }
}

/// Returns what the button of a page puts on the pasteboard; `None`: it is no such page.
fn copied(answer: &Answer) -> Option<String> {
    let text = answer.text();
    let (_, rest) = text.split_once("data-text=\"")?;
    Some(rest.split('"').next().unwrap_or_default().replace("&#38;", "&"))
}

fn token_of(copied: &str) -> &str {
    copied.split_once("?lf=").expect("a token").1
}

fn with(id: &str, pasteboard: &str) -> ReportInstallRequest {
    ReportInstallRequest { pasteboard: pasteboard.to_owned(), ..first_open(id, iphone()) }
}

fn a_while_later(app: &App) {
    app.clock.advance(chrono::Duration::minutes(2));
}

#[tokio::test]
async fn only_a_browser_on_ios_sees_the_page_and_only_where_the_workspace_wants_it() {
    on_every_store(async |app, tenant| {
        let link = tenant.create(to_the_store("spring")).await;
        let ruled = Link {
            routing_rules: vec![v1::RoutingRule {
                action: Some(v1::routing_rule::Action::Url("https://itunes.apple.com/app/id1".to_owned())),
                active: Some(true),
                ..v1::RoutingRule::default()
            }],
            ..coded("ruled")
        };
        tenant.create(ruled).await;
        tenant.create(coded("web")).await;
        let page = app.tap("/spring?utm_source=mail", HERE).await;
        assert_eq!((page.status.as_u16(), page.header("location")), (200, ""));
        assert_eq!(page.header("cache-control"), "private, no-store");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("script-src 'nonce-") && policy.contains("default-src 'none'"), "{policy}");
        assert_eq!(page.text().matches(&format!("href=\"{STORE}\"")).count(), 2, "{}", page.text());
        let text = copied(&page).expect("a text");
        assert_eq!(text.split_once('=').map(|(before, _)| before), Some("https://go.example.test/spring?lf"));
        assert!(copied(&app.tap("/ruled", HERE).await).is_some());

        let other = app.another_tenant().await;
        other.create(to_the_store("off")).await;
        for (path, agent, to) in [
            ("/spring", IN_INSTAGRAM, STORE),
            ("/spring", PIXEL, "https://example.com/page"),
            ("/spring", DESKTOP, "https://example.com/page"),
            ("/spring", SCRAPER, "https://example.com/page"),
            ("/web", IPHONE, "https://example.com/page"),
            ("/ruled", DESKTOP, "https://itunes.apple.com/app/id1"),
            ("/off", IPHONE, STORE),
        ] {
            let answer = app.tap_with(path, HERE, agent).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (302, to), "{path} {agent}");
        }
        app.settled().await;
        assert_eq!(tenant.get(&link.id).await.expect("is there").click_count, 4, "the page is a click");

        let visitor = DescribedVisitor { user_agent: IPHONE.to_owned(), ..DescribedVisitor::default() };
        let request = v1::ResolveLinkRequest {
            link_id: link.id.clone(),
            visitor: Some(visitor),
            ..v1::ResolveLinkRequest::default()
        };
        let told = tenant.links.clone().resolve_link(request).await.expect("resolves").into_inner();
        let told = told.resolution.expect("always there");
        assert_eq!((told.outcome(), told.http_status), (ResolutionOutcome::Pasteboard, 200));
        assert_eq!((told.url.as_str(), told.step()), (STORE, ResolutionStep::Pasteboard));
        assert_eq!(told.page_links.map(|links| links.ios_store_url).as_deref(), Some(STORE));
        let decided = told.steps.iter().filter(|step| step.decided).map(|step| step.step());
        assert_eq!(decided.collect::<Vec<_>>(), [ResolutionStep::IosUrl, ResolutionStep::Pasteboard]);

        // Off again, as it was.
        set(app, tenant, WorkspaceSettings::default()).await;
        let answer = app.tap("/spring", HERE).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, STORE));
    })
    .await;
}

#[tokio::test]
async fn the_page_uses_up_a_click_of_a_limit_and_comes_after_the_password() {
    on_every_store(async |app, tenant| {
        tenant.create(Link { max_clicks: 1, ..to_the_store("once") }).await;
        assert!(copied(&app.tap("/once", HERE).await).is_some());
        assert_eq!(app.tap("/once", HERE).await.status.as_u16(), 404);
        tenant.create(Link { password: "open sesame".to_owned(), ..to_the_store("locked") }).await;
        let asked = app.tap("/locked", HERE).await;
        assert!(asked.text().contains("name=\"password\"") && copied(&asked).is_none());
        let headers = [
            ("x-forwarded-for", HERE),
            ("user-agent", IPHONE),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let form = bytes::Bytes::from_static(b"password=open+sesame");
        let answer = crate::support::send(app.links(), http::Method::POST, "/locked", &headers, form).await;
        assert!(copied(&answer).is_some(), "{}", answer.text());
        // A warning leads to the store itself: there is no click to carry.
        let now = prost_types::Timestamp { seconds: app.env().now().timestamp() - 1, nanos: 0 };
        tenant.create(Link { warn_time: Some(now), ..to_the_store("warned") }).await;
        let warned = app.tap("/warned", HERE).await;
        assert!(warned.text().contains(&format!("href=\"{STORE}\"")) && copied(&warned).is_none());
    })
    .await;
}

#[tokio::test]
async fn what_the_page_copied_is_credited_to_one_install_on_whatever_network() {
    on_every_store(async |app, tenant| {
        let link = tenant.create(to_the_store("spring")).await;
        let token = tenant.app_token().await;
        let sdk = app.sdk(&token, ELSEWHERE).await;
        let text = copied(&app.tap("/spring", HERE).await).expect("a page");
        a_while_later(app);
        // Before the click is stored.
        let answer = report(&sdk, with("phone-0001", &text)).await;
        is_of(&answer, &link, MatchMethod::Pasteboard);
        assert_eq!(answer.score, 100);
        app.settled().await;
        is_organic(&report(&sdk, with("phone-0002", &text)).await, NoMatchReason::Claimed);
        assert_eq!(report(&sdk, with("phone-0001", &text)).await, answer, "a repeat is the same");

        // The token alone says as much.
        let text = copied(&app.tap("/spring", HERE).await).expect("a page");
        a_while_later(app);
        let bare = report(&sdk, with("phone-0003", &format!(" {}\n", token_of(&text)))).await;
        is_of(&bare, &link, MatchMethod::Pasteboard);
    })
    .await;
}

#[tokio::test]
async fn what_is_old_foreign_or_from_another_host_is_no_evidence() {
    on_every_store(async |app, tenant| {
        tenant.create(to_the_store("spring")).await;
        let other = app.another_tenant().await;
        let sdk = app.sdk(&tenant.app_token().await, ELSEWHERE).await;
        let theirs = app.sdk(&other.app_token().await, ELSEWHERE).await;
        let text = copied(&app.tap("/spring", HERE).await).expect("a page");
        a_while_later(app);
        let token = token_of(&text);
        is_organic(&report(&theirs, with("phone-0001", &text)).await, NoMatchReason::NoClick);
        is_organic(&report(&theirs, with("phone-0002", token)).await, NoMatchReason::NoClick);
        for (number, foreign) in [
            format!("https://go.example.org/spring?lf={token}"),
            format!("https://go.example.test.evil.example/spring?lf={token}"),
            format!("https://go.example.test@evil.example/spring?lf={token}"),
            format!("shop://go.example.test/spring?lf={token}"),
            format!("go.example.test/spring?lf={token}"),
            format!("?lf={token}"),
            format!("https://go.example.test/spring?lf=A{token}"),
            "a shopping list".to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = report(&sdk, with(&format!("phone-1{number:03}"), &foreign)).await;
            is_organic(&answer, NoMatchReason::NoClick);
        }
        app.settled().await;
        app.clock.advance(chrono::Duration::hours(24));
        is_organic(&report(&sdk, with("phone-0003", &text)).await, NoMatchReason::NoClick);
        is_organic(&report(&sdk, with("phone-0004", token)).await, NoMatchReason::NoClick);
    })
    .await;
}

#[tokio::test]
async fn a_url_of_a_domain_of_the_workspace_is_good_and_one_of_anothers_is_not() {
    in_every_world(async |world| {
        let (app, tenant) = (&world.app, &world.tenant);
        set(app, tenant, with_page()).await;
        let other = app.another_tenant().await;
        world.proved(tenant, "go.shop.test").await;
        world.proved(&other, "go.other.test").await;
        tenant.add_domain("go.unproved.test").await;
        let link = tenant.create(Link { domain: "go.shop.test".to_owned(), ..to_the_store("spring") }).await;
        let headers = [("host", "go.shop.test"), ("user-agent", IPHONE)];
        let page = app.visit_as(http::Method::GET, "/spring", &headers).await;
        let text = copied(&page).expect("a page");
        assert!(text.starts_with("https://go.shop.test/spring?lf="), "{text}");
        app.settled().await;
        a_while_later(app);
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        for (number, host) in ["go.other.test", "go.unproved.test"].into_iter().enumerate() {
            let foreign = text.replace("go.shop.test", host);
            let answer = report(&sdk, with(&format!("phone-1{number:03}"), &foreign)).await;
            is_organic(&answer, NoMatchReason::NoClick);
        }
        is_of(&report(&sdk, with("phone-0001", &text)).await, &link, MatchMethod::Pasteboard);
    })
    .await;
}

#[tokio::test]
async fn what_an_app_clip_was_told_is_credited_to_the_app_that_follows_it() {
    on_every_store(async |app, tenant| {
        let link = tenant.create(coded("spring")).await;
        let token = tenant.app_token().await;
        let mut clip = app.sdk(&token, HERE).await;
        let request = ResolveLinkRequest {
            url: "https://go.example.test/spring".to_owned(),
            device: Some(iphone()),
            ..ResolveLinkRequest::default()
        };
        let told = clip.resolve_link(request).await.expect("is answered").into_inner();
        let click = told.deep_link.expect("it leads somewhere").click_id;
        assert!(!click.is_empty());
        app.settled().await;
        a_while_later(app);
        let sdk = app.sdk(&token, ELSEWHERE).await;
        let with =
            |id: &str| ReportInstallRequest { app_clip_click_id: click.clone(), ..first_open(id, iphone()) };
        is_of(&report(&sdk, with("phone-0001")).await, &link, MatchMethod::AppClip);
        is_organic(&report(&sdk, with("phone-0002")).await, NoMatchReason::Claimed);
    })
    .await;
}
