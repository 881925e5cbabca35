//! Links of a workspace's own domains: found by their domain, imported to one, and never leading back to one.

use linkforty::{
    pb::v1::{
        BatchCreateLinksRequest, CodeCase, CreateTemplateRequest, Domain, ExportFormat, ExportLinksRequest,
        ImportExisting, ImportOutcome, ImportSource, Link, LinkDefaults, LinkFilter, ListLinksRequest,
        ResolveLinkRequest, RoutingRule, StartImportRequest, Template, UpdateDomainRequest,
        UpdateLinkRequest, UpdateWorkspaceRequest, Workspace, WorkspaceSettings,
        batch_link_result::Result as Outcome, routing_rule, template_service_client::TemplateServiceClient,
        workspace_service_client::WorkspaceServiceClient,
    },
    workspaces::Role,
};
use tonic::Status;

use crate::{
    domains::in_every_world,
    imports::{import, start_with},
    support::{Bearer, Tenant, coded, link, reason, wrong},
    workspaces::person,
};

fn on(host: &str, code: &str) -> Link {
    Link { domain: host.to_owned(), ..coded(code) }
}

async fn list(tenant: &Tenant, filter: LinkFilter, search: &str) -> Result<Vec<String>, Status> {
    let mut request = ListLinksRequest {
        page_size: 1,
        filter: Some(filter),
        search: search.into(),
        ..ListLinksRequest::default()
    };
    let mut codes = Vec::new();
    loop {
        let page = tenant.links.clone().list_links(request.clone()).await?.into_inner();
        codes.extend(page.links.into_iter().map(|link| link.short_code));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(codes);
        }
    }
}

fn of(domain: &str) -> LinkFilter {
    LinkFilter { domain: domain.into(), ..LinkFilter::default() }
}

async fn exported(tenant: &Tenant, domain: &str) -> Result<usize, Status> {
    let request = ExportLinksRequest {
        format: ExportFormat::Ndjson.into(),
        filter: Some(of(domain)),
        ..ExportLinksRequest::default()
    };
    let mut parts = tenant.links.clone().export_links(request).await?.into_inner();
    let mut links = 0;
    while let Some(part) = parts.message().await? {
        links += part.links as usize;
    }
    Ok(links)
}

