//! Schemes of apps' own URLs, such as `myapp`. Those that browsers act on by themselves are nobody's, since some of them run what they
//! carry; and those of the system are not an app's either: a link that dials a number is no link.

/// The longest, in characters.
const LONGEST: usize = 64;
/// What browsers act on.
const OF_BROWSERS: [&str; 20] = [
    "about",
    "blob",
    "chrome",
    "content",
    "data",
    "file",
    "filesystem",
    "ftp",
    "http",
    "https",
    "intent",
    "jar",
    "javascript",
    "livescript",
    "mocha",
    "resource",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];
/// What systems act on: calls, messages, installations.
const OF_SYSTEMS: [&str; 10] = [
    "android-app",
    "facetime",
    "facetime-audio",
    "itms-apps",
    "itms-services",
    "mailto",
    "market",
    "sms",
    "smsto",
    "tel",
];

/// Makes sure that a text is a scheme that an app may own: `[a-z][a-z0-9+.-]*`.
pub fn check(scheme: &str) -> Result<(), &'static str> {
    let good = scheme.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'.' | b'-'));
    let begins = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !begins || !good || scheme.len() > LONGEST {
        return Err(
            "must be a scheme alone, such as myapp: at most 64 of a-z, 0-9, +, . and -, beginning with a letter",
        );
    }
    if OF_BROWSERS.contains(&scheme) || OF_SYSTEMS.contains(&scheme) {
        return Err("must be a scheme of an app, not one that browsers or systems act on");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_an_apps_own() {
        for (scheme, good) in [
            ("", false),
            ("myapp", true),
            ("com.example.app-2+x", true),
            ("a", true),
            (&"a".repeat(64), true),
            (&"a".repeat(65), false),
            ("MyApp", false),
            ("2app", false),
            ("my app", false),
            ("myapp://", false),
            ("myapp:", false),
            ("my_app", false),
            ("mÿapp", false),
            ("javascript", false),
            ("JavaScript", false),
            ("data", false),
            ("vbscript", false),
            ("view-source", false),
            ("https", false),
            ("intent", false),
            ("tel", false),
            ("sms", false),
            ("itms-services", false),
            ("telegram", true),
        ] {
            assert_eq!(check(scheme).is_ok(), good, "{scheme:?}");
        }
    }
}
