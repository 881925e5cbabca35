//! Domains of workspaces: how a host is proved, what it answers, who gets it, and how soon every node knows.

use std::time::Duration;

use bytes::Bytes;
use chrono::Duration as Span;
use http::Method;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use linkforty::pb::v1::{
    BatchCreateLinksRequest, CodeCase, CreateDomainRequest, CreateLinkRequest, DeleteDomainRequest,
    DnsRecord, DnsRecordType, DnsStatus, Domain, DomainState, DuplicateLinkRequest, Link, ListDomainsRequest,
    UpdateDomainRequest, VerifyDomainRequest, batch_link_result::Result as Outcome,
};
use prost_types::FieldMask;
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::support::{
    self, Answer, App, Store, Tenant, Zone, coded, eventually, link, reason, request_id, stores, within,
    wrong,
};

const OURS: &str = "198.51.100.7";
/// An hour beyond what a proof is waited for.
const THREE_DAYS: i64 = 73;

/// A server that asks a name server of the test.
pub struct World {
    pub app: App,
    zone: Zone,
    pub tenant: Tenant,
}

impl World {
    async fn on(store: Store) -> Self {
        Self::with(store, &[]).await
    }

    /// Starts one with settings of its own.
    pub async fn with(store: Store, changes: &[(&str, &str)]) -> Self {
        let zone = Zone::open().await;
        zone.addresses("go.example.test", &[OURS]);
        let servers = zone.setting();
        let changes = [&[("DNS_SERVERS", servers.as_str())], changes].concat();
        let app = App::start_with(store, &changes).await;
        // When it is first in touch with Redis it reads the hosts again, and says of none that it is nobody's until it has.
        let of_nobody = async || support::get(app.ops(), "/tls/ask?domain=go.nobody.test", &[]).await.status;
        eventually("the hosts are read", async || of_nobody().await == 404).await;
        let tenant = app.tenant().await;
        Self { app, zone, tenant }
    }

    /// Creates the records that a domain asks for.
    fn publish(&self, domain: &Domain) {
        self.zone.texts(&format!("_linkforty.{}", domain.host), &[&txt(domain)]);
        self.zone.alias(&domain.host, "go.example.test");
    }

    /// Returns a domain that answers.
    pub async fn proved(&self, tenant: &Tenant, host: &str) -> Domain {
        let domain = tenant.add_domain(host).await;
        self.publish(&domain);
        let domain = verify(tenant, &domain).await.expect("is proved");
        assert_eq!(domain.state(), DomainState::Verified);
        domain
    }

    pub async fn visit(&self, host: &str, path: &str) -> Answer {
        visit(&self.app, host, path).await
    }

    pub async fn stop(self) {
        self.app.stop().await;
    }
}

/// Runs a test on every store.
pub async fn in_every_world(test: impl AsyncFn(&World)) {
    for store in stores() {
        let world = World::on(store).await;
        test(&world).await;
        world.stop().await;
    }
}

async fn visit(app: &App, host: &str, path: &str) -> Answer {
    app.visit_as(Method::GET, path, &[("host", host)]).await
}

fn txt(domain: &Domain) -> String {
    ownership(domain).value.clone()
}

fn ownership(domain: &Domain) -> &DnsRecord {
    domain.proof.as_ref().and_then(|proof| proof.ownership.as_ref()).expect("always there")
}

async fn verify(tenant: &Tenant, domain: &Domain) -> Result<Domain, Status> {
    let request = VerifyDomainRequest { domain_id: domain.id.clone(), ..VerifyDomainRequest::default() };
    Ok(tenant.domains.clone().verify_domain(request).await?.into_inner().domain.expect("always there"))
}

async fn update(tenant: &Tenant, domain: Domain, paths: &[&str]) -> Result<Domain, Status> {
    let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
    let request = UpdateDomainRequest { domain: Some(domain), update_mask, ..UpdateDomainRequest::default() };
    Ok(tenant.domains.clone().update_domain(request).await?.into_inner().domain.expect("always there"))
}

pub async fn delete(tenant: &Tenant, id: &str, force: bool) -> Result<(), Status> {
    let request = DeleteDomainRequest { domain_id: id.to_owned(), force, ..DeleteDomainRequest::default() };
    tenant.domains.clone().delete_domain(request).await.map(drop)
}

fn on(host: &str, code: &str) -> Link {
    Link { domain: host.to_owned(), ..coded(code) }
}

