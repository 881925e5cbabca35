//! Short codes: which ones people may ask for, and which ones we are willing to make up (`codes.rs` does). Pure.

use crate::{domains::Home, ids::Ids};

const MAX_LENGTH: usize = 128;

/// What nobody takes for something else when read aloud or from paper: no 0 and O, no 1, l and I.
pub(super) const ALPHABET: &[u8; 57] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";

/// The same without capital letters.
pub(super) const LOWER_ALPHABET: &[u8; 33] = b"abcdefghijkmnopqrstuvwxyz23456789";

/// What codes of a domain are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Upper and lower case make different codes.
    Mixed,
    /// Codes are kept in lower case.
    Lower,
}

impl Alphabet {
    /// Returns that of a domain; `None`: the server's own.
    pub fn of(home: Option<&Home>) -> Self {
        if home.is_some_and(|home| home.ignores_case) { Self::Lower } else { Self::Mixed }
    }

    /// Returns a code that was asked for as it is kept.
    pub fn kept(self, code: String) -> String {
        match self {
            Self::Mixed => code,
            Self::Lower => code.to_ascii_lowercase(),
        }
    }
}

/// Paths of this server that are not links, now or to come, in lower case.
const RESERVED: &[&str] = &[
    "admin",
    "api",
    "apple-app-site-association",
    "assetlinks",
    "assets",
    "auth",
    "dashboard",
    "debug",
    "docs",
    "favicon",
    "graphql",
    "grpc",
    "health",
    "healthz",
    "index",
    "internal",
    "linkforty",
    "livez",
    "login",
    "logout",
    "metrics",
    "oauth",
    "ping",
    "preview",
    "qr",
    "readyz",
    "robots",
    "sdk",
    "sitemap",
    "static",
    "status",
    "version",
    "webhooks",
    "well-known",
];

/// Parts no generated code may have once its digits are read as letters. Short ones on purpose: a harmless code
/// lost costs nothing.
const RUDE: &[&str] = &[
    "anal", "anus", "arse", "bitch", "boob", "btch", "butt", "cock", "coon", "crap", "cum", "cunt", "dick",
    "dyke", "fag", "fick", "fuc", "fuk", "gook", "hate", "heil", "hitler", "homo", "jew", "jizz", "kike",
    "kill", "kkk", "merd", "nazi", "negr", "nig", "paki", "penis", "piss", "poop", "porn", "prick", "puss",
    "puta", "pute", "rape", "scat", "sex", "shit", "sht", "slut", "spic", "suck", "tit", "turd", "twat",
    "vagin", "wank", "whor", "xxx",
];

/// Says whether a path belongs to the server itself, in whatever case.
pub fn is_reserved(code: &str) -> bool {
    RESERVED.iter().any(|word| word.eq_ignore_ascii_case(code))
}

/// Says whether a path can be a code: the redirect asks before it looks one up.
pub fn is_short_code(path: &str) -> bool {
    check(path).is_ok()
}

/// Says what is wrong with a code somebody asks for.
pub fn check(code: &str) -> Result<(), &'static str> {
    if code.is_empty() || code.len() > MAX_LENGTH {
        return Err("must have 1 to 128 characters");
    }
    if !code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        return Err("must consist of the letters A to Z and a to z, digits, - and _");
    }
    if code.starts_with('-') || code.ends_with('-') {
        return Err("must not begin or end with -");
    }
    if is_reserved(code) {
        return Err("is a word that the server keeps for itself");
    }
    Ok(())
}

/// Says whether nobody need be ashamed of a code, and it is no word of the server's.
pub(super) fn is_decent(code: &str) -> bool {
    !is_reserved(code) && !is_rude(code)
}

/// Makes up the slug of a template. Whether it is free shows when it is stored.
pub(super) fn slug(ids: &Ids) -> String {
    loop {
        let slug = ids.text(b"abcdefghijklmnopqrstuvwxyz0123456789", 8);
        if is_decent(&slug) {
            return slug;
        }
    }
}

fn is_rude(code: &str) -> bool {
    let read: String = code.chars().map(read_as).collect();
    RUDE.iter().any(|part| read.contains(part))
}

/// Returns the letter that somebody reads who wants to.
fn read_as(character: char) -> char {
    match character {
        '0' => 'o',
        '1' => 'i',
        '2' => 'z',
        '3' => 'e',
        '4' => 'a',
        '5' => 's',
        '6' | '9' => 'g',
        '7' => 't',
        '8' => 'b',
        letter => letter.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_may_ask_for_these() {
        for code in ["a", "7", "spring", "Spring-2026", "under_score", "_x", "x_", "a--b", &"a".repeat(128)] {
            assert_eq!(check(code), Ok(()), "{code}");
        }
    }

    #[test]
    fn people_may_not_ask_for_these() {
        let too_long = "a".repeat(129);
        for code in [
            "",
            &too_long,
            "-a",
            "a-",
            "-",
            "a b",
            "a/b",
            "a.b",
            "favicon.ico",
            "a+b",
            "ä",
            "a\n",
            "%61",
            "health",
            "HEALTH",
            "Api",
            "metrics",
            "livez",
            "readyz",
            "admin",
            "robots",
            "sdk",
            "well-known",
            "preview",
            "qr",
            "static",
            "assets",
            "dashboard",
        ] {
            assert!(check(code).is_err(), "{code:?}");
        }
    }

    #[test]
    fn slugs_are_short_and_decent() {
        let ids = Ids::seeded(41);
        for _ in 0..1000 {
            let slug = slug(&ids);
            assert_eq!((check(&slug), slug.len(), is_rude(&slug)), (Ok(()), 8, false), "{slug}");
        }
    }

    #[test]
    fn digits_are_read_as_letters() {
        for (code, rude) in [
            ("xxFUCKxx", true),
            ("abSh3xab", false),
            ("ab5h7abc", true),
            ("p0RnAbcd", true),
            ("C0cKabcd", true),
            ("spring26", false),
            ("N49jn428", false),
        ] {
            assert_eq!(is_rude(code), rude, "{code}");
        }
    }

    #[test]
    fn the_lists_are_in_lower_case() {
        for word in RESERVED.iter().chain(RUDE) {
            assert_eq!(*word, word.to_ascii_lowercase());
        }
    }
}
