//! Certificates that the server gets by itself, from an authority that really looks whether hosts are ours.

use std::{fs, time::Duration};

use bytes::Bytes;
use chrono::Duration as Span;
use http::Method;
use linkforty::{
    domains::certificates,
    pb::v1::{
        CertificateFailure, CertificateState, DeleteDomainRequest, Domain, DomainCertificate, DomainState,
        Link, ListAuditEventsRequest, VerifyDomainRequest, audit_service_client::AuditServiceClient,
    },
};
use sea_orm::{ConnectionTrait as _, Statement};
use tonic::Code;

use crate::support::{
    self, App, Authority, Bearer, EXTERNAL, Place, Store, Tenant, Troubles, Zone, coded, eventually, reason,
    stores, within,
};

const OURS: &str = "198.51.100.7";
const OWN: &str = "go.example.test";

/// A server that gets its certificates from an authority of the test.
struct World {
    app: App,
    zone: Zone,
    authority: Authority,
    tenant: Tenant,
}

impl World {
    async fn on(store: Store, changes: &[(&str, &str)]) -> Self {
        Self::with(store, changes, Troubles::default()).await
    }

    async fn with(store: Store, changes: &[(&str, &str)], troubles: Troubles) -> Self {
        let zone = Zone::open().await;
        zone.addresses(OWN, &[OURS]);
        let authority = Authority::open(&zone).await;
        authority.trouble(troubles);
        let (mut settings, dns) = (authority.settings(), zone.setting());
        settings.push(("DNS_SERVERS".to_owned(), dns));
        settings.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let app = App::start_with(store, &settings).await;
        authority.look_at(&[place(&app)]);
        let tenant = app.tenant().await;
        Self { app, zone, authority, tenant }
    }

    /// Returns a domain that answers.
    async fn proved(&self, host: &str) -> Domain {
        self.proved_of(&self.tenant, host).await
    }

    async fn proved_of(&self, tenant: &Tenant, host: &str) -> Domain {
        let domain = tenant.add_domain(host).await;
        let record = domain.proof.as_ref().and_then(|proof| proof.ownership.clone()).expect("always there");
        self.zone.texts(&record.name, &[&record.value]);
        self.zone.alias(host, OWN);
        let domain = self.verify(tenant, &domain.id).await;
        assert_eq!(domain.state(), DomainState::Verified);
        domain
    }

    async fn verify(&self, tenant: &Tenant, id: &str) -> Domain {
        let request = VerifyDomainRequest { domain_id: id.to_owned(), ..VerifyDomainRequest::default() };
        let answer = tenant.domains.clone().verify_domain(request).await.expect("looks");
        answer.into_inner().domain.expect("always there")
    }

    async fn certificate(&self, id: &str) -> DomainCertificate {
        self.tenant.domain(id).await.certificate.unwrap_or_default()
    }

    /// Waits until a host shows a certificate.
    async fn shown(&self, host: &str) -> Vec<u8> {
        eventually("the host has a certificate", async || self.own(host).await.is_some()).await;
        self.own(host).await.expect("it was there")
    }

    /// Returns the certificate that a host shows, if it is believed.
    async fn own(&self, host: &str) -> Option<Vec<u8>> {
        let stream = self.authority.shake_hands(self.app.links(), host).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?[0].to_vec())
    }

    /// Moves the clock, for the authority too.
    fn advance(&self, step: Span) {
        self.app.clock.advance(step);
        self.authority.live_at(self.app.env().now());
    }

    /// Waits until a certificate failed so often, and returns how it stands.
    async fn failed(&self, id: &str, kind: CertificateFailure) -> DomainCertificate {
        eventually("it fails", async || self.certificate(id).await.failure() == kind).await;
        self.certificate(id).await
    }

    async fn count(&self, table: &str) -> i64 {
        let db = &self.app.env().db.api;
        let sql = format!("SELECT COUNT(*) AS n FROM {table}");
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await;
        row.expect("the stores answer").expect("a row").try_get("", "n").expect("a number")
    }

    async fn stop(self) {
        self.app.stop().await;
    }
}

fn place(app: &App) -> Place {
    Place { tls: app.links(), plain: app.running().plain }
}

fn on(host: &str, code: &str) -> Link {
    Link { domain: host.to_owned(), ..coded(code) }
}

async fn in_every_world(changes: &[(&str, &str)], test: impl AsyncFn(&World)) {
    for store in stores() {
        let world = World::on(store, changes).await;
        test(&world).await;
        world.stop().await;
    }
}

