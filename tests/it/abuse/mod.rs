//! What strangers, tenants and proxies try, and what they are told: the table in `tests/abuse/cases.toml`, sent as bytes over the wire, and
//! the floods that no table can hold ([`floods`]). Whatever is tried, an answer that says INTERNAL, UNKNOWN or 500, that shows how we are
//! built, or a secret, fails.

mod cases;
mod floods;
mod texts;
mod wire;

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
};

use chrono::TimeDelta;
use linkforty::{
    pb::{
        pool,
        v1::{Link, Og},
    },
    rpc::Permission,
};
use prost_reflect::{DynamicMessage, prost::Message as _};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use self::{
    cases::{Attempt, Cases, HttpCase, RpcCase},
    wire::Heard,
};
use crate::{
    accounts::settled_owner,
    support::{App, Store, coded, frame, link, read_web, reason, send, stores, wrong},
};

/// What would tell a stranger how we are built, wherever it stands in an answer.
const NEVER: &[&str] = &[
    "panicked",
    "SQLSTATE",
    "sqlx",
    "sea_orm",
    "SELECT ",
    "constraint",
    "relation \"",
    "UNIQUE",
    "src/",
    "/root/",
    "/home/",
    "stack backtrace",
    "rustc",
    "Os {",
    "No such file",
];

/// What `docs/security.md` counts on being tried: R redirects, S apps, T tenants, U sign-in, W browsers, H calls outside, A the protocol, L leaks.
const ROSTER: &str = "
    R-01 R-02 R-04 R-06 R-08 R-09 R-10 R-11 R-14 R-15 R-16 R-17 R-18 R-20 R-21 R-22 R-24
    S-01 S-02 S-03 S-04 S-06 S-09 S-10 S-11 S-12 S-14 S-16 S-17
    T-01 T-02 T-03 T-06 T-07 T-09 T-11 T-12
    U-01 U-02 U-03 U-04 U-06 U-08 U-09 U-11 U-12 U-13
    W-01 W-02 W-03 W-04 W-07 W-08 W-10
    H-01 H-02 H-03 H-04 H-05 H-06 H-08 H-09 H-10 H-11 H-12 H-13
    A-01 A-03 A-04 A-05 A-06 A-07 A-08 A-09 A-10 A-11 A-12 A-13 A-14 A-17 A-18 A-19 A-20
    L-01 L-04 L-05 L-06 L-07 L-08 L-09 L-10 L-12 L-13 L-14";

/// A server with something in it to attack.
struct Field {
    app: App,
    /// What stands for ids and secrets in the table.
    names: Vec<(&'static str, String)>,
}

impl Field {
    async fn prepare(store: Store, settings: &[(&str, &str)]) -> Self {
        let app = App::start_with(store, settings).await;
        let (owner, workspace) = settled_owner(&app).await;
        let ours = app.tenant_of(&workspace).await;
        let theirs = app.another_tenant().await;
        let good = ours.create(link("good", "https://example.com/landing?a=1#part")).await;
        ours.create(Link { active: Some(false), ..coded("off") }).await;
        let end = app.env().now() - TimeDelta::days(1);
        let past = Some(prost_types::Timestamp { seconds: end.timestamp(), nanos: 0 });
        let markup = "</script><svg onload=alert(1)>".to_owned();
        let og = Some(Og { title: markup.clone(), description: markup.clone(), ..Og::default() });
        ours.create(Link { title: markup, og, ..coded("titled") }).await;
        let gone = ours.create(coded("gone")).await;
        ours.update(Link { id: gone.id, expire_time: past, ..Link::default() }, &["expire_time"]).await;
        let foreign = theirs.create(coded("theirs")).await;
        let token = ours.app_token().await;
        let reader = app.key(&ours.id, &[Permission::LinksRead]).await;
        let names = vec![
            ("workspace", ours.id.clone()),
            ("their_workspace", theirs.id.clone()),
            ("link", good.id),
            ("their_link", foreign.id),
            ("owner", owner),
            ("key", ours.key.clone()),
            ("their_key", theirs.key.clone()),
            ("reader", reader),
            ("app_token", token),
        ];
        Self { app, names }
    }

