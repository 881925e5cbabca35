//! The two files by which Apple and Android know which apps open the links of a host. Pure.
//!
//! `apple-app-site-association` in the form that iOS 13 introduced (`appIDs`, `components`); earlier versions, which read
//! `paths`, open nothing. `assetlinks.json` with `dynamic_app_link_components`, which Android 15 introduced and earlier ones
//! read over. A host without apps of a platform has no file for it: Apple's and Google's fetchers take the 404 for "no
//! association".

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::matching::variables;
use crate::{domains::Expected, pb::v1};

/// What Apple's systems read of a file at the most.
pub const MOST_BYTES: usize = 128 * 1024;

/// Paths on a links host that are no links, as patterns: they stand in front of an app's own components as exclusions.
pub const OWN_PAGES: [&str; 10] = [
    "/.well-known/*",
    "/health",
    "/livez",
    "/readyz",
    "/robots.txt",
    "/favicon.ico",
    "/*+",
    "/qr/*",
    "/*/qr",
    "/*.qr",
];
const OWN_PAGE: &str = "a page of the link server";
/// What an app without components opens: every path but the root.
const EVERY_LINK: &str = "/?*";
const HANDLE_ALL_URLS: &str = "delegate_permission/common.handle_all_urls";

/// One of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// `apple-app-site-association`.
    Apple,
    /// `assetlinks.json`.
    Android,
}

impl File {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Apple, Self::Android];

    /// Returns the name of the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apple => "apple-app-site-association",
            Self::Android => "assetlinks.json",
        }
    }

    /// Writes the file of a host that lists `apps`, in their order; `None` when none of them is for it.
    pub fn write(self, apps: &[&v1::App]) -> Option<String> {
        match self {
            Self::Apple => apple(apps),
            Self::Android => android(apps),
        }
    }

    /// The same, but as large as systems read at the most, and how many apps at the end of the list found no place.
    pub fn write_bounded(self, apps: &[&v1::App]) -> (Option<String>, usize) {
        let (mut best, mut fits, mut too_many) = (None, 0, apps.len() + 1);
        while fits + 1 < too_many {
            // Twice as many as long as they fit, so that nothing is written that is much too large; then halving in.
            let next =
                if too_many > apps.len() { (fits * 2).clamp(1, apps.len()) } else { fits.midpoint(too_many) };
            let text = self.write(&apps[..next]);
            if text.as_ref().is_none_or(|text| text.len() <= MOST_BYTES) {
                (best, fits) = (text, next);
            } else {
                too_many = next;
            }
        }
        (best, apps.len() - fits)
    }
}

#[derive(Serialize)]
struct Association<'a> {
    applinks: AppLinks<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    appclips: Option<Apps>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webcredentials: Option<Apps>,
}

#[derive(Serialize)]
struct AppLinks<'a> {
    details: Vec<Detail<'a>>,
    #[serde(rename = "substitutionVariables", skip_serializing_if = "BTreeMap::is_empty")]
    variables: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize)]
struct Detail<'a> {
    #[serde(rename = "appIDs")]
    app_ids: Vec<String>,
    components: Vec<Component<'a>>,
}

#[derive(Serialize)]
struct Apps {
    apps: Vec<String>,
}

#[derive(Default, Serialize)]
struct Component<'a> {
    #[serde(rename = "/", skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(rename = "?", skip_serializing_if = "Option::is_none")]
    query: Option<Query<'a>>,
    #[serde(rename = "#", skip_serializing_if = "Option::is_none")]
    fragment: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    exclude: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    comment: &'a str,
    #[serde(rename = "caseSensitive", skip_serializing_if = "Option::is_none")]
    case_sensitive: Option<bool>,
    #[serde(rename = "percentEncoded", skip_serializing_if = "Option::is_none")]
    percent_encoded: Option<bool>,
    /// What Android calls the comment.
    #[serde(skip_serializing_if = "str::is_empty")]
    comments: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Query<'a> {
    Whole(String),
    Items(BTreeMap<&'a str, String>),
}

#[derive(Serialize)]
struct Statement<'a> {
    relation: [&'static str; 1],
    target: Target<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relation_extensions: Option<BTreeMap<&'static str, Extension<'a>>>,
}

#[derive(Serialize)]
struct Target<'a> {
    namespace: &'static str,
    package_name: &'a str,
    sha256_cert_fingerprints: &'a [String],
}

#[derive(Serialize)]
struct Extension<'a> {
    #[serde(rename = "dynamic_app_link_components")]
    components: Vec<Component<'a>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(value: &bool) -> bool {
    !value
}