/// A private key on P-256 in PKCS #8 begins so, whatever the key.
const PKCS8: &[u8] = &[
    0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04,
];

fn holds_a_key(bytes: &[u8]) -> bool {
    bytes.windows(PKCS8.len()).any(|part| part == PKCS8)
        || bytes.windows(11).any(|part| part == b"PRIVATE KEY")
}

#[tokio::test]
async fn proved_domains_get_certificates_and_redirect_over_tls() {
    in_every_world(&[], async |world| {
        let first = world.proved("go.shop.test").await;
        world.proved("a.shop.test").await;
        for host in ["go.shop.test", "a.shop.test"] {
            world.tenant.create(on(host, "spring")).await;
        }
        world.tenant.create(coded("own")).await;
        for (host, path) in [("go.shop.test", "/spring"), ("a.shop.test", "/spring"), (OWN, "/own")] {
            world.shown(host).await;
            let answer = world.authority.visit(world.app.links(), host, path).await.expect("shakes hands");
            assert_eq!(
                (answer.status.as_u16(), answer.header("location")),
                (302, "https://example.com/page")
            );
        }
        assert_ne!(world.own("go.shop.test").await, world.own("a.shop.test").await);
        // Who asks for another host, or for none, gets no hand.
        assert!(world.authority.shake_hands(world.app.links(), "nobody.shop.test").await.is_err());

        let certificate = world.certificate(&first.id).await;
        assert_eq!(certificate.state(), CertificateState::Active);
        assert_eq!(
            (&*certificate.issuer, certificate.failure()),
            ("Trial authority", CertificateFailure::Unspecified)
        );
        let now = world.app.env().now().timestamp();
        let day = |time: Option<prost_types::Timestamp>| (time.expect("is set").seconds - now) / 86_400;
        assert_eq!(day(certificate.expire_time), 90);
        assert!((55..=60).contains(&day(certificate.next_time)), "{certificate:?}");

        assert_eq!(world.authority.accounts(), 1);
        let mut ordered = world.authority.ordered();
        ordered.sort();
        assert_eq!(ordered, ["a.shop.test", OWN, "go.shop.test"]);
        assert_eq!(world.authority.ways(), ["tls-alpn-01"; 3]);
        assert_eq!(world.count("acme_challenges").await, 0, "nobody waits for an answer any more");
        let metrics = support::get(world.app.ops(), "/metrics", &[]).await.text();
        // How many, the servers of all tests say together.
        for name in [
            "linkforty_certificates{state=\"active\"} ",
            "linkforty_certificate_next_expiry_seconds ",
            "linkforty_certificate_orders_total{outcome=\"issued\"} ",
            "linkforty_certificate_challenges_total{kind=\"tls-alpn-01\",outcome=\"answered\"} ",
        ] {
            assert!(metrics.contains(name), "{name} is not in {metrics}");
        }

        let listed = certificates::list(world.app.env()).await.expect("lists");
        let hosts: Vec<&str> = listed.iter().map(|certificate| &*certificate.host).collect();
        assert_eq!(hosts, ["a.shop.test", OWN, "go.shop.test"]);
    })
    .await;
}