    /// Puts what names stand for in their places, and as many of a character as `<<c*n>>` asks for.
    fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.names {
            filled = filled.replace(&format!("{{{name}}}"), value);
        }
        while let Some((before, rest)) = filled.split_once("<<") {
            let (what, after) = rest.split_once(">>").expect("<<c*n>>");
            let (piece, times) = what.rsplit_once('*').expect("<<c*n>>");
            let many = piece.repeat(times.parse().expect("a number"));
            filled = format!("{before}{many}{after}");
        }
        filled
    }

    fn credentials(&self, who: &str) -> Option<String> {
        let known = self.names.iter().find(|(name, _)| *name == who).map(|(_, value)| value.clone());
        match who {
            "nobody" => None,
            who => Some(format!("Bearer {}", known.unwrap_or_else(|| who.to_owned()))),
        }
    }

    async fn http(&self, case: &HttpCase, path: &str) -> Result<(), String> {
        let listener = match case.listener.as_str() {
            "links" => self.app.links(),
            "api" => self.app.api(),
            "ops" => self.app.ops(),
            other => panic!("{}: there is no listener {other}", case.id),
        };
        let bytes = match &case.raw {
            Some(raw) => self.fill(raw).replace('\n', "\r\n"),
            None => {
                let host = case.host.clone().unwrap_or_else(|| "go.example.test".to_owned());
                let mut request = format!(
                    "{} {} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n",
                    case.method,
                    self.fill(path)
                );
                for (name, value) in &case.headers {
                    request += &format!("{name}: {}\r\n", self.fill(value));
                }
                let body = self.fill(&case.body);
                if !body.is_empty() {
                    request += &format!("content-length: {}\r\n", body.len());
                }
                request + "\r\n" + &body
            }
        };
        let heard =
            wire::say(listener, bytes.as_bytes()).await.ok_or("the connection ended without an answer")?;
        harmless(&format!("{}\n{}", heard.head, heard.body))?;
        if !case.status.contains(&heard.status) {
            return Err(format!("{} and not {:?}: {}", heard.status, case.status, shortly(&heard)));
        }
        for (name, part) in &case.has {
            let value = heard.header(name);
            if !value.is_some_and(|value| value.contains(&self.fill(part))) {
                return Err(format!("{name} is {value:?} and not {part:?}"));
            }
        }
        for name in &case.lacks {
            if let Some(value) = heard.header(name) {
                return Err(format!("{name} is {value:?}"));
            }
        }
        for part in &case.forbid {
            if heard.body.contains(&self.fill(part)) || heard.head.contains(&self.fill(part)) {
                return Err(format!("{part:?} stands in the answer"));
            }
        }
        match case.body_has.iter().find(|part| !heard.body.contains(&***part)) {
            Some(part) => Err(format!("{part:?} does not stand in {}", shortly(&heard))),
            None => Ok(()),
        }
    }

    async fn rpc(&self, case: &RpcCase, request: &str) -> Result<(), String> {
        let (service, method) = case.method.split_once('/').expect("Service/Method");
        let full = if service == "SdkService" { "linkforty.sdk.v1" } else { "linkforty.v1" };
        let path = format!("/{full}.{service}/{method}");
        let shape = pool().get_service_by_name(&format!("{full}.{service}"));
        let shape = shape.unwrap_or_else(|| panic!("{}: there is no {service}", case.id));
        let input = shape.methods().find(|known| known.name() == method);
        let input = input.unwrap_or_else(|| panic!("{}: there is no {method}", case.id)).input();
        let json = self.fill(request);
        let mut json = serde_json::Deserializer::from_str(&json);
        let message = DynamicMessage::deserialize(input, &mut json)
            .unwrap_or_else(|error| panic!("{}: {request}: {error}", case.id));
        let mut headers = vec![("content-type".to_owned(), "application/grpc-web+proto".to_owned())];
        headers.extend(self.credentials(&case.who).map(|value| ("authorization".to_owned(), value)));
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let to = if service == "SdkService" && case.listener == "links" {
            self.app.links()
        } else {
            self.app.api()
        };
        let body = frame(&message.encode_to_vec());
        let answer = send(to, http::Method::POST, &path, &headers, body).await;
        let outcome: Result<(), Status> = read_web(&answer);
        let (code, told, fields) = match &outcome {
            Ok(()) => (Code::Ok, String::new(), Vec::new()),
            Err(status) => (status.code(), reason(status), wrong(status)),
        };
        if let Err(status) = &outcome {
            harmless(&format!("{}\n{:?}", status.message(), status.get_details_bad_request()))?;
            let (Code::Internal | Code::Unknown) = code else {
                if status.get_details_error_info().is_none() {
                    return Err(format!("{status:?} has no reason"));
                }
                return judge(case, code, &told, &fields);
            };
            return Err(format!("{status:?}"));
        }
        judge(case, code, &told, &fields)
    }
}

