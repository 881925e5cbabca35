//! E-mails as the names of people: one spelling of each.

const MAX_CHARACTERS: usize = 254;

/// Writes an e-mail the one way it is stored and looked up.
pub fn fold(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Reads the e-mail of somebody new, or says what is wrong with it. Whether it reaches anybody only a message could tell.
pub fn read(text: &str) -> Result<String, &'static str> {
    let email = fold(text);
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let fine = email.chars().count() <= MAX_CHARACTERS
        && !email.chars().any(odd)
        && email
            .split_once('@')
            .is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'));
    if fine { Ok(email) } else { Err("must be an e-mail of at most 254 characters") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_folded_and_looks_like_one() {
        assert_eq!(read(" Someone@Example.COM ").as_deref(), Ok("someone@example.com"));
        assert_eq!(read("owner@localhost").as_deref(), Ok("owner@localhost"));
        let long = format!("{}@example.com", "a".repeat(243));
        for wrong in ["", "someone", "@example.com", "someone@", "a@b@c", "a b@c", "a\u{7}@c", &long] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
