//! Who forgot a password gets in by mail; who asks for somebody else learns nothing.

use chrono::Duration;
use linkforty::pb::v1;
use secrecy::ExposeSecret as _;
use tonic::{Code, Status};

use crate::{
    accounts::{PASSWORD, auth, me, nobody, refresh, settled_owner, sign_in},
    mails::{forgot, with_mail},
    support::{App, PostOffice, Statements, Store, on_every_store, reason, stores, wrong},
};

const OWNER: &str = "owner@localhost";
const NEW: &str = "la lune est belle ce soir";

async fn reset(app: &App, token: &str, new: &str) -> Result<(), Status> {
    let request = v1::ResetPasswordRequest { token: token.into(), new_password: new.into() };
    nobody(app).await.reset_password(request).await.map(drop)
}

async fn verify(app: &App, token: &str) -> Result<(), Status> {
    nobody(app).await.verify_email(v1::VerifyEmailRequest { token: token.into() }).await.map(drop)
}

async fn user(app: &App, token: &str) -> v1::User {
    me(app, token).await.expect("is known").user.expect("always there")
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_mail() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = with_mail(store, &office, &[]).await;
        let (owner, _) = settled_owner(&app).await;
        assert!(!user(&app, &owner).await.email_verified);
        let tokens = sign_in(&app, OWNER, PASSWORD).await.expect("signs in").tokens.expect("always there");
        forgot(&app, " Owner@LOCALHOST ").await.expect("is taken");
        let mail = office.wait_for(1, "Set a new").await;
        assert!(mail.text().contains("https://dash.example.test/reset-password#token="), "{}", mail.text());
        let token = mail.token();

        // A password that breaks the rules leaves the token good.
        for bad in ["short", "owner is a fine word here", ""] {
            let refused = reset(&app, &token, bad).await.expect_err("breaks rules");
            assert_eq!(
                (refused.code(), wrong(&refused)[0].as_str()),
                (Code::InvalidArgument, "new_password")
            );
        }
        assert!(me(&app, &owner).await.is_ok());
        reset(&app, &token, NEW).await.expect("sets it");

        for refused in [
            me(&app, &owner).await.expect_err("ended"),
            me(&app, &tokens.access_token).await.expect_err("ended"),
            refresh(&app, &tokens.refresh_token).await.expect_err("ended"),
        ] {
            assert_eq!(reason(&refused), "CREDENTIALS_INVALID");
        }
        assert_eq!(reason(&sign_in(&app, OWNER, PASSWORD).await.expect_err("is old")), "SIGN_IN_FAILED");
        let signed_in = sign_in(&app, OWNER, NEW).await.expect("signs in");
        assert!(signed_in.user.expect("always there").email_verified);
        office.wait_for(2, "password was changed").await;

        let again = reset(&app, &token, "wir essen morgen torte").await.expect_err("is used");
        let invented = reset(&app, "invented", "wir essen morgen torte").await.expect_err("was never good");
        assert_eq!((again.code(), &*reason(&again)), (Code::FailedPrecondition, "TOKEN_INVALID"));
        assert_eq!((again.message(), again.details()), (invented.message(), invented.details()));
        app.stop().await;
    }
}

#[tokio::test]
async fn a_link_is_good_for_half_an_hour_and_until_the_password_changes() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = with_mail(store, &office, &[]).await;
        let (owner, _) = settled_owner(&app).await;
        forgot(&app, OWNER).await.expect("is taken");
        let first = office.wait_for(1, "Set a new").await.token();
        app.clock.advance(Duration::minutes(29));
        forgot(&app, OWNER).await.expect("is taken");
        let second = office.wait_for(2, "Set a new").await.token();
        app.clock.advance(Duration::minutes(1));
        assert_eq!(reason(&reset(&app, &first, NEW).await.expect_err("is too old")), "TOKEN_INVALID");
        // What one mail is good for, another is not.
        assert_eq!(reason(&verify(&app, &second).await.expect_err("is another sort")), "TOKEN_INVALID");
        drop(owner);
        let tokens = sign_in(&app, OWNER, PASSWORD).await.expect("signs in").tokens.expect("always there");
        crate::accounts::change_password(&app, &tokens.access_token, PASSWORD, NEW).await.expect("changes");
        let refused = reset(&app, &second, "wir essen morgen torte").await.expect_err("is void");
        assert_eq!(reason(&refused), "TOKEN_INVALID", "{store}");
        app.stop().await;
    }
}

