//! Where a visitor goes: one pure function with an outcome for every case.

use crate::{
    clock::Moment,
    links::{Extras, House, Target},
    pb::v1::{LaunchpadDesktop, LaunchpadMobile, LaunchpadMode},
};

use super::{
    decorate::is_app_store,
    facts::Facts,
    rules,
    visitor::{Password, Platform, Visit},
};

/// What becomes of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The visitor goes to `url`, because of `step`.
    Go {
        /// An absolute http or https URL.
        url: &'a str,
        /// The step of the chain that named it.
        step: Step,
    },
    /// A page opens the app by its scheme, and goes on from there when no app answers.
    OpenApp {
        /// Where the app is to be had.
        store: Option<&'a str>,
        /// Where to go without it.
        web: Option<&'a str>,
    },
    /// A page offers to put the click on the pasteboard, for the app to find, and goes on to its page in the store.
    Pasteboard {
        /// The page in the store.
        store: &'a str,
        /// The step of the chain that named it.
        step: Step,
    },
    /// A page shows the ways into the app.
    Launchpad(Launchpad<'a>),
    /// A program that draws previews sees what the link says of itself.
    Preview(Card),
    /// The visitor is warned, and told where the link leads.
    Warn {
        /// Where, and because of which step; `None`: nowhere a visitor could be sent to by a click.
        onward: Option<(&'a str, Step)>,
    },
    /// The visitor is asked for the password.
    Password,
    /// The visitor sees that the link exists and leads nowhere for them.
    NoDestination,
    /// The visitor sees that the link is not available any more, and nothing of it.
    Gone(Gone),
    /// The visitor sees what a visitor of an unknown code sees.
    NotFound(Closed),
}

/// The ways into the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Launchpad<'a> {
    /// Where the app for iOS is to be had.
    pub ios_store: Option<&'a str>,
    /// Where the app for Android is to be had.
    pub android_store: Option<&'a str>,
    /// Where to go without the app.
    pub web: Option<&'a str>,
    /// Whether the app can be opened by its scheme.
    pub opens_app: bool,
}

/// A line of the decision that was looked at. The last one decided; of a warning, it and the last one; of the pasteboard, it and
/// the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The workspace is suspended.
    Suspended,
    /// The link is disabled.
    Disabled,
    /// The link is inactive.
    Inactive,
    /// The link has not started.
    NotStarted,
    /// The link has expired.
    Expired,
    /// The clicks of the link are used up.
    UsedUp,
    /// A password is asked for.
    Password,
    /// Visitors are warned.
    Warning,
    /// A preview is shown.
    Preview,
    /// A rule fits.
    Rules,
    /// The link is for others.
    NotTargeted,
    /// The launchpad is wanted.
    Launchpad,
    /// There is this address.
    Address(Step),
    /// The address is a page of the App Store, and the click goes along on the pasteboard. Told only where it does.
    Pasteboard,
    /// The launchpad is all there is.
    LastLaunchpad,
    /// There is nothing.
    Nowhere,
}

impl Outcome<'_> {
    /// Says whether the visit uses up one click of the limit of a link.
    pub fn uses_one_up(&self, link: &Target) -> bool {
        link.max_clicks != 0 && self.leads_on()
    }

    /// Says whether the visitor is sent on, at once or by a page that leads on: what counts against the limit of a link.
    pub fn leads_on(&self) -> bool {
        matches!(self, Self::Go { .. } | Self::OpenApp { .. } | Self::Pasteboard { .. } | Self::Launchpad(_))
    }
}

/// What a preview may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// What the link says of itself.
    Own,
    /// Nothing: the link has a password and says nothing for those who do not know it.
    Neutral,
}

/// The step of the destination chain that named the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The link's iOS address.
    Ios,
    /// The link's Android address.
    Android,
    /// The link's web address.
    Web,
    /// The link's destination: nothing more specific fitted.
    Destination,
    /// The URL that the installed app opens: universal link or app link.
    AppLink,
    /// The app's own scheme.
    Scheme,
    /// The workspace's store for iOS.
    HouseIos,
    /// The workspace's store for Android.
    HouseAndroid,
    /// The workspace's web address.
    HouseWeb,
    /// The page with the ways into the app.
    Launchpad,
    /// What a preview shows.
    Preview,
    /// The routing rule at this place, from 0.
    Rule(u8),
    /// One of several URLs of a routing rule: the places of both, from 0.
    Variant(u8, u8),
}

