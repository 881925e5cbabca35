//! Opens: the system hands a link to the app, which asks where it leads. Such a tap never came to a redirect, so it is recorded
//! here, as the click that it is.

use std::net::IpAddr;

use url::{Url, form_urlencoded::Serializer};
use uuid::Uuid;

use super::{
    Sdk,
    deep_link::{Tap, deep_link},
    installs::store,
};
use crate::{
    clicks::{Click, OPENED_BY_SYSTEM, class::Class},
    clock::Moment,
    domains::Site,
    error::{Error, Result},
    ids::{ClickId, WorkspaceId},
    links::{Answer, Credited, Target},
    pb::sdk::v1::{DeepLink, Device, Platform},
    redirect::{
        code_of,
        destination::{Outcome, choose},
        long_form,
        visitor::Visit,
    },
};

/// How long the database may take to note whose click it was: the app waits for where to go.
const IDENTIFYING: std::time::Duration = std::time::Duration::from_millis(150);

/// A link that an app was opened by.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The host of the URL and the code in it, as the system handed it over.
    pub site: Site,
    /// What stands before the code in the long form.
    pub slug: Option<String>,
    /// The code.
    pub code: String,
    /// The query.
    pub query: String,
}

/// What an app tells when it asks where a link leads.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The id that the click gets; `None`: a new one.
    pub click: Option<ClickId>,
    /// When.
    pub time: Moment,
    /// The device.
    pub device: Device,
    /// From where.
    pub client: Option<IpAddr>,
    /// What device and user are known by, where they allowed it.
    pub identities: Vec<Vec<u8>>,
}

/// Reads the URL that opened an app. `None`: it is no link of this server.
pub fn read_url(sdk: &Sdk, url: &str) -> Option<Opened> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let site = sdk.sites.named(url.host_str()?.as_bytes());
    let (slug, code) = match (code_of(url.path()), long_form(url.path())) {
        (Some(code), _) => (None, code),
        (None, Some((slug, code))) => (Some(slug.to_owned()), code),
        (None, None) => return None,
    };
    Some(Opened { site, slug, code: code.to_owned(), query: url.query().unwrap_or_default().to_owned() })
}

/// Says where a link of one workspace, or of any, leads in the app, and records the tap.
pub async fn open(
    sdk: &Sdk,
    workspace: Option<WorkspaceId>,
    opened: Opened,
    asking: Asking,
) -> Result<DeepLink> {
    let env = &sdk.env;
    let unknown = || Error::not_found("link");
    match &opened.site {
        Site::Own => {}
        Site::Of(domain) if workspace.is_none_or(|workspace| workspace == domain.workspace_id) => {}
        Site::Of(_) | Site::Unknown => return Err(unknown()),
        Site::Away => return Err(Error::store_unavailable("nobody knows the domains yet")),
    }
    let (namespace, code) = (opened.site.namespace(), opened.site.code(&opened.code));
    let target = match sdk.resolver.resolve(namespace, &code, env.now()).await {
        Answer::Found(target) => target,
        Answer::Unknown => return Err(unknown()),
        Answer::Away => return Err(Error::store_unavailable("no store knows the link")),
    };
    let foreign = workspace.is_some_and(|workspace| workspace != target.workspace_id);
    if foreign || !is_open(&target, opened.slug.as_deref(), env.now()) {
        return Err(unknown());
    }
    let click = record(sdk, &target, &opened.query, &asking);
    if let Some(click) = click
        && !asking.identities.is_empty()
    {
        let of = (target.workspace_id, target.id, click);
        let noted = store::identify(&env.db.api, of, &asking.identities);
        if !matches!(tokio::time::timeout(IDENTIFYING, noted).await, Ok(Ok(()))) {
            metrics::counter!("linkforty_click_identities_lost_total").increment(1);
        }
    }
    let tap = Tap { click, time: asking.time, query: &opened.query, deferred: false };
    Ok(deep_link(target.id, &Credited::of(&target, &opened.code), tap))
}

/// Says whether a link is one that an app may follow: a redirect would be sent on, or warned.
fn is_open(target: &Target, slug: Option<&str>, now: Moment) -> bool {
    let own_slug = target.extras.as_deref().map(|extras| &*extras.slug).unwrap_or_default();
    let closed = matches!(
        choose(target, &Visit::of_nobody(), now),
        Outcome::Gone(_) | Outcome::NotFound(_) | Outcome::Password
    );
    slug.is_none_or(|slug| slug == own_slug) && !closed
}

fn record(sdk: &Sdk, target: &Target, query: &str, asking: &Asking) -> Option<ClickId> {
    let env = &sdk.env;
    let id = asking.click.unwrap_or_else(|| ClickId::mint_past(&env.ids, asking.time));
    let platform = match Platform::try_from(asking.device.platform) {
        Ok(Platform::Ios) => 1,
        Ok(Platform::Android) => 2,
        Ok(Platform::Unspecified) | Err(_) => 0,
    };
    let query = hinted(query, &asking.device);
    let click = Click {
        workspace: target.workspace_id,
        link: target.id,
        platform,
        class: Class::Human,
        step: OPENED_BY_SYSTEM,
        client: asking.client,
        // An app's own says nothing of a person, and would be taken for a program's.
        user_agent: "",
        referrer: "",
        languages: &asking.device.language,
        query: &query,
        parameters: target.decoration.as_deref().map_or(&[], |link| &link.parameters),
        lease: None,
    };
    sdk.recorder.record(id, &click).ok().map(|()| id)
}

/// Returns the query with what the app says of its device, as a page would say it.
fn hinted(query: &str, device: &Device) -> String {
    let platform = match Platform::try_from(device.platform) {
        Ok(Platform::Ios) => "ios",
        Ok(Platform::Android) => "android",
        Ok(Platform::Unspecified) | Err(_) => "",
    };
    let screen = (device.screen_width, device.screen_height);
    let (width, height) = if screen.0 > 0 && screen.1 > 0 {
        (screen.0.to_string(), screen.1.to_string())
    } else {
        (String::new(), String::new())
    };
    let hints = [
        ("fp_platform", platform),
        ("fp_pv", &device.os_version),
        ("fp_tz", &device.time_zone),
        ("fp_lang", &device.language),
        ("fp_sw", &width),
        ("fp_sh", &height),
    ];
    let mut text = Serializer::new(String::new());
    text.extend_pairs(hints.into_iter().filter(|(name, value)| !value.is_empty() && !query.contains(name)));
    let hints = text.finish();
    // Before what the visitor brought, which may be cut.
    [hints.as_str(), query].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&")
}

/// Returns the id of the click of an open that an app reports, the same for every repeat.
pub fn click_of_open(workspace: WorkspaceId, install: Uuid, open: Uuid, time: Moment) -> ClickId {
    use ring::digest;
    let mut hash = digest::Context::new(&digest::SHA256);
    [workspace.0.as_bytes(), install.as_bytes(), open.as_bytes()]
        .iter()
        .for_each(|part| hash.update(&part[..]));
    let mut tail = [0; 8];
    tail.copy_from_slice(&hash.finish().as_ref()[..8]);
    ClickId(crate::ids::derived(time, tail))
}
