//! The answer to a visit and what `ResolveLink` says of it are the same, to the byte of `Location`: for a hundred thousand visits by
//! made-up visitors to made-up links at many moments. Most go through the two functions behind the doors, in this process;
//! some thousand over the wire.

mod answer;
mod generate;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    net::IpAddr,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use linkforty::{
    clicks::{Recorder, class::Edge},
    clock::from_micros,
    domains::Site,
    entity::{link as links_table, workspace},
    ids::{Ids, LinkId, WorkspaceId},
    limits::Unlimited,
    links::{Budgets, Described, Detail, House, Resolver, Target},
    pb::v1::{
        BatchCreateLinksRequest, Launchpad, LaunchpadDesktop, LaunchpadMobile, Link, Resolution,
        ResolutionOutcome as Outcome, ResolutionStep, ResolveLinkRequest, WorkspaceSettings,
        batch_link_result,
    },
    redirect::{Redirects, dry_run, history::History, visitor::Visitor},
    spool::{Spool, SpoolOptions},
    workspaces::{enter_as_operator, suspend},
};
use prost::Message as _;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tokio::net::TcpStream;

use self::{
    answer::Answered,
    generate::{BEGIN, CITIES, Dice, MOMENTS, PASSWORD, STEP, Somebody},
};
use crate::support::{App, Store, Tenant, cities, stores};

const REPORT: &str = "https://example.com/report";

/// What workspaces say of their links.
fn settings() -> [WorkspaceSettings; 4] {
    let launchpad = |mobile: LaunchpadMobile, desktop: LaunchpadDesktop| {
        Some(Launchpad { mobile: mobile.into(), desktop: desktop.into(), ..Launchpad::default() })
    };
    [
        WorkspaceSettings::default(),
        WorkspaceSettings {
            web_url: "https://example.com/house".into(),
            ios_store_url: "https://apps.apple.com/app/id77".into(),
            android_store_url: "https://play.google.com/store/apps/details?id=com.example.house".into(),
            report_abuse_url: REPORT.into(),
            pasteboard_page: true,
            ..WorkspaceSettings::default()
        },
        WorkspaceSettings {
            launchpad: launchpad(LaunchpadMobile::Page, LaunchpadDesktop::Always),
            ..WorkspaceSettings::default()
        },
        WorkspaceSettings {
            launchpad: launchpad(LaunchpadMobile::Unspecified, LaunchpadDesktop::Off),
            ..WorkspaceSettings::default()
        },
    ]
}

/// A server with made-up links.
struct World {
    app: App,
    ids: Ids,
    links: Vec<(Tenant, Link)>,
}

