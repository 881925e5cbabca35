//! The cookie in which browsers keep the refresh token of the dashboard, out of reach of its scripts.
//!
//! `__Host-` ties it to the API's host, over TLS, for every path and no other host. On a machine where the dashboard is developed over
//! plain HTTP, browsers differ on what they take: there, and only there, it has another name and need not be `Secure`.

use chrono::TimeDelta;
use http::{HeaderMap, HeaderValue, header};

use crate::config::{Config, Stage};

const NAME: &str = "__Host-lf_session";
const NAME_IN_DEVELOPMENT: &str = "lf_session";
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Returns the header that hands a refresh token to a browser, for as long as the token lives.
pub fn set(config: &Config, token: &str, life: TimeDelta) -> String {
    format!("{}={token}; Max-Age={}; {}", name(config), life.num_seconds().max(0), attributes(config))
}

/// Returns the header that takes it away.
pub fn clear(config: &Config) -> String {
    format!("{}=; Max-Age=0; {}", name(config), attributes(config))
}

/// Returns the refresh token that a request carries.
pub fn read<'a>(config: &Config, headers: &'a HeaderMap) -> Option<&'a str> {
    let lists = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut cookies = lists.flat_map(|list| list.split(';'));
    cookies.find_map(|cookie| {
        let (name, value) = cookie.split_once('=')?;
        (name.trim() == self::name(config)).then_some(value.trim())
    })
}

/// Says whether a request that carries the cookie was sent by a page of the dashboard. A browser sends cookies whoever made the page,
/// and says in headers that no page can write who did.
pub fn is_sent_by_the_dashboard(config: &Config, headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let own = |url: &url::Url| Some(url.origin().ascii_serialization().as_bytes()) == origin;
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    config.frontend_urls.iter().any(own) && matches!(site, None | Some(b"same-origin" | b"same-site"))
}

fn name(config: &Config) -> &'static str {
    if is_plain(config) { NAME_IN_DEVELOPMENT } else { NAME }
}

fn attributes(config: &Config) -> &'static str {
    if is_plain(config) {
        "Path=/; HttpOnly; SameSite=Strict"
    } else {
        "Path=/; Secure; HttpOnly; SameSite=Strict"
    }
}

/// Says whether the dashboard is developed here, over plain HTTP on this machine.
fn is_plain(config: &Config) -> bool {
    let here = |url: &url::Url| {
        url.scheme() == "http" && matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
    };
    config.stage == Stage::Development && config.frontend_urls.first().is_some_and(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let found = |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
        Config::from_lookup(&found).expect("valid")
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn it_is_secure_everywhere_but_on_the_machine_of_a_developer() {
        for (frontend, stage, secure) in [
            ("http://localhost:5173", "development", false),
            ("http://127.0.0.1:5173", "development", false),
            ("http://dash.internal", "development", true),
            ("https://localhost:5173", "development", true),
            ("https://dash.example.com", "development", true),
            ("http://localhost:5173", "production", true),
        ] {
            let config = config(&[
                ("FRONTEND_URL", frontend),
                ("APP_ENV", stage),
                ("LINKS_URL", "https://go.example.com"),
                ("DATABASE_URL", "postgres://app:q1J8mWv0Zr5T@db/linkforty"),
                ("JWT_SECRET", "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO"),
                ("SESSION_SECRET", "Zx9CvBn2MqWe4RtYu6IoPl8KjHg0FdSa"),
            ]);
            let set = set(&config, "abc", TimeDelta::days(14));
            let clear = clear(&config);
            let expected = if secure {
                "__Host-lf_session=abc; Max-Age=1209600; Path=/; Secure;"
            } else {
                "lf_session=abc;"
            };
            assert!(set.starts_with(expected), "{frontend} {stage}: {set}");
            for header in [set, clear] {
                assert_eq!(header.contains("Secure"), secure, "{header}");
                assert!(
                    header.contains("; HttpOnly; SameSite=Strict") && !header.contains("Domain"),
                    "{header}"
                );
            }
        }
    }

    #[test]
    fn it_is_found_among_others_by_its_whole_name() {
        let config = config(&[("FRONTEND_URL", "https://dash.example.com")]);
        for (lists, expected) in [
            (&["__Host-lf_session=abc"][..], Some("abc")),
            (&["a=b; __Host-lf_session=abc; c=d"], Some("abc")),
            (&["a=b", "__Host-lf_session=abc"], Some("abc")),
            (&["lf_session=abc"], None),
            (&["x__Host-lf_session=abc"], None),
            (&["__Host-lf_session"], None),
            (&[], None),
        ] {
            let pairs: Vec<_> = lists.iter().map(|list| ("cookie", *list)).collect();
            assert_eq!(read(&config, &headers(&pairs)), expected, "{lists:?}");
        }
    }

    #[test]
    fn only_pages_of_the_dashboard_may_send_it() {
        let config = config(&[("FRONTEND_URL", "https://dash.example.com,https://other.example.com")]);
        let origin = ("origin", "https://dash.example.com");
        for (pairs, expected) in [
            (&[origin][..], true),
            (&[("origin", "https://other.example.com")], true),
            (&[origin, ("sec-fetch-site", "same-origin")], true),
            (&[origin, ("sec-fetch-site", "same-site")], true),
            (&[origin, ("sec-fetch-site", "cross-site")], false),
            (&[origin, ("sec-fetch-site", "none")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[], false),
        ] {
            assert_eq!(is_sent_by_the_dashboard(&config, &headers(pairs)), expected, "{pairs:?}");
        }
    }
}