#[tokio::test]
async fn no_private_key_is_stored_as_it_is() {
    in_every_world(&[], async |world| {
        world.proved("go.shop.test").await;
        world.shown("go.shop.test").await;
        world.shown(OWN).await;
        let db = &world.app.env().db.api;
        let mut keys = 0;
        for sql in ["SELECT private_key AS k FROM certificates", "SELECT private_key AS k FROM acme_accounts"]
        {
            let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await;
            for row in rows.expect("the stores answer") {
                let key: Vec<u8> = row.try_get("", "k").expect("bytes");
                assert!(key.len() > 100 && !holds_a_key(&key), "a key stands there as it is");
                keys += 1;
            }
        }
        assert_eq!(keys, 3);
        let data = world.app.data.path().join("data");
        eventually("the file is written", async || data.join("certificates.snap").exists()).await;
        for entry in fs::read_dir(&data).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let bytes = fs::read(&path).expect("readable");
                assert!(!holds_a_key(&bytes), "{} holds a private key", path.display());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn hosts_are_proved_on_port_80_and_browsers_sent_on_from_there() {
    in_every_world(&[("ACME_CHALLENGE", "http-01"), ("LINKS_HTTP_ADDR", "127.0.0.1:0")], async |world| {
        world.proved("go.shop.test").await;
        world.shown("go.shop.test").await;
        world.shown(OWN).await;
        assert_eq!(world.authority.ways(), ["http-01"; 2]);

        let plain = world.app.running().plain.expect("it listens");
        for (method, host, path, status, location) in [
            (Method::GET, "go.shop.test", "/spring?a=b", 308, "https://go.shop.test/spring?a=b"),
            (Method::HEAD, "GO.SHOP.TEST:80", "/", 308, "https://GO.SHOP.TEST/"),
            (Method::GET, OWN, "/own", 308, "https://go.example.test/own"),
            (Method::GET, "nobody.shop.test", "/", 421, ""),
            (Method::GET, "127.0.0.1", "/", 421, ""),
            (Method::POST, OWN, "/linkforty.sdk.v1.SdkService/ReportOpen", 412, ""),
            (Method::GET, OWN, "/.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDf", 404, ""),
            (Method::GET, OWN, "/.well-known/acme-challenge/x", 404, ""),
        ] {
            let answer = support::send(plain, method, path, &[("host", host)], Bytes::new()).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("location")),
                (status, location),
                "{host}{path}"
            );
        }
        // No call of a program is sent on: its owner should notice.
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{plain}")).expect("an address");
        let channel = channel.origin(format!("http://{OWN}").parse().expect("a URL")).connect().await;
        let mut client =
            linkforty::pb::v1::link_service_client::LinkServiceClient::new(channel.expect("it accepts"));
        let refused = client.list_links(linkforty::pb::v1::ListLinksRequest::default()).await;
        let refused = refused.expect_err("is refused");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "HTTPS_REQUIRED"));
    })
    .await;
}