fn judge(case: &RpcCase, code: Code, told: &str, fields: &[String]) -> Result<(), String> {
    let name = cases::name_of(code);
    if !case.code.iter().any(|expected| expected == name) {
        return Err(format!("{name} {told} {fields:?} and not {:?}", case.code));
    }
    if code == Code::Ok {
        return Ok(());
    }
    if !case.reason.is_empty() && case.reason != told {
        return Err(format!("{told} and not {}", case.reason));
    }
    match &case.field {
        Some(field) if !fields.iter().any(|wrong| wrong == field) => {
            Err(format!("{fields:?} and not {field}"))
        }
        _ => Ok(()),
    }
}

/// Says what an answer must never show.
fn harmless(text: &str) -> Result<(), String> {
    match NEVER.iter().find(|part| text.contains(**part)) {
        Some(part) => Err(format!("{part:?} stands in the answer")),
        None => Ok(()),
    }
}

fn shortly(heard: &Heard) -> String {
    format!("{}\n{}", heard.head, heard.body).chars().take(600).collect()
}

#[tokio::test]
async fn every_case_is_answered_as_the_table_says() {
    let cases = Cases::read();
    for store in stores() {
        let field = Field::prepare(store, &[]).await;
        let (mut tried, mut failed) = (0, Vec::new());
        for case in &cases.http {
            for attempt in case.attempts() {
                tried += 1;
                if let Err(why) = field.http(case, &attempt).await {
                    failed.push(format!("{} {} [{}]: {why}", case.id, case.says, shown(&attempt)));
                }
            }
        }
        for case in &cases.rpc {
            for attempt in case.attempts() {
                tried += 1;
                if let Err(why) = field.rpc(case, &attempt).await {
                    failed.push(format!("{} {} [{}]: {why}", case.id, case.says, shown(&attempt)));
                }
            }
        }
        tell(&format!("{store}: {} of {tried} abuse cases answered as specified", tried - failed.len()));
        field.app.stop().await;
        assert!(failed.is_empty(), "on {store}:\n{}", failed.join("\n"));
    }
}

/// Prints a figure also when the test passes, of which libtest shows nothing that `println!` has printed.
fn tell(figure: &str) {
    writeln!(io::stdout(), "{figure}").expect("stdout is open");
}

fn shown(attempt: &str) -> String {
    attempt.chars().take(160).collect()
}

/// The ids that the threat model has and this product an entry for, each answered in the table, by a flood, or by a test elsewhere.
#[test]
fn every_case_of_the_threat_model_has_its_test() {
    let cases = Cases::read();
    let mut told = BTreeSet::new();
    told.extend(cases.http.iter().map(|case| case.id.clone()));
    told.extend(cases.rpc.iter().map(|case| case.id.clone()));
    for case in &cases.elsewhere {
        for test in &case.tests {
            crate::asvs::test_exists(test);
        }
        assert!(!case.tests.is_empty(), "{}", case.id);
        told.insert(case.id.clone());
    }
    for case in &cases.not_here {
        assert!(!told.contains(&case.id), "{} is there", case.id);
        assert!(case.why.len() > 10, "{}: {}", case.id, case.why);
        told.insert(case.id.clone());
    }
    let roster: BTreeSet<String> = ROSTER.split_whitespace().map(str::to_owned).collect();
    assert_eq!(told, roster);
}