/// Lets the server look at what is due by then.
async fn state_after(world: &World, domain: &Domain, hours: i64) -> Domain {
    world.app.clock.advance(Span::hours(hours));
    let now = world.app.env().now().timestamp();
    let looked = async || {
        let proof = world.tenant.domain(&domain.id).await.proof.expect("always there");
        proof.look_time.is_some_and(|at| at.seconds == now)
    };
    eventually("the DNS was looked at", looked).await;
    world.tenant.domain(&domain.id).await
}

/// Waits until the node answers as its database says: what it finds out by itself it stores first and believes then.
async fn answers_with(world: &World, path: &str, status: u16) {
    eventually("the node knows", async || world.visit("go.shop.test", path).await.status == status).await;
}

#[tokio::test]
async fn a_domain_answers_once_its_records_are_there() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        let domain = tenant.add_domain("Go.Shop.test").await;
        assert_eq!((&*domain.host, domain.state()), ("go.shop.test", DomainState::Pending));
        let record = ownership(&domain);
        assert_eq!((record.r#type(), &*record.name), (DnsRecordType::Txt, "_linkforty.go.shop.test"));
        let proof = domain.proof.clone().expect("always there");
        assert_eq!(proof.address.len(), 1);
        assert_eq!(
            (proof.address[0].r#type(), &*proof.address[0].name, &*proof.address[0].value),
            (DnsRecordType::Cname, "go.shop.test", "go.example.test")
        );
        let made = tenant.create(on("go.shop.test", "spring")).await;
        assert_eq!((&*made.domain, &*made.short_url), ("go.shop.test", "https://go.shop.test/spring"));
        assert_eq!(world.visit("go.shop.test", "/spring").await.status, 404);

        // The first look came at once, found nothing, and says so.
        eventually("the DNS was looked at", async || {
            tenant.domain(&domain.id).await.proof.is_some_and(|proof| proof.look_time.is_some())
        })
        .await;
        let seen = tenant.domain(&domain.id).await.proof.expect("always there");
        assert_eq!(
            (seen.ownership_status(), seen.address_status()),
            (DnsStatus::Missing, DnsStatus::Missing)
        );
        let next = seen.next_look_time.expect("it goes on").seconds;
        assert_eq!(next - world.app.env().now().timestamp(), 60);
        assert!(
            seen.address.iter().any(|record| record.value == OURS && record.r#type() == DnsRecordType::A)
        );

        world.publish(&domain);
        let domain = state_after(world, &domain, 1).await;
        assert_eq!(domain.state(), DomainState::Verified);
        let proof = domain.proof.expect("always there");
        assert_eq!((proof.ownership_status(), proof.address_status()), (DnsStatus::Right, DnsStatus::Right));
        assert_eq!(proof.address_seen, ["go.example.test", OURS]);
        assert_eq!(proof.next_look_time.map(|at| at.seconds), proof.look_time.map(|at| at.seconds + 86_400));
        answers_with(world, "/spring+", 200).await;
        for host in ["go.shop.test", "GO.SHOP.TEST", "go.shop.test:443", "go.shop.test."] {
            let answer = world.visit(host, "/spring").await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("location")),
                (302, "https://example.com/page")
            );
        }
        let preview = world.visit("go.shop.test", "/spring+").await;
        assert!(preview.text().contains("go.shop.test/spring"), "{}", preview.text());
        world.app.settled().await;
        assert_eq!(tenant.overview(&made.id).await.clicks, 4);
    })
    .await;
}

/// A repeat looks at nothing; what was refused is asked again.
#[tokio::test]
async fn a_look_that_is_asked_for_twice_under_one_request_id_is_one() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        let domain = tenant.add_domain("go.shop.test").await;
        let request = VerifyDomainRequest {
            domain_id: domain.id.clone(),
            request_id: request_id(),
            ..VerifyDomainRequest::default()
        };
        let ask = async |request: &VerifyDomainRequest| {
            let answer = tenant.domains.clone().verify_domain(request.clone()).await?;
            Ok::<_, Status>(answer.into_inner().domain.expect("always there"))
        };
        assert_eq!(ask(&request).await.expect("looks").state(), DomainState::Pending);
        world.publish(&domain);
        assert_eq!(ask(&request).await.expect("looks at nothing").state(), DomainState::Pending);
        let anew = VerifyDomainRequest { request_id: request_id(), ..request.clone() };
        assert_eq!(ask(&anew).await.expect("looks").state(), DomainState::Verified);
        assert_eq!(ask(&request).await.expect("as it is now").state(), DomainState::Verified);

        let another = tenant.add_domain("b.shop.test").await;
        let reused = VerifyDomainRequest { domain_id: another.id, ..request.clone() };
        assert_eq!(reason(&ask(&reused).await.expect_err("is taken")), "IDEMPOTENCY_KEY_REUSED");
        let bad = VerifyDomainRequest { domain_id: "?".into(), request_id: "?".into(), ..request };
        assert_eq!(wrong(&ask(&bad).await.expect_err("both")), ["request_id", "domain_id"]);

        let second = world.app.another_tenant().await;
        let wanted = second.add_domain("go.shop.test").await;
        world.zone.texts("_linkforty.go.shop.test", &[&txt(&domain), &txt(&wanted)]);
        let rival = VerifyDomainRequest {
            domain_id: wanted.id.clone(),
            request_id: request_id(),
            ..VerifyDomainRequest::default()
        };
        for _ in 0..2 {
            let refused = second.domains.clone().verify_domain(rival.clone()).await.expect_err("is held");
            assert_eq!(reason(&refused), "DOMAIN_HELD");
        }
        world.zone.texts("_linkforty.go.shop.test", &[&txt(&wanted)]);
        let won = second.domains.clone().verify_domain(rival).await.expect("is proved").into_inner();
        assert_eq!(won.domain.expect("always there").state(), DomainState::Verified);
    })
    .await;
}

