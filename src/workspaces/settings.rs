//! What can change about a workspace, parsed once at the door: every violation is found. Pure.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FieldMask;

use super::Workspace;
use crate::{clock::Moment, currency, destination_url, destination_url::Own, error::Violations, pb::v1};

const MAX_APP_NAME: usize = 60;

/// What somebody wants changed about a workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    fields: BTreeSet<Field>,
    name: String,
    settings: v1::WorkspaceSettings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Name,
    IosStoreUrl,
    AndroidStoreUrl,
    WebUrl,
    Launchpad,
    ReportAbuseUrl,
    PublicPreview,
    ProbabilisticMatching,
    ReportingCurrency,
    PasteboardPage,
    EphemeralDeepLinks,
}

/// Fields and their paths.
const FIELDS: [(Field, &str); 11] = [
    (Field::Name, "name"),
    (Field::IosStoreUrl, "settings.ios_store_url"),
    (Field::AndroidStoreUrl, "settings.android_store_url"),
    (Field::WebUrl, "settings.web_url"),
    (Field::Launchpad, "settings.launchpad"),
    (Field::ReportAbuseUrl, "settings.report_abuse_url"),
    (Field::PublicPreview, "settings.public_preview"),
    (Field::ProbabilisticMatching, "settings.probabilistic_matching"),
    (Field::ReportingCurrency, "settings.reporting_currency"),
    (Field::PasteboardPage, "settings.pasteboard_page"),
    (Field::EphemeralDeepLinks, "settings.ephemeral_deep_links"),
];
const OUTPUT_ONLY: [&str; 5] = ["id", "role", "create_time", "update_time", "suspend_time"];

/// Reads a change. `own` is where short URLs live.
pub fn read(
    asked: Option<v1::Workspace>,
    mask: Option<&FieldMask>,
    own: Own<'_>,
    wrong: &mut Violations,
) -> Change {
    let Some(asked) = asked else {
        wrong.add("workspace", "is required");
        return Change {
            fields: BTreeSet::new(),
            name: String::new(),
            settings: v1::WorkspaceSettings::default(),
        };
    };
    let fields = read_mask(mask, &asked, wrong);
    let has = |field| fields.contains(&field);
    let name = if has(Field::Name) {
        wrong.take("workspace.name", super::name(&asked.name)).unwrap_or_default()
    } else {
        String::new()
    };
    let given = asked.settings.unwrap_or_default();
    let mut url = |path: &str, raw: &str, asked: bool| {
        if raw.is_empty() || !asked {
            return String::new();
        }
        wrong
            .take(&format!("workspace.settings.{path}"), destination_url::check(raw, own))
            .unwrap_or_default()
    };
    let mut settings = v1::WorkspaceSettings {
        ios_store_url: url("ios_store_url", &given.ios_store_url, has(Field::IosStoreUrl)),
        android_store_url: url("android_store_url", &given.android_store_url, has(Field::AndroidStoreUrl)),
        web_url: url("web_url", &given.web_url, has(Field::WebUrl)),
        launchpad: None,
        report_abuse_url: url("report_abuse_url", &given.report_abuse_url, has(Field::ReportAbuseUrl)),
        public_preview: given.public_preview,
        probabilistic_matching: given.probabilistic_matching,
        reporting_currency: String::new(),
        pasteboard_page: given.pasteboard_page,
        ephemeral_deep_links: given.ephemeral_deep_links,
    };
    if let Some(launchpad) = given.launchpad.filter(|_| has(Field::Launchpad)) {
        let icon = url("launchpad.app_icon_url", &launchpad.app_icon_url, true);
        let read = v1::Launchpad { app_icon_url: icon, ..launchpad };
        check_launchpad(&read, wrong);
        settings.launchpad = Some(read).filter(|read| *read != v1::Launchpad::default());
    }
    if has(Field::ReportingCurrency) && !given.reporting_currency.is_empty() {
        if currency::is_known(&given.reporting_currency) {
            settings.reporting_currency = given.reporting_currency;
        } else {
            wrong.add("workspace.settings.reporting_currency", currency::NOT_ONE);
        }
    }
    Change { fields, name, settings }
}

