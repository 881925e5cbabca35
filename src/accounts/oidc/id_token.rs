//! Whether the claims of an ID token are about this sign-in, and now (OpenID Connect Core 1.0, sections 3.1.3.7 and 3.1.3.8). Pure.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use ring::digest;
use serde::Deserialize;
use serde_json::Value;

use super::fault::Fault;
use crate::{clock::Moment, email};

/// How far the provider's clock may be from ours.
const LEEWAY_SECONDS: f64 = 30.0;
/// How long a subject may be.
const MAX_SUBJECT: usize = 255;

/// What the claims must be about.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// We.
    pub client_id: &'a str,
    /// The sign-in.
    pub nonce: &'a str,
    /// The access token that came along.
    pub access_token: Option<&'a str>,
    /// What the token was signed by.
    pub algorithm: Algorithm,
}

/// Whom a provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// What it calls them: never given to anybody else.
    pub subject: String,
    /// Their e-mail as we write it, if it says one.
    pub email: Option<String>,
    /// Whether it says that the e-mail is theirs.
    pub email_verified: bool,
    /// Their name; may be empty.
    pub name: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
    at_hash: Option<String>,
    #[serde(flatten)]
    about: About,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// What is said of a person, in the token or besides.
#[derive(Deserialize)]
struct About {
    email: Option<String>,
    email_verified: Option<Value>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(flatten)]
    about: About,
}

/// Reads the claims of a token whose signature is good, and holds them against what they must be about.
pub fn read(claims: &[u8], expected: Expected<'_>, now: Moment) -> Result<Vouched, Fault> {
    let claims: Claims = serde_json::from_slice(claims).map_err(|_| Fault::Form)?;
    if claims.iss != expected.issuer {
        return Err(Fault::Issuer);
    }
    let (for_us, for_others) = match &claims.aud {
        Audience::One(one) => (one == expected.client_id, false),
        Audience::Many(many) => (many.iter().any(|one| one == expected.client_id), many.len() > 1),
    };
    if !for_us {
        return Err(Fault::Audience);
    }
    match &claims.azp {
        Some(party) if party != expected.client_id => return Err(Fault::AuthorizedParty),
        None if for_others => return Err(Fault::AuthorizedParty),
        _ => {}
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(Fault::Nonce);
    }
    let seconds = now.timestamp() as f64;
    if seconds >= claims.exp + LEEWAY_SECONDS {
        return Err(Fault::Expired);
    }
    if claims.iat > seconds + LEEWAY_SECONDS || claims.nbf.is_some_and(|from| from > seconds + LEEWAY_SECONDS)
    {
        return Err(Fault::NotYet);
    }
    if let Some(hash) = &claims.at_hash
        && expected.access_token.map(|token| half_hash(expected.algorithm, token)).as_ref() != Some(hash)
    {
        return Err(Fault::AccessToken);
    }
    if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT || !claims.sub.is_ascii() {
        return Err(Fault::Subject);
    }
    Ok(claims.about.of(claims.sub))
}

/// Adds what the provider says of a person besides, which must be the same person.
pub fn add(vouched: Vouched, user_info: &[u8]) -> Result<Vouched, Fault> {
    let UserInfo { sub, about } = serde_json::from_slice(user_info).map_err(|_| Fault::UserInfo)?;
    if sub != vouched.subject {
        return Err(Fault::UserInfo);
    }
    let told = about.of(sub);
    Ok(Vouched { name: if told.name.is_empty() { vouched.name } else { told.name }, ..told })
}

impl About {
    fn of(self, subject: String) -> Vouched {
        // Some providers write it as a text.
        let said = |value: Value| value == Value::Bool(true) || value == "true";
        Vouched {
            subject,
            email: self.email.and_then(|text| email::read(&text).ok()),
            email_verified: self.email_verified.is_some_and(said),
            name: self.name.unwrap_or_default(),
        }
    }
}