#[tokio::test]
async fn a_domain_may_stand_at_the_top_of_a_zone() {
    in_every_world(async |world| {
        let domain = world.tenant.add_domain("shop.test").await;
        world.zone.texts("_linkforty.shop.test", &["v=spf1 -all", &txt(&domain)]);
        world.zone.addresses("shop.test", &[OURS, "203.0.113.1"]);
        let seen = verify(&world.tenant, &domain).await.expect("looks").proof.expect("always there");
        assert_eq!((seen.ownership_status(), seen.address_status()), (DnsStatus::Right, DnsStatus::Wrong));
        assert_eq!(seen.address_seen, [OURS, "203.0.113.1"]);
        assert_eq!(seen.address[0].r#type(), DnsRecordType::A, "a CNAME cannot stand there");
        world.zone.addresses("shop.test", &[OURS]);
        let domain = verify(&world.tenant, &domain).await.expect("looks");
        assert_eq!(domain.state(), DomainState::Verified);
    })
    .await;
}

#[tokio::test]
async fn a_host_that_is_nobodys_is_not_there() {
    in_every_world(async |world| {
        world.tenant.create(coded("spring")).await;
        for path in ["/spring", "/spring+", "/", "/robots.txt", "/unknown"] {
            assert_eq!(world.visit("go.nobody.test", path).await.status, 404, "{path}");
        }
        for host in ["go.example.test", "GO.example.test:443", "127.0.0.1:80", "[::1]", "localhost:8080"] {
            assert_eq!(world.visit(host, "/spring").await.status, 302, "{host}");
        }
        for host in ["go.nobody.test", "go.example.test"] {
            assert_eq!(world.visit(host, "/livez").await.status, 200, "{host}");
        }
        // On a connection that may be another host's.
        let stream = TcpStream::connect(world.app.links()).await.expect("accepts");
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("a connection");
        let connection = tokio::spawn(connection);
        for (host, status) in [("go.nobody.test", 421), ("go.example.test", 302)] {
            let request = http::Request::get(format!("http://{host}/spring"));
            let request = request.body(Empty::<Bytes>::new()).expect("a request");
            let answer = sender.send_request(request).await.expect("an answer");
            assert_eq!(answer.status(), status, "{host}");
            answer.into_body().collect().await.expect("a body");
        }
        connection.abort();
    })
    .await;
}

#[tokio::test]
async fn every_host_is_our_own_when_the_operator_says_so() {
    let settings = [("LINKS_HOSTS", "links, *")];
    let app = App::start_with(Store::Embedded, &settings).await;
    app.tenant().await.create(coded("spring")).await;
    eventually("the domains are read", async || visit(&app, "go.nobody.test", "/spring").await.status == 302)
        .await;
    assert_eq!(visit(&app, "links:8080", "/spring").await.status, 302);
    // But nobody gets a certificate for it.
    let ask = support::get(app.ops(), "/tls/ask?domain=go.nobody.test", &[]).await;
    assert_eq!(ask.status, 404);
    app.stop().await;
}

#[tokio::test]
async fn a_code_is_unique_on_its_domain_only() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        for host in ["a.shop.test", "b.shop.test"] {
            world.proved(tenant, host).await;
        }
        for (host, leads) in [("", "own"), ("a.shop.test", "a"), ("b.shop.test", "b")] {
            let made =
                Link { domain: host.into(), ..link("spring", &format!("https://example.com/{leads}")) };
            tenant.create(made).await;
        }
        for (host, leads) in [("go.example.test", "own"), ("a.shop.test", "a"), ("b.shop.test", "b")] {
            let answer = world.visit(host, "/spring").await;
            assert_eq!(answer.header("location"), format!("https://example.com/{leads}"));
        }
        let taken = tenant.try_create(on("a.shop.test", "spring")).await.expect_err("is taken");
        assert_eq!(reason(&taken), "SHORT_CODE_TAKEN");
        tenant.create(on("go.example.test", "summer")).await;
        assert_eq!(world.visit("go.example.test", "/summer").await.status, 302);
        assert_eq!(world.visit("a.shop.test", "/summer").await.status, 404);
        // A copy lives where its original does.
        let original = tenant.create(on("b.shop.test", "")).await;
        let request = DuplicateLinkRequest { link_id: original.id, ..DuplicateLinkRequest::default() };
        let copy = tenant.links.clone().duplicate_link(request).await.expect("copies").into_inner().link;
        assert_eq!(copy.expect("always there").domain, "b.shop.test");
    })
    .await;
}

