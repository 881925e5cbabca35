//! Why a passkey is not believed, in a word.

use webauthn_rp::response::{auth::error::AuthCeremonyErr, register::error::RegCeremonyErr};

/// Says what is wrong with a passkey that is to be added.
pub fn of_registration(error: &RegCeremonyErr) -> &'static str {
    use RegCeremonyErr as E;
    match error {
        E::ChallengeMismatch | E::Timeout => "challenge",
        E::OriginMismatch | E::CrossOrigin | E::TopOriginMismatch => "origin",
        E::RpIdHashMismatch => "rp_id",
        E::UserNotVerified | E::UserNotPresent => "user_verification",
        E::PublicKeyAlgorithmMismatch => "algorithm",
        E::AttestationSignature | E::PubKey(_) => "signature",
        E::BackupEligible | E::BackupNotEligible | E::BackupDoesNotExist => "backup",
        _ => "form",
    }
}

/// Says what is wrong with a passkey that somebody signs in by.
pub fn of_sign_in(error: &AuthCeremonyErr) -> &'static str {
    use AuthCeremonyErr as E;
    match error {
        E::ChallengeMismatch | E::Timeout => "challenge",
        E::OriginMismatch | E::CrossOrigin | E::TopOriginMismatch => "origin",
        E::RpIdHashMismatch => "rp_id",
        E::UserNotVerified => "user_verification",
        E::AssertionSignature | E::PubKey(_) => "signature",
        E::SignatureCounter => "counter",
        E::UserHandleMismatch | E::MissingUserHandle | E::CredentialIdMismatch => "credential",
        E::BackupEligible | E::BackupNotEligible | E::BackupDoesNotExist => "backup",
        _ => "form",
    }
}