fn check_launchpad(launchpad: &v1::Launchpad, wrong: &mut Violations) {
    let path = "workspace.settings.launchpad";
    if v1::LaunchpadDesktop::try_from(launchpad.desktop).is_err() {
        wrong.add(format!("{path}.desktop"), "is no mode this server knows");
    }
    if v1::LaunchpadMobile::try_from(launchpad.mobile).is_err() {
        wrong.add(format!("{path}.mobile"), "is no mode this server knows");
    }
    if launchpad.app_name.chars().nth(MAX_APP_NAME).is_some() {
        wrong.add(format!("{path}.app_name"), "must have at most 60 characters");
    }
    if launchpad.app_name.chars().any(char::is_control) {
        wrong.add(format!("{path}.app_name"), "must not contain control characters");
    }
    let digits = launchpad.accent_color.strip_prefix('#').unwrap_or_default();
    let is_color = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !launchpad.accent_color.is_empty() && !is_color {
        wrong.add(format!("{path}.accent_color"), "must be a colour such as #1a2b3c");
    }
}

fn read_mask(mask: Option<&FieldMask>, asked: &v1::Workspace, wrong: &mut Violations) -> BTreeSet<Field> {
    let paths = mask.map_or(&[][..], |mask| &mask.paths);
    let of_settings = || FIELDS.into_iter().map(|(field, _)| field).filter(|field| *field != Field::Name);
    let mut fields = BTreeSet::new();
    if paths.is_empty() {
        if !asked.name.is_empty() {
            fields.insert(Field::Name);
        }
        if asked.settings.is_some() {
            fields.extend(of_settings());
        }
    }
    for path in paths {
        match path.as_str() {
            "*" => fields.extend(FIELDS.map(|(field, _)| field)),
            "settings" => fields.extend(of_settings()),
            path => match FIELDS.into_iter().find(|(_, name)| *name == path) {
                Some((field, _)) => {
                    fields.insert(field);
                }
                None if OUTPUT_ONLY.contains(&path) => {}
                None => wrong.add("update_mask", format!("{path:?} is no field of a workspace")),
            },
        }
    }
    fields
}

impl Change {
    /// Returns the workspace as the change leaves it.
    pub fn apply(self, stored: &Workspace, now: Moment) -> Workspace {
        let mut workspace = stored.clone();
        let mut settings = read_stored(stored.settings.as_deref());
        let given = self.settings;
        for field in self.fields {
            match field {
                Field::Name => workspace.name.clone_from(&self.name),
                Field::IosStoreUrl => settings.ios_store_url.clone_from(&given.ios_store_url),
                Field::AndroidStoreUrl => settings.android_store_url.clone_from(&given.android_store_url),
                Field::WebUrl => settings.web_url.clone_from(&given.web_url),
                Field::Launchpad => settings.launchpad.clone_from(&given.launchpad),
                Field::ReportAbuseUrl => settings.report_abuse_url.clone_from(&given.report_abuse_url),
                // The default is stored as nothing.
                Field::PublicPreview => {
                    settings.public_preview = given.public_preview.filter(|shown| !shown);
                }
                Field::ProbabilisticMatching => {
                    settings.probabilistic_matching = given.probabilistic_matching.filter(|on| !on);
                }
                Field::ReportingCurrency => {
                    settings.reporting_currency.clone_from(&given.reporting_currency);
                }
                Field::PasteboardPage => settings.pasteboard_page = given.pasteboard_page,
                Field::EphemeralDeepLinks => settings.ephemeral_deep_links = given.ephemeral_deep_links,
            }
        }
        workspace.settings = (settings != v1::WorkspaceSettings::default()).then(|| settings.encode_to_vec());
        if workspace.settings != stored.settings {
            workspace.redirect_time = Some(super::later(stored.redirect_time, now));
        }
        // What changes nothing is no change.
        if workspace != *stored {
            workspace.update_time = now;
        }
        workspace
    }
}

fn read_stored(stored: Option<&[u8]>) -> v1::WorkspaceSettings {
    stored.and_then(|stored| v1::WorkspaceSettings::decode(stored).ok()).unwrap_or_default()
}