#[tokio::test]
async fn a_domain_may_ignore_the_case_of_codes() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        let insensitive = Domain {
            host: "go.shop.test".into(),
            code_case: CodeCase::Insensitive.into(),
            ..Domain::default()
        };
        let domain = tenant.try_add(insensitive).await.expect("adds");
        world.publish(&domain);
        let domain = verify(tenant, &domain).await.expect("is proved");
        let made = tenant.create(on("go.shop.test", "Spring")).await;
        assert_eq!(made.short_code, "spring");
        for path in ["/spring", "/Spring", "/SPRING"] {
            assert_eq!(world.visit("go.shop.test", path).await.status, 302, "{path}");
        }
        let taken = tenant.try_create(on("go.shop.test", "SPRING")).await.expect_err("is taken");
        assert_eq!(reason(&taken), "SHORT_CODE_TAKEN");
        let any = tenant.create(on("go.shop.test", "")).await.short_code;
        assert_eq!(any, any.to_lowercase());
        assert_eq!(world.visit("go.shop.test", &format!("/{}", any.to_uppercase())).await.status, 302);
        // The policy stays while links depend on it.
        let sensitive =
            Domain { id: domain.id.clone(), code_case: CodeCase::Sensitive.into(), ..Domain::default() };
        let refused = update(tenant, sensitive, &["code_case"]).await.expect_err("links live there");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "DOMAIN_HAS_LINKS"));
    })
    .await;
}

#[tokio::test]
async fn a_domain_says_where_lost_visitors_go() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        let domain = world.proved(tenant, "go.shop.test").await;
        let over = Some(prost_types::Timestamp { seconds: 1_000_000_000, nanos: 0 });
        tenant.create(Link { expire_time: over, ..on("go.shop.test", "over") }).await;
        tenant.create(Link { active: Some(false), ..on("go.shop.test", "off") }).await;
        for path in ["/", "/over", "/off", "/nothing"] {
            assert_eq!(world.visit("go.shop.test", path).await.status, 404, "{path}");
        }
        assert_eq!(world.visit("go.shop.test", "/robots.txt").await.text(), "User-agent: *\nDisallow:\n");
        let targets = Domain {
            id: domain.id,
            root_url: "https://shop.test/home".into(),
            not_found_url: "https://shop.test/lost".into(),
            expired_url: "https://shop.test/over".into(),
            robots_txt: "User-agent: *\nDisallow: /\n".into(),
            etag: domain.etag,
            ..Domain::default()
        };
        let changed = update(tenant, targets.clone(), &[]).await.expect("changes");
        for (path, location) in [
            ("/", "https://shop.test/home"),
            ("/over", "https://shop.test/over"),
            ("/off", "https://shop.test/lost"),
            ("/nothing", "https://shop.test/lost"),
        ] {
            let answer = world.visit("go.shop.test", path).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (302, location), "{path}");
            assert_eq!(answer.header("cache-control"), "private, no-store");
        }
        let robots = world.visit("go.shop.test", "/robots.txt").await;
        assert_eq!(
            (robots.text(), robots.header("content-type")),
            (targets.robots_txt.clone(), "text/plain; charset=utf-8")
        );
        // The server's own host is not concerned.
        assert_eq!(world.visit("go.example.test", "/nothing").await.status, 404);
        assert_eq!(world.visit("go.example.test", "/robots.txt").await.text(), "User-agent: *\nDisallow:\n");
        let stale = update(tenant, targets, &["root_url"]).await.expect_err("it has changed");
        assert_eq!(reason(&stale), "ETAG_MISMATCH");
        let cleared = Domain { id: changed.id, ..Domain::default() };
        let cleared = update(tenant, cleared, &["root_url"]).await.expect("clears");
        assert_eq!((&*cleared.root_url, &*cleared.not_found_url), ("", "https://shop.test/lost"));
        assert_eq!(world.visit("go.shop.test", "/").await.header("location"), "https://shop.test/lost");
    })
    .await;
}