impl Step {
    /// Returns the number that is stored with every click: 1 to 4 for the link's addresses for iOS, Android, the web and
    /// for all, 5 for the URL that the app opens, 6 for its scheme, 7 to 9 for the workspace's addresses for iOS, Android
    /// and the web, 10 for the launchpad, 11 for a preview, 100 and more for the routing rules in their order, 1,000 and more
    /// for those with several URLs: twenty numbers for each, in the order of its URLs.
    pub fn number(self) -> i16 {
        match self {
            Self::Ios => 1,
            Self::Android => 2,
            Self::Web => 3,
            Self::Destination => 4,
            Self::AppLink => 5,
            Self::Scheme => 6,
            Self::HouseIos => 7,
            Self::HouseAndroid => 8,
            Self::HouseWeb => 9,
            Self::Launchpad => 10,
            Self::Preview => 11,
            Self::Rule(index) => 100 + i16::from(index),
            Self::Variant(index, variant) => 1000 + 20 * i16::from(index) + i16::from(variant),
        }
    }

    /// Returns the place of the routing rule that named the destination.
    pub fn rule(self) -> Option<u8> {
        match self {
            Self::Rule(index) | Self::Variant(index, _) => Some(index),
            _ => None,
        }
    }
}

/// Why a link is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Its workspace is suspended.
    Suspended,
    /// It was disabled.
    Disabled,
}

/// Why a link that exists does not redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Switched off.
    Inactive,
    /// Before its start.
    NotStarted,
    /// At or after its end.
    Expired,
    /// As many visits were sent on as may be.
    Exhausted,
    /// It is for others.
    NotTargeted,
}

/// Chooses where a visitor of a link goes at `now`. The first line that holds decides:
///
/// 1. The workspace is suspended: gone. The link is disabled: gone.
/// 2. The link is inactive, has not started, has expired, has sent on as many visits as it may: not found.
/// 3. It has a password that was not given: the visitor is asked for it. Before the warning, because that shows where the
///    link leads. Programs that draw previews are asked for nothing and see what the link says of itself, or nothing.
/// 4. It is warned of: a warning, for programs too, with the destination that the lines below name.
/// 5. Programs that draw previews see what the link says of itself, if it says anything (`og`), is for some visitors only or
///    has no address for them. Otherwise they go on like everybody and draw what they find there.
/// 6. The first routing rule that fits. It comes before targeting: whoever writes a rule means the visitors it fits.
/// 7. Targeting that does not hold: not found.
/// 8. On iOS and Android: the URL that the installed app opens; the launchpad, if the workspace wants it on phones; the
///    app's scheme; then the store, then the web, but inside an app's own browser the web before the store, because the
///    system had no chance yet to open the installed app and gets it on the way there.
/// 9. Elsewhere: the launchpad, if the link or the workspace wants it always; the web.
/// 10. The destination.
/// 11. The workspace's fallbacks, store and web in the order of line 8.
/// 12. Elsewhere than on iOS and Android: the launchpad, unless it is off.
/// 13. Nowhere.
///
/// Where that is a page of the App Store, whatever line named it, a browser on iOS that is no other app's shows the page of the
/// pasteboard first, if the workspace wants it. From a warning visitors go to the store: there is no click to carry.
pub fn choose<'a>(link: &'a Target, visit: &Visit<'_>, now: Moment) -> Outcome<'a> {
    choose_telling(link, visit, now, &mut |_| {})
}

