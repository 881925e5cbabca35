//! Projects, templates and presets, as their users see them.

use std::time::Duration;

use linkforty::pb::v1::{
    CreateLinkRequest, CreateTemplateRequest, DeleteProjectRequest, DeleteTemplateRequest, GetProjectRequest,
    Link, LinkDefaults, LinkFilter, ListLinksRequest, ListProjectsRequest, ListTemplatesRequest,
    RedirectStatus, SetDefaultTemplateRequest, Targeting, Template, UpdateProjectRequest,
    UpdateTemplateRequest, UpdateUtmPresetRequest, Utm, UtmPreset,
};
use tonic::Code;

use crate::support::{
    App, DESKTOP, Folders, IPHONE, Store, Tenant, coded, get, link, on_every_store, reason, request_id,
    stores, within, wrong,
};

async fn codes(tenant: &Tenant, filter: LinkFilter) -> Vec<String> {
    let request = ListLinksRequest { filter: Some(filter), ..ListLinksRequest::default() };
    let page = tenant.links.clone().list_links(request).await.expect("a page").into_inner();
    // Those of one moment are in any order.
    let mut codes: Vec<_> = page.links.into_iter().map(|link| link.short_code).collect();
    codes.sort();
    codes
}

async fn leads(app: &App, path: &str) -> String {
    get(app.links(), path, &[("user-agent", DESKTOP)]).await.header("location").to_owned()
}

#[tokio::test]
async fn links_are_kept_in_projects_and_outlive_them() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let folders = app.folders(&tenant).await;
        let (spring, autumn) = (folders.project(" Spring ").await, folders.project("Autumn").await);
        let request = GetProjectRequest { project_id: spring.clone(), ..GetProjectRequest::default() };
        let found = folders.projects.clone().get_project(request).await.expect("it is there").into_inner();
        assert_eq!(found.project.expect("always there").name, "Spring");

        for (code, project) in [("a", &spring), ("b", &spring), ("c", &autumn), ("d", &String::new())] {
            let made = tenant.create(Link { project_id: project.clone(), ..coded(code) }).await;
            assert_eq!(made.project_id, *project);
        }
        let of = |project_id: &str| LinkFilter { project_id: project_id.to_owned(), ..LinkFilter::default() };
        assert_eq!(codes(&tenant, of(&spring)).await, ["a", "b"]);
        assert_eq!(codes(&tenant, of(&autumn)).await, ["c"]);
        assert_eq!(codes(&tenant, of("none")).await, ["d"]);
        assert_eq!(codes(&tenant, LinkFilter::default()).await.len(), 4);

        // A link goes from one to the other.
        let id = tenant.create(coded("e")).await.id;
        let moved = Link { id: id.clone(), project_id: autumn.clone(), ..Link::default() };
        assert_eq!(tenant.update(moved, &["project_id"]).await.project_id, autumn);
        assert_eq!(codes(&tenant, of(&autumn)).await, ["c", "e"]);

        // Somebody else's project is none.
        let theirs = app.another_tenant().await;
        let their_project = app.folders(&theirs).await.project("Theirs").await;
        for project_id in [their_project, request_id()] {
            let refused = tenant.try_create(Link { project_id: project_id.clone(), ..coded("") }).await;
            assert_eq!(wrong(&refused.expect_err("is not theirs")), ["link.project_id"]);
            let change = Link { id: id.clone(), project_id, ..Link::default() };
            let update = linkforty::pb::v1::UpdateLinkRequest { link: Some(change), ..Default::default() };
            let refused = tenant.links.clone().update_link(update).await.expect_err("is not theirs");
            assert_eq!(wrong(&refused), ["link.project_id"]);
        }

        // Its links stay, and are in none.
        let before = tenant.get(&id).await.expect("it is there");
        let request = DeleteProjectRequest {
            project_id: autumn.clone(),
            request_id: request_id(),
            ..DeleteProjectRequest::default()
        };
        for _ in 0..2 {
            folders.projects.clone().delete_project(request.clone()).await.expect("deletes, and again");
        }
        let after = tenant.get(&id).await.expect("it is there");
        assert_eq!(after.project_id, "");
        assert_ne!(after.etag, before.etag, "it changed");
        assert_eq!(codes(&tenant, of("none")).await, ["c", "d", "e"]);
        let once_more = DeleteProjectRequest { request_id: String::new(), ..request };
        let refused = folders.projects.clone().delete_project(once_more).await.expect_err("it is gone");
        assert_eq!(refused.code(), Code::NotFound);

        let change = UpdateProjectRequest {
            project: Some(linkforty::pb::v1::Project {
                id: spring.clone(),
                description: "what it is for".into(),
                ..Default::default()
            }),
            ..UpdateProjectRequest::default()
        };
        let changed = folders.projects.clone().update_project(change).await.expect("changes").into_inner();
        let changed = changed.project.expect("always there");
        assert_eq!((&*changed.name, &*changed.description), ("Spring", "what it is for"));
        let all = folders.projects.clone().list_projects(ListProjectsRequest::default()).await;
        let all = all.expect("a page").into_inner().projects;
        assert_eq!(all, [changed]);
    })
    .await;
}