fn apple(apps: &[&v1::App]) -> Option<String> {
    let mut names = Names::default();
    let (mut details, mut clips, mut credentials) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (app, ios) in apps.iter().filter_map(|app| Some((app, app.ios.as_ref()?))) {
        let ids = |bundle: &str| -> Vec<String> {
            ios.app_id_prefixes.iter().map(|prefix| format!("{prefix}.{bundle}")).collect()
        };
        let app_ids = ids(&ios.bundle_id);
        clips.extend(ios.app_clip_bundle_ids.iter().flat_map(|clip| ids(clip)));
        if ios.webcredentials {
            credentials.extend(app_ids.iter().cloned());
        }
        let renamed = names.take(ios);
        let mut components = own_pages(app, |component| Component { comment: OWN_PAGE, ..component });
        if ios.components.is_empty() {
            components.push(Component { path: Some(EVERY_LINK.to_owned()), ..Component::default() });
        }
        components.extend(ios.components.iter().map(|component| of_apple(component, &renamed)));
        details.push(Detail { app_ids, components });
    }
    if details.is_empty() {
        return None;
    }
    let list = |ids: BTreeSet<String>| (!ids.is_empty()).then(|| Apps { apps: ids.into_iter().collect() });
    let applinks = AppLinks { details, variables: names.variables };
    let file = Association { applinks, appclips: list(clips), webcredentials: list(credentials) };
    serde_json::to_string(&file).ok()
}

/// Returns what the files that apps stand in say of them; complete, if there are any.
pub fn expected(apps: &[v1::App]) -> Expected {
    let of_apple = apps.iter().filter_map(|app| app.ios.as_ref());
    let of_android = apps.iter().filter_map(|app| app.android.as_ref());
    Expected {
        app_ids: of_apple
            .flat_map(|ios| ios.app_id_prefixes.iter().map(|prefix| format!("{prefix}.{}", ios.bundle_id)))
            .collect(),
        android_apps: of_android
            .flat_map(|android| {
                let fingerprints = android.sha256_fingerprints.iter();
                fingerprints.map(|fingerprint| (android.package_name.clone(), fingerprint.clone()))
            })
            .collect(),
        complete: !apps.is_empty(),
    }
}

fn of_apple<'a>(component: &'a v1::AppleComponent, renamed: &Renamed) -> Component<'a> {
    let name = |pattern: &String| renamed.apply(pattern);
    let items = component.query_items.iter();
    let items: BTreeMap<_, _> = items.map(|item| (item.name.as_str(), name(&item.value))).collect();
    let query = component.query.as_ref().map(|query| Query::Whole(name(query)));
    Component {
        path: component.path.as_ref().map(name),
        query: query.or_else(|| (!items.is_empty()).then_some(Query::Items(items))),
        fragment: component.fragment.as_ref().map(name),
        exclude: component.exclude,
        comment: &component.comment,
        case_sensitive: component.case_sensitive.filter(|sensitive| !sensitive),
        percent_encoded: component.percent_encoded.filter(|encoded| !encoded),
        comments: "",
    }
}

fn own_pages<'a>(app: &v1::App, with_comment: fn(Component<'a>) -> Component<'a>) -> Vec<Component<'a>> {
    let pages = OWN_PAGES.iter().filter(|_| !app.no_default_exclusions);
    let excluded =
        |page: &&str| Component { path: Some((*page).to_owned()), exclude: true, ..Component::default() };
    pages.map(excluded).map(with_comment).collect()
}

/// The substitution variables of a whole file: Apple's file has one list of them, though each app brings its own.
#[derive(Default)]
struct Names {
    variables: BTreeMap<String, Vec<String>>,
}

/// What the variables of one app are called in the file, where that is not their own name.
struct Renamed(Vec<(String, String)>);

impl Names {
    fn take(&mut self, app: &v1::IosApp) -> Renamed {
        let mut renamed = Vec::new();
        for (name, values) in variables(app) {
            let numbered = |number| if number == 1 { name.clone() } else { format!("{name}~{number}") };
            let free = |taken: &String| self.variables.get(taken).is_none_or(|others| *others == values);
            let chosen = (1..).map(numbered).find(free).unwrap_or_else(|| name.clone());
            if chosen != name {
                renamed.push((format!("$({name})"), format!("$({chosen})")));
            }
            self.variables.insert(chosen, values);
        }
        Renamed(renamed)
    }
}

impl Renamed {
    fn apply(&self, pattern: &str) -> String {
        // No name can hold a parenthesis, so what is put in place is never found again.
        self.0.iter().fold(pattern.to_owned(), |pattern, (from, to)| pattern.replace(from, to))
    }
}