#[tokio::test]
async fn links_go_to_the_default_domain() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        let pending = tenant.add_domain("later.shop.test").await;
        let default = |id: &str| Domain { id: id.to_owned(), is_default: true, ..Domain::default() };
        let refused = update(tenant, default(&pending.id), &[]).await.expect_err("is not proved");
        assert_eq!(reason(&refused), "DOMAIN_NOT_VERIFIED");
        let (a, b) = (world.proved(tenant, "a.shop.test").await, world.proved(tenant, "b.shop.test").await);
        assert!(update(tenant, default(&a.id), &[]).await.expect("is proved").is_default);
        assert_eq!(tenant.create(coded("one")).await.domain, "a.shop.test");
        update(tenant, default(&b.id), &[]).await.expect("is proved");
        assert_eq!(tenant.create(coded("two")).await.domain, "b.shop.test");
        assert_eq!(tenant.create(on("go.example.test", "three")).await.domain, "go.example.test");
        assert_eq!(tenant.create(on("GO.EXAMPLE.TEST:443", "four")).await.domain, "go.example.test");
        assert!(!tenant.domain(&a.id).await.is_default);
        let links = vec![coded("five"), on("a.shop.test", "six"), on("c.shop.test", "seven")];
        let request = BatchCreateLinksRequest { links, ..BatchCreateLinksRequest::default() };
        let batch =
            tenant.links.clone().batch_create_links(request.clone()).await.expect("answers").into_inner();
        let told: Vec<String> = batch
            .results
            .into_iter()
            .map(|result| match result.result {
                Some(Outcome::Link(link)) => link.domain,
                Some(Outcome::Error(error)) => error.violations[0].field.clone(),
                None => String::new(),
            })
            .collect();
        assert_eq!(told, ["b.shop.test", "a.shop.test", "domain"]);
        let checked = BatchCreateLinksRequest { validate_only: true, ..request };
        let checked = tenant.links.clone().batch_create_links(checked).await.expect("answers").into_inner();
        assert_eq!((checked.succeeded, checked.failed), (0, 3));
        let another = world.app.another_tenant().await;
        assert_eq!(another.create(coded("one")).await.domain, "go.example.test");
    })
    .await;
}