#[tokio::test]
async fn a_link_takes_from_its_template_what_it_does_not_set() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let folders = app.folders(&tenant).await;
        let defaults = LinkDefaults {
            destination_url: "https://example.com/template".into(),
            ios_url: "https://apps.apple.com/app/id1".into(),
            utm: Some(Utm { source: "template".into(), medium: "mail".into(), ..Utm::default() }),
            tags: vec!["common".into()],
            redirect_status: RedirectStatus::TemporaryRedirect.into(),
            forward_query: Some(false),
            ..LinkDefaults::default()
        };
        let template = folders.template("promo", defaults).await;
        assert_eq!((template.slug.as_str(), template.is_default), ("promo", false));

        // One with nothing of its own, and one with something.
        let bare = Link { short_code: "bare".into(), template_id: template.id.clone(), ..Link::default() };
        let bare = tenant.create(bare).await;
        assert_eq!((bare.destination_url.as_str(), &*bare.tags), ("", &["common".to_owned()][..]));
        let own = tenant
            .create(Link {
                template_id: template.id.clone(),
                utm: Some(Utm { source: "own".into(), ..Utm::default() }),
                tags: vec!["own".into()],
                redirect_status: RedirectStatus::Found.into(),
                ..link("own", "https://example.com/own")
            })
            .await;
        assert_eq!(own.tags, ["own", "common"]);
        let visited = get(app.links(), "/bare?x=1", &[("user-agent", DESKTOP)]).await;
        assert_eq!(visited.status, 307);
        let location = visited.header("location");
        assert_eq!(location, "https://example.com/template?utm_medium=mail&utm_source=template");
        let visited = get(app.links(), "/own", &[("user-agent", DESKTOP)]).await;
        assert_eq!(visited.status, 302);
        assert_eq!(visited.header("location"), "https://example.com/own?utm_medium=mail&utm_source=own");
        let visited = get(app.links(), "/own", &[("user-agent", IPHONE)]).await;
        assert_eq!(visited.header("location"), "https://apps.apple.com/app/id1");

        // A changed template is followed by links that are warm.
        for (defaults, path, expected) in [
            (
                LinkDefaults { web_url: "https://example.com/web".into(), ..Default::default() },
                "defaults.web_url",
                "/web",
            ),
            (LinkDefaults::default(), "defaults.web_url", "/template"),
        ] {
            folders.set(&template.id, defaults, &[path]).await.expect("changes");
            let location = leads(app, "/bare").await;
            assert!(location.starts_with(&format!("https://example.com{expected}?")), "{location}");
        }
        let web_only = LinkDefaults { web_only: true, ..LinkDefaults::default() };
        folders.set(&template.id, web_only, &["defaults.web_only"]).await.expect("changes");
        let visited = get(app.links(), "/own", &[("user-agent", IPHONE)]).await;
        assert!(visited.header("location").starts_with("https://example.com/own?"));

        // The long form is the template's alone.
        assert!(leads(app, "/promo/bare").await.starts_with("https://example.com/template?"));
        tenant.create(coded("plain")).await;
        for path in ["/other/bare", "/promo/plain", "/promo/unknown", "/PROMO/bare"] {
            assert_eq!(app.visit(path).await.status, 404, "{path}");
        }
        app.settled().await;
        assert_eq!(tenant.get(&bare.id).await.expect("it is there").click_count, 4);

        // Without it the link has nowhere to go.
        let change = Link { id: bare.id.clone(), template_id: String::new(), ..Link::default() };
        let request = linkforty::pb::v1::UpdateLinkRequest {
            link: Some(change),
            update_mask: Some(prost_types::FieldMask { paths: vec!["template_id".into()] }),
            ..Default::default()
        };
        let refused = tenant.links.clone().update_link(request).await.expect_err("it leads nowhere");
        assert_eq!(wrong(&refused), ["link.destination_url"]);
        let none = Link { template_id: "none".into(), ..Link::default() };
        assert_eq!(wrong(&tenant.try_create(none).await.expect_err("nowhere")), ["link.destination_url"]);
    })
    .await;
}

