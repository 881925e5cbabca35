//! What rules ask of a visit: read when the first asks for it, and once, however many rules a link has.

use std::{borrow::Cow, cell::OnceCell, net::IpAddr};

use url::form_urlencoded;

use super::{languages::Languages, software::Software, visitor::Visit};
use crate::{
    clicks::referrer_host,
    clock::Moment,
    geo::{Country, Regions},
};

/// A visit at a moment.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub visit: &'a Visit<'a>,
    pub now: Moment,
    /// Where the visitor called from, without the two ways to write an IPv4 address.
    pub client: Option<IpAddr>,
    languages: OnceCell<Languages<'a>>,
    referrer: OnceCell<&'a str>,
    query: OnceCell<Vec<(Cow<'a, str>, Cow<'a, str>)>>,
    country: OnceCell<Option<Country>>,
    regions: OnceCell<Regions>,
    city: OnceCell<Option<String>>,
    software: OnceCell<Software>,
    was_here: OnceCell<bool>,
}

impl<'a> Facts<'a> {
    pub fn of(visit: &'a Visit<'a>, now: Moment) -> Self {
        Self {
            visit,
            now,
            client: visit.client.map(|client| client.to_canonical()),
            languages: OnceCell::new(),
            referrer: OnceCell::new(),
            query: OnceCell::new(),
            country: OnceCell::new(),
            regions: OnceCell::new(),
            city: OnceCell::new(),
            software: OnceCell::new(),
            was_here: OnceCell::new(),
        }
    }

    pub fn languages(&self) -> &Languages<'a> {
        self.languages.get_or_init(|| Languages::of(self.visit.languages))
    }

    /// The host that the visitor comes from.
    pub fn referrer(&self) -> &'a str {
        self.referrer.get_or_init(|| referrer_host(self.visit.referrer).trim_end_matches('.'))
    }

    /// The names and values of the query, in its order.
    pub fn query(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        if self.visit.query.is_empty() {
            return &[];
        }
        self.query.get_or_init(|| form_urlencoded::parse(self.visit.query.as_bytes()).collect())
    }

    pub fn country(&self) -> Option<Country> {
        *self.country.get_or_init(|| self.visit.country())
    }

    pub fn regions(&self) -> Regions {
        *self.regions.get_or_init(|| self.visit.regions())
    }

    /// The name of the city, in lower case.
    pub fn city(&self) -> Option<&str> {
        self.city.get_or_init(|| self.visit.city().map(|city| city.to_lowercase())).as_deref()
    }

    pub fn software(&self) -> Software {
        *self.software.get_or_init(|| self.visit.software())
    }

    pub fn was_here(&self) -> bool {
        *self.was_here.get_or_init(|| self.visit.was_here(self.now))
    }
}
