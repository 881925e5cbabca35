//! Codes of authenticator apps: TOTP (RFC 6238) with SHA-1, six digits and steps of 30 seconds, which is what all apps understand.

use data_encoding::BASE32_NOPAD;
use ring::hmac;

use crate::clock::Moment;

/// Bytes of a secret: what RFC 4226 recommends.
pub const SECRET: usize = 20;
/// Seconds of a step.
const STEP: i64 = 30;
/// How many steps the clocks of an app and of the server may be apart.
const DRIFT: i64 = 1;
const ISSUER: &str = "linkforty";

/// Returns the step whose code this is, if it is one of now and is newer than `last`, the newest that was used.
pub fn matching_step(secret: &[u8], code: &str, last: i64, now: Moment) -> Option<i64> {
    let current = now.timestamp().div_euclid(STEP);
    let mut found = None;
    // All of them are looked at, whichever it is.
    for step in current - DRIFT..=current + DRIFT {
        let same =
            bool::from(subtle::ConstantTimeEq::ct_eq(self::code(secret, step).as_bytes(), code.as_bytes()));
        if same && step > last {
            found = Some(step);
        }
    }
    found
}

/// Returns the code of a step.
pub fn code(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let hash = hmac::sign(&key, &step.to_be_bytes());
    let hash = hash.as_ref();
    let at = usize::from(hash[hash.len() - 1] & 0xf);
    let number = u32::from_be_bytes([hash[at] & 0x7f, hash[at + 1], hash[at + 2], hash[at + 3]]);
    format!("{:06}", number % 1_000_000)
}

/// Returns the secret as people type it into an app.
pub fn text(secret: &[u8]) -> String {
    BASE32_NOPAD.encode(secret)
}

/// Returns the secret as apps read it from a QR code.
pub fn uri(secret: &[u8], email: &str) -> String {
    let account: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
    format!(
        "otpauth://totp/{ISSUER}:{account}?secret={}&issuer={ISSUER}&algorithm=SHA1&digits=6&period={STEP}",
        text(secret)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    const RFC: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> Moment {
        from_micros(seconds * 1_000_000)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, the last six of eight digits.
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(RFC, seconds / STEP), expected, "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_one_step_early_and_one_late_and_once() {
        let step = 1_000;
        let mine = code(RFC, step);
        for (seconds, last, expected) in [
            (step * STEP, -1, Some(step)),
            (step * STEP + 29, -1, Some(step)),
            (step * STEP - 30, -1, Some(step)),
            (step * STEP - 31, -1, None),
            (step * STEP + 59, -1, Some(step)),
            (step * STEP + 60, -1, None),
            (step * STEP, step - 1, Some(step)),
            (step * STEP, step, None),
            (step * STEP, step + 1, None),
        ] {
            assert_eq!(matching_step(RFC, &mine, last, at(seconds)), expected, "{seconds} {last}");
        }
        for wrong in ["", "0", "000000 ", &mine[..5], "abcdef"] {
            assert_eq!(matching_step(RFC, wrong, -1, at(step * STEP)), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_app_reads_the_secret_from_a_uri() {
        assert_eq!(text(RFC), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            uri(RFC, "ann+x@example.com"),
            "otpauth://totp/linkforty:ann%2Bx%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=linkforty&algorithm=SHA1&digits=6&period=30"
        );
    }
}