#[tokio::test]
async fn links_expire_and_are_for_some_as_their_template_says() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let folders = app.folders(&tenant).await;
        let defaults = LinkDefaults {
            expire_after: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            targeting: Some(Targeting { platforms: vec![1], ..Targeting::default() }),
            ..LinkDefaults::default()
        };
        let template = folders.template("", defaults).await;
        assert_eq!(template.slug.len(), 8);
        tenant.create(Link { template_id: template.id.clone(), ..coded("short") }).await;
        assert_eq!(get(app.links(), "/short", &[("user-agent", DESKTOP)]).await.status, 302);
        assert_eq!(get(app.links(), "/short", &[("user-agent", IPHONE)]).await.status, 404);
        app.clock.advance(chrono::Duration::seconds(60));
        assert_eq!(get(app.links(), "/short", &[("user-agent", DESKTOP)]).await.status, 404);
        app.clock.advance(chrono::Duration::seconds(-60));
    })
    .await;
}

async fn make_default(folders: &Folders, id: &str) -> Option<Template> {
    let request = SetDefaultTemplateRequest { template_id: id.to_owned(), ..Default::default() };
    let made = folders.templates.clone().set_default_template(request).await.expect("sets");
    made.into_inner().template
}

#[tokio::test]
async fn a_workspace_has_one_default_template() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let folders = app.folders(&tenant).await;
        let to = |path: &str| LinkDefaults {
            destination_url: format!("https://example.com/{path}"),
            ..LinkDefaults::default()
        };
        let (one, two) = (folders.template("one", to("one")).await, folders.template("two", to("two")).await);
        let nothing = || Link::default();
        assert_eq!(
            wrong(&tenant.try_create(nothing()).await.expect_err("nowhere")),
            ["link.destination_url"]
        );

        assert!(make_default(&folders, &one.id).await.expect("it is set").is_default);
        make_default(&folders, &two.id).await;
        let all = folders.templates.clone().list_templates(ListTemplatesRequest::default()).await;
        let all = all.expect("a page").into_inner().templates;
        let default: Vec<_> = all.iter().filter(|one| one.is_default).map(|one| one.id.as_str()).collect();
        assert_eq!(default, [two.id.as_str()]);
        let made = tenant.create(nothing()).await;
        assert_eq!(made.template_id, two.id);
        assert_eq!(leads(app, &format!("/{}", made.short_code)).await, "https://example.com/two");
        assert_eq!(
            tenant.create(Link { template_id: one.id.clone(), ..nothing() }).await.template_id,
            one.id
        );
        assert_eq!(tenant.create(Link { template_id: "none".into(), ..coded("") }).await.template_id, "");

        // One that is in use stays; one that is not goes.
        let delete = |id: &str| DeleteTemplateRequest { template_id: id.to_owned(), ..Default::default() };
        let refused = folders.templates.clone().delete_template(delete(&two.id)).await.expect_err("in use");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "TEMPLATE_IN_USE"));
        tenant.delete(&made.id).await;
        folders.templates.clone().delete_template(delete(&two.id)).await.expect("deletes");
        assert_eq!(tenant.create(coded("")).await.template_id, "");
        make_default(&folders, &one.id).await;
        assert_eq!(make_default(&folders, "").await, None);
        assert_eq!(tenant.create(coded("")).await.template_id, "");
    })
    .await;
}

