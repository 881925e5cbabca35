//! What the links say that installs are credited to: where they lead in the app, and for how long a click counts.

use std::collections::{HashMap, HashSet};

use prost_types::Duration;
use sea_orm::{ConnectionTrait, DbErr};

use super::{
    app_fields::{Texts, from_json, read_utm},
    extras::from_bytes,
    store,
    target::Target,
    templates,
};
use crate::{
    entity::link::Model,
    error::Violations,
    ids::{LinkId, WorkspaceId},
    pb::v1,
};

/// What a link says of the installs that are credited to it, its template included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credited {
    /// The code.
    pub short_code: String,
    /// Where everybody else goes.
    pub destination_url: String,
    /// Where iPhones and iPads go; may be empty.
    pub ios_url: String,
    /// Where Android devices go; may be empty.
    pub android_url: String,
    /// Where desktops go; may be empty.
    pub web_url: String,
    /// The scheme of the app's own URLs; may be empty.
    pub app_scheme: String,
    /// The place inside the app; may be empty.
    pub deep_link_path: String,
    /// What the app is handed.
    pub parameters: Texts,
    /// The campaign, by names without `utm_`.
    pub utm: Texts,
    /// Whom the link is for, as it is stored.
    pub targeting: Option<v1::Targeting>,
    /// How long after a click an install counts, in seconds; `None`: as usual.
    pub window_seconds: Option<i64>,
    /// How long after a click an event counts, in seconds; `None`: as an install.
    pub event_window_seconds: Option<i64>,
}

/// Returns what those of the links say that exist.
pub async fn credited(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &HashSet<LinkId>,
) -> Result<HashMap<LinkId, Credited>, DbErr> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = store::find_many(db, workspace, ids.iter().copied()).await?;
    let named: HashSet<_> = found.values().filter_map(|counted| counted.link.template_id).collect();
    let mut defaults = HashMap::new();
    for id in named {
        if let Some(found) = templates::store::find(db, workspace, id).await? {
            defaults.insert(id, found.defaults);
        }
    }
    let of = |link: Model| {
        let template = link.template_id.and_then(|id| defaults.get(&id));
        credit(link, from_bytes(template.map(Vec::as_slice)).unwrap_or_default())
    };
    Ok(found.into_iter().map(|(id, counted)| (id, of(counted.link))).collect())
}

impl Credited {
    /// Returns what a link says that is known by what redirects need of it. Its windows are not among that.
    pub fn of(target: &Target, short_code: &str) -> Self {
        let extras = target.extras.as_deref();
        let (mut utm, mut parameters) = (Texts::new(), Texts::new());
        if let Some(decoration) = &target.decoration {
            let (of_campaign, of_app) = decoration.parameters.split_at(decoration.of_campaign.into());
            let name = |name: &str| name.strip_prefix("utm_").unwrap_or(name).to_owned();
            utm.extend(of_campaign.iter().map(|(of, value)| (name(of), value.clone())));
            parameters.extend(of_app.iter().cloned());
        }
        Self {
            short_code: short_code.to_owned(),
            destination_url: target.destination_url.to_string(),
            ios_url: target.addresses.ios_url.clone(),
            android_url: target.addresses.android_url.clone(),
            web_url: target.addresses.web_url.clone(),
            app_scheme: extras.map(|extras| extras.app_scheme.to_string()).unwrap_or_default(),
            deep_link_path: extras.map(|extras| extras.deep_link_path.to_string()).unwrap_or_default(),
            parameters,
            utm,
            ..Self::default()
        }
    }
}

/// What a link says, and its template where it says nothing.
fn credit(link: Model, template: v1::LinkDefaults) -> Credited {
    let or = |own: String, other: String| if own.is_empty() { other } else { own };
    let mut parameters = from_json(link.deep_link_parameters);
    for (name, value) in template.deep_link_parameters {
        parameters.entry(name).or_insert(value);
    }
    let mut utm = from_json(link.utm);
    for (name, value) in read_utm("", template.utm.unwrap_or_default(), &mut Violations::default()) {
        utm.entry(name).or_insert(value);
    }
    let window = |own: i32, other: Option<Duration>| {
        let own = Some(i64::from(own)).filter(|seconds| *seconds != 0);
        own.or(other.map(|other| other.seconds))
    };
    let targeting = from_bytes(link.targeting.as_deref());
    Credited {
        short_code: link.short_code,
        destination_url: or(link.destination_url, template.destination_url),
        ios_url: or(link.ios_url, template.ios_url),
        android_url: or(link.android_url, template.android_url),
        web_url: or(link.web_url, template.web_url),
        app_scheme: or(link.app_scheme, template.app_scheme),
        deep_link_path: or(link.deep_link_path, template.deep_link_path),
        parameters,
        utm,
        targeting: targeting.or(template.targeting),
        window_seconds: window(link.attribution_window, template.attribution_window),
        event_window_seconds: window(link.event_attribution_window, template.event_attribution_window),
    }
}