/// Returns the left half of an access token's hash, by the hash of the algorithm that signed the ID token.
fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let hash = if algorithm == Algorithm::EdDSA { &digest::SHA512 } else { &digest::SHA256 };
    let hash = digest::digest(hash, token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::from_micros;

    const EXPECTED: Expected<'_> = Expected {
        issuer: "https://id.example.com",
        client_id: "us",
        nonce: "n",
        access_token: Some("access"),
        algorithm: Algorithm::ES256,
    };

    fn judge(change: impl FnOnce(&mut Value)) -> Result<Vouched, Fault> {
        let mut claims = json!({
            "iss": "https://id.example.com", "sub": "ann", "aud": "us", "exp": 1_800_000_300, "iat": 1_800_000_000,
            "nonce": "n", "email": "Ann@Example.com", "email_verified": true, "name": "Ann",
        });
        change(&mut claims);
        read(claims.to_string().as_bytes(), EXPECTED, from_micros(1_800_000_000_000_000))
    }

    #[test]
    fn claims_are_believed_if_they_are_about_this_sign_in() {
        type Case = (&'static str, Value, Option<Fault>);
        let at_hash = half_hash(Algorithm::ES256, "access");
        let cases: &[Case] = &[
            ("iss", json!("https://id.example.com/"), Some(Fault::Issuer)),
            ("iss", json!("https://evil.example"), Some(Fault::Issuer)),
            ("iss", Value::Null, Some(Fault::Form)),
            ("aud", json!("them"), Some(Fault::Audience)),
            ("aud", json!([]), Some(Fault::Audience)),
            ("aud", json!(["us"]), None),
            ("aud", json!(["them", "us"]), Some(Fault::AuthorizedParty)),
            ("azp", json!("us"), None),
            ("azp", json!("them"), Some(Fault::AuthorizedParty)),
            ("nonce", json!("m"), Some(Fault::Nonce)),
            ("nonce", Value::Null, Some(Fault::Nonce)),
            ("exp", json!(1_799_999_971), None),
            ("exp", json!(1_799_999_970), Some(Fault::Expired)),
            ("exp", Value::Null, Some(Fault::Form)),
            ("exp", json!("1800000300"), Some(Fault::Form)),
            ("iat", json!(1_800_000_030.5), Some(Fault::NotYet)),
            ("iat", json!(1_800_000_030), None),
            ("iat", Value::Null, Some(Fault::Form)),
            ("nbf", json!(1_800_000_031), Some(Fault::NotYet)),
            ("nbf", json!(1_800_000_030), None),
            ("at_hash", json!(at_hash), None),
            ("at_hash", json!("x"), Some(Fault::AccessToken)),
            ("sub", json!(""), Some(Fault::Subject)),
            ("sub", json!("a".repeat(256)), Some(Fault::Subject)),
            ("sub", json!("ä"), Some(Fault::Subject)),
            ("sub", Value::Null, Some(Fault::Form)),
        ];
        for (claim, value, fault) in cases {
            assert_eq!(judge(|claims| claims[claim] = value.clone()).err(), *fault, "{claim}: {value}");
        }
        let both = judge(|claims| {
            claims["aud"] = json!(["them", "us"]);
            claims["azp"] = json!("us");
        });
        assert!(both.is_ok());
        assert_eq!(read(b"no claims", EXPECTED, from_micros(0)), Err(Fault::Form));
    }

    #[test]
    fn an_email_is_vouched_for_in_so_many_words() {
        let ann = Vouched {
            subject: "ann".into(),
            email: Some("ann@example.com".into()),
            email_verified: true,
            name: "Ann".into(),
        };
        assert_eq!(judge(|_| ()), Ok(ann.clone()));
        for (value, verified) in [
            (json!("true"), true),
            (json!(false), false),
            (json!("yes"), false),
            (json!(1), false),
            (Value::Null, false),
        ] {
            let told = judge(|claims| claims["email_verified"] = value.clone()).expect("is good");
            assert_eq!(told.email_verified, verified, "{value}");
        }
        assert_eq!(judge(|claims| claims["email"] = json!("no e-mail")).expect("is good").email, None);
        let bare = Vouched { email: None, email_verified: false, ..ann.clone() };
        let info = json!({"sub": "ann", "email": "ann@example.com", "email_verified": true});
        assert_eq!(add(bare.clone(), info.to_string().as_bytes()), Ok(ann));
        let info = json!({"sub": "bob", "email": "ann@example.com", "email_verified": true});
        assert_eq!(add(bare, info.to_string().as_bytes()), Err(Fault::UserInfo));
    }
}
