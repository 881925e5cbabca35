//! The public door: a visitor follows a short link.
//!
//! Cast: [`http`] reads the request and writes the answer; [`visitor`] says what the request tells about the visitor, and
//! [`agent`] remembers it of each user agent, what [`software`] reads for rules included; [`history`] knows who was here before;
//! [`destination`] decides, and only decides, where they go, and `rules` whom the rules of a link fit, by `facts` of the visit that are
//! read once, `languages` among them; `decorate` adds to
//! that URL what the link and the visitor bring, `scheme` makes those that open the app; `answer` shows [`pages`] to those who
//! are not simply sent on, `manner` says with which status and for how long a redirect holds, `unlock` hears their passwords,
//! `look` says where a link leads, `qr` draws its code and `report` hears what is wrong with it, `view` that an ad for it was seen; `dry_run` says what becomes of a
//! visit that is described and not made, and why; `ending` counts how visits end.
//! Links come from `links::resolve`, clicks go to `clicks`.
//!
//! Guarantees: a warm link needs no database, no Redis and no disk flush; a click is in the spool before its answer leaves, or
//! the answer carries no click id and the click is counted as unrecorded; every answer is counted once, under its ending; a link that cannot be looked up answers 503,
//! never 404.

pub mod agent;
mod answer;
pub mod decorate;
pub mod destination;
mod dry_run;
mod ending;
mod facts;
pub mod history;
mod http;
mod languages;
mod look;
mod manner;
pub mod pages;
mod qr;
mod report;
mod rules;
mod scheme;
pub mod software;
mod unlock;
mod view;
pub mod visitor;

pub use self::{
    dry_run::dry_run,
    ending::Ending,
    http::{Redirects, Waits, code_of, is_form, long_form},
    look::looked_up,
    qr::drawn,
    report::reported,
    unlock::attempted,
    view::viewed,
};
