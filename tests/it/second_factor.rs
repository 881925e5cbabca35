//! Codes of an authenticator app, and recovery codes for when it is lost.

use chrono::Duration;
use data_encoding::BASE32_NOPAD;
use linkforty::{
    accounts::{people, second_factor::totp},
    clock::Clock as _,
    entity::second_factor,
    pb::v1::{self, complete_sign_in_request::Proof},
};
use sea_orm::EntityTrait as _;
use tonic::{Code, Status};

use crate::{
    accounts::{PASSWORD, auth, change_password, me, nobody, settled_owner, sign_in},
    mails::with_mail,
    support::{App, PostOffice, Store, on_every_store, reason, stores, wrong},
};

const OWNER: &str = "owner@localhost";

/// An app with the secret it was told.
pub struct Phone(Vec<u8>);

impl Phone {
    /// Shows the code of now.
    fn code(&self, app: &App) -> String {
        totp::code(&self.0, app.clock.now().timestamp() / 30)
    }
}

/// Shows what an app shows now.
pub fn by_code(phone: &Phone, app: &App) -> Proof {
    Proof::Code(phone.code(app))
}

async fn enroll(app: &App, token: &str, password: &str) -> Result<v1::EnrollTotpResponse, Status> {
    let request = v1::EnrollTotpRequest { password: password.into() };
    auth(app, token).await.enroll_totp(request).await.map(tonic::Response::into_inner)
}

async fn confirm(app: &App, token: &str, code: &str) -> Result<Vec<String>, Status> {
    let request = v1::ConfirmTotpRequest { code: code.into() };
    auth(app, token).await.confirm_totp(request).await.map(|answer| answer.into_inner().recovery_codes)
}

async fn disable(app: &App, token: &str, password: &str) -> Result<(), Status> {
    auth(app, token).await.disable_totp(v1::DisableTotpRequest { password: password.into() }).await.map(drop)
}

pub async fn complete(
    app: &App,
    challenge: &str,
    proof: Proof,
) -> Result<v1::CompleteSignInResponse, Status> {
    let request =
        v1::CompleteSignInRequest { challenge: challenge.into(), proof: Some(proof), cookie: false };
    nobody(app).await.complete_sign_in(request).await.map(tonic::Response::into_inner)
}

/// Signs in as far as the password goes.
async fn challenge(app: &App, password: &str) -> String {
    let answer = sign_in(app, OWNER, password).await.expect("the password is right");
    assert!(answer.tokens.is_none() && answer.user.is_none());
    answer.challenge.expect("a second factor is asked for").token
}

/// The first owner with an app: their access token, the app, the recovery codes.
pub async fn enrolled(app: &App) -> (String, Phone, Vec<String>) {
    let (owner, _) = settled_owner(app).await;
    let told = enroll(app, &owner, PASSWORD).await.expect("enrolls");
    let phone = Phone(BASE32_NOPAD.decode(told.secret.as_bytes()).expect("base32"));
    let codes = confirm(app, &owner, &phone.code(app)).await.expect("confirms");
    (owner, phone, codes)
}

#[tokio::test]
async fn a_second_factor_is_enrolled_confirmed_and_asked_for() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = with_mail(store, &office, &[]).await;
        let (owner, _) = settled_owner(&app).await;
        let refused = enroll(&app, &owner, "not this one at all").await.expect_err("is wrong");
        assert_eq!(reason(&refused), "SIGN_IN_FAILED");
        let refused = confirm(&app, &owner, "123456").await.expect_err("there is none");
        assert_eq!(
            (refused.code(), &*reason(&refused)),
            (Code::FailedPrecondition, "SECOND_FACTOR_NOT_ENROLLED")
        );
        let void = enroll(&app, &owner, PASSWORD).await.expect("enrolls").secret;
        let told = enroll(&app, &owner, PASSWORD).await.expect("enrolls again");
        assert_ne!(told.secret, void);
        assert!(told.uri.starts_with("otpauth://totp/linkforty:owner%40localhost?secret="), "{}", told.uri);
        // Nothing is asked for yet.
        assert!(sign_in(&app, OWNER, PASSWORD).await.expect("signs in").tokens.is_some());
        let phone = Phone(BASE32_NOPAD.decode(told.secret.as_bytes()).expect("base32"));
        let refused = confirm(&app, &owner, "12345").await.expect_err("is no code");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::Unauthenticated, "SECOND_FACTOR_FAILED"));
        let codes = confirm(&app, &owner, &phone.code(&app)).await.expect("confirms");
        assert_eq!(codes.len(), 10);
        assert!(me(&app, &owner).await.expect("is known").user.expect("always there").second_factor_enrolled);
        office.wait_for(1, "has a second factor now").await;
        for again in [
            confirm(&app, &owner, &phone.code(&app)).await.map(drop),
            enroll(&app, &owner, PASSWORD).await.map(drop),
        ] {
            assert_eq!(reason(&again.expect_err("there is one")), "SECOND_FACTOR_ENROLLED");
        }

        // The code that confirmed it is used up.
        let first = challenge(&app, PASSWORD).await;
        let refused = complete(&app, &first, Proof::Code(phone.code(&app))).await.expect_err("was used");
        assert_eq!(reason(&refused), "SECOND_FACTOR_FAILED");
        app.clock.advance(Duration::seconds(30));
        let code = phone.code(&app);
        let answer = complete(&app, &first, Proof::Code(code.clone())).await.expect("signs in");
        let token = answer.tokens.expect("always there").access_token;
        assert!(answer.user.expect("always there").second_factor_enrolled);
        assert!(me(&app, &token).await.is_ok());
        // Neither challenge nor code is good again, nor is a challenge anything else.
        app.clock.advance(Duration::seconds(30));
        let refused = complete(&app, &first, Proof::Code(phone.code(&app))).await.expect_err("is used");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "TOKEN_INVALID"));
        let second = challenge(&app, PASSWORD).await;
        let refused = complete(&app, &second, Proof::Code(code)).await.expect_err("was used");
        assert_eq!(reason(&refused), "SECOND_FACTOR_FAILED");
        assert_eq!(reason(&me(&app, &second).await.expect_err("is no token")), "CREDENTIALS_MISSING");

        // The secret stands nowhere as it is.
        let stored = second_factor::Entity::find().one(&app.env().db.api).await.expect("reads").expect("one");
        assert!(!stored.secret.windows(phone.0.len()).any(|part| part == phone.0));
        app.stop().await;
    }
}

