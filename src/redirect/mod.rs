//! The public door: a visitor follows a short link.
//!
//! Cast: [`http`] reads the request and writes the answer; [`visitor`] says what the request tells about the visitor;
//! [`destination`] decides, and only decides, where they go, and [`rules`] whom the rules of a link fit; `decorate` adds to
//! that URL what the link and the visitor bring; `ending` counts how visits end; [`pages`] are what those see
//! who are not sent on. Links come from `links::resolve`, clicks go
//! to `clicks`.
//!
//! Guarantees: a warm link needs no database, no Redis and no disk flush; a click is in the spool before its answer leaves, or
//! the answer carries no click id and the click is counted as unrecorded; every answer is counted once, under its ending; a link that cannot be looked up answers 503,
//! never 404.

pub mod decorate;
pub mod destination;
mod ending;
mod http;
pub mod pages;
pub mod rules;
pub mod visitor;

pub use self::{
    ending::Ending,
    http::{Redirects, code_of},
};