#[tokio::test]
async fn templates_of_linkforty_are_read_and_templates_keep_their_rules() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let folders = app.folders(&tenant).await;
        let create = async |template: Template, settings: &str| {
            let request = CreateTemplateRequest {
                template: Some(template),
                linkforty_settings: settings.to_owned(),
                ..Default::default()
            };
            let made = folders.templates.clone().create_template(request).await?;
            Ok::<_, tonic::Status>(made.into_inner().template.expect("always there"))
        };
        let named = |slug: &str| Template { name: "x".into(), slug: slug.into(), ..Template::default() };
        let settings = r#"{"defaultIosAppStoreUrl": "https://apps.apple.com/app/id1", "expiresAfterDays": 30,
            "utmParameters": {"utm_source": "mail"}, "defaultAttributionWindowHours": 24}"#;
        let made = create(named("abc"), settings).await.expect("creates");
        let defaults = made.defaults.expect("always there");
        assert_eq!(defaults.ios_url, "https://apps.apple.com/app/id1");
        assert_eq!(defaults.attribution_window, Some(prost_types::Duration { seconds: 86_400, nanos: 0 }));
        assert_eq!(defaults.utm.expect("is set").source, "mail");

        let refused = create(named("abc"), "").await.expect_err("taken");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "ALREADY_EXISTS"));
        let theirs = app.another_tenant().await;
        app.folders(&theirs).await.template("abc", LinkDefaults::default()).await;
        let bad = Template {
            name: String::new(),
            slug: "api".into(),
            defaults: Some(LinkDefaults { web_url: "javascript:1".into(), ..Default::default() }),
            ..Template::default()
        };
        let refused = create(bad, "{}").await.expect_err("everything is wrong");
        let fields = ["template.name", "template.slug", "linkforty_settings", "template.defaults.web_url"];
        assert_eq!(wrong(&refused), fields);
        let refused = create(named(""), r#"{"defaultIosAppStoreUrl": "market://x"}"#).await;
        assert_eq!(wrong(&refused.expect_err("no such URL")), ["template.defaults.ios_url"]);

        // Two people who change it at the same time.
        let update = |etag: &str, slug: &str| UpdateTemplateRequest {
            template: Some(Template {
                id: made.id.clone(),
                etag: etag.to_owned(),
                slug: slug.to_owned(),
                name: "new".into(),
                ..Template::default()
            }),
            ..Default::default()
        };
        let change = async |request| folders.templates.clone().update_template(request).await;
        change(update(&made.etag, "abc")).await.expect("changes");
        assert_eq!(reason(&change(update(&made.etag, "")).await.expect_err("is stale")), "ETAG_MISMATCH");
        assert_eq!(wrong(&change(update("", "other")).await.expect_err("printed")), ["template.slug"]);
        let unknown = folders.set(&request_id(), LinkDefaults::default(), &["defaults"]).await;
        assert_eq!(unknown.expect_err("is nowhere").code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn presets_name_campaigns_for_links_that_are_created() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let folders = app.folders(&tenant).await;
        let mail = Utm { source: "mail".into(), medium: "newsletter".into(), ..Utm::default() };
        let preset = folders.preset("Newsletter", mail).await;
        let own = Utm { medium: "own".into(), term: "shoes".into(), ..Utm::default() };
        let request = CreateLinkRequest {
            link: Some(Link { utm: Some(own), ..coded("") }),
            utm_preset_id: preset.clone(),
            ..CreateLinkRequest::default()
        };
        let made = tenant.links.clone().create_link(request.clone()).await.expect("creates").into_inner();
        let utm = made.link.expect("always there").utm.expect("is set");
        assert_eq!((&*utm.source, &*utm.medium, &*utm.term), ("mail", "own", "shoes"));
        for unknown in [request_id(), "x".to_owned()] {
            let request = CreateLinkRequest { utm_preset_id: unknown, ..request.clone() };
            let refused = tenant.links.clone().create_link(request).await.expect_err("is none");
            assert_eq!(wrong(&refused), ["utm_preset_id"]);
        }

        let other = folders.preset("Other", Utm { source: "x".into(), ..Utm::default() }).await;
        let renamed = UpdateUtmPresetRequest {
            utm_preset: Some(UtmPreset { id: other, name: "Newsletter".into(), ..UtmPreset::default() }),
            ..Default::default()
        };
        let refused = folders.presets.clone().update_utm_preset(renamed).await.expect_err("taken");
        assert_eq!(reason(&refused), "ALREADY_EXISTS");
    })
    .await;
}

/// The clock stands still, so nothing grows old: only the message can bring the change.
#[tokio::test]
async fn a_changed_template_reaches_all_nodes_within_a_second() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let here = App::start(Store::Production).await;
    let tenant = here.tenant().await;
    let folders = here.folders(&tenant).await;
    let to = |path: String| LinkDefaults { destination_url: path, ..LinkDefaults::default() };
    let template = folders.template("warm", to("https://example.com/0".into())).await;
    let there = here.start_beside(&[]).await;
    crate::redirect::in_touch(&here, &there, &tenant).await;
    let warm = Link { short_code: "warm".into(), template_id: template.id.clone(), ..Link::default() };
    tenant.create(warm).await;
    for round in 1..4 {
        for node in [&here, &there] {
            assert_eq!(leads(node, "/warm").await, format!("https://example.com/{}", round - 1));
        }
        let path = format!("https://example.com/{round}");
        folders.set(&template.id, to(path.clone()), &["defaults.destination_url"]).await.expect("changes");
        assert_eq!(leads(&here, "/warm").await, path, "who changed it sees it at once");
        within(Duration::from_secs(1), "it follows", async || leads(&there, "/warm").await == path).await;
    }
    there.stop().await;
    here.stop().await;
}
