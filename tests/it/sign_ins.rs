//! Who guesses passwords waits longer and longer; the person they guess at does not.

use chrono::Duration;
use linkforty::pb::v1;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use crate::{
    accounts::{PASSWORD, nobody, settled_owner},
    support::{App, ELSEWHERE, HERE, reason, stores},
};

const OWNER: &str = "owner@localhost";
const BEHIND_A_PROXY: [(&str, &str); 1] = [("TRUSTED_PROXIES", "127.0.0.0/8")];

/// Tries a password from an address.
async fn attempt(app: &App, from: &str, email: &str, password: &str) -> Result<(), Status> {
    let mut request =
        Request::new(v1::SignInRequest { email: email.into(), password: password.into(), cookie: false });
    request.metadata_mut().insert("x-forwarded-for", from.parse().expect("a header value"));
    nobody(app).await.sign_in(request).await.map(drop)
}

/// Tries a wrong password and says how it was refused.
async fn guess(app: &App, from: &str, email: &str) -> String {
    reason(&attempt(app, from, email, "not this one at all").await.expect_err("is wrong"))
}

/// Runs a test behind a proxy that says where calls come from, on every store, with an owner who signed in once.
async fn behind_a_proxy(test: impl AsyncFn(&App)) {
    for store in stores() {
        eprintln!("on {store}");
        let app = App::start_with(store, &BEHIND_A_PROXY).await;
        settled_owner(&app).await;
        test(&app).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn a_hundred_guesses_from_everywhere_are_slowed_and_the_owner_gets_in() {
    behind_a_proxy(async |app| {
        attempt(app, HERE, OWNER, PASSWORD).await.expect("it is them");
        let (mut checked, mut slowed) = (0, 0);
        for n in 0..100 {
            match &*guess(app, &format!("198.51.100.{n}"), OWNER).await {
                "SIGN_IN_FAILED" => checked += 1,
                "RATE_LIMITED" => slowed += 1,
                other => panic!("{other}"),
            }
        }
        assert_eq!((checked, slowed), (10, 90));
        // From where they have been before, at once; from elsewhere, like everybody.
        attempt(app, HERE, OWNER, PASSWORD).await.expect("it is them");
        let elsewhere = attempt(app, "192.0.2.1", OWNER, PASSWORD).await.expect_err("may be anybody");
        assert_eq!(reason(&elsewhere), "RATE_LIMITED");
        let wait = elsewhere.get_details_retry_info().and_then(|info| info.retry_delay).expect("says when");
        assert!(wait <= std::time::Duration::from_secs(900) && !wait.is_zero(), "{wait:?}");
        assert_eq!(elsewhere.get_details_error_info().expect("always there").metadata["limit"], "sign_in");
        app.clock.advance(Duration::from_std(wait).expect("minutes"));
        attempt(app, "192.0.2.1", OWNER, PASSWORD).await.expect("after the wait");
        // Nobody else was held.
        assert_eq!(guess(app, ELSEWHERE, "other@example.com").await, "SIGN_IN_FAILED");
    })
    .await;
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_throttled_just_the_same() {
    behind_a_proxy(async |app| {
        for email in [OWNER, "nobody@example.com"] {
            let mut refusals = Vec::new();
            for n in 0..8 {
                // Neither case nor blanks make another account of it.
                let email = if n % 2 == 0 { email.to_uppercase() } else { format!(" {email}") };
                let status = attempt(app, ELSEWHERE, &email, "not this one at all").await.expect_err("wrong");
                let wait = status.get_details_retry_info().and_then(|info| info.retry_delay);
                refusals.push((
                    reason(&status),
                    status.message().to_owned(),
                    wait.map(|wait| wait.as_secs()),
                ));
            }
            let told: Vec<_> = refusals.iter().map(|(reason, _, wait)| (&**reason, *wait)).collect();
            let (failed, limited) = (("SIGN_IN_FAILED", None), ("RATE_LIMITED", Some(1)));
            assert_eq!(told, [failed, failed, failed, failed, failed, limited, limited, limited], "{email}");
        }
    })
    .await;
}

#[tokio::test]
async fn waits_grow_and_right_passwords_end_them_for_one_network_only() {
    behind_a_proxy(async |app| {
        for _ in 0..5 {
            assert_eq!(guess(app, HERE, OWNER).await, "SIGN_IN_FAILED");
        }
        for seconds in [1, 2, 4, 8] {
            // What waits is not looked at, be it right or wrong, and does not count.
            for password in [PASSWORD, "not this one at all"] {
                let refused = attempt(app, HERE, OWNER, password).await.expect_err("too early");
                assert_eq!(reason(&refused), "RATE_LIMITED");
            }
            app.clock.advance(Duration::seconds(seconds));
            assert_eq!(guess(app, HERE, OWNER).await, "SIGN_IN_FAILED", "after {seconds} s");
        }
        app.clock.advance(Duration::seconds(16));
        attempt(app, HERE, OWNER, PASSWORD).await.expect("it is them");
        for _ in 0..5 {
            assert_eq!(guess(app, HERE, OWNER).await, "SIGN_IN_FAILED", "free again");
        }
    })
    .await;
}

#[tokio::test]
async fn signing_in_as_oneself_does_not_clear_what_one_tried_with_others() {
    behind_a_proxy(async |app| {
        let mut checked = 0;
        for n in 0..60 {
            // The person who guesses has an account here too.
            if n % 5 == 0 && attempt(app, HERE, OWNER, PASSWORD).await.is_err() {
                break;
            }
            checked +=
                u32::from(guess(app, HERE, &format!("other{n}@example.com")).await == "SIGN_IN_FAILED");
        }
        assert_eq!(checked, 30);
    })
    .await;
}

#[tokio::test]
async fn counts_outlive_a_restart_and_hold_on_every_node() {
    for store in stores() {
        let app = App::start_with(store, &BEHIND_A_PROXY).await;
        settled_owner(&app).await;
        for _ in 0..5 {
            assert_eq!(guess(&app, ELSEWHERE, OWNER).await, "SIGN_IN_FAILED");
        }
        if store == crate::support::Store::Production {
            let beside = app.start_beside(&[]).await;
            assert_eq!(guess(&beside, ELSEWHERE, OWNER).await, "RATE_LIMITED");
            beside.stop().await;
        }
        let app = app.restart().await;
        assert_eq!(guess(&app, ELSEWHERE, OWNER).await, "RATE_LIMITED", "{store}");
        app.stop().await;
    }
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_checked_than_one_after_the_other() {
    behind_a_proxy(async |app| {
        let guesses = (0..40).map(|_| guess(app, ELSEWHERE, OWNER));
        let answers = futures::future::join_all(guesses).await;
        let checked = answers.iter().filter(|reason| *reason != "RATE_LIMITED").count();
        assert_eq!(checked, 5, "{answers:?}");
    })
    .await;
}