#[tokio::test]
async fn every_node_answers_the_authority_and_shows_what_was_got() {
    if !stores().contains(&Store::Production) {
        return;
    }
    for (challenge, plain) in [("tls-alpn-01", ""), ("http-01", "127.0.0.1:0")] {
        let changes = [("ACME_CHALLENGE", challenge), ("LINKS_HTTP_ADDR", plain), ("ACME_HOSTS", "none")];
        let world = World::on(Store::Production, &changes).await;
        let node = world.app.start_beside(&[]).await;
        // Both have to answer, and one of them did not ask.
        world.authority.look_at(&[place(&world.app), place(&node)]);
        let domain = world.proved("go.shop.test").await;
        world.tenant.create(on("go.shop.test", "spring")).await;
        let first = world.shown("go.shop.test").await;
        let there = async || {
            let stream = world.authority.shake_hands(node.links(), "go.shop.test").await.ok()?;
            Some(stream.get_ref().1.peer_certificates()?[0].to_vec())
        };
        within(Duration::from_secs(1), "the other node shows it", async || {
            there().await.as_ref() == Some(&first)
        })
        .await;
        assert_eq!(world.authority.ordered(), ["go.shop.test"], "one node got it");
        assert_eq!(world.authority.ways(), [challenge]);

        let request = DeleteDomainRequest { domain_id: domain.id, force: true, ..Default::default() };
        world.tenant.domains.clone().delete_domain(request).await.expect("deletes");
        within(Duration::from_secs(1), "nobody shows it", async || {
            there().await.is_none() && world.own("go.shop.test").await.is_none()
        })
        .await;
        assert_eq!(world.count("certificates").await, 0);
        node.stop().await;
        world.stop().await;
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_is_over() {
    in_every_world(&[("ACME_HOSTS", "none")], async |world| {
        let domain = world.proved("go.shop.test").await;
        let first = world.shown("go.shop.test").await;
        world.advance(Span::days(50));
        eventually("the domain was looked at", async || {
            let proof = world.tenant.domain(&domain.id).await.proof.expect("always there");
            proof.look_time.is_some_and(|at| at.seconds == world.app.env().now().timestamp())
        })
        .await;
        assert_eq!(world.own("go.shop.test").await.as_ref(), Some(&first), "it is good for 40 days more");
        world.advance(Span::days(10));
        eventually("there is another one", async || {
            world.own("go.shop.test").await.is_some_and(|own| own != first)
        })
        .await;
        assert_eq!((world.authority.accounts(), world.authority.ordered().len()), (1, 2));
        let certificate = world.certificate(&domain.id).await;
        let left = certificate.expire_time.expect("is set").seconds - world.app.env().now().timestamp();
        assert_eq!(left / 86_400, 90);

        let mut client =
            AuditServiceClient::with_interceptor(world.app.channel().await, Bearer(world.tenant.key.clone()));
        let told = async |client: &mut AuditServiceClient<_>| {
            let request = ListAuditEventsRequest::default();
            let events = client.list_audit_events(request).await.expect("lists").into_inner().audit_events;
            let mut told: Vec<String> = events.into_iter().map(|event| event.action).collect();
            told.retain(|action| action.starts_with("domain.certificate"));
            told.sort();
            told
        };
        eventually("both are noted", async || told(&mut client.clone()).await.len() == 2).await;
        assert_eq!(told(&mut client).await, ["domain.certificate_issued", "domain.certificate_renewed"]);
    })
    .await;
}

#[tokio::test]
async fn the_operator_may_have_another_one_got_at_once() {
    in_every_world(&[], async |world| {
        let first = world.shown(OWN).await;
        assert!(certificates::renew(world.app.env(), OWN).await.expect("asks"));
        assert!(!certificates::renew(world.app.env(), "nobody.shop.test").await.expect("asks"));
        eventually("there is another one", async || world.own(OWN).await.is_some_and(|own| own != first))
            .await;
        assert_eq!((world.authority.accounts(), world.authority.ordered().len()), (1, 2));
    })
    .await;
}

#[tokio::test]
async fn what_an_authority_refuses_is_told_and_tried_again_later_and_later() {
    in_every_world(&[("ACME_HOSTS", "none")], async |world| {
        let mut domain = String::new();
        for (troubles, failure, orders) in [
            (Troubles { broken: true, ..Troubles::default() }, CertificateFailure::AuthorityAway, 0),
            (Troubles { rate_limit: Some(7200), ..Troubles::default() }, CertificateFailure::RateLimited, 0),
            (
                Troubles { refuses: Some("connection"), ..Troubles::default() },
                CertificateFailure::NotProved,
                1,
            ),
            (Troubles { refuses: Some("caa"), ..Troubles::default() }, CertificateFailure::Caa, 2),
            (Troubles { wrong_host: true, ..Troubles::default() }, CertificateFailure::Unusable, 3),
            (Troubles { endless: true, ..Troubles::default() }, CertificateFailure::AuthorityAway, 4),
        ] {
            world.authority.trouble(troubles);
            if domain.is_empty() {
                domain = world.proved("go.shop.test").await.id;
            } else {
                world.advance(Span::hours(30));
            }
            let certificate = world.failed(&domain, failure).await;
            let now = world.app.env().now().timestamp();
            assert_eq!(certificate.state(), CertificateState::Pending, "{failure:?}");
            assert_eq!(certificate.failure_time.expect("is set").seconds, now);
            let next = certificate.next_time.expect("it goes on").seconds - now;
            assert!(
                next >= if failure == CertificateFailure::RateLimited { 7200 } else { 60 },
                "{failure:?}: {next}"
            );
            assert!(!certificate.advice.is_empty());
            assert!(!certificate.failure_detail.contains(char::is_control), "{certificate:?}");
            assert_eq!(world.authority.ordered().len(), orders, "{failure:?}");
        }
        world.authority.trouble(Troubles { bad_nonces: 2, ..Troubles::default() });
        world.advance(Span::hours(30));
        world.shown("go.shop.test").await;
        let certificate = world.certificate(&domain).await;
        assert_eq!(
            (certificate.state(), certificate.failure()),
            (CertificateState::Active, CertificateFailure::Unspecified)
        );
        assert_eq!(world.authority.accounts(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_host_that_is_never_issued_is_given_up_until_somebody_asks() {
    let world = World::on(Store::Embedded, &[("ACME_HOSTS", "none")]).await;
    world.authority.trouble(Troubles { refuses: Some("rejectedIdentifier"), ..Troubles::default() });
    let domain = world.proved("go.shop.test").await.id;
    for orders in 1..=3 {
        eventually("it fails", async || {
            world.authority.ordered().len() == orders && world.count("acme_challenges").await == 0
        })
        .await;
        eventually("that is stored", async || {
            let at = world.certificate(&domain).await.failure_time;
            at.is_some_and(|at| at.seconds == world.app.env().now().timestamp())
        })
        .await;
        world.advance(Span::hours(30));
    }
    let certificate = world.certificate(&domain).await;
    assert_eq!((certificate.state(), certificate.next_time), (CertificateState::Failed, None));
    world.authority.trouble(Troubles::default());
    world.verify(&world.tenant, &domain).await;
    world.shown("go.shop.test").await;
    assert_eq!(world.authority.ordered().len(), 4);
    world.stop().await;
}

#[tokio::test]
async fn only_what_is_proved_and_leads_here_is_ordered() {
    in_every_world(&[("ACME_HOSTS", "none")], async |world| {
        world.tenant.add_domain("unproved.shop.test").await;
        world.authority.trouble(Troubles { broken: true, ..Troubles::default() });
        let domain = world.proved("go.shop.test").await.id;
        world.failed(&domain, CertificateFailure::AuthorityAway).await;
        world.authority.trouble(Troubles::default());
        // It leads elsewhere now, which nobody has noticed yet.
        world.zone.no_alias("go.shop.test");
        world.zone.addresses("go.shop.test", &["203.0.113.9"]);
        world.advance(Span::minutes(3));
        let certificate = world.failed(&domain, CertificateFailure::NotHere).await;
        assert_eq!(certificate.failure_detail, "203.0.113.9");
        assert!(world.authority.ordered().is_empty(), "the authority was not asked in vain");
        world.zone.alias("go.shop.test", OWN);
        world.advance(Span::hours(2));
        world.shown("go.shop.test").await;
        assert_eq!(world.authority.ordered(), ["go.shop.test"]);
    })
    .await;
}

#[tokio::test]
async fn no_workspace_orders_more_than_its_part_in_an_hour() {
    in_every_world(&[("ACME_HOSTS", "none"), ("ACME_ORDERS_PER_HOUR", "3")], async |world| {
        let other = world.app.another_tenant().await;
        world.proved("a.shop.test").await;
        world.shown("a.shop.test").await;
        world.proved("b.shop.test").await;
        world.proved_of(&other, "c.other.test").await;
        world.shown("c.other.test").await;
        let mut ordered = world.authority.ordered();
        ordered.sort();
        assert_eq!(ordered, ["a.shop.test", "c.other.test"], "a third of three is one");
        world.advance(Span::minutes(61));
        world.shown("b.shop.test").await;
    })
    .await;
}

#[tokio::test]
async fn an_account_is_bound_to_the_one_that_the_operator_has() {
    let eab = [("ACME_EAB_KID", EXTERNAL.0), ("ACME_EAB_KEY", EXTERNAL.1)];
    let needs = Troubles { needs_external: true, ..Troubles::default() };
    let world = World::with(Store::Embedded, &eab, needs.clone()).await;
    world.shown(OWN).await;
    world.stop().await;
    let world = World::with(Store::Embedded, &[], needs).await;
    let failed = async || {
        let listed = certificates::list(world.app.env()).await.expect("lists");
        listed.first().and_then(certificates::failure_of) == Some("account")
    };
    eventually("it fails", failed).await;
    assert_eq!(world.authority.accounts(), 0);
    world.stop().await;
}

#[tokio::test]
async fn certificates_are_shown_after_a_restart_without_stores() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let world = World::on(Store::Production, &[]).await;
    world.proved("go.shop.test").await;
    let own = world.shown("go.shop.test").await;
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path().display().to_string();
    let shown = async |node: &App| {
        let stream = world.authority.shake_hands(node.links(), "go.shop.test").await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?[0].to_vec())
    };
    // It has it before its first visitor comes, though no earlier run left it anything.
    let node = world.app.start_beside(&[("DATA_DIR", &dir)]).await;
    assert_eq!(shown(&node).await.as_ref(), Some(&own));
    node.stop().await;
    let nowhere =
        [("DATABASE_URL", "postgres://app@127.0.0.1:1/linkforty"), ("REDIS_URL", "redis://127.0.0.1:1")];
    let settings = [&[("DATA_DIR", dir.as_str())][..], &nowhere].concat();
    let node = world.app.start_beside(&settings).await;
    assert_eq!(shown(&node).await, Some(own));
    node.stop().await;
    // Another secret opens no keys: they are got anew, by another account.
    let (fresh, secret) = (tempfile::tempdir().expect("a folder"), "Lk7PqWz4XvBn9MsDf2GhJt6RyUc8EaOi");
    let settings = [("DATA_DIR", fresh.path().to_str().expect("text")), ("SESSION_SECRET", secret)];
    let node = world.app.start_beside(&settings).await;
    assert_eq!(shown(&node).await, None);
    node.stop().await;
    world.stop().await;
}
