//! Settings that nobody else may know, and what is refused of them.

use std::{fs, path::Path};

use ring::signature::Ed25519KeyPair;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{
    Entry, Reader, Risk,
    refusals::{self, MAKE_ONE, SHORTEST_SECRET, weakness},
};

/// The secrets that everything else is derived from.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Signs access tokens.
    pub jwt: SecretString,
    /// What else is believed, while it is changed.
    pub jwt_previous: Option<SecretString>,
    /// Keys of the operator that sign access tokens instead, in PEM.
    pub jwt_keys: Option<SecretString>,
    /// Seals page tokens, hashes visitors.
    pub session: SecretString,
}

/// Reads Ed25519 keys from a PEM text, each a `PRIVATE KEY` (RFC 5958, as `openssl genpkey -algorithm ed25519` writes them), or says what
/// is wrong with it.
pub fn ed25519_keys(pem: &str) -> Result<Vec<Vec<u8>>, &'static str> {
    const WRONG: &str = "must hold Ed25519 keys in PEM, each between `-----BEGIN PRIVATE KEY-----` and `-----END PRIVATE KEY-----`";
    let keys: Result<Vec<Vec<u8>>, _> = PrivatePkcs8KeyDer::pem_slice_iter(pem.as_bytes())
        .map(|key| key.map(|key| key.secret_pkcs8_der().to_vec()).map_err(|_| WRONG))
        .collect();
    let keys = keys?;
    let good =
        !keys.is_empty() && keys.iter().all(|key| Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).is_ok());
    if good { Ok(keys) } else { Err(WRONG) }
}

impl Reader<'_> {
    /// Reads a secret from the variable itself or from the file that `NAME_FILE` names.
    pub(super) fn secret(&mut self, name: &'static str) -> Option<SecretString> {
        let direct = self.find(name);
        let file = self.find(&format!("{name}_FILE"));
        let (value, origin) = match (direct, file) {
            (Some(_), Some(_)) => {
                self.problem(format!("{name} and {name}_FILE are both set: keep one"));
                (None, "file")
            }
            (Some(value), None) => (Some(value), "environment"),
            (None, Some(file)) => match fs::read_to_string(&file) {
                Ok(text) => {
                    self.look_at_file(&format!("{name}_FILE"), Path::new(&file));
                    (Some(text.trim().to_owned()), "file")
                }
                Err(error) => {
                    self.problem(format!("{name}_FILE names {file}, which cannot be read: {error}"));
                    (None, "file")
                }
            },
            (None, None) => (None, "default"),
        };
        let shown = if value.is_some() { "***" } else { "" };
        self.entries.push(Entry { name, value: shown.to_owned(), origin });
        value.map(SecretString::from)
    }

    /// Notes a file with a secret that too many can read.
    pub(super) fn look_at_file(&mut self, name: &str, file: &Path) {
        self.refusals.extend(refusals::of_file(name, file).map(|(risk, says)| (Some(risk), says)));
    }

    pub(super) fn accepted_risks(&mut self) -> Vec<Risk> {
        let names = self.text("ACCEPTED_RISKS", "");
        let mut risks = Vec::new();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match Risk::named(name) {
                Some(risk) => risks.push(risk),
                None => {
                    let all = Risk::ALL.map(Risk::name).join(", ");
                    self.problem(format!("ACCEPTED_RISKS holds {name:?}: it must be some of {all}"));
                }
            }
        }
        risks
    }

    /// Makes a problem of everything that production refuses and nobody has accepted.
    pub(super) fn refuse(&mut self, accepted: &[Risk]) {
        for (risk, says) in std::mem::take(&mut self.refusals) {
            match risk {
                Some(risk) if accepted.contains(&risk) => {}
                Some(risk) => self
                    .problem(format!("{says}; or take it upon yourself with ACCEPTED_RISKS={}", risk.name())),
                None => self.problem(says),
            }
        }
    }

    /// Reads the address of a Postgres out of the variable `name`.
    pub(super) fn postgres(
        &mut self,
        name: &str,
        url: SecretString,
        secrets: Option<&Secrets>,
        production: bool,
    ) -> Option<SecretString> {
        let Some(read) = Url::parse(url.expose_secret())
            .ok()
            .filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))
        else {
            let otherwise = if name == "DATABASE_URL" { "for embedded mode on SQLite" } else { "for none" };
            self.problem(format!("{name} is not a postgres:// URL; leave it unset {otherwise}"));
            return None;
        };
        let secrets = secrets.into_iter().flat_map(|known| [&known.jwt, &known.session]);
        let secrets: Vec<&str> = secrets.map(|secret| secret.expose_secret()).collect();
        self.refusals.extend(refusals::of_database(name, &read, &secrets));
        Some(if production { SecretString::from(refusals::verified(&read).as_str()) } else { url })
    }

    pub(super) fn secrets(&mut self, production: bool) -> Option<Secrets> {
        let jwt = self.secret("JWT_SECRET");
        let session = self.secret("SESSION_SECRET");
        for (name, secret) in [("JWT_SECRET", &jwt), ("SESSION_SECRET", &session)] {
            match secret {
                Some(secret) => {
                    if let Some(weakness) = weakness(secret.expose_secret(), SHORTEST_SECRET)
                        && production
                    {
                        self.problem(format!("{name} {weakness}: {MAKE_ONE}"));
                    }
                }
                None if production => self.problem(format!("{name} is not set: {MAKE_ONE}")),
                None => {}
            }
        }
        let jwt_previous = self.secret("JWT_SECRET_PREVIOUS");
        if let Some(weakness) =
            jwt_previous.as_ref().and_then(|secret| weakness(secret.expose_secret(), SHORTEST_SECRET))
            && production
        {
            self.problem(format!("JWT_SECRET_PREVIOUS {weakness}: {MAKE_ONE}"));
        }
        let jwt_keys = self.secret("JWT_KEY");
        if let Some(Err(wrong)) = jwt_keys.as_ref().map(|pem| ed25519_keys(pem.expose_secret())) {
            self.problem(format!("JWT_KEY {wrong}"));
        }
        let (jwt, session) = (jwt?, session?);
        if production && jwt.expose_secret() == session.expose_secret() {
            self.problem(format!("SESSION_SECRET repeats JWT_SECRET: {MAKE_ONE}"));
        }
        Some(Secrets { jwt, jwt_previous, jwt_keys, session })
    }
}
