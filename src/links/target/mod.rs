//! What a redirect needs of a link: little, so that many fit into memory.

mod form;
mod row;

use std::{ops::Deref, sync::Arc};

use super::{
    extras::{Extras, House},
    rules::Rules,
};
use crate::{
    clock::Moment,
    ids::{LinkId, WorkspaceId},
};

pub(super) use row::{Row, find_house, find_target};

/// What a redirect needs of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The id.
    pub id: LinkId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Where to go when nothing fits better.
    pub destination_url: Box<str>,
    /// Where some visitors go instead.
    pub addresses: Addresses,
    /// For people; may be empty.
    pub title: Box<str>,
    /// What is added to the URL; `None`: nothing but, perhaps, the visitor's query.
    pub decoration: Option<Box<Decoration>>,
    /// Whether the URL gets the visitor's query.
    pub forward_query: bool,
    /// Who goes elsewhere.
    pub rules: Rules,
    /// What few links have; `None`: nothing of it.
    pub extras: Option<Box<Extras>>,
    /// What the workspace says of all of its links; `None`: nothing. Shared by those in memory.
    pub house: Option<Arc<House>>,
    /// Whether it redirects.
    pub active: bool,
    /// From when on it redirects.
    pub start_time: Option<Moment>,
    /// From when on it does not.
    pub expire_time: Option<Moment>,
    /// How many visits it sends on; 0: any number.
    pub max_clicks: i64,
    /// Goes up with every change: of two targets of one link the higher one is newer.
    pub version: i64,
}

/// The addresses of a link beside its destination. Most links have none, and those take no room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(Option<Box<Urls>>);

/// URLs by visitor; each may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Urls {
    /// Where iPhones, iPads and iPods go.
    pub ios_url: String,
    /// Where Android devices go.
    pub android_url: String,
    /// Where everybody else goes.
    pub web_url: String,
    /// Where iPhones, iPads and iPods go first.
    pub ios_universal_link: String,
    /// Where Android devices go first.
    pub android_app_link: String,
}

impl From<Urls> for Addresses {
    fn from(urls: Urls) -> Self {
        Self((urls != Urls::default()).then(|| Box::new(urls)))
    }
}

impl Deref for Addresses {
    type Target = Urls;

    fn deref(&self) -> &Urls {
        const NONE: &Urls = &Urls {
            ios_url: String::new(),
            android_url: String::new(),
            web_url: String::new(),
            ios_universal_link: String::new(),
            android_app_link: String::new(),
        };
        self.0.as_deref().unwrap_or(NONE)
    }
}

/// What a link adds to the query of the URL it leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoration {
    /// Parameters and their values, each name once, in the order they are set in.
    pub parameters: Vec<(String, String)>,
    /// How many of them, from the first on, are those of the campaign; the others are the app's.
    pub of_campaign: u8,
    /// Whether the id of the click is among them.
    pub append_click_id: bool,
}

impl Decoration {
    fn of(
        (parameters, of_campaign): (Vec<(String, String)>, u8),
        append_click_id: bool,
    ) -> Option<Box<Self>> {
        let decoration = Self { parameters, of_campaign, append_click_id };
        (decoration != Self::default()).then(|| Box::new(decoration))
    }
}

#[cfg(test)]
impl Target {
    /// Returns the target of a link that has nothing but a destination.
    pub(crate) fn bare() -> Self {
        let (ids, now) = (crate::ids::Ids::seeded(5), crate::clock::from_micros(1_700_000_000_000_001));
        Self {
            id: LinkId::mint(&ids, now),
            workspace_id: WorkspaceId::mint(&ids, now),
            destination_url: "https://example.com/".into(),
            addresses: Addresses::default(),
            title: Box::default(),
            decoration: None,
            forward_query: true,
            rules: Rules::default(),
            extras: None,
            house: None,
            active: true,
            start_time: None,
            expire_time: None,
            max_clicks: 0,
            version: 1,
        }
    }
}