#[tokio::test]
async fn links_are_listed_and_exported_by_their_domain() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        world.proved(tenant, "go.shop.test").await;
        tenant.add_domain("later.shop.test").await;
        for (host, code) in [
            ("go.shop.test", "one"),
            ("", "own"),
            ("later.shop.test", "two"),
            ("go.shop.test", "three"),
            ("later.shop.test", "one"),
        ] {
            world.app.clock.advance(chrono::Duration::seconds(1));
            tenant.create(on(host, code)).await;
        }
        for (domain, expected) in [
            ("go.shop.test", &["three", "one"][..]),
            ("GO.shop.test.", &["three", "one"]),
            ("later.shop.test", &["one", "two"]),
            ("go.example.test", &["own"]),
            ("", &["one", "three", "two", "own", "one"]),
        ] {
            assert_eq!(list(tenant, of(domain), "").await.expect("lists"), expected, "{domain}");
            assert_eq!(exported(tenant, domain).await.expect("exports"), expected.len(), "{domain}");
        }
        assert_eq!(list(tenant, of("go.shop.test"), "thr").await.expect("lists"), ["three"]);
        let bad = LinkFilter { project_id: "?".into(), ..of("go.nobody.test") };
        let refused = list(tenant, bad, "").await.expect_err("is nobody's");
        assert_eq!(reason(&refused), "INVALID_FIELDS");
        assert_eq!(wrong(&refused), ["filter.project_id", "filter.domain"]);
        let another = world.app.another_tenant().await;
        for domain in ["go.shop.test", "go.nobody.test", "a b"] {
            let refused = list(&another, of(domain), "").await.expect_err("is not theirs");
            assert_eq!(wrong(&refused), ["filter.domain"], "{domain}");
            let refused = exported(&another, domain).await.expect_err("is not theirs");
            assert_eq!(wrong(&refused), ["filter.domain"], "{domain}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_is_imported_to_a_domain_of_the_workspace() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        world.proved(tenant, "go.shop.test").await;
        tenant.create(coded("Spring")).await;
        tenant.create(on("go.shop.test", "there")).await;
        let terms = |validate_only| StartImportRequest {
            source: ImportSource::Csv.into(),
            domain: "GO.shop.test".into(),
            validate_only,
            ..StartImportRequest::default()
        };
        let file = b"short_code,destination_url\nSpring,https://example.com/s\nthere,https://example.com/page\n,https://example.com/any\n";
        for dry in [true, false] {
            let started = start_with(tenant, terms(dry)).await.expect("starts");
            assert_eq!(started.domain, "go.shop.test");
            let (done, rows) = import(tenant, &started.id, file).await.expect("imports");
            let counts = done.counts.expect("always there");
            assert_eq!((counts.created, counts.same, counts.conflicts, counts.wrong), (2, 1, 0, 0), "{rows:?}");
        }
        assert_eq!(world.visit("go.shop.test", "/Spring").await.header("location"), "https://example.com/s");
        assert_eq!(world.visit("go.example.test", "/Spring").await.header("location"), "https://example.com/page");
        assert_eq!(list(tenant, of("go.shop.test"), "").await.expect("lists").len(), 3);
        assert_eq!(list(tenant, of("go.example.test"), "").await.expect("lists").len(), 1);

        // Where case does not count, two rows may name one link.
        let quiet = Domain {
            host: "quiet.shop.test".into(),
            code_case: CodeCase::Insensitive.into(),
            ..Domain::default()
        };
        tenant.try_add(quiet).await.expect("adds");
        let terms = StartImportRequest {
            domain: "quiet.shop.test".into(),
            existing: ImportExisting::Update.into(),
            ..terms(false)
        };
        let started = start_with(tenant, terms).await.expect("starts");
        let file = b"short_code,destination_url\nSpring,https://example.com/1\nSPRING,https://example.com/2\n";
        let (_, rows) = import(tenant, &started.id, file).await.expect("imports");
        let outcomes: Vec<_> = rows.iter().map(|row| (row.outcome(), &*row.short_code)).collect();
        assert_eq!(outcomes, [(ImportOutcome::Created, "spring"), (ImportOutcome::Changed, "spring")]);
        assert_eq!(list(tenant, of("quiet.shop.test"), "example.com/2").await.expect("lists"), ["spring"]);

        let another = world.app.another_tenant().await;
        for domain in ["go.shop.test", "go.nobody.test", "https://go.shop.test"] {
            let terms = StartImportRequest {
                source: ImportSource::Csv.into(),
                domain: domain.into(),
                ..StartImportRequest::default()
            };
            let refused = start_with(&another, terms).await.expect_err("is not theirs");
            assert_eq!((&*reason(&refused), wrong(&refused)), ("INVALID_FIELDS", vec!["domain".to_owned()]));
        }
        let terms = StartImportRequest {
            source: ImportSource::Csv.into(),
            domain: "go.example.test".into(),
            ..StartImportRequest::default()
        };
        assert_eq!(start_with(&another, terms).await.expect("starts").domain, "", "the server's own");
    })
    .await;
}

/// What is deleted meanwhile takes no more links.
#[tokio::test]
async fn an_import_to_a_domain_that_goes_stops() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        let domain = tenant.add_domain("go.shop.test").await;
        let terms = StartImportRequest {
            source: ImportSource::Csv.into(),
            domain: "go.shop.test".into(),
            ..StartImportRequest::default()
        };
        let started = start_with(tenant, terms).await.expect("starts");
        crate::domains::delete(tenant, &domain.id, true).await.expect("deletes");
        let file = b"short_code,destination_url\nSpring,https://example.com/s\n";
        let refused = import(tenant, &started.id, file).await.expect_err("is gone");
        assert_eq!(wrong(&refused), ["domain"]);
        assert!(list(tenant, LinkFilter::default(), "").await.expect("lists").is_empty());
    })
    .await;
}