/// As [`choose`], and tells each line that it looks at, before it does. For those who ask why: there is one decision, and
/// whoever does not listen pays nothing.
pub fn choose_telling<'a>(
    link: &'a Target,
    visit: &Visit<'_>,
    now: Moment,
    tell: &mut impl FnMut(Line),
) -> Outcome<'a> {
    let (extras, house) = (link.extras.as_deref(), link.house.as_deref());
    tell(Line::Suspended);
    if house.is_some_and(|house| house.suspended) {
        return Outcome::Gone(Gone::Suspended);
    }
    let since = |time: Option<Moment>| time.is_some_and(|time| time <= now);
    tell(Line::Disabled);
    if extras.is_some_and(|extras| since(extras.disable_time)) {
        return Outcome::Gone(Gone::Disabled);
    }
    tell(Line::Inactive);
    if !link.active {
        return Outcome::NotFound(Closed::Inactive);
    }
    tell(Line::NotStarted);
    if link.start_time.is_some_and(|start| now < start) {
        return Outcome::NotFound(Closed::NotStarted);
    }
    tell(Line::Expired);
    if since(link.expire_time) {
        return Outcome::NotFound(Closed::Expired);
    }
    tell(Line::UsedUp);
    if visit.used_up {
        return Outcome::NotFound(Closed::Exhausted);
    }
    tell(Line::Password);
    let Some(extras) = extras else {
        [Line::Warning, Line::Preview].into_iter().for_each(&mut *tell);
        let outcome = onward(link, visit, now, tell);
        return by_pasteboard(link, visit, outcome, tell);
    };
    let locked = extras.has_password && visit.password == Password::Unknown;
    let warned = since(extras.warn_time);
    if locked && !visit.visitor.scraper {
        return Outcome::Password;
    }
    tell(Line::Warning);
    if warned {
        let shown = if locked { Outcome::NoDestination } else { onward(link, visit, now, tell) };
        return Outcome::Warn { onward: by_a_click(shown) };
    }
    tell(Line::Preview);
    if locked {
        return Outcome::Preview(if extras.og.is_some() { Card::Own } else { Card::Neutral });
    }
    if (extras.og.is_some() || extras.targeting.is_some()) && visit.visitor.scraper {
        return Outcome::Preview(Card::Own);
    }
    let outcome = onward(link, visit, now, tell);
    by_pasteboard(link, visit, outcome, tell)
}

/// Puts the page of the pasteboard before the App Store, where the workspace wants it.
fn by_pasteboard<'a>(
    link: &Target,
    visit: &Visit<'_>,
    outcome: Outcome<'a>,
    tell: &mut impl FnMut(Line),
) -> Outcome<'a> {
    let visitor = visit.visitor;
    match (outcome, link.house.as_deref()) {
        (Outcome::Go { url: store, step }, Some(house))
            if house.settings.pasteboard_page
                && visitor.platform == Platform::Ios
                && !visitor.in_app_browser
                && !visitor.scraper
                && is_app_store(store) =>
        {
            tell(Line::Pasteboard);
            Outcome::Pasteboard { store, step }
        }
        _ => outcome,
    }
}

/// Chooses where a visitor goes whom nothing stands in the way of.
fn onward<'a>(link: &'a Target, visit: &Visit<'_>, now: Moment, tell: &mut impl FnMut(Line)) -> Outcome<'a> {
    tell(Line::Rules);
    let facts = Facts::of(visit, now);
    if let Some(rule) = link.rules.first_that_fits(|condition| rules::holds(condition, &facts)) {
        let (url, variant) = rules::url_of(rule, link.id, visit);
        let step = variant.map_or(Step::Rule(rule.index), |variant| Step::Variant(rule.index, variant));
        return Outcome::Go { url, step };
    }
    let (extras, house) = (link.extras.as_deref(), link.house.as_deref());
    tell(Line::NotTargeted);
    if let Some(extras) = extras
        && extras.targeting.as_ref().is_some_and(|targeting| !rules::is_target(targeting, &facts))
    {
        return Outcome::NotFound(Closed::NotTargeted);
    }
    let visitor = visit.visitor;
    let urls = &*link.addresses;
    let web = (urls.web_url.as_str(), Step::Web);
    let (app, store) = match visitor.platform {
        Platform::Ios => (urls.ios_universal_link.as_str(), (urls.ios_url.as_str(), Step::Ios)),
        Platform::Android => (urls.android_app_link.as_str(), (urls.android_url.as_str(), Step::Android)),
        Platform::Web => ("", ("", Step::Web)),
    };
    tell(Line::Address(Step::AppLink));
    if !app.is_empty() {
        return Outcome::Go { url: app, step: Step::AppLink };
    }
    tell(Line::Launchpad);
    if (extras.is_some() || house.is_some())
        && let Some(page) = page(link, extras, house, visitor.platform, tell)
    {
        return page;
    }
    let chain = if visitor.in_app_browser { [web, store] } else { [store, web] };
    let destination = (&*link.destination_url, Step::Destination);
    let is_there = |(url, step): &(&str, Step)| {
        tell(Line::Address(*step));
        !url.is_empty()
    };
    if let Some((url, step)) = chain.into_iter().chain([destination]).find(is_there) {
        return Outcome::Go { url, step };
    }
    last_resort(link, visit, tell)
}

