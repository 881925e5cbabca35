//! What few links have, and what a workspace says of all of its links: the parts of a target that most do without. Pure.

use std::sync::Arc;

use prost::Message as _;

use super::{condition, routing};
use crate::{clock::Moment, error::Violations, geo::Country, pb::v1};

const MAX_COUNTRIES: usize = 250;
const MAX_LANGUAGES: usize = 50;
pub(super) const MAX_OG_TITLE: usize = 255;
pub(super) const MAX_OG_DESCRIPTION: usize = 500;
pub(super) const MAX_SITE_NAME: usize = 100;
/// How much of a description is kept in memory: previews show no more.
const SHOWN_DESCRIPTION: usize = 300;

/// What few links have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extras {
    /// The beginning of it, for people; may be empty.
    pub description: Box<str>,
    /// Whom the link is for; `None`: everybody.
    pub targeting: Option<Box<Targeting>>,
    /// What previews show; `None`: what they find where the link leads.
    pub og: Option<Box<v1::Og>>,
    /// From when on visitors are warned.
    pub warn_time: Option<Moment>,
    /// From when on it is gone.
    pub disable_time: Option<Moment>,
    /// Whether it asks for a password. The hash stays in the database.
    pub has_password: bool,
    /// The scheme of the app's own URLs; may be empty.
    pub app_scheme: Box<str>,
    /// The place inside the app; may be empty.
    pub deep_link_path: Box<str>,
    /// Whether visitors see the launchpad.
    pub launchpad: v1::LaunchpadMode,
    /// What may stand before the code in a path: the slug of the template; empty when there is none.
    pub slug: Box<str>,
    /// What a redirect is answered with.
    pub redirect_status: v1::RedirectStatus,
    /// How long a browser may keep a redirect, in seconds.
    pub cache_seconds: u32,
}

impl Extras {
    /// Returns them, cut to what is ever shown; `None` when there are none.
    pub fn boxed(self) -> Option<Box<Self>> {
        let end = self.description.char_indices().nth(SHOWN_DESCRIPTION).map(|(end, _)| end);
        let description = end.map_or(self.description.clone(), |end| self.description[..end].into());
        let cut = Self { description, ..self };
        (cut != Self::default()).then(|| Box::new(cut))
    }
}

/// What a workspace says of all of its links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct House {
    /// None of its links leads anywhere.
    pub suspended: bool,
    /// The rest.
    pub settings: v1::WorkspaceSettings,
}

impl House {
    /// Returns what is shared by the links of a workspace; `None` when it says nothing.
    pub fn shared(settings: Option<v1::WorkspaceSettings>, suspended: bool) -> Option<Arc<Self>> {
        Self { suspended, settings: settings.unwrap_or_default() }.share()
    }

    /// Returns it to be shared; `None` when it says nothing.
    pub fn share(self) -> Option<Arc<Self>> {
        (self != Self::default()).then(|| Arc::new(self))
    }
}

/// Whom a link is for: every list that is not empty must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract explains them")]
pub struct Targeting {
    pub countries: Box<[Country]>,
    pub platforms: Box<[v1::Platform]>,
    /// In lower case.
    pub languages: Box<[Box<str>]>,
}

impl Targeting {
    /// Reads what is stored. What is not understood, because a newer version wrote it or somebody by hand, targets nobody
    /// rather than everybody.
    pub(super) fn load(stored: &[u8]) -> Option<Box<Self>> {
        if stored.is_empty() {
            return None;
        }
        let mut wrong = Violations::default();
        let read = v1::Targeting::decode(stored).ok().and_then(|given| read_targeting("", given, &mut wrong));
        let nobody = || Self { platforms: [v1::Platform::Unspecified].into(), ..Self::default() };
        Some(Box::new(read.filter(|_| wrong.is_empty()).unwrap_or_else(nobody)))
    }

    /// Returns it as it is stored.
    pub(super) fn stored(&self) -> Vec<u8> {
        self.message().encode_to_vec()
    }