#[tokio::test]
async fn no_link_leads_to_a_link_domain_of_its_workspace() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        let shop = world.proved(tenant, "go.shop.test").await;
        let kept = tenant.create(coded("kept")).await;
        let back = "https://GO.shop.test./kept";
        let rule = |url: &str| RoutingRule {
            action: Some(routing_rule::Action::Url(url.into())),
            ..RoutingRule::default()
        };
        let looping = |id: &str| Link {
            id: id.to_owned(),
            destination_url: back.into(),
            ios_url: "http://go.shop.test/x".into(),
            web_url: "https://go.example.test/kept".into(),
            routing_rules: vec![rule("https://example.com"), rule(back)],
            ..Link::default()
        };
        let fields = |path: &str| {
            ["destination_url", "ios_url", "web_url", "routing_rules[1].url"]
                .map(|field| format!("{path}{field}"))
        };
        let refused = tenant.try_create(looping("")).await.expect_err("goes in circles");
        assert_eq!(reason(&refused), "INVALID_FIELDS");
        assert_eq!(wrong(&refused), fields("link."));
        let update = UpdateLinkRequest { link: Some(looping(&kept.id)), ..UpdateLinkRequest::default() };
        let refused = tenant.links.clone().update_link(update).await.expect_err("goes in circles");
        assert_eq!(wrong(&refused), fields("link."));
        let edit = ResolveLinkRequest {
            link_id: kept.id.clone(),
            edit: Some(Link { id: String::new(), ..looping("") }),
            ..ResolveLinkRequest::default()
        };
        let refused = tenant.links.clone().resolve_link(edit).await.expect_err("goes in circles");
        assert_eq!(wrong(&refused), fields("edit."));
        let links = vec![looping(""), link("", "https://shop.test")];
        let batch = BatchCreateLinksRequest { links, ..BatchCreateLinksRequest::default() };
        let batch = tenant.links.clone().batch_create_links(batch).await.expect("answers").into_inner();
        assert!(matches!(batch.results[0].result, Some(Outcome::Error(_))));
        assert_eq!((batch.succeeded, batch.failed), (1, 1));

        let started = start_with(
            tenant,
            StartImportRequest { source: ImportSource::Csv.into(), ..StartImportRequest::default() },
        );
        let file = format!("short_code,destination_url\nround,{back}\n");
        let (_, rows) =
            import(tenant, &started.await.expect("starts").id, file.as_bytes()).await.expect("imports");
        assert_eq!(rows[0].outcome(), ImportOutcome::Wrong);

        let (channel, bearer) = (world.app.channel().await, Bearer(tenant.key.clone()));
        let mut templates = TemplateServiceClient::with_interceptor(channel.clone(), bearer);
        let defaults = LinkDefaults { web_url: back.into(), ..LinkDefaults::default() };
        let template = Template { name: "Round".into(), defaults: Some(defaults), ..Template::default() };
        let request = CreateTemplateRequest { template: Some(template), ..CreateTemplateRequest::default() };
        let refused = templates.create_template(request).await.expect_err("goes in circles");
        assert_eq!(wrong(&refused), ["template.defaults.web_url"]);

        let place = Some((&*tenant.id, Role::Admin));
        let token = person(&world.app, "anna@shop.test", place).await;
        let mut workspaces = WorkspaceServiceClient::with_interceptor(channel, Bearer(token));
        let settings = WorkspaceSettings { web_url: back.into(), ..WorkspaceSettings::default() };
        let workspace = Workspace { id: tenant.id.clone(), settings: Some(settings), ..Workspace::default() };
        let request = UpdateWorkspaceRequest {
            workspace_id: tenant.id.clone(),
            workspace: Some(workspace),
            ..UpdateWorkspaceRequest::default()
        };
        let refused = workspaces.update_workspace(request).await.expect_err("goes in circles");
        assert_eq!(wrong(&refused), ["workspace.settings.web_url"]);

        let other = tenant.add_domain("other.shop.test").await;
        let domain = Domain { id: other.id, root_url: back.into(), ..Domain::default() };
        let request = UpdateDomainRequest { domain: Some(domain), ..UpdateDomainRequest::default() };
        let refused = tenant.domains.clone().update_domain(request).await.expect_err("goes in circles");
        assert_eq!(wrong(&refused), ["domain.root_url"]);

        // A domain that does not answer leads nowhere yet, and a stranger's is a site as any.
        tenant.create(link("", "https://other.shop.test/x")).await;
        let another = world.app.another_tenant().await;
        another.create(link("", back)).await;
        crate::domains::delete(tenant, &shop.id, true).await.expect("deletes");
        tenant.create(link("", back)).await;
    })
    .await;
}
