//! What clients send of a domain, parsed once at the door: every violation is found. Pure.

use std::collections::BTreeSet;

use prost_types::FieldMask;

use super::{Domain, host};
use crate::{
    clock::Moment, config::Config, destination_url, destination_url::Own, error::Violations, ids::DomainId,
    pb::v1,
};

const MAX_ROBOTS: usize = 8192;
/// What is said of an id that is none.
const NOT_A_UUID: &str = "must be a UUID of 36 characters";

/// A domain somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDomain {
    /// The host.
    pub host: String,
    /// Everything that can change later.
    pub content: Content,
}

/// What somebody wants changed about a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainChange {
    /// Which domain.
    pub id: DomainId,
    /// The etag it must have; empty: any.
    pub etag: String,
    fields: BTreeSet<Field>,
    content: Content,
}

/// What can change about a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract explains them")]
pub struct Content {
    pub ignores_case: bool,
    pub is_default: bool,
    pub root_url: String,
    pub not_found_url: String,
    pub expired_url: String,
    pub robots_txt: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    CodeCase,
    IsDefault,
    RootUrl,
    NotFoundUrl,
    ExpiredUrl,
    RobotsTxt,
}

const FIELDS: [(Field, &str); 6] = [
    (Field::CodeCase, "code_case"),
    (Field::IsDefault, "is_default"),
    (Field::RootUrl, "root_url"),
    (Field::NotFoundUrl, "not_found_url"),
    (Field::ExpiredUrl, "expired_url"),
    (Field::RobotsTxt, "robots_txt"),
];
/// Fields that clients may send and that change nothing.
const OUTPUT_ONLY: [&str; 7] = ["id", "workspace_id", "state", "proof", "create_time", "update_time", "etag"];

impl Field {
    fn is_set(self, domain: &v1::Domain) -> bool {
        match self {
            Self::CodeCase => domain.code_case != 0,
            Self::IsDefault => domain.is_default,
            Self::RootUrl => !domain.root_url.is_empty(),
            Self::NotFoundUrl => !domain.not_found_url.is_empty(),
            Self::ExpiredUrl => !domain.expired_url.is_empty(),
            Self::RobotsTxt => !domain.robots_txt.is_empty(),
        }
    }
}

/// Reads a new domain. `hosts` are those of the workspace that answer.
pub fn new_domain(
    domain: Option<v1::Domain>,
    (config, hosts): (&Config, &[String]),
    wrong: &mut Violations,
) -> Option<NewDomain> {
    let Some(domain) = domain else {
        wrong.add("domain", "is required");
        return None;
    };
    let host = wrong.take("domain.host", host::parse(&domain.host));
    if host.as_ref().is_some_and(|host| host::is_ours(host, config)) {
        wrong.add("domain.host", "must not be one of this server's own hosts");
    }
    let all = FIELDS.map(|(field, _)| field).into();
    let mut content = content(&all, domain, host.as_deref(), Own { url: &config.links_url, hosts }, wrong);
    content.is_default = false;
    Some(NewDomain { host: host?, content })
}

/// Reads a change. `hosts` are those of the workspace that answer.
pub fn change(
    domain: Option<v1::Domain>,
    mask: Option<&FieldMask>,
    (config, hosts): (&Config, &[String]),
    wrong: &mut Violations,
) -> Option<DomainChange> {
    let Some(domain) = domain else {
        wrong.add("domain", "is required");
        return None;
    };
    let id = DomainId::parse(&domain.id);
    if id.is_none() {
        wrong.add("domain.id", NOT_A_UUID);
    }
    let fields = read_mask(mask, &domain, wrong);
    let (etag, own) = (domain.etag.clone(), host::parse(&domain.host).ok());
    let content = content(&fields, domain, own.as_deref(), Own { url: &config.links_url, hosts }, wrong);
    Some(DomainChange { id: id?, etag, fields, content })
}

fn read_mask(mask: Option<&FieldMask>, domain: &v1::Domain, wrong: &mut Violations) -> BTreeSet<Field> {
    let paths = mask.map_or(&[][..], |mask| &mask.paths);
    let mut fields = BTreeSet::new();
    if paths.is_empty() {
        fields.extend(FIELDS.into_iter().map(|(field, _)| field).filter(|field| field.is_set(domain)));
    }
    for path in paths {
        match FIELDS.into_iter().find(|(_, name)| name == path) {
            Some((field, _)) => drop(fields.insert(field)),
            None if path == "*" => fields.extend(FIELDS.map(|(field, _)| field)),
            None if path == "host" => wrong.add("update_mask", "host cannot change after creation"),
            None if OUTPUT_ONLY.contains(&path.as_str()) => {}
            None => wrong.add("update_mask", format!("{path:?} is no field of a domain")),
        }
    }
    fields
}

fn content(
    fields: &BTreeSet<Field>,
    domain: v1::Domain,
    host: Option<&str>,
    own: Own<'_>,
    wrong: &mut Violations,
) -> Content {
    let asked = |field| fields.contains(&field);
    if asked(Field::CodeCase) && v1::CodeCase::try_from(domain.code_case).is_err() {
        wrong.add("domain.code_case", "is no case policy this server knows");
    }
    let mut url = |field: Field, name: &str, raw: &str| {
        if raw.is_empty() || !asked(field) {
            return String::new();
        }
        let path = format!("domain.{name}");
        let Some(url) = wrong.take(&path, destination_url::check(raw, own)) else {
            return String::new();
        };
        if host.is_some() && host_of(&url).as_deref() == host {
            wrong.add(path, "must not lead to the domain itself: visitors would go round in circles");
        }
        url
    };
    let root_url = url(Field::RootUrl, "root_url", &domain.root_url);
    let not_found_url = url(Field::NotFoundUrl, "not_found_url", &domain.not_found_url);
    let expired_url = url(Field::ExpiredUrl, "expired_url", &domain.expired_url);
    if asked(Field::RobotsTxt) {
        if domain.robots_txt.chars().nth(MAX_ROBOTS).is_some() {
            wrong.add("domain.robots_txt", "must have at most 8,192 characters");
        }
        let control = |letter: char| letter.is_control() && !['\n', '\r', '\t'].contains(&letter);
        if domain.robots_txt.chars().any(control) {
            wrong.add("domain.robots_txt", "must not contain control characters but line breaks and tabs");
        }
    }
    Content {
        ignores_case: domain.code_case() == v1::CodeCase::Insensitive,
        is_default: domain.is_default,
        root_url,
        not_found_url,
        expired_url,
        robots_txt: domain.robots_txt,
    }
}