fn android(apps: &[&v1::App]) -> Option<String> {
    let statements: Vec<Statement<'_>> = apps
        .iter()
        .filter_map(|app| Some((app, app.android.as_ref()?)))
        .map(|(app, android)| {
            let mut components = own_pages(app, |component| Component { comments: OWN_PAGE, ..component });
            if android.components.is_empty() && !components.is_empty() {
                components.push(Component { path: Some("*".to_owned()), ..Component::default() });
            }
            components.extend(android.components.iter().map(of_android));
            let extension = (!components.is_empty()).then_some(Extension { components });
            Statement {
                relation: [HANDLE_ALL_URLS],
                target: Target {
                    namespace: "android_app",
                    package_name: &android.package_name,
                    sha256_cert_fingerprints: &android.sha256_fingerprints,
                },
                relation_extensions: extension.map(|extension| [(HANDLE_ALL_URLS, extension)].into()),
            }
        })
        .collect();
    if statements.is_empty() { None } else { serde_json::to_string(&statements).ok() }
}

fn of_android(component: &v1::AndroidComponent) -> Component<'_> {
    let items = component.query_items.iter();
    let items: BTreeMap<_, _> = items.map(|item| (item.name.as_str(), item.value.clone())).collect();
    Component {
        path: component.path.clone(),
        query: (!items.is_empty()).then_some(Query::Items(items)),
        fragment: component.fragment.clone(),
        exclude: component.exclude,
        comments: &component.comment,
        ..Component::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn variable(name: &str, values: &[&str]) -> v1::SubstitutionVariable {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        v1::SubstitutionVariable { name: name.to_owned(), values }
    }

    fn on_ios(bundle_id: &str, components: Vec<v1::AppleComponent>) -> v1::App {
        let ios = v1::IosApp {
            bundle_id: bundle_id.to_owned(),
            app_id_prefixes: vec!["ABCDE12345".to_owned()],
            components,
            ..v1::IosApp::default()
        };
        v1::App { ios: Some(ios), no_default_exclusions: true, ..v1::App::default() }
    }

    fn on_android(package_name: &str) -> v1::App {
        let android = v1::AndroidApp {
            package_name: package_name.to_owned(),
            sha256_fingerprints: vec!["AA:BB".to_owned()],
            ..v1::AndroidApp::default()
        };
        v1::App { android: Some(android), no_default_exclusions: true, ..v1::App::default() }
    }

    fn written(file: File, apps: &[v1::App]) -> Value {
        let apps: Vec<&v1::App> = apps.iter().collect();
        serde_json::from_str(&file.write(&apps).expect("there is one")).expect("JSON")
    }

    #[test]
    fn the_file_for_apple_says_what_apple_reads() {
        let item = |name: &str, value: &str| v1::QueryItemPattern { name: name.into(), value: value.into() };
        let components = vec![
            v1::AppleComponent {
                fragment: Some("no_universal_links".into()),
                exclude: true,
                comment: "never".into(),
                ..Default::default()
            },
            v1::AppleComponent {
                path: Some("/help/*".into()),
                query_items: vec![item("b", "????"), item("a", "")],
                case_sensitive: Some(false),
                percent_encoded: Some(false),
                ..Default::default()
            },
            v1::AppleComponent {
                path: Some("/buy".into()),
                query: Some("a=*".into()),
                case_sensitive: Some(true),
                ..Default::default()
            },
        ];
        let mut shop = on_ios("com.example.shop", components);
        let ios = shop.ios.as_mut().expect("it has one");
        ios.app_id_prefixes.push("FGHIJ67890".into());
        ios.app_clip_bundle_ids.push("com.example.shop.Clip".into());
        ios.webcredentials = true;
        let other = v1::App { no_default_exclusions: false, ..on_ios("com.example.other", Vec::new()) };
        let file = written(File::Apple, &[shop, on_android("com.example.shop"), other]);
        let pages = OWN_PAGES
            .iter()
            .map(|page| json!({"/": page, "exclude": true, "comment": "a page of the link server"}));
        let pages: Vec<Value> = pages.chain([json!({"/": "/?*"})]).collect();
        assert_eq!(
            file,
            json!({
                "applinks": {"details": [
                    {"appIDs": ["ABCDE12345.com.example.shop", "FGHIJ67890.com.example.shop"], "components": [
                        {"#": "no_universal_links", "exclude": true, "comment": "never"},
                        {"/": "/help/*", "?": {"a": "", "b": "????"}, "caseSensitive": false, "percentEncoded": false},
                        {"/": "/buy", "?": "a=*"},
                    ]},
                    {"appIDs": ["ABCDE12345.com.example.other"], "components": pages},
                ]},
                "appclips": {"apps": ["ABCDE12345.com.example.shop.Clip", "FGHIJ67890.com.example.shop.Clip"]},
                "webcredentials": {"apps": ["ABCDE12345.com.example.shop", "FGHIJ67890.com.example.shop"]},
            })
        );
    }

    #[test]
    fn variables_of_two_apps_do_not_mix() {
        let app = |bundle: &str, path: &str, variables: Vec<v1::SubstitutionVariable>| {
            let component = v1::AppleComponent { path: Some(path.into()), ..Default::default() };
            let mut app = on_ios(bundle, vec![component]);
            app.ios.as_mut().expect("it has one").substitution_variables = variables;
            app
        };
        let file = written(
            File::Apple,
            &[
                app("a.a", "/$(food)/$(lang)", vec![variable("food", &["pizza"])]),
                app("b.b", "/$(food)/$(food)", vec![variable("food", &["sushi"])]),
                app("c.c", "/$(food)", vec![variable("food", &["pizza"])]),
                app(
                    "d.d",
                    "/$(food)/$(food~2)",
                    vec![variable("food", &["soup"]), variable("food~2", &["x"])],
                ),
            ],
        );
        let paths: Vec<&Value> =
            (0..4).map(|place| &file["applinks"]["details"][place]["components"][0]["/"]).collect();
        assert_eq!(
            file["applinks"]["substitutionVariables"],
            json!({"food": ["pizza"], "food~2": ["sushi"], "food~3": ["soup"], "food~2~2": ["x"]})
        );
        assert_eq!(paths, ["/$(food)/$(lang)", "/$(food~2)/$(food~2)", "/$(food)", "/$(food~3)/$(food~2~2)"]);
    }

    #[test]
    fn the_file_for_android_says_what_android_reads() {
        let mut shop = on_android("com.example.shop");
        let item = v1::QueryItemPattern { name: "in_app".into(), value: "false".into() };
        shop.android.as_mut().expect("it has one").components = vec![
            v1::AndroidComponent {
                path: Some("/path1/*".into()),
                query_items: vec![item],
                fragment: Some("x".into()),
                exclude: true,
                comment: "never".into(),
            },
            v1::AndroidComponent { path: Some("*".into()), ..Default::default() },
        ];
        let excluding = v1::App { no_default_exclusions: false, ..on_android("com.example.other") };
        let file = written(
            File::Android,
            &[shop, on_ios("a.a", Vec::new()), on_android("com.example.bare"), excluding],
        );
        let statement = |package: &str| {
            json!({
                "relation": ["delegate_permission/common.handle_all_urls"],
                "target": {
                    "namespace": "android_app", "package_name": package, "sha256_cert_fingerprints": ["AA:BB"],
                },
            })
        };
        let with = |package: &str, components: Value| {
            let mut statement = statement(package);
            statement["relation_extensions"] = json!({
                "delegate_permission/common.handle_all_urls": {"dynamic_app_link_components": components}
            });
            statement
        };
        let pages = OWN_PAGES
            .iter()
            .map(|page| json!({"/": page, "exclude": true, "comments": "a page of the link server"}));
        let pages: Vec<Value> = pages.chain([json!({"/": "*"})]).collect();
        assert_eq!(
            file,
            json!([
                with(
                    "com.example.shop",
                    json!([
                        {"/": "/path1/*", "?": {"in_app": "false"}, "#": "x", "exclude": true, "comments": "never"},
                        {"/": "*"},
                    ])
                ),
                statement("com.example.bare"),
                with("com.example.other", json!(pages)),
            ])
        );
    }

    #[test]
    fn no_app_of_a_platform_is_no_file() {
        let (ios, android) = (on_ios("a.a", Vec::new()), on_android("a.a"));
        assert_eq!((File::Apple.write(&[&android]), File::Android.write(&[&ios])), (None, None));
        assert_eq!(File::Apple.write_bounded(&[]), (None, 0));
    }

    #[test]
    fn a_file_is_never_larger_than_systems_read() {
        let component = |number: usize| v1::AppleComponent {
            path: Some(format!("/{number:0480}")),
            ..Default::default()
        };
        let apps: Vec<v1::App> = (0..5)
            .map(|number| on_ios(&format!("com.example.app{number}"), (0..60).map(component).collect()))
            .collect();
        let apps: Vec<&v1::App> = apps.iter().collect();
        assert!(File::Apple.write(&apps).expect("there is one").len() > MOST_BYTES);
        let (text, left_out) = File::Apple.write_bounded(&apps);
        let text = text.expect("there is one");
        assert!(text.len() <= MOST_BYTES && text.contains("app3") && !text.contains("app4"));
        assert_eq!(left_out, 1);
        let whole = File::Apple.write_bounded(&apps[..4]);
        assert_eq!(whole, (File::Apple.write(&apps[..4]), 0));
    }
}