/// Returns the page that takes the place of a redirect, if there is one.
fn page<'a>(
    link: &'a Target,
    extras: Option<&Extras>,
    house: Option<&House>,
    platform: Platform,
    tell: &mut impl FnMut(Line),
) -> Option<Outcome<'a>> {
    let mode = extras.map_or(LaunchpadMode::Unspecified, |extras| extras.launchpad);
    let settings = house.and_then(|house| house.settings.launchpad.as_ref());
    let wanted = match (mode, platform) {
        (LaunchpadMode::Off, _) => false,
        (LaunchpadMode::On, Platform::Web) => true,
        (_, Platform::Web) => settings.is_some_and(|settings| settings.desktop() == LaunchpadDesktop::Always),
        (_, Platform::Ios | Platform::Android) => {
            settings.is_some_and(|settings| settings.mobile() == LaunchpadMobile::Page)
        }
    };
    if wanted {
        return Some(Outcome::Launchpad(launchpad(link)));
    }
    tell(Line::Address(Step::Scheme));
    if platform == Platform::Web || extras.is_none_or(|extras| extras.app_scheme.is_empty()) {
        return None;
    }
    let ways = launchpad(link);
    let store = if platform == Platform::Ios { ways.ios_store } else { ways.android_store };
    Some(Outcome::OpenApp { store, web: ways.web })
}

/// Chooses for a visitor for whom the link itself has no address.
#[cold]
fn last_resort<'a>(link: &'a Target, visit: &Visit<'_>, tell: &mut impl FnMut(Line)) -> Outcome<'a> {
    let visitor = visit.visitor;
    tell(Line::Preview);
    if visit.visitor.scraper {
        return Outcome::Preview(Card::Own);
    }
    if let Some(house) = link.house.as_deref() {
        let settings = &house.settings;
        let web = (settings.web_url.as_str(), Step::HouseWeb);
        let store = match visitor.platform {
            Platform::Ios => (settings.ios_store_url.as_str(), Step::HouseIos),
            Platform::Android => (settings.android_store_url.as_str(), Step::HouseAndroid),
            Platform::Web => ("", Step::HouseWeb),
        };
        let chain = if visitor.in_app_browser { [web, store] } else { [store, web] };
        let is_there = |(url, step): &(&str, Step)| {
            tell(Line::Address(*step));
            !url.is_empty()
        };
        if let Some((url, step)) = chain.into_iter().find(is_there) {
            return Outcome::Go { url, step };
        }
    }
    let mode = link.extras.as_ref().map_or(LaunchpadMode::Unspecified, |extras| extras.launchpad);
    let settings = link.house.as_ref().and_then(|house| house.settings.launchpad.as_ref());
    let off = match mode {
        LaunchpadMode::On => false,
        LaunchpadMode::Off => true,
        _ => settings.is_some_and(|settings| settings.desktop() == LaunchpadDesktop::Off),
    };
    tell(Line::LastLaunchpad);
    if visitor.platform == Platform::Web && !off {
        return Outcome::Launchpad(launchpad(link));
    }
    tell(Line::Nowhere);
    Outcome::NoDestination
}

/// Returns every way into the app there is, the workspace's where the link has none.
fn launchpad(link: &Target) -> Launchpad<'_> {
    fn first<'a>(urls: &[&'a str]) -> Option<&'a str> {
        urls.iter().copied().find(|url| !url.is_empty())
    }
    let settings = link.house.as_deref().map(|house| &house.settings);
    let (ios, android, web) = settings.map_or(("", "", ""), |settings| {
        (settings.ios_store_url.as_str(), settings.android_store_url.as_str(), settings.web_url.as_str())
    });
    Launchpad {
        ios_store: first(&[&link.addresses.ios_url, ios]),
        android_store: first(&[&link.addresses.android_url, android]),
        web: first(&[&link.addresses.web_url, &link.destination_url, web]),
        opens_app: link.extras.as_ref().is_some_and(|extras| !extras.app_scheme.is_empty()),
    }
}

/// Returns where a visitor could go by a click.
fn by_a_click(outcome: Outcome<'_>) -> Option<(&str, Step)> {
    match outcome {
        Outcome::Go { url, step } => Some((url, step)),
        Outcome::OpenApp { store, web } => Some((web.or(store)?, Step::Scheme)),
        Outcome::Launchpad(Launchpad { web, .. }) => Some((web?, Step::Launchpad)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "destination_tests.rs"]
mod tests;