#[tokio::test]
async fn somebody_elses_domain_is_none() {
    in_every_world(async |world| {
        world.proved(&world.tenant, "go.shop.test").await;
        let another = world.app.another_tenant().await;
        for host in ["go.shop.test", "go.nobody.test"] {
            let refused = another.try_create(on(host, "spring")).await.expect_err("is not theirs");
            assert_eq!(
                (&*reason(&refused), wrong(&refused)),
                ("INVALID_FIELDS", vec!["link.domain".to_owned()])
            );
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_takes_a_host_whose_proof_holds() {
    in_every_world(async |world| {
        let (first, second) = (&world.tenant, &world.app.another_tenant().await);
        let held = world.proved(first, "go.shop.test").await;
        first.create(on("go.shop.test", "spring")).await;
        let wanted = second.add_domain("go.shop.test").await;
        assert_ne!(txt(&held), txt(&wanted));
        // Without its record it is pending; nothing is said of the other.
        assert_eq!(verify(second, &wanted).await.expect("looks").state(), DomainState::Pending);
        world.zone.texts("_linkforty.go.shop.test", &[&txt(&held), &txt(&wanted)]);
        let refused = verify(second, &wanted).await.expect_err("is held");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "DOMAIN_HELD"));
        assert_eq!(second.domain(&wanted.id).await.state(), DomainState::Pending);
        assert_eq!(world.visit("go.shop.test", "/spring").await.status, 302);

        // The first one's record is gone: whoever has the zone now gets the host, and none of the links.
        world.zone.texts("_linkforty.go.shop.test", &[&txt(&wanted)]);
        assert_eq!(verify(second, &wanted).await.expect("is proved").state(), DomainState::Verified);
        assert_eq!(first.domain(&held.id).await.state(), DomainState::Disabled);
        assert_eq!(world.visit("go.shop.test", "/spring").await.status, 404);
        let theirs = Link { domain: "go.shop.test".into(), ..link("spring", "https://example.com/theirs") };
        second.create(theirs).await;
        assert_eq!(
            world.visit("go.shop.test", "/spring").await.header("location"),
            "https://example.com/theirs"
        );
        // And it does not come back by itself.
        assert_eq!(verify(first, &held).await.expect("looks").state(), DomainState::Pending);
    })
    .await;
}

#[tokio::test]
async fn who_adds_a_host_inherits_no_links() {
    in_every_world(async |world| {
        let (first, second) = (&world.tenant, &world.app.another_tenant().await);
        let domain = world.proved(first, "go.shop.test").await;
        let made = first.create(on("go.shop.test", "spring")).await;
        assert_eq!(world.visit("go.shop.test", "/spring").await.status, 302);
        let refused = delete(first, &domain.id, false).await.expect_err("links live there");
        assert_eq!(reason(&refused), "DOMAIN_HAS_LINKS");
        delete(first, &domain.id, true).await.expect("deletes");
        assert_eq!(world.visit("go.shop.test", "/spring").await.status, 404);
        for tenant in [second, first] {
            let again = world.proved(tenant, "go.shop.test").await;
            assert_eq!(world.visit("go.shop.test", "/spring").await.status, 404);
            delete(tenant, &again.id, false).await.expect("nothing lives there");
        }
        // It is still there to look at and to delete, and a copy of it lives elsewhere.
        assert_eq!(first.get(&made.id).await.expect("is there").domain, "go.shop.test");
        let request = DuplicateLinkRequest { link_id: made.id.clone(), ..DuplicateLinkRequest::default() };
        let copy = first.links.clone().duplicate_link(request).await.expect("copies").into_inner().link;
        assert_eq!(copy.expect("always there").domain, "go.example.test");
        first.delete(&made.id).await;
    })
    .await;
}

#[tokio::test]
async fn a_domain_whose_proof_goes_stops_answering_after_three_days() {
    in_every_world(async |world| {
        let domain = world.proved(&world.tenant, "go.shop.test").await;
        world.tenant.create(on("go.shop.test", "spring")).await;
        // A day later it is still there.
        assert_eq!(state_after(world, &domain, 24).await.state(), DomainState::Verified);
        world.zone.texts("_linkforty.go.shop.test", &[]);
        let failing = state_after(world, &domain, 24).await;
        assert_eq!(failing.state(), DomainState::Failing);
        assert_eq!(failing.proof.expect("always there").ownership_status(), DnsStatus::Missing);
        assert_eq!(world.visit("go.shop.test", "/spring").await.status, 302);
        // It comes back, and goes again.
        world.publish(&domain);
        assert_eq!(state_after(world, &domain, 1).await.state(), DomainState::Verified);
        world.zone.no_alias("go.shop.test");
        world.zone.addresses("go.shop.test", &["203.0.113.1"]);
        assert_eq!(state_after(world, &domain, 24).await.state(), DomainState::Failing);
        let gone = state_after(world, &domain, THREE_DAYS).await;
        assert_eq!(gone.state(), DomainState::Disabled);
        assert_eq!(gone.proof.expect("always there").next_look_time, None);
        answers_with(world, "/spring", 404).await;
        // Asked to, it begins anew, and its links are there again.
        world.publish(&domain);
        assert_eq!(verify(&world.tenant, &domain).await.expect("looks").state(), DomainState::Verified);
        assert_eq!(world.visit("go.shop.test", "/spring").await.status, 302);
    })
    .await;
}

#[tokio::test]
async fn the_silence_of_name_servers_takes_nothing_away() {
    in_every_world(async |world| {
        let domain = world.proved(&world.tenant, "go.shop.test").await;
        for name in ["go.shop.test", "_linkforty.go.shop.test"] {
            world.zone.breaks(name, true);
        }
        for hours in [24, 100, 1000] {
            let silent = state_after(world, &domain, hours).await;
            assert_eq!(silent.state(), DomainState::Verified);
            assert_eq!(silent.proof.expect("always there").ownership_status(), DnsStatus::Silent);
        }
    })
    .await;
}

#[tokio::test]
async fn a_proof_that_never_comes_is_given_up() {
    in_every_world(async |world| {
        let domain = world.tenant.add_domain("go.shop.test").await;
        eventually("the DNS was looked at", async || {
            world.tenant.domain(&domain.id).await.proof.is_some_and(|proof| proof.look_time.is_some())
        })
        .await;
        let given_up = state_after(world, &domain, THREE_DAYS).await;
        assert_eq!(given_up.state(), DomainState::Pending);
        assert_eq!(given_up.proof.expect("always there").next_look_time, None);
        let asked = world.zone.asked();
        let again = verify(&world.tenant, &domain).await.expect("looks");
        assert!(world.zone.asked() > asked);
        assert!(again.proof.expect("always there").next_look_time.is_some());
    })
    .await;
}

#[tokio::test]
async fn everything_wrong_with_a_domain_is_told_at_once() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        for host in [
            "",
            "*.shop.test",
            "https://go.shop.test",
            "com",
            "co.uk",
            "10.0.0.1",
            "go.example.test",
            "dash.example.test",
            "x.local",
        ] {
            let refused =
                tenant.try_add(Domain { host: host.into(), ..Domain::default() }).await.expect_err(host);
            assert_eq!(
                (&*reason(&refused), wrong(&refused)),
                ("INVALID_FIELDS", vec!["domain.host".to_owned()]),
                "{host}"
            );
        }
        let bad =
            Domain { host: "a b".into(), code_case: 7, root_url: "javascript:x".into(), ..Domain::default() };
        let request = CreateDomainRequest {
            domain: Some(bad),
            request_id: "x".into(),
            ..CreateDomainRequest::default()
        };
        let refused = tenant.domains.clone().create_domain(request).await.expect_err("is bad");
        assert_eq!(wrong(&refused), ["domain.host", "domain.code_case", "domain.root_url", "request_id"]);
        let domain = tenant.add_domain("münchen.shop.test").await;
        assert_eq!(domain.host, "xn--mnchen-3ya.shop.test");
        let again = tenant.try_add(Domain { host: "MÜNCHEN.shop.test".into(), ..Domain::default() }).await;
        assert_eq!(reason(&again.expect_err("is there")), "ALREADY_EXISTS");
        let round = Domain {
            id: domain.id,
            root_url: "https://xn--mnchen-3ya.shop.test/".into(),
            ..Domain::default()
        };
        let refused = update(tenant, round, &[]).await.expect_err("round in circles");
        assert_eq!(wrong(&refused), ["domain.root_url"]);
    })
    .await;
}