#[tokio::test]
async fn of_many_resets_with_one_token_one_counts() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = with_mail(store, &office, &[]).await;
        settled_owner(&app).await;
        forgot(&app, OWNER).await.expect("is taken");
        let token = office.wait_for(1, "Set a new").await.token();
        let passwords: Vec<String> = (0..6).map(|n| format!("la lune est belle {n} fois")).collect();
        let tries = passwords.iter().map(|new| reset(&app, &token, new));
        let done = futures::future::join_all(tries).await;
        let set: Vec<&String> =
            passwords.iter().zip(&done).filter(|(_, done)| done.is_ok()).map(|(new, _)| new).collect();
        assert_eq!(set.len(), 1, "{done:?}");
        sign_in(&app, OWNER, set[0]).await.expect("it is the one");
        app.stop().await;
    }
}

#[tokio::test]
async fn asking_for_somebody_says_nothing_about_them() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = with_mail(store, &office, &[]).await;
        settled_owner(&app).await;
        linkforty::accounts::people::create(app.env(), "out@example.com", "", None).await.expect("adds");
        linkforty::accounts::people::disable(app.env(), "out@example.com").await.expect("disables");
        for email in ["nobody@example.com", "out@example.com", OWNER] {
            let mut told = Vec::new();
            for _ in 0..5 {
                told.push(
                    forgot(&app, email).await.map_or_else(|status| reason(&status), |()| String::new()),
                );
            }
            assert_eq!(told, ["", "", "", "RATE_LIMITED", "RATE_LIMITED"], "{email}");
        }
        office.wait_for(3, "Set a new").await;
        assert!(office.mails().iter().all(|mail| mail.to == [OWNER]), "{:?}", office.mails());
        let refused = forgot(&app, "").await.expect_err("nobody");
        assert_eq!(wrong(&refused), ["email"]);
        app.stop().await;
    }
}

/// What takes as many statements takes as long, as far as a server can see to it.
#[tokio::test]
async fn asking_for_nobody_is_as_much_work_as_for_somebody() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let first = App::start(Store::Production).await;
    settled_owner(&first).await;
    let database = first.env().config.database.as_ref().expect("production has one");
    let statements = Statements::to(database.url.expose_secret()).await;
    let node = first.start_beside(&[("DATABASE_URL", &statements.url)]).await;
    let asking = async |email: &str| {
        statements
            .of(async || {
                first.clock.advance(Duration::hours(3));
                forgot(&node, email).await.expect("is taken");
            })
            .await
    };
    let signing_in = async |email: &str| {
        statements
            .of(async || {
                first.clock.advance(Duration::hours(3));
                let refused = sign_in(&node, email, "not this one at all").await.expect_err("is wrong");
                assert_eq!(reason(&refused), "SIGN_IN_FAILED");
            })
            .await
    };
    // The node has other things to do besides, on a busy machine often: the least of many tells.
    let (mut asked, mut signed_in) = ([u64::MAX; 2], [u64::MAX; 2]);
    for _ in 0..5 {
        for (who, email) in [OWNER, "nobody@example.com"].into_iter().enumerate() {
            asked[who] = asked[who].min(asking(email).await);
            signed_in[who] = signed_in[who].min(signing_in(email).await);
        }
    }
    assert_eq!(asked[0], asked[1]);
    assert_eq!(signed_in[0], signed_in[1]);
    node.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn an_email_is_proved_by_a_link_that_came_to_it() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = with_mail(store, &office, &[]).await;
        let (owner, _) = settled_owner(&app).await;
        let mut client = auth(&app, &owner).await;
        let ask = v1::RequestEmailVerificationRequest {};
        client.request_email_verification(ask).await.expect("is taken");
        let mail = office.wait_for(1, "Confirm your e-mail").await;
        assert!(mail.text().contains("https://dash.example.test/verify-email#token="), "{}", mail.text());
        let refused = reset(&app, &mail.token(), NEW).await.expect_err("is another sort");
        assert_eq!(reason(&refused), "TOKEN_INVALID");
        assert!(!user(&app, &owner).await.email_verified);
        verify(&app, &mail.token()).await.expect("proves it");
        assert!(user(&app, &owner).await.email_verified);
        assert_eq!(reason(&verify(&app, &mail.token()).await.expect_err("is used")), "TOKEN_INVALID");
        // There is nothing left to prove: no mail.
        client.request_email_verification(ask).await.expect("is taken");
        assert_eq!(
            office.mails().iter().filter(|mail| mail.header("subject").contains("Confirm")).count(),
            1
        );
        app.stop().await;
    }
}

#[tokio::test]
async fn without_a_mail_server_asking_is_answered_the_same() {
    on_every_store(async |app| {
        settled_owner(app).await;
        forgot(app, OWNER).await.expect("is taken");
        forgot(app, "nobody@example.com").await.expect("is taken");
    })
    .await;
}