/// Reads stored settings, to show them.
pub fn shown(stored: Option<&[u8]>) -> v1::WorkspaceSettings {
    let settings = read_stored(stored);
    v1::WorkspaceSettings {
        public_preview: Some(settings.public_preview != Some(false)),
        probabilistic_matching: Some(settings.probabilistic_matching != Some(false)),
        ..settings
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::{clock::from_micros, ids::WorkspaceId};

    fn workspace() -> Workspace {
        Workspace {
            id: WorkspaceId(uuid::Uuid::nil()),
            name: "Acme".into(),
            create_time: from_micros(0),
            update_time: from_micros(0),
            settings: None,
            suspend_time: None,
            suspend_reason: String::new(),
            redirect_time: None,
            apps_allowed: false,
            quotas: None,
            delete_time: None,
        }
    }

    fn asked(settings: v1::WorkspaceSettings) -> Option<v1::Workspace> {
        Some(v1::Workspace { name: "New".into(), settings: Some(settings), ..v1::Workspace::default() })
    }

    fn read_with(asked: Option<v1::Workspace>, paths: &[&str]) -> (Change, Vec<String>) {
        let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        let own = Url::parse("https://go.example.com").expect("the test's own URL");
        let mut wrong = Violations::default();
        let change =
            read(asked, Some(&mask), Own { url: &own, hosts: &["go.brand.example".to_owned()] }, &mut wrong);
        (change, wrong.into_inner().into_iter().map(|wrong| wrong.field).collect())
    }

    #[test]
    fn a_mask_says_what_changes_and_only_that_moves_the_links() {
        let web = v1::WorkspaceSettings { web_url: "https://example.com".into(), ..Default::default() };
        for (paths, name, web_url, moves) in [
            (&[][..], "New", "https://example.com/", true),
            (&["*"], "New", "https://example.com/", true),
            (&["name"], "New", "", false),
            (&["settings"], "Acme", "https://example.com/", true),
            (&["settings.web_url", "id"], "Acme", "https://example.com/", true),
            (&["settings.ios_store_url"], "Acme", "", false),
        ] {
            let (change, wrong) = read_with(asked(web.clone()), paths);
            let changed = change.apply(&workspace(), from_micros(7));
            assert_eq!((changed.name.as_str(), wrong.len()), (name, 0), "{paths:?}");
            assert_eq!(shown(changed.settings.as_deref()).web_url, web_url, "{paths:?}");
            assert_eq!(changed.redirect_time.is_some(), moves, "{paths:?}");
            let (change, _) = read_with(asked(web.clone()), paths);
            assert_eq!(
                change.apply(&changed, from_micros(9)),
                changed,
                "a repeat changes nothing: {paths:?}"
            );
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let bad = v1::WorkspaceSettings {
            ios_store_url: "market://x".into(),
            web_url: "https://go.example.com/loop".into(),
            report_abuse_url: "https://go.brand.example/loop".into(),
            launchpad: Some(v1::Launchpad {
                desktop: 9,
                mobile: -1,
                app_name: "x".repeat(61),
                app_icon_url: "javascript:alert(1)".into(),
                accent_color: "red".into(),
            }),
            reporting_currency: "chf".into(),
            ..Default::default()
        };
        let (_, wrong) = read_with(asked(bad), &["settings", "nonsense"]);
        assert_eq!(
            wrong,
            [
                "update_mask",
                "workspace.settings.ios_store_url",
                "workspace.settings.web_url",
                "workspace.settings.report_abuse_url",
                "workspace.settings.launchpad.app_icon_url",
                "workspace.settings.launchpad.desktop",
                "workspace.settings.launchpad.mobile",
                "workspace.settings.launchpad.app_name",
                "workspace.settings.launchpad.accent_color",
                "workspace.settings.reporting_currency",
            ]
        );
        assert_eq!(read_with(None, &[]).1, ["workspace"]);
    }

    #[test]
    fn the_public_preview_is_there_until_it_is_switched_off() {
        let with = |public_preview| v1::WorkspaceSettings { public_preview, ..Default::default() };
        for (given, stored) in [(None, true), (Some(true), true), (Some(false), false)] {
            let (change, _) = read_with(asked(with(given)), &["settings"]);
            let changed = change.apply(&workspace(), from_micros(7));
            assert_eq!(shown(changed.settings.as_deref()).public_preview, Some(stored));
        }
    }
}
