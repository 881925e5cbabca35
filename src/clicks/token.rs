//! Tokens that carry a click through a store or over the pasteboard: signed and opaque.
//!
//! 40 bytes in base64url: the click, the link, and 8 bytes of SipHash-2-4 under a key of this server. Who alters one gets no credit,
//! and a decision needs no database to believe one. SipHash, because every visit that is sent to a store makes one.

use std::hash::Hasher as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use siphasher::sip::SipHasher24;
use uuid::Uuid;

use super::query::{CLICK_ID, TOKEN};
use crate::ids::{ClickId, LinkId, WorkspaceId};

/// How long a token is.
pub const TOKEN_LENGTH: usize = 54;

/// A click that something names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The click.
    pub click: ClickId,
    /// Its link, where a token of ours says so.
    pub link: Option<LinkId>,
}

/// Makes and reads tokens.
#[derive(Debug, Clone, Copy)]
pub struct ClickTokens(SipHasher24);

impl ClickTokens {
    /// Returns the tokens under a key that is derived from `secret`.
    pub fn new(secret: &[u8]) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"linkforty click token v1");
        let mut key = [0; 16];
        key.copy_from_slice(&derived.as_ref()[..16]);
        Self(SipHasher24::new_with_key(&key))
    }

    /// Makes the token of a click.
    pub fn mint(self, workspace: WorkspaceId, link: LinkId, click: ClickId) -> String {
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(click.0.as_bytes());
        bytes[16..32].copy_from_slice(link.0.as_bytes());
        let seal = self.seal(workspace, &bytes[..32]);
        bytes[32..].copy_from_slice(&seal);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token of a workspace's click; `None` for everything else.
    pub fn read(self, workspace: WorkspaceId, token: &str) -> Option<Named> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (named, seal) = bytes.split_at_checked(32)?;
        // Whoever compares nothing but the time it takes has still 2^64 to try, over the network.
        if seal != self.seal(workspace, named) {
            return None;
        }
        let (click, link) = named.split_at(16);
        Some(Named {
            click: ClickId(Uuid::from_slice(click).ok()?),
            link: Some(LinkId(Uuid::from_slice(link).ok()?)),
        })
    }

    fn seal(self, workspace: WorkspaceId, named: &[u8]) -> [u8; 8] {
        let mut hash = self.0;
        hash.write(workspace.0.as_bytes());
        hash.write(named);
        hash.finish().to_le_bytes()
    }

    /// Returns the click that a query names: by a token, or by the click's own id, which nobody can guess.
    pub fn named_in(self, workspace: WorkspaceId, query: &str) -> Option<Named> {
        let pairs = || url::form_urlencoded::parse(query.as_bytes());
        let value =
            |wanted: &str| pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
        let token = value(TOKEN).and_then(|token| self.read(workspace, &token));
        token.or_else(|| value(CLICK_ID).and_then(|id| named(&id)))
    }

    /// Returns the click that a URL names, or a bare token or id.
    pub fn named_by(self, workspace: WorkspaceId, text: &str) -> Option<Named> {
        let text = text.trim();
        if let Some((_, query)) = text.split_once('?') {
            return self.named_in(workspace, query.split('#').next().unwrap_or_default());
        }
        self.read(workspace, text).or_else(|| named(text))
    }
}

/// Reads the id of a click.
pub fn named(id: &str) -> Option<Named> {
    ClickId::parse(id).map(|click| Named { click, link: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::from_micros, ids::Ids};

    #[test]
    fn a_token_names_its_click_to_its_own_workspace_and_server_alone() {
        let (ids, now) = (Ids::seeded(3), from_micros(1_700_000_000_000_000));
        let [ours, theirs] = [(); 2].map(|()| WorkspaceId::mint(&ids, now));
        let (link, click) = (LinkId::mint(&ids, now), ClickId::mint(&ids, now));
        let tokens = ClickTokens::new(b"secret");
        let token = tokens.mint(ours, link, click);
        assert_eq!(token.len(), TOKEN_LENGTH);
        let known = Some(Named { click, link: Some(link) });
        assert_eq!(tokens.read(ours, &token), known);
        assert_eq!(tokens.read(theirs, &token), None);
        assert_eq!(ClickTokens::new(b"other").read(ours, &token), None);
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("base64url");
            assert_ne!(tokens.read(ours, &altered), known, "{at}");
        }
        let by_id = Some(Named { click, link: None });
        for (text, expected) in [
            (format!("https://go.example.com/x?a=b&lf={token}#f"), known),
            (format!("myapp://x?lf_click={click}"), by_id),
            (format!("https://go.example.com/x?lf={token}&lf_click={}", ids.uuid(now)), known),
            (format!(" {token}\n"), known),
            (click.to_string(), by_id),
            ("https://go.example.com/x".to_owned(), None),
            ("lf=".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(tokens.named_by(ours, &text), expected, "{text}");
        }
        let referrer = format!("utm_source=x&lf={token}");
        assert_eq!(tokens.named_in(ours, &referrer), known);
        assert_eq!(tokens.named_in(ours, "utm_source=google-play&utm_medium=organic"), None);
    }
}
