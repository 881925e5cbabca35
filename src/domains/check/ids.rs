//! The forms of what apps are known by; pure.

/// Says whether a text is a team's id, a dot and a bundle id.
pub fn is_app_id(id: &str) -> bool {
    let Some((team, bundle)) = id.split_once('.') else { return false };
    let is_bundle = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'.');
    team.len() == 10
        && team.bytes().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit())
        && (1..=155).contains(&bundle.len())
        && bundle.bytes().all(is_bundle)
        && bundle.split('.').all(|part| !part.is_empty())
}

/// Says whether a text is the name of a package.
pub fn is_package(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && part.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
    };
    name.len() <= 255 && name.contains('.') && name.split('.').all(is_part)
}

/// Returns a fingerprint in capitals, with colons, or nothing when it is none.
pub fn fingerprint(text: &str) -> Option<String> {
    let digits: Vec<char> = text.chars().filter(|letter| *letter != ':').collect();
    if digits.len() != 64 || !digits.iter().all(char::is_ascii_hexdigit) {
        return None;
    }
    let pairs: Vec<String> =
        digits.chunks(2).map(|pair| pair.iter().collect::<String>().to_uppercase()).collect();
    let whole = pairs.join(":");
    // Colons stand between the bytes or nowhere.
    (!text.contains(':') || text.to_uppercase() == whole).then_some(whole)
}

/// Says whether a text is a fingerprint in the form that Google reads.
pub fn is_fingerprint(text: &str) -> bool {
    fingerprint(text).as_deref() == Some(text)
}