#[tokio::test]
async fn of_many_sign_ins_with_one_code_one_opens() {
    on_every_store(async |app| {
        let (_, phone, _) = enrolled(app).await;
        app.clock.advance(Duration::seconds(30));
        let mut challenges = Vec::new();
        for _ in 0..4 {
            challenges.push(challenge(app, PASSWORD).await);
        }
        let code = phone.code(app);
        let tries = challenges.iter().map(|challenge| complete(app, challenge, Proof::Code(code.clone())));
        let opened = futures::future::join_all(tries).await;
        assert_eq!(opened.iter().filter(|answer| answer.is_ok()).count(), 1, "{opened:?}");
    })
    .await;
}

#[tokio::test]
async fn a_recovery_code_gets_a_person_in_once() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = with_mail(store, &office, &[]).await;
        let (owner, _, codes) = enrolled(&app).await;
        let typed = format!(" {} ", codes[3].to_uppercase().replace('-', ""));
        let answer = complete(&app, &challenge(&app, PASSWORD).await, Proof::RecoveryCode(typed)).await;
        let token = answer.expect("signs in").tokens.expect("always there").access_token;
        assert!(me(&app, &token).await.is_ok());
        let mail = office.wait_for(1, "recovery code of your").await;
        assert!(mail.text().contains("9 are left"), "{}", mail.text());
        let refused =
            complete(&app, &challenge(&app, PASSWORD).await, Proof::RecoveryCode(codes[3].clone())).await;
        assert_eq!(reason(&refused.expect_err("is used")), "SECOND_FACTOR_FAILED");

        // New ones make those from before void.
        let request = v1::RegenerateRecoveryCodesRequest { password: "not this one at all".into() };
        let refused = auth(&app, &owner).await.regenerate_recovery_codes(request).await;
        assert_eq!(reason(&refused.expect_err("is wrong")), "SIGN_IN_FAILED");
        let request = v1::RegenerateRecoveryCodesRequest { password: PASSWORD.into() };
        let answer = auth(&app, &owner).await.regenerate_recovery_codes(request).await.expect("makes them");
        let new = answer.into_inner().recovery_codes;
        assert!(new.len() == 10 && new.iter().all(|code| !codes.contains(code)));
        office.wait_for(1, "codes were replaced").await;
        for (code, good) in [(&codes[0], false), (&new[0], true)] {
            let proof = Proof::RecoveryCode(code.clone());
            let answer = complete(&app, &challenge(&app, PASSWORD).await, proof).await;
            assert_eq!(answer.is_ok(), good, "{answer:?}");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn codes_cannot_be_guessed_for_long() {
    on_every_store(async |app| {
        let (_, phone, _) = enrolled(app).await;
        app.clock.advance(Duration::seconds(30));
        let challenge = challenge(app, PASSWORD).await;
        let right = phone.code(app);
        let mut told = Vec::new();
        for n in 0..8 {
            let guess = format!("{:06}", (right.parse::<u32>().expect("digits") + 1 + n) % 1_000_000);
            told.push(reason(&complete(app, &challenge, Proof::Code(guess)).await.expect_err("is wrong")));
        }
        let failed = told.iter().filter(|reason| *reason == "SECOND_FACTOR_FAILED").count();
        assert_eq!((failed, told.last().map(String::as_str)), (5, Some("RATE_LIMITED")), "{told:?}");
        // The right one waits too, and then it is good.
        let refused = complete(app, &challenge, Proof::Code(right.clone())).await.expect_err("too early");
        assert_eq!(reason(&refused), "RATE_LIMITED");
        app.clock.advance(Duration::seconds(1));
        complete(app, &challenge, Proof::Code(right)).await.expect("signs in");
    })
    .await;
}

#[tokio::test]
async fn a_challenge_is_good_for_five_minutes_and_until_the_password_changes() {
    on_every_store(async |app| {
        let (owner, phone, _) = enrolled(app).await;
        let old = challenge(app, PASSWORD).await;
        app.clock.advance(Duration::minutes(5));
        let refused = complete(app, &old, Proof::Code(phone.code(app))).await.expect_err("is too old");
        assert_eq!(reason(&refused), "TOKEN_INVALID");
        let void = challenge(app, PASSWORD).await;
        change_password(app, &owner, PASSWORD, "la lune est belle ce soir").await.expect("changes");
        let refused = complete(app, &void, Proof::Code(phone.code(app))).await.expect_err("is void");
        assert_eq!(reason(&refused), "TOKEN_INVALID");
        let invented = complete(app, "invented", Proof::Code(phone.code(app))).await.expect_err("never was");
        assert_eq!((refused.message(), refused.details()), (invented.message(), invented.details()));
        let request = v1::CompleteSignInRequest::default();
        let nothing = nobody(app).await.complete_sign_in(request).await.expect_err("nothing");
        assert_eq!(wrong(&nothing), ["challenge", "code"]);
    })
    .await;
}

#[tokio::test]
async fn twelve_characters_are_enough_while_there_is_a_second_factor() {
    on_every_store(async |app| {
        let short = "fX9#kq2LmV0p";
        let (owner, _, _) = enrolled(app).await;
        let refused = change_password(app, &owner, PASSWORD, "fX9#kq2LmV0").await.expect_err("is shorter");
        assert_eq!(wrong(&refused), ["new_password"]);
        let token = change_password(app, &owner, PASSWORD, short).await.expect("changes").access_token;
        // It cannot stand alone.
        let refused = disable(app, &token, short).await.expect_err("is too short");
        assert_eq!((refused.code(), wrong(&refused)), (Code::InvalidArgument, vec!["password".to_owned()]));
        let token = change_password(app, &token, short, PASSWORD).await.expect("changes").access_token;
        let refused = disable(app, &token, "not this one at all").await.expect_err("is wrong");
        assert_eq!(reason(&refused), "SIGN_IN_FAILED");
        disable(app, &token, PASSWORD).await.expect("disables");
        assert_eq!(
            reason(&disable(app, &token, PASSWORD).await.expect_err("gone")),
            "SECOND_FACTOR_NOT_ENROLLED"
        );
        assert!(sign_in(app, OWNER, PASSWORD).await.expect("signs in").tokens.is_some());
        assert!(change_password(app, &token, PASSWORD, short).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn the_operator_helps_who_lost_both() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = with_mail(store, &office, &[]).await;
        let (owner, _, _) = enrolled(&app).await;
        let waiting = challenge(&app, PASSWORD).await;
        people::reset_second_factor(app.env(), OWNER).await.expect("resets");
        assert_eq!(reason(&me(&app, &owner).await.expect_err("ended")), "CREDENTIALS_INVALID");
        let refused = complete(&app, &waiting, Proof::Code("123456".into())).await.expect_err("is void");
        assert_eq!(reason(&refused), "TOKEN_INVALID");
        let user = sign_in(&app, OWNER, PASSWORD).await.expect("signs in").user.expect("always there");
        // The password may be one that was long enough only with a second factor.
        assert!(user.password_change_required);
        office.wait_for(1, "no second factor any more").await;
        assert!(people::reset_second_factor(app.env(), OWNER).await.is_err());
        app.stop().await;
    }
}

#[tokio::test]
async fn a_forgotten_password_does_not_get_round_the_second_factor() {
    let office = PostOffice::open().await;
    let app = with_mail(Store::Embedded, &office, &[]).await;
    enrolled(&app).await;
    crate::mails::forgot(&app, OWNER).await.expect("is taken");
    let token = office.wait_for(1, "Set a new").await.token();
    let request = v1::ResetPasswordRequest { token, new_password: "fX9#kq2LmV0p".into() };
    nobody(&app).await.reset_password(request).await.expect("twelve characters are enough");
    challenge(&app, "fX9#kq2LmV0p").await;
    app.stop().await;
}