fn host_of(url: &str) -> Option<String> {
    Some(url::Url::parse(url).ok()?.host_str()?.trim_end_matches('.').to_owned())
}

impl DomainChange {
    /// Returns the domain as the change leaves it.
    pub fn apply(&self, stored: &Domain, now: Moment) -> Domain {
        let mut domain = stored.clone();
        let Content { ignores_case, is_default, root_url, not_found_url, expired_url, robots_txt } =
            &self.content;
        for field in &self.fields {
            match field {
                Field::CodeCase => domain.ignores_case = *ignores_case,
                Field::IsDefault => domain.is_default = *is_default,
                Field::RootUrl => domain.root_url.clone_from(root_url),
                Field::NotFoundUrl => domain.not_found_url.clone_from(not_found_url),
                Field::ExpiredUrl => domain.expired_url.clone_from(expired_url),
                Field::RobotsTxt => domain.robots_txt.clone_from(robots_txt),
            }
        }
        // What changes nothing is no change.
        if domain != *stored {
            domain.version += 1;
            domain.update_time = now;
        }
        domain
    }

    /// Says whether it makes the domain the default one.
    pub fn makes_default(&self) -> bool {
        self.content.is_default && self.fields.contains(&Field::IsDefault)
    }

    /// Returns a URL of the change that leads to `host`, by the path of its field.
    pub fn leads_back(&self, host: &str) -> Option<&'static str> {
        let urls = [
            ("domain.root_url", &self.content.root_url),
            ("domain.not_found_url", &self.content.not_found_url),
            ("domain.expired_url", &self.content.expired_url),
        ];
        urls.into_iter().find(|(_, url)| host_of(url).as_deref() == Some(host)).map(|(path, _)| path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let settings = |name: &str| (name == "LINKS_URL").then(|| "https://go.example.com".to_owned());
        Config::from_lookup(&settings).expect("good settings")
    }

    fn asked() -> v1::Domain {
        v1::Domain {
            host: "Links.Shop.test".into(),
            code_case: v1::CodeCase::Insensitive.into(),
            is_default: true,
            root_url: "https://shop.test".into(),
            not_found_url: "https://shop.test/404".into(),
            expired_url: "https://shop.test/over".into(),
            robots_txt: "User-agent: *\nDisallow: /\n".into(),
            ..v1::Domain::default()
        }
    }

    #[test]
    fn a_new_domain_is_read_and_is_not_the_default() {
        let mut wrong = Violations::default();
        let new = new_domain(Some(asked()), (&config(), &[]), &mut wrong).expect("it is good");
        assert!(wrong.is_empty());
        assert_eq!(new.host, "links.shop.test");
        assert_eq!((new.content.ignores_case, new.content.is_default), (true, false));
        assert_eq!(new.content.root_url, "https://shop.test/");
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let bad = v1::Domain {
            host: "go.example.com".into(),
            code_case: 9,
            root_url: "https://go.example.com/x".into(),
            not_found_url: "javascript:alert(1)".into(),
            expired_url: "https://go.example.com./".into(),
            robots_txt: format!("\u{0}{}", "x".repeat(8192)),
            ..v1::Domain::default()
        };
        let mut wrong = Violations::default();
        new_domain(Some(bad), (&config(), &[]), &mut wrong);
        let fields: Vec<String> = wrong.into_inner().into_iter().map(|wrong| wrong.field).collect();
        assert_eq!(
            fields,
            [
                "domain.host",
                "domain.code_case",
                "domain.root_url",
                "domain.not_found_url",
                "domain.expired_url",
                "domain.robots_txt",
                "domain.robots_txt",
            ]
        );
    }

    #[test]
    fn no_target_leads_back_to_the_domain() {
        let mut wrong = Violations::default();
        let round = v1::Domain { root_url: "https://links.shop.test./x".into(), ..asked() };
        new_domain(Some(round), (&config(), &[]), &mut wrong);
        assert_eq!(wrong.into_inner()[0].field, "domain.root_url");
    }

    #[test]
    fn a_mask_says_what_changes() {
        let id = "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506";
        for (paths, fields, wrong_fields) in [
            (&[][..], 6, 0),
            (&["*"], 6, 0),
            (&["root_url", "root_url", "etag"], 1, 0),
            (&["host"], 0, 1),
            (&["nonsense", "is_default"], 1, 1),
        ] {
            let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
            let mut wrong = Violations::default();
            let domain = v1::Domain { id: id.into(), ..asked() };
            let change =
                change(Some(domain), Some(&mask), (&config(), &[]), &mut wrong).expect("it has an id");
            assert_eq!((change.fields.len(), wrong.into_inner().len()), (fields, wrong_fields), "{paths:?}");
            assert_eq!(change.makes_default(), fields == 6 || paths.contains(&"is_default"), "{paths:?}");
        }
    }
}