    fn message(&self) -> v1::Targeting {
        v1::Targeting {
            countries: self.countries.iter().map(|country| country.as_str().to_owned()).collect(),
            platforms: self.platforms.iter().map(|platform| (*platform).into()).collect(),
            languages: self.languages.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Reads targeting that somebody sent and notes what is wrong with it; `None`: everybody.
pub(super) fn check_targeting(
    path: &str,
    given: Option<v1::Targeting>,
    wrong: &mut Violations,
) -> Option<v1::Targeting> {
    read_targeting(path, given?, wrong).map(|targeting| targeting.message())
}

fn read_targeting(path: &str, given: v1::Targeting, wrong: &mut Violations) -> Option<Targeting> {
    let v1::Targeting { mut countries, mut platforms, mut languages } = given;
    let country = |text: &String| Country::parse(text).ok_or("must be two letters of ISO 3166-1 such as DE");
    let mut read = Targeting::default();
    if !countries.is_empty() {
        let path = format!("{path}.countries");
        read.countries = routing::read_list(&path, &mut countries, MAX_COUNTRIES, wrong, country);
    }
    if !platforms.is_empty() {
        let path = format!("{path}.platforms");
        read.platforms =
            routing::read_list(&path, &mut platforms, 3, wrong, |number| condition::read_platform(*number));
    }
    if !languages.is_empty() {
        let path = format!("{path}.languages");
        read.languages = routing::read_list(&path, &mut languages, MAX_LANGUAGES, wrong, |tag| {
            condition::read_language(tag)
        });
    }
    (read != Targeting::default()).then_some(read)
}

/// Reads what previews show and notes what is wrong with it; `None`: nothing is set.
pub(super) fn check_og(
    path: &str,
    given: Option<v1::Og>,
    url: &dyn Fn(&str) -> Result<String, &'static str>,
    wrong: &mut Violations,
) -> Option<v1::Og> {
    let mut og = given?;
    for (name, text, most) in [
        ("title", &og.title, MAX_OG_TITLE),
        ("description", &og.description, MAX_OG_DESCRIPTION),
        ("site_name", &og.site_name, MAX_SITE_NAME),
    ] {
        routing::check_text(&format!("{path}.{name}"), text, most, wrong);
    }
    if !og.image_url.is_empty() {
        og.image_url = wrong.take(&format!("{path}.image_url"), url(&og.image_url)).unwrap_or_default();
    }
    (og != v1::Og::default()).then_some(og)
}

/// Returns a message as it is stored.
pub(super) fn to_bytes(message: Option<&impl prost::Message>) -> Option<Vec<u8>> {
    message.map(prost::Message::encode_to_vec)
}

/// Reads a stored message; `None` when there is none, or none that can be read.
pub(super) fn from_bytes<M: prost::Message + Default>(stored: Option<&[u8]>) -> Option<M> {
    stored.and_then(|stored| M::decode(stored).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targeting_is_stored_as_it_was_read_and_garbage_targets_nobody() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let given = v1::Targeting {
            countries: texts(&["de", "CH"]),
            platforms: vec![2],
            languages: texts(&["pt-BR"]),
        };
        let mut wrong = Violations::default();
        let stored = check_targeting("t", Some(given), &mut wrong).expect("it names something");
        assert_eq!(stored.countries, ["DE", "CH"]);
        assert_eq!(stored.languages, ["pt-br"]);
        let bytes = stored.encode_to_vec();
        let loaded = Targeting::load(&bytes).expect("it names something");
        assert_eq!(loaded.stored(), bytes);
        assert_eq!(
            (Targeting::load(&[]), check_targeting("t", Some(v1::Targeting::default()), &mut wrong)),
            (None, None)
        );
        for garbage in
            [&[0xff_u8][..], &v1::Targeting { platforms: vec![77], ..Default::default() }.encode_to_vec()]
        {
            let nobody = Targeting::load(garbage).expect("not everybody");
            assert_eq!(*nobody.platforms, [v1::Platform::Unspecified]);
            assert_eq!(Targeting::load(&nobody.stored()), Some(nobody));
        }
        let bad = v1::Targeting {
            countries: texts(&["Germany", "DE"]),
            platforms: vec![0],
            languages: texts(&["en_US"]),
        };
        assert!(wrong.is_empty());
        check_targeting("t", Some(bad), &mut wrong);
        let wrong: Vec<String> = wrong.into_inner().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(wrong, ["t.countries[0]", "t.platforms[0]", "t.languages[0]"]);
    }

    #[test]
    fn what_few_links_have_takes_no_room_on_the_others() {
        assert_eq!(Extras::default().boxed(), None);
        assert_eq!(House::shared(None, false), None);
        assert_eq!(House::shared(Some(v1::WorkspaceSettings::default()), false), None);
        assert!(House::shared(None, true).is_some_and(|house| house.suspended));
        let long = Extras { description: "ä".repeat(2000).into(), ..Extras::default() };
        let kept = long.boxed().expect("it says something");
        assert_eq!(kept.description.chars().count(), SHOWN_DESCRIPTION);
        assert!(size_of::<Extras>() <= 160, "{}", size_of::<Extras>());
    }
}
