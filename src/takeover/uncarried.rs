//! What a LinkForty database holds that has no place here, and why. A column that this release has never heard of is told too.

use serde::Serialize;

use super::source::Source;

/// Something that is not carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uncarried {
    /// What: `table` or `table.column`.
    pub what: String,
    /// Why.
    pub why: String,
    /// How many rows hold some of it, where that is worth a count.
    pub rows: Option<u64>,
}

const HASHED: &str = "addresses are not kept: the network and a keyed hash stand for each";
const READ: &str = "is read again from the country and the user agent when somebody asks";
const DELIVERY: &str = "deliveries have one schedule here (docs/webhooks.md)";
const OWNER: &str = "members are invited here; what is whose is chosen with --user and --organization";

/// What is carried and what is not, by table: `None` is carried.
const COLUMNS: &[(&str, &[(&str, Option<&str>)])] = &[
    (
        "organizations",
        &[
            ("id", None),
            ("name", None),
            ("suspended_at", None),
            ("created_at", None),
            ("updated_at", None),
            ("settings", Some("app addresses and the launchpad are set for the workspace (UpdateWorkspace)")),
        ],
    ),
    (
        "link_templates",
        &[
            ("id", None),
            ("name", None),
            ("slug", None),
            ("description", None),
            ("settings", None),
            ("is_default", None),
            ("created_at", None),
            ("updated_at", None),
            ("user_id", Some(OWNER)),
        ],
    ),
    (
        "links",
        &[
            ("id", None),
            ("short_code", None),
            ("original_url", None),
            ("title", None),
            ("description", None),
            ("ios_app_store_url", None),
            ("android_app_store_url", None),
            ("ios_url", None),
            ("android_url", None),
            ("web_fallback_url", None),
            ("utm_parameters", None),
            ("targeting_rules", None),
            ("is_active", None),
            ("expires_at", None),
            ("append_click_id", None),
            ("organization_id", None),
            ("template_id", None),
            ("warn_at", None),
            ("disabled_at", None),
            ("disabled_reason", None),
            ("og_title", None),
            ("og_description", None),
            ("og_image_url", None),
            ("attribution_window_hours", None),
            ("app_scheme", None),
            ("ios_universal_link", None),
            ("android_app_link", None),
            ("deep_link_path", None),
            ("deep_link_parameters", None),
            ("launchpad_mode", None),
            ("source", None),
            ("external_user_id", None),
            ("event_attribution_window_hours", None),
            ("created_at", None),
            ("updated_at", None),
            ("user_id", Some(OWNER)),
            ("og_type", Some("pages of links are always of the type website")),
            ("custom_scheme_url", Some("set app_scheme and deep_link_path instead")),
            ("project_id", Some("projects of LinkForty Cloud are in no database of LinkForty Core")),
            ("domain_id", Some("all links go to one host: --domain")),
        ],
    ),
    (
        "click_events",
        &[
            ("id", None),
            ("link_id", None),
            ("clicked_at", None),
            ("user_agent", None),
            ("device_type", None),
            ("country_code", None),
            ("region", None),
            ("city", None),
            ("utm_source", None),
            ("utm_medium", None),
            ("utm_campaign", None),
            ("is_bot", None),
            ("bot_reason", None),
            ("link_params", None),
            ("ip_address", Some(HASHED)),
            ("referrer", Some("only its host is kept")),
            ("platform", Some(READ)),
            ("country_name", Some(READ)),
            ("timezone", Some("the one that the page or the address gave is kept with the fingerprint")),
            ("latitude", Some("nobody is located more closely than by city")),
            ("longitude", Some("nobody is located more closely than by city")),
        ],
    ),
    (
        "device_fingerprints",
        &[
            ("id", Some("the first fingerprint of a click is kept with it")),
            ("click_id", None),
            ("timezone", None),
            ("language", None),
            ("screen_width", None),
            ("screen_height", None),
            ("created_at", None),
            ("fingerprint_hash", Some("is compared with nothing")),
            ("ip_address", Some(HASHED)),
            ("user_agent", Some("is the click's")),
            ("platform", Some("is the click's")),
            ("platform_version", Some(READ)),
        ],
    ),
    (
        "install_events",
        &[
            ("id", None),
            ("link_id", None),
            ("click_id", None),
            ("confidence_score", None),
            ("attribution_method", None),
            ("matched_factors", None),
            ("installed_at", None),
            ("attribution_window_hours", None),
            ("user_agent", None),
            ("timezone", None),
            ("language", None),
            ("screen_width", None),
            ("screen_height", None),
            ("platform", None),
            ("platform_version", None),
            ("device_id", None),
            ("sdk_name", None),
            ("sdk_version", None),
            ("created_at", None),
            ("fingerprint_hash", Some("is compared with nothing")),
            ("first_open_at", Some("is the moment of the install")),
            ("deep_link_retrieved", Some("nothing asks for it")),
            ("deep_link_data", Some("is what the link says, and made of it when an app asks")),
            ("ip_address", Some(HASHED)),
        ],
    ),
    (
        "in_app_events",
        &[
            ("id", None),
            ("install_id", None),
            ("event_name", None),
            ("event_data", None),
            ("event_timestamp", None),
            ("created_at", None),
            ("attributed_link_id", None),
            ("attributed_click_id", None),
            ("attributed_at", None),
            ("session_id", None),
            ("sdk_name", Some("is the install's")),
            ("sdk_version", Some("is the install's")),
        ],
    ),
    (
        "webhooks",
        &[
            ("id", None),
            ("name", None),
            ("url", None),
            ("secret", None),
            ("events", None),
            ("is_active", None),
            ("headers", None),
            ("created_at", None),
            ("updated_at", None),
            ("user_id", Some(OWNER)),
            ("retry_count", Some(DELIVERY)),
            ("timeout_ms", Some(DELIVERY)),
        ],
    ),
];

/// Returns what is not carried of a source.
pub async fn of(source: &Source) -> anyhow::Result<Vec<Uncarried>> {
    let mut found = Vec::new();
    for (table, columns) in source.columns() {
        let Some((_, known)) = COLUMNS.iter().find(|(name, _)| *name == table) else {
            let rows = Some(source.number(format!("SELECT count(*) FROM {table}")).await?);
            let why = "rewards for invitations are no part of this server".to_owned();
            found.push(Uncarried { what: table.to_owned(), why, rows });
            continue;
        };
        for column in columns {
            let why = match known.iter().find(|(name, _)| name == column) {
                Some((_, None)) => continue,
                Some((_, Some(why))) => *why,
                None => "is no column that this release knows",
            };
            let what = format!("{table}.{column}");
            found.push(Uncarried { what, why: why.to_owned(), rows: None });
        }
    }
    if !source.is_whole() && source.has("install_events") {
        let sql = "SELECT count(*) FROM install_events WHERE link_id IS NULL";
        let rows = Some(source.number(sql.to_owned()).await?);
        let why = "installs without a link are nobody's: they come with the whole database only";
        found.push(Uncarried { what: "install_events".to_owned(), why: why.to_owned(), rows });
    }
    Ok(found)
}
