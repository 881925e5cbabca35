//! The table.

use std::collections::BTreeMap;

use serde::Deserialize;
use tonic::Code;

/// All of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    pub http: Vec<HttpCase>,
    pub rpc: Vec<RpcCase>,
    pub elsewhere: Vec<Elsewhere>,
    pub not_here: Vec<NotHere>,
}

/// Something sent by HTTP/1.1.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCase {
    /// The id in the threat model.
    pub id: String,
    /// What is tried.
    pub says: String,
    /// `links`, `api` or `ops`.
    pub listener: String,
    #[serde(default = "get")]
    pub method: String,
    /// One attempt for each.
    #[serde(default)]
    pub paths: Vec<String>,
    pub host: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: String,
    /// The whole request as it is, instead of all that.
    pub raw: Option<String>,
    /// Any of these.
    pub status: Vec<u16>,
    /// Headers, and what stands in them.
    #[serde(default)]
    pub has: BTreeMap<String, String>,
    /// Headers that are not there.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// What must not stand in the answer.
    #[serde(default)]
    pub forbid: Vec<String>,
    /// What stands in the body.
    #[serde(default)]
    pub body_has: Vec<String>,
}

/// A method called by grpc-web.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RpcCase {
    pub id: String,
    pub says: String,
    /// `Service/Method`.
    pub method: String,
    /// Whose credentials: a name of the field, `nobody`, or the credentials themselves.
    #[serde(default = "key")]
    pub who: String,
    /// Where a method of apps is called.
    #[serde(default)]
    pub listener: String,
    /// The request as JSON; `%s` stands for each of `each`.
    #[serde(default = "empty")]
    pub request: String,
    #[serde(default)]
    pub each: Vec<String>,
    /// Any of these.
    pub code: Vec<String>,
    #[serde(default)]
    pub reason: String,
    /// What field is wrong.
    pub field: Option<String>,
}

/// A case that a test of its own tries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    pub id: String,
    pub tests: Vec<String>,
}

/// A case that this product has no entry for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotHere {
    pub id: String,
    pub why: String,
}

fn get() -> String {
    "GET".to_owned()
}

fn key() -> String {
    "key".to_owned()
}

fn empty() -> String {
    "{}".to_owned()
}

impl Cases {
    pub fn read() -> Self {
        toml::from_str(include_str!("../../abuse/cases.toml"))
            .expect("tests/abuse/cases.toml is a table of cases")
    }
}

/// What a case tries, one by one.
pub trait Attempt {
    fn attempts(&self) -> Vec<String>;
}

impl Attempt for HttpCase {
    fn attempts(&self) -> Vec<String> {
        if self.raw.is_some() { vec![String::new()] } else { self.paths.clone() }
    }
}

impl Attempt for RpcCase {
    fn attempts(&self) -> Vec<String> {
        if self.each.is_empty() {
            return vec![self.request.clone()];
        }
        self.each
            .iter()
            .map(|one| {
                let quoted = serde_json::to_string(one).expect("a text");
                self.request.replace("\"%s\"", &quoted).replace("%s", one)
            })
            .collect()
    }
}

/// Returns the name of a code as gRPC writes it.
pub fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