#[tokio::test]
async fn of_a_hundred_who_want_one_code_of_a_domain_one_gets_it() {
    in_every_world(async |world| {
        let tenant = &world.tenant;
        world.proved(tenant, "go.shop.test").await;
        let wanted = (0..100).map(|number| {
            let (mut links, link) = (tenant.links.clone(), on("go.shop.test", "spring"));
            let link = Link { destination_url: format!("https://example.com/{number}"), ..link };
            let request = CreateLinkRequest { link: Some(link), ..CreateLinkRequest::default() };
            tokio::spawn(async move { links.create_link(request).await })
        });
        let mut made = Vec::new();
        for outcome in futures::future::join_all(wanted).await {
            match outcome.expect("no panic") {
                Ok(link) => made.push(link.into_inner().link.expect("always there")),
                Err(status) => assert_eq!(reason(&status), "SHORT_CODE_TAKEN"),
            }
        }
        assert_eq!(made.len(), 1);
        assert_eq!(world.visit("go.shop.test", "/spring").await.header("location"), made[0].destination_url);
    })
    .await;
}

#[tokio::test]
async fn of_a_hundred_who_add_one_host_one_does() {
    in_every_world(async |world| {
        let wanted = (0..100).map(|_| {
            let tenant = world.tenant.clone();
            let domain = Domain { host: "go.shop.test".into(), ..Domain::default() };
            tokio::spawn(async move { tenant.try_add(domain).await })
        });
        let outcomes = futures::future::join_all(wanted).await;
        let made = outcomes.into_iter().filter(|outcome| match outcome.as_ref().expect("no panic") {
            Ok(_) => true,
            Err(status) => {
                assert_eq!(reason(status), "ALREADY_EXISTS");
                false
            }
        });
        assert_eq!(made.count(), 1);
        // And a repeat under one request id is one.
        world.app.clock.advance(Span::seconds(1));
        let request = CreateDomainRequest {
            domain: Some(Domain { host: "b.shop.test".into(), ..Domain::default() }),
            request_id: request_id(),
            ..CreateDomainRequest::default()
        };
        let mut ids = Vec::new();
        for _ in 0..2 {
            let made = world.tenant.domains.clone().create_domain(request.clone()).await.expect("adds");
            ids.push(made.into_inner().domain.expect("always there").id);
        }
        assert_eq!(ids[0], ids[1]);
        let page = ListDomainsRequest { page_size: 1, ..ListDomainsRequest::default() };
        let first =
            world.tenant.domains.clone().list_domains(page.clone()).await.expect("lists").into_inner();
        let next = ListDomainsRequest { page_token: first.next_page_token, ..page };
        let second = world.tenant.domains.clone().list_domains(next).await.expect("lists").into_inner();
        assert_eq!((&*first.domains[0].host, &*second.domains[0].host), ("go.shop.test", "b.shop.test"));
        assert_eq!(second.next_page_token, "");
    })
    .await;
}

