//! The two ceremonies of Web Authentication Level 3, for this server: what browsers are told, and what comes back of it. Pure but for the
//! challenges, which the library makes.
//!
//! A passkey must be found without a name (it is discoverable), and its authenticator must make sure who uses it. Pages of `FRONTEND_URL`
//! may use it and no others, in no frame of another site.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthenticationServerState, DiscoverableCredentialRequestOptions,
    PublicKeyCredentialCreationOptions, RegistrationServerState,
    bin::{Decode, Encode},
    request::{
        AsciiDomain, PublicKeyCredentialDescriptor, RpId,
        auth::AuthenticationVerificationOptions,
        register::{
            Nickname, PublicKeyCredentialUserEntity, RegistrationVerificationOptions, UserHandle16, Username,
        },
    },
    response::{
        AuthTransports, CredentialId,
        auth::DiscoverableAuthentication,
        register::{CompressedPubKey, DynamicState, Registration, StaticState},
    },
};

use super::{Passkey, fault};
use crate::{accounts::User, config::Config};

/// The form in which keys and states are stored: that of version 0.3 of the library.
const FORM: u8 = 1;
const HANDLE: usize = 16;

type Key = CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>;

/// Whom passkeys are for.
#[derive(Debug)]
pub struct Party {
    id: RpId,
    origins: Vec<String>,
}

/// What a browser is told, and what has to be remembered of it.
pub struct Begun {
    /// For the browser.
    pub options: String,
    /// For us.
    pub state: String,
}

/// A passkey that an authenticator made.
pub struct Made {
    /// What the authenticator calls it.
    pub credential_id: Vec<u8>,
    /// How it may be reached.
    pub transports: i16,
    /// The key.
    pub public_key: Vec<u8>,
    /// What changes.
    pub state: Vec<u8>,
}

/// What an authenticator says to whoever signs in, not believed yet.
pub struct Shown(DiscoverableAuthentication<HANDLE>);

impl Party {
    /// Returns whom passkeys of the settings are for; `None` where the dashboard has no name.
    pub fn of(config: &Config) -> Option<Self> {
        let host = config.frontend_urls.first().and_then(url::Url::domain);
        let id = config.webauthn_rp_id.as_deref().or(host)?;
        let id = RpId::Domain(AsciiDomain::try_from(id.to_owned()).ok()?);
        let origins = config.frontend_urls.iter().map(|url| url.origin().ascii_serialization());
        Some(Self { id, origins: origins.collect() })
    }

    /// Begins to add a passkey of a person who has some.
    pub fn begin_registration(&self, user: &User, known: &[Passkey]) -> Option<Begun> {
        let handle = handle_of(user)?;
        let exclude = known.iter().filter_map(|passkey| {
            Some(PublicKeyCredentialDescriptor {
                id: CredentialId::<Vec<u8>>::decode(passkey.credential_id.clone()).ok()?,
                transports: AuthTransports::decode(u8::try_from(passkey.transports).ok()?).ok()?,
            })
        });
        // E-mails that are no names by the rules of the library (RFC 8265) are rare; the id will do.
        let id = user.id.to_string();
        let name = Username::try_from(&*user.email).or_else(|_| Username::try_from(&*id)).ok()?;
        let entity = PublicKeyCredentialUserEntity {
            name,
            id: &handle,
            display_name: Nickname::try_from(&*user.display_name).ok(),
        };
        let options = PublicKeyCredentialCreationOptions::passkey(&self.id, entity, exclude.collect());
        let (state, options) = options.start_ceremony().ok()?;
        Some(Begun {
            options: serde_json::to_string(&options).ok()?,
            state: STANDARD.encode(state.encode().ok()?),
        })
    }

    /// Reads the passkey that an authenticator made, or says what is wrong with it.
    pub fn finish_registration(&self, state: &str, credential: &str) -> Result<Made, &'static str> {
        let bytes = STANDARD.decode(state).map_err(|_| "form")?;
        let state = RegistrationServerState::<HANDLE>::decode(&bytes).map_err(|_| "form")?;
        let registration = Registration::from_json_relaxed(credential.as_bytes()).map_err(|_| "form")?;
        let options = RegistrationVerificationOptions::<'_, '_, String, String> {
            allowed_origins: &self.origins,
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let made = state
            .verify(&self.id, &registration, &options)
            .map_err(|error| fault::of_registration(&error))?;
        let Ok(key) = made.static_state().encode();
        let Ok(state) = made.dynamic_state().encode();
        let Ok(transports) = made.transports().encode();
        Ok(Made {
            credential_id: made.id().as_ref().to_vec(),
            transports: i16::from(transports),
            public_key: [&[FORM][..], &key].concat(),
            state: [&[FORM][..], &state].concat(),
        })
    }

    /// Begins a sign-in.
    pub fn begin_sign_in(&self) -> Option<Begun> {
        let (state, options) =
            DiscoverableCredentialRequestOptions::passkey(&self.id).start_ceremony().ok()?;
        Some(Begun {
            options: serde_json::to_string(&options).ok()?,
            state: STANDARD.encode(state.encode().ok()?),
        })
    }

    /// Holds what an authenticator shows against the passkey, and returns the passkey's new state, or says what is wrong.
    pub fn finish_sign_in(
        &self,
        state: &str,
        shown: &Shown,
        passkey: &Passkey,
    ) -> Result<Vec<u8>, &'static str> {
        let bytes = STANDARD.decode(state).map_err(|_| "form")?;
        let ceremony = DiscoverableAuthenticationServerState::decode(&bytes).map_err(|_| "form")?;
        let (form, key) = passkey.public_key.split_first().ok_or("form")?;
        let (form_too, before) = passkey.state.split_first().ok_or("form")?;
        if (*form, *form_too) != (FORM, FORM) {
            return Err("form");
        }
        let key = StaticState::<Key>::decode(key).map_err(|_| "form")?;
        let before = before.try_into().map_err(|_| "form")?;
        let before = DynamicState::decode(before).map_err(|_| "form")?;
        // Of whom the passkey is, as we stored it: the authenticator must say the same.
        let handle = UserHandle16::decode(*passkey.user_id.0.as_bytes()).map_err(|_| "form")?;
        let mut known =
            AuthenticatedCredential::new(shown.0.raw_id(), &handle, key, before).map_err(|_| "form")?;
        let options = AuthenticationVerificationOptions::<'_, '_, String, String> {
            allowed_origins: &self.origins,
            error_on_unsolicited_extensions: false,
            ..AuthenticationVerificationOptions::default()
        };
        ceremony
            .verify(&self.id, &shown.0, &mut known, &options)
            .map_err(|error| fault::of_sign_in(&error))?;
        let Ok(after) = known.dynamic_state().encode();
        Ok([&[FORM][..], &after].concat())
    }
}

impl Shown {
    /// Reads what a browser brings.
    pub fn read(credential: &str) -> Option<Self> {
        DiscoverableAuthentication::from_json_relaxed(credential.as_bytes()).ok().map(Self)
    }

    /// Returns which passkey it says it is.
    pub fn credential_id(&self) -> Vec<u8> {
        self.0.raw_id().as_ref().to_vec()
    }
}

/// Returns what authenticators call a person: nothing that says who they are.
fn handle_of(user: &User) -> Option<UserHandle16> {
    UserHandle16::decode(*user.id.0.as_bytes()).ok()
}