impl World {
    async fn start(store: Store, links: usize, dice: &Dice) -> Self {
        let networks = tempfile::tempdir().expect("a directory");
        let file = networks.path().join("cities.mmdb");
        fs::write(&file, cities(&CITIES)).expect("writes");
        let app = App::start_with(
            store,
            &[
                ("GEOIP_FILE", &file.display().to_string()),
                ("TRUSTED_PROXIES", "127.0.0.0/8"),
                ("RATE_LIMIT_ENABLED", "false"),
                // The clock goes on by days; what changes is told.
                ("CACHE_SOFT_TTL_SECONDS", "8000000"),
                ("CACHE_MAX_STALE_SECONDS", "8000000"),
                ("CACHE_MAX_STALE_IF_ERROR_SECONDS", "8000000"),
                ("CACHE_SHARED_TTL_SECONDS", "8000000"),
            ],
        )
        .await;
        app.clock.set(from_micros(BEGIN * 1_000_000));
        let db = &app.env().db.api;
        let mut tenants = Vec::new();
        for (place, settings) in settings().into_iter().enumerate() {
            let tenant = if place == 0 { app.tenant().await } else { app.another_tenant().await };
            let id = WorkspaceId::parse(&tenant.id).expect("an id");
            let changed = workspace::ActiveModel {
                id: Set(id),
                settings: Set(Some(settings.encode_to_vec())),
                ..Default::default()
            };
            workspace::Entity::update(changed).exec(db).await.expect("updates");
            tenants.push(tenant);
        }
        // One of them leads nowhere at all: it has few links.
        tenants.push(app.another_tenant().await);
        let last = tenants.len() - 1;
        let operator = enter_as_operator(app.env(), Some(&tenants[last].id)).await.expect("it is there");
        assert!(suspend(app.env(), &operator, Some("x")).await.expect("suspends"));
        let mut made = Vec::new();
        for (place, tenant) in tenants.into_iter().enumerate() {
            let count = match place {
                // Its links all show the launchpad.
                2 => links / 12,
                _ if place == last => 3,
                _ => links * 11 / 36,
            };
            let wanted: Vec<Link> =
                (0..count).map(|number| generate::a_link(dice, format!("l{place}-{number}x"))).collect();
            for some in wanted.chunks(100) {
                let request = BatchCreateLinksRequest { links: some.to_vec(), ..Default::default() };
                let answer = tenant.links.clone().batch_create_links(request).await.expect("creates");
                for result in answer.into_inner().results {
                    match result.result {
                        Some(batch_link_result::Result::Link(link)) => made.push((tenant.clone(), link)),
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
        // Nothing that passes the door comes to this: a row written by hand.
        let broken = Set("https://example.com/\u{7}".to_owned());
        let (_, link) = &mut made[0];
        *link = Link { id: link.id.clone(), short_code: link.short_code.clone(), ..Link::default() };
        let id = LinkId::parse(&link.id).expect("an id");
        let row = links_table::Entity::find_by_id(id).one(db).await.expect("answers").expect("it is there");
        let bare = links_table::ActiveModel {
            id: Set(id),
            destination_url: broken.clone(),
            web_url: broken,
            start_time: Set(None),
            expire_time: Set(None),
            warn_time: Set(None),
            disable_time: Set(None),
            launchpad_mode: Set(0),
            active: Set(true),
            routing_rules: Set(None),
            targeting: Set(None),
            password_hash: Set(None),
            max_clicks: Set(0),
            version: Set(row.version + 1),
            ..Default::default()
        };
        links_table::Entity::update(bare).exec(db).await.expect("updates");
        drop(networks);
        Self { app, ids: Ids::seeded(9), links: made }
    }

    /// Returns what redirects need of each link, read from the rows.
    async fn targets(&self) -> HashMap<String, Target> {
        let db = &self.app.env().db.api;
        let houses: HashMap<WorkspaceId, _> = workspace::Entity::find()
            .all(db)
            .await
            .expect("answers")
            .into_iter()
            .map(|row| {
                let settings =
                    row.settings.map(|bytes| WorkspaceSettings::decode(&*bytes).expect("settings"));
                (row.id, House::shared(settings, row.suspend_time.is_some()))
            })
            .collect();
        let ours = links_table::Column::ShortCode.starts_with("l");
        let rows = links_table::Entity::find().filter(ours).all(db).await.expect("answers");
        rows.into_iter()
            .map(|row| (row.short_code.clone(), Target::of(&row, houses[&row.workspace_id].clone(), None)))
            .collect()
    }

    fn at(&self, moment: i64) {
        self.app.clock.set(from_micros((BEGIN + moment * STEP) * 1_000_000));
    }
}

/// What was reached.
#[derive(Debug, Default)]
struct Reached {
    outcomes: BTreeMap<&'static str, usize>,
    steps: BTreeSet<&'static str>,
    /// Kinds of conditions, and whether they held.
    conditions: BTreeSet<(&'static str, bool)>,
    cases: usize,
}

impl Reached {
    fn note(&mut self, link: &Link, told: &Resolution) {
        self.cases += 1;
        *self.outcomes.entry(told.outcome().as_str_name()).or_default() += 1;
        self.steps
            .extend(told.steps.iter().filter(|step| step.decided).map(|step| step.step().as_str_name()));
        for verdict in &told.rules {
            let rule = &link.routing_rules[usize::try_from(verdict.rule).expect("a place")];
            for (condition, found) in rule.conditions.iter().zip(&verdict.conditions) {
                let condition = condition.condition.as_ref().expect("it is set");
                self.conditions.insert((generate::kind(condition), found.holds));
                assert_eq!(found.holds, found.explanation.is_empty(), "{found:?}");
            }
        }
    }

    fn is_everything(&self) {
        let missing: Vec<&str> = (1..)
            .map_while(|number| Outcome::try_from(number).ok())
            .map(|outcome| outcome.as_str_name())
            .filter(|name| !self.outcomes.contains_key(name))
            .collect();
        assert!(missing.is_empty(), "never reached: {missing:?} of {self:#?}");
        let missing: Vec<&str> = (1..)
            .map_while(|number| ResolutionStep::try_from(number).ok())
            .map(|step| step.as_str_name())
            .filter(|name| !self.steps.contains(name))
            .collect();
        assert!(missing.is_empty(), "never decided: {missing:?} of {self:#?}");
        assert_eq!(self.conditions.len(), 2 * generate::KINDS, "each kind holds and does not: {self:#?}");
    }
}

fn leads_on(told: &Resolution) -> bool {
    let outcome = told.outcome();
    matches!(outcome, Outcome::Redirect | Outcome::OpenApp | Outcome::Launchpad | Outcome::Pasteboard)
}

async fn read(response: Response<Full<Bytes>>) -> Answered {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("it is all there").to_bytes();
    Answered::of(Response::from_parts(parts, body))
}

fn request(method: &str, code: &str, somebody: &Somebody) -> http::request::Parts {
    let mut request = Request::builder().method(method).uri(somebody.path(code));
    for (name, value) in somebody.headers() {
        request = request.header(name, value);
    }
    request.body(()).expect("a request").into_parts().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_visits_end_as_they_were_told() {
    for store in stores() {
        let visits = if store == Store::Embedded { 7 } else { 1 };
        agree(store, 600, visits).await;
    }
}

async fn agree(store: Store, links: usize, visits: i64) {
    let dice = Dice::seeded(20_261);
    let world = World::start(store, links, &dice).await;
    let targets = world.targets().await;
    let env = world.app.env();
    // The door behind the listener, with a spool of its own that nobody drains.
    let options = SpoolOptions { min_free_bytes: 0, ..SpoolOptions::default() };
    let dir = tempfile::tempdir().expect("a directory");
    let (spool, _reader) = Spool::open(dir.path(), options).expect("a spool");
    let (resolver, _refreshes) = Resolver::new(env.clone());
    let budgets = Budgets::new(env.clone(), spool.clone());
    let recorder = Recorder::new(spool, b"a secret of the test, long enough", env.geo.clone());
    let history = History::load(env);
    let redirects = Redirects::new(env.clone(), resolver, budgets, recorder, Arc::new(Unlimited), history);

    let mut reached = Reached::default();
    let mut unlocked = 0;
    let mut were_here = HashSet::new();
    for moment in 0..MOMENTS {
        world.at(moment);
        let now = env.now();
        for (place, (_, link)) in world.links.iter().enumerate() {
            let target = &targets[&link.short_code];
            // What a lease leaves over comes back after an hour: a link with a limit is visited at one moment only.
            let visits = match target.max_clicks {
                0 => visits,
                _ if place as i64 % MOMENTS == moment => visits * MOMENTS,
                _ => continue,
            };
            let mut passed = 0;
            for _ in 0..visits {
                let somebody = Somebody::made_up(&dice);
                let knows = target.extras.as_ref().is_some_and(|extras| extras.has_password)
                    && unlocked < 40
                    && dice.chance(20);
                let described = Described {
                    user_agent: somebody.agent.to_owned(),
                    languages: somebody.languages.to_owned(),
                    referrer: somebody.referrer.to_owned(),
                    query: somebody.query.to_owned(),
                    client: Some(somebody.address),
                    place: None,
                    returning: were_here.contains(&(link.id.as_str(), somebody.agent, somebody.address)),
                    password_given: knows,
                    used_up: Some(target.max_clicks > 0 && passed >= target.max_clicks),
                };
                let detail = if dice.chance(10) { Detail::Reasons } else { Detail::Outcome };
                let told = dry_run(&env.geo, target, &described, now, detail);
                // Only who is asked for a password sends the form.
                let asked = || {
                    let unknowing = Described { password_given: false, ..described.clone() };
                    dry_run(&env.geo, target, &unknowing, now, Detail::Outcome).outcome()
                };
                let (code, client) = (link.short_code.as_str(), somebody.address);
                let answer = if knows && asked() == Outcome::Password {
                    unlocked += 1;
                    unlock(&redirects, code, &somebody, client).await
                } else {
                    let parts = request("GET", code, &somebody);
                    read(redirects.follow(&Site::Own, code, &parts, client, Edge::Ignored).await).await
                };
                if let Some(wrong) = answer.disagrees(&told, &world.ids, somebody.languages, REPORT) {
                    panic!(
                        "{store}, case {}: {wrong}: {} {:?}, but told {told:#?}\nof {somebody:?} on {target:#?}",
                        reached.cases,
                        answer.status,
                        answer.location(),
                    );
                }
                passed += i64::from(leads_on(&told));
                if leads_on(&told) && target.rules.ask_who_was_here() && !Visitor::of(somebody.agent).scraper
                {
                    were_here.insert((link.id.as_str(), somebody.agent, somebody.address));
                }
                reached.note(link, &told);
            }
        }
    }
    if store == Store::Embedded {
        assert!(reached.cases >= 100_000, "{}", reached.cases);
    }
    assert!(unlocked > 0);
    reached.is_everything();
    over_the_wire(&world, &dice, if store == Store::Embedded { 3000 } else { 1000 }).await;
    eprintln!("{store}: {} visits ended as they were told: {:#?}", reached.cases, reached.outcomes);
    world.app.stop().await;
}

async fn unlock(redirects: &Redirects, code: &str, somebody: &Somebody, client: IpAddr) -> Answered {
    let mut parts = request("POST", code, somebody);
    let form = header::HeaderValue::from_static("application/x-www-form-urlencoded");
    parts.headers.insert(header::CONTENT_TYPE, form);
    let body = format!("password={}", PASSWORD.replace(' ', "+"));
    let answer =
        redirects.unlock((&Site::Own, code), &parts, (client, client), Edge::Ignored, body.as_bytes()).await;
    read(answer).await
}

/// The same through both listeners: a connection that is kept, as browsers keep it, and gRPC.
async fn over_the_wire(world: &World, dice: &Dice, visits: i64) {
    let app = &world.app;
    let stream = TcpStream::connect(app.links()).await.expect("the listener accepts");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let free: Vec<&(Tenant, Link)> = world.links.iter().filter(|(_, link)| link.max_clicks == 0).collect();
    let targets = world.targets().await;
    let (mut outcomes, mut were_here) = (BTreeSet::new(), HashSet::new());
    for visit in 0..visits {
        if visit % 250 == 0 {
            world.at(MOMENTS + visit / 250);
        }
        let (tenant, link) = free[dice.place(free.len())];
        let somebody = Somebody::made_up(dice);
        let mut visitor = somebody.described();
        visitor.returning = were_here.contains(&(link.id.as_str(), somebody.agent, somebody.address));
        let found = CITIES.iter().find(|(network, ..)| {
            let network: ipnet::IpNet = network.parse().expect("a network");
            network.contains(&somebody.address)
        });
        if let Some((_, country, parts, city)) = found.filter(|_| dice.chance(50)) {
            // Told by name, or left to the file: the same.
            visitor.country = (*country).to_owned();
            visitor.regions = parts.iter().map(|part| format!("{country}-{part}")).collect();
            visitor.city = (*city).to_owned();
        }
        let mut request = ResolveLinkRequest { visitor: Some(visitor), ..ResolveLinkRequest::default() };
        match visit % 3 {
            0 => request.link_id.clone_from(&link.id),
            1 => request.short_code.clone_from(&link.short_code),
            _ => request.short_url = format!("https://go.example.test/{}", link.short_code),
        }
        let told = tenant.links.clone().resolve_link(request).await.expect("resolves").into_inner();
        let told = told.resolution.expect("always there");
        let answer = follow(&mut sender, &somebody, &link.short_code).await;
        if let Some(wrong) = answer.disagrees(&told, &world.ids, somebody.languages, REPORT) {
            panic!(
                "over the wire: {wrong}: {} {:?}, but told {told:#?}\nof {somebody:?} on {link:#?}",
                answer.status,
                answer.location(),
            );
        }
        outcomes.insert(told.outcome().as_str_name());
        if leads_on(&told)
            && targets[&link.short_code].rules.ask_who_was_here()
            && !Visitor::of(somebody.agent).scraper
        {
            were_here.insert((link.id.as_str(), somebody.agent, somebody.address));
        }
    }
    connection.abort();
    assert!(outcomes.len() >= 10, "{outcomes:?}");
}

async fn follow(sender: &mut SendRequest<Full<Bytes>>, somebody: &Somebody, code: &str) -> Answered {
    let mut request = Request::get(somebody.path(code)).header("host", "go.example.test");
    request = request.header("x-forwarded-for", somebody.address.to_string());
    for (name, value) in somebody.headers() {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::new())).expect("a request");
    sender.ready().await.expect("the connection is kept");
    let (parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Answered::of(Response::from_parts(parts, body))
}