#[tokio::test]
async fn proxies_ask_whether_a_host_gets_a_certificate() {
    in_every_world(async |world| {
        world.proved(&world.tenant, "go.shop.test").await;
        world.tenant.add_domain("later.shop.test").await;
        for (host, status) in [
            ("go.shop.test", 200),
            ("GO.SHOP.TEST", 200),
            ("go.example.test", 200),
            ("later.shop.test", 404),
            ("go.nobody.test", 404),
            ("127.0.0.1", 404),
            ("localhost", 404),
            ("", 404),
        ] {
            let answer = support::get(world.app.ops(), &format!("/tls/ask?domain={host}"), &[]).await;
            assert_eq!(answer.status, status, "{host}");
        }
        assert_eq!(support::get(world.app.ops(), "/tls/ask", &[]).await.status, 400);
    })
    .await;
}

#[tokio::test]
async fn a_changed_domain_reaches_every_node_within_a_second() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let world = World::on(Store::Production).await;
    let node = world.app.start_beside(&[]).await;
    let second = Duration::from_secs(1);
    let there = async |path: &str| visit(&node, "go.shop.test", path).await;
    eventually("the other node knows its domains", async || there("/spring").await.status == 404).await;
    let domain = world.tenant.add_domain("go.shop.test").await;
    world.tenant.create(on("go.shop.test", "spring")).await;
    world.publish(&domain);
    verify(&world.tenant, &domain).await.expect("is proved");
    within(second, "it answers", async || there("/spring").await.status == 302).await;
    let changed =
        Domain { id: domain.id.clone(), root_url: "https://shop.test/".into(), ..Domain::default() };
    update(&world.tenant, changed, &[]).await.expect("changes");
    within(second, "it leads elsewhere", async || {
        there("/").await.header("location") == "https://shop.test/"
    })
    .await;
    delete(&world.tenant, &domain.id, true).await.expect("deletes");
    within(second, "it is gone", async || there("/spring").await.status == 404).await;
    node.stop().await;
    world.stop().await;
}

/// It has no file of an earlier run to know them from.
#[tokio::test]
async fn a_new_node_knows_the_domains_before_its_first_visitor() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let world = World::on(Store::Production).await;
    world.proved(&world.tenant, "go.shop.test").await;
    world.tenant.create(on("go.shop.test", "spring")).await;
    for _ in 0..5 {
        let node = world.app.start_beside(&[]).await;
        assert_eq!(visit(&node, "go.shop.test", "/spring").await.status, 302);
        node.stop().await;
    }
    world.stop().await;
}

#[tokio::test]
async fn a_domain_answers_after_a_restart_without_stores() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let world = World::on(Store::Production).await;
    world.proved(&world.tenant, "go.shop.test").await;
    world.tenant.create(on("go.shop.test", "spring")).await;
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path().display().to_string();
    let node = world.app.start_beside(&[("DATA_DIR", &dir)]).await;
    eventually("it is warm", async || visit(&node, "go.shop.test", "/spring").await.status == 302).await;
    node.stop().await;
    let nowhere =
        [("DATABASE_URL", "postgres://app@127.0.0.1:1/linkforty"), ("REDIS_URL", "redis://127.0.0.1:1")];
    let settings = [&[("DATA_DIR", dir.as_str())][..], &nowhere].concat();
    let node = world.app.start_beside(&settings).await;
    assert_eq!(visit(&node, "go.shop.test", "/spring").await.status, 302);
    // Nobody can say whether somebody has this one.
    assert_eq!(visit(&node, "go.nobody.test", "/spring").await.status, 503);
    let ask =
        async |host: &str| support::get(node.ops(), &format!("/tls/ask?domain={host}"), &[]).await.status;
    assert_eq!((ask("go.shop.test").await.as_u16(), ask("go.nobody.test").await.as_u16()), (200, 503));
    node.stop().await;
    let empty = tempfile::tempdir().expect("a folder").path().join("new").display().to_string();
    let settings = [&[("DATA_DIR", empty.as_str())][..], &nowhere].concat();
    let node = world.app.start_beside(&settings).await;
    assert_eq!(visit(&node, "go.shop.test", "/spring").await.status, 503);
    node.stop().await;
    world.stop().await;
}
