//! Signing in by a passkey, and all that an authenticator and whoever is in between may get wrong.

use chrono::Duration;
use linkforty::{accounts::people, entity::user, pb::v1};
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    accounts::{PASSWORD, auth, me, nobody, refresh, settled_owner, sign_in},
    mails::with_mail,
    second_factor,
    support::{App, Authenticator, PostOffice, Store, get, on_every_store, reason, stores, wrong},
};

const OWNER: &str = "owner@localhost";

async fn begin(
    app: &App,
    token: &str,
    password: &str,
) -> Result<v1::BeginPasskeyRegistrationResponse, Status> {
    let request = v1::BeginPasskeyRegistrationRequest { password: password.into() };
    auth(app, token).await.begin_passkey_registration(request).await.map(tonic::Response::into_inner)
}

async fn finish(app: &App, token: &str, handle: &str, credential: &Value) -> Result<v1::Passkey, Status> {
    let request = v1::FinishPasskeyRegistrationRequest {
        handle: handle.into(),
        credential_json: credential.to_string(),
        name: " My key ".into(),
    };
    let answer = auth(app, token).await.finish_passkey_registration(request).await?.into_inner();
    Ok(answer.passkey.expect("always there"))
}

/// Adds a passkey.
async fn add(app: &App, token: &str, authenticator: &mut Authenticator) -> Result<v1::Passkey, Status> {
    let begun = begin(app, token, PASSWORD).await?;
    finish(app, token, &begun.handle, &authenticator.create(&begun.options_json)).await
}

async fn ask(app: &App) -> v1::BeginPasskeySignInResponse {
    let answer = nobody(app).await.begin_passkey_sign_in(v1::BeginPasskeySignInRequest {}).await;
    answer.expect("anybody may ask").into_inner()
}

async fn show(
    app: &App,
    handle: &str,
    credential: &Value,
) -> Result<v1::FinishPasskeySignInResponse, Status> {
    let request = v1::FinishPasskeySignInRequest {
        handle: handle.into(),
        credential_json: credential.to_string(),
        cookie: false,
    };
    nobody(app).await.finish_passkey_sign_in(request).await.map(tonic::Response::into_inner)
}

/// Signs in by the passkey of an authenticator.
async fn come_in(
    app: &App,
    authenticator: &mut Authenticator,
) -> Result<v1::FinishPasskeySignInResponse, Status> {
    let asked = ask(app).await;
    show(app, &asked.handle, &authenticator.get(&asked.options_json)).await
}

async fn list(app: &App, token: &str) -> Vec<v1::Passkey> {
    let answer = auth(app, token).await.list_passkeys(v1::ListPasskeysRequest {}).await;
    answer.expect("a list").into_inner().passkeys
}

async fn rename(app: &App, token: &str, id: &str, name: &str) -> Result<v1::Passkey, Status> {
    let request = v1::RenamePasskeyRequest { passkey_id: id.into(), name: name.into() };
    let answer = auth(app, token).await.rename_passkey(request).await?.into_inner();
    Ok(answer.passkey.expect("always there"))
}

async fn delete(app: &App, token: &str, id: &str, password: &str) -> Result<(), Status> {
    let request = v1::DeletePasskeyRequest { passkey_id: id.into(), password: password.into() };
    auth(app, token).await.delete_passkey(request).await.map(drop)
}

fn face(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

fn fault(status: &Status) -> String {
    let facts = status.get_details_error_info().map(|info| info.metadata).unwrap_or_default();
    facts.get("fault").cloned().unwrap_or_default()
}

/// How often a passkey was refused for a reason that only the operator hears of.
async fn refused_for(app: &App, fault: &str) -> u64 {
    let line = format!("linkforty_sign_ins_refused_total{{wrong=\"passkey: {fault}\"}} ");
    let text = get(app.ops(), "/metrics", &[]).await.text();
    text.lines()
        .find_map(|found| found.strip_prefix(&line))
        .map_or(0, |count| count.parse().expect("a count"))
}

#[tokio::test]
async fn a_passkey_is_added_used_renamed_and_deleted() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = with_mail(store, &office, &[]).await;
        let (owner, _) = settled_owner(&app).await;
        let methods = nobody(&app).await.get_sign_in_methods(v1::GetSignInMethodsRequest {}).await;
        assert!(methods.expect("they are no secret").into_inner().passkey);
        let mut authenticator = Authenticator::new();
        let begun = begin(&app, &owner, "").await.expect("has signed in a moment ago");
        let options: Value = serde_json::from_str(&begun.options_json).expect("JSON");
        assert_eq!(options["rp"]["id"], "dash.example.test");
        assert_eq!(options["user"]["name"], OWNER);
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
        assert_eq!((&options["attestation"], &options["excludeCredentials"]), (&json!("none"), &json!([])));
        let made = authenticator.create(&begun.options_json);
        let passkey = finish(&app, &owner, &begun.handle, &made).await.expect("is added");
        assert_eq!(passkey.name, "My key");
        assert!(passkey.last_use_time.is_none());
        let mail = office.wait_for(1, "has a new passkey").await;
        assert!(mail.text().contains("My key"), "{}", mail.text());
        // It is not made twice, and not added twice.
        let again = begin(&app, &owner, PASSWORD).await.expect("begins again");
        let options: Value = serde_json::from_str(&again.options_json).expect("JSON");
        assert_eq!(options["excludeCredentials"][0]["id"], made["id"]);
        assert_eq!(options["excludeCredentials"][0]["transports"], json!(["internal"]));
        let made = authenticator.create(&again.options_json);
        let refused = finish(&app, &owner, &again.handle, &made).await.expect_err("is there");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "ALREADY_EXISTS"));

        let asked = ask(&app).await;
        let options: Value = serde_json::from_str(&asked.options_json).expect("JSON");
        assert_eq!(
            (&options["rpId"], &options["userVerification"]),
            (&json!("dash.example.test"), &json!("required"))
        );
        assert_eq!(options["allowCredentials"], json!([]), "it says nothing of who has an account");
        app.clock.advance(Duration::minutes(1));
        for _ in 0..2 {
            let answer = come_in(&app, &mut authenticator).await.expect("signs in");
            assert_eq!(answer.user.expect("always there").email, OWNER);
            let token = answer.tokens.expect("always there").access_token;
            assert!(me(&app, &token).await.is_ok());
        }
        let [used] = &*list(&app, &owner).await else { panic!("one") };
        assert_eq!(used.last_use_time.as_ref().map(|time| time.seconds), Some(app.env().now().timestamp()));

        assert_eq!(rename(&app, &owner, &passkey.id, "Blue key").await.expect("renames").name, "Blue key");
        assert_eq!(wrong(&rename(&app, &owner, &passkey.id, " ").await.expect_err("no name")), ["name"]);
        assert_eq!(list(&app, &owner).await[0].name, "Blue key");
        delete(&app, &owner, &passkey.id, "").await.expect("deletes");
        office.wait_for(1, "has a passkey less").await;
        assert!(list(&app, &owner).await.is_empty());
        let refused = come_in(&app, &mut authenticator).await.expect_err("is gone");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::Unauthenticated, "PASSKEY_REFUSED"));
        for gone in [
            delete(&app, &owner, &passkey.id, "").await.map(drop),
            rename(&app, &owner, &passkey.id, "x").await.map(drop),
            delete(&app, &owner, "x", "").await.map(drop),
        ] {
            assert_eq!(reason(&gone.expect_err("is gone")), "NOT_FOUND");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn a_passkey_that_does_not_fit_is_not_added() {
    on_every_store(async |app| {
        let (owner, _) = settled_owner(app).await;
        type Lie = fn(&mut Authenticator);
        let lies: [(&str, Lie); 4] = [
            ("origin", |liar| liar.origin = "https://dash.example.test.evil.example".into()),
            ("origin", |liar| liar.origin = "http://dash.example.test".into()),
            ("rp_id", |liar| liar.rp_id = "evil.example".into()),
            ("user_verification", |liar| liar.verifies = false),
        ];
        for (expected, lie) in lies {
            let mut liar = Authenticator::new();
            lie(&mut liar);
            let refused = add(app, &owner, &mut liar).await.expect_err(expected);
            assert_eq!((refused.code(), &*reason(&refused)), (Code::Unauthenticated, "PASSKEY_REFUSED"));
            assert_eq!(fault(&refused), expected);
        }
        // The answer to another challenge, one to a sign-in, and no answer at all.
        let mut authenticator = Authenticator::new();
        let (one, other) =
            (begin(app, &owner, "").await.expect("one"), begin(app, &owner, "").await.expect("other"));
        let made = authenticator.create(&other.options_json);
        let refused = finish(app, &owner, &one.handle, &made).await.expect_err("is for another");
        assert_eq!(fault(&refused), "challenge");
        // It was the one try of that challenge.
        let refused = finish(app, &owner, &one.handle, &made).await.expect_err("is used");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "TOKEN_INVALID"));
        for nonsense in [json!({}), json!([]), json!("x"), authenticator.get(&other.options_json)] {
            let begun = begin(app, &owner, "").await.expect("begins");
            let refused = finish(app, &owner, &begun.handle, &nonsense).await.expect_err("is none");
            assert_eq!(fault(&refused), "form", "{nonsense}");
        }
        let nothing = v1::FinishPasskeyRegistrationRequest::default();
        let refused =
            auth(app, &owner).await.finish_passkey_registration(nothing).await.expect_err("nothing");
        assert_eq!(wrong(&refused), ["handle", "credential_json", "name"]);
        // Five minutes, and not for anybody else.
        let bob = crate::workspaces::person(app, "bob@example.com", None).await;
        let begun = begin(app, &owner, "").await.expect("begins");
        let made = authenticator.create(&begun.options_json);
        let refused = finish(app, &bob, &begun.handle, &made).await.expect_err("is the owner's");
        assert_eq!(reason(&refused), "TOKEN_INVALID");
        app.clock.advance(Duration::minutes(5));
        let refused = finish(app, &owner, &begun.handle, &made).await.expect_err("is too late");
        assert_eq!(reason(&refused), "TOKEN_INVALID");
        assert!(list(app, &owner).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_passkey_that_proves_nothing_opens_nothing() {
    on_every_store(async |app| {
        let (owner, _) = settled_owner(app).await;
        let mut authenticator = Authenticator::new();
        add(app, &owner, &mut authenticator).await.expect("adds");
        let mut stranger =
            Authenticator { user_handle: authenticator.user_handle.clone(), ..Authenticator::new() };
        let unknown = come_in(app, &mut stranger).await.expect_err("nobody has it");
        assert_eq!((unknown.code(), &*reason(&unknown)), (Code::Unauthenticated, "PASSKEY_REFUSED"));
        // What the operator counts; to whoever tries all of them are the same.
        let refused =
            async |expected: &str, answer: Result<v1::FinishPasskeySignInResponse, Status>, before: u64| {
                assert_eq!(face(&answer.expect_err(expected)), face(&unknown), "{expected}");
                assert!(refused_for(app, expected).await > before, "{expected}");
            };
        type Lie = fn(&mut Authenticator);
        let lies: [(&str, Lie, Lie); 5] = [
            (
                "origin",
                |liar| liar.origin = "https://evil.example".into(),
                |liar| liar.origin = "https://dash.example.test".into(),
            ),
            (
                "rp_id",
                |liar| liar.rp_id = "evil.example".into(),
                |liar| liar.rp_id = "dash.example.test".into(),
            ),
            ("user_verification", |liar| liar.verifies = false, |liar| liar.verifies = true),
            ("credential", |liar| liar.user_handle = "AAAAAAAAAAAAAAAAAAAAAA".into(), |_| ()),
            ("unknown", |liar| liar.credential_id[0] ^= 1, |liar| liar.credential_id[0] ^= 1),
        ];
        let handle = authenticator.user_handle.clone();
        for (expected, lie, back) in lies {
            let before = refused_for(app, expected).await;
            lie(&mut authenticator);
            refused(expected, come_in(app, &mut authenticator).await, before).await;
            back(&mut authenticator);
            authenticator.user_handle.clone_from(&handle);
        }
        // A passkey of the same name with another key.
        let before = refused_for(app, "signature").await;
        let mut thief = Authenticator {
            credential_id: authenticator.credential_id.clone(),
            user_handle: handle.clone(),
            counter: authenticator.counter,
            ..Authenticator::new()
        };
        refused("signature", come_in(app, &mut thief).await, before).await;
        // The answer to another challenge.
        let before = refused_for(app, "challenge").await;
        let (one, other) = (ask(app).await, ask(app).await);
        let shown = authenticator.get(&other.options_json);
        refused("challenge", show(app, &one.handle, &shown).await, before).await;
        // An answer is good once, in time, and so is a challenge that was answered wrongly.
        show(app, &other.handle, &shown).await.expect("signs in");
        for used in [&one.handle, &other.handle] {
            let again = show(app, used, &shown).await.expect_err("is used");
            assert_eq!((again.code(), &*reason(&again)), (Code::FailedPrecondition, "TOKEN_INVALID"));
        }
        let late = ask(app).await;
        app.clock.advance(Duration::minutes(5));
        let shown = authenticator.get(&late.options_json);
        assert_eq!(reason(&show(app, &late.handle, &shown).await.expect_err("late")), "TOKEN_INVALID");
        for nonsense in
            [json!({}), json!([]), Authenticator::new().create(&json!({"user": {"id": "AA"}}).to_string())]
        {
            let asked = ask(app).await;
            let refused = show(app, &asked.handle, &nonsense).await.expect_err("is none");
            assert_eq!(wrong(&refused), ["credential_json"], "{nonsense}");
        }
        // One whose counter goes back may be a copy; the one that goes on is not kept out.
        let before = refused_for(app, "counter").await;
        let ahead = authenticator.counter;
        authenticator.counter = 0;
        refused("counter", come_in(app, &mut authenticator).await, before).await;
        authenticator.counter = ahead;
        come_in(app, &mut authenticator).await.expect("signs in");
        // Somebody who is disabled hears what a stranger hears.
        let before = refused_for(app, "disabled").await;
        people::disable(app.env(), OWNER).await.expect("disables");
        refused("disabled", come_in(app, &mut authenticator).await, before).await;
        people::enable(app.env(), OWNER).await.expect("enables");
        come_in(app, &mut authenticator).await.expect("signs in");
    })
    .await;
}

#[tokio::test]
async fn of_many_that_show_one_answer_one_comes_in() {
    on_every_store(async |app| {
        let (owner, _) = settled_owner(app).await;
        let mut authenticator = Authenticator::new();
        add(app, &owner, &mut authenticator).await.expect("adds");
        let asked = ask(app).await;
        let shown = authenticator.get(&asked.options_json);
        let tries = (0..4).map(|_| show(app, &asked.handle, &shown));
        let opened = futures::future::join_all(tries).await;
        assert_eq!(opened.iter().filter(|answer| answer.is_ok()).count(), 1, "{opened:?}");
    })
    .await;
}

#[tokio::test]
async fn a_passkey_is_two_factors_and_makes_no_password_shorter() {
    on_every_store(async |app| {
        let (owner, _, _) = second_factor::enrolled(app).await;
        let mut authenticator = Authenticator::new();
        add(app, &owner, &mut authenticator).await.expect("adds");
        let answer = come_in(app, &mut authenticator).await.expect("no code is asked for");
        assert!(answer.user.expect("always there").second_factor_enrolled);
        // By the password one comes as far as before.
        assert!(sign_in(app, OWNER, PASSWORD).await.expect("is right").challenge.is_some());
        let request = v1::DisableTotpRequest { password: PASSWORD.into() };
        auth(app, &owner).await.disable_totp(request).await.expect("disables");
        let short = crate::accounts::change_password(app, &owner, PASSWORD, "fX9#kq2LmV0p").await;
        assert_eq!(wrong(&short.expect_err("twelve characters")), ["new_password"]);
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_left_open_adds_and_deletes_no_passkey() {
    on_every_store(async |app| {
        let (owner, _) = settled_owner(app).await;
        let mut authenticator = Authenticator::new();
        let passkey = add(app, &owner, &mut authenticator).await.expect("adds");
        let tokens = sign_in(app, OWNER, PASSWORD).await.expect("signs in").tokens.expect("always there");
        app.clock.advance(Duration::minutes(10));
        let old = refresh(app, &tokens.refresh_token).await.expect("refreshes").access_token;
        for refused in [
            begin(app, &old, "").await.map(drop),
            begin(app, &old, "not this one at all").await.map(drop),
            delete(app, &old, &passkey.id, "").await,
        ] {
            let refused = refused.expect_err("proves nothing");
            assert_eq!((refused.code(), &*reason(&refused)), (Code::Unauthenticated, "SIGN_IN_FAILED"));
        }
        // Somebody else's are as unknown as none.
        let bob = crate::workspaces::person(app, "bob@example.com", None).await;
        for refused in
            [delete(app, &bob, &passkey.id, "").await, rename(app, &bob, &passkey.id, "x").await.map(drop)]
        {
            assert_eq!(reason(&refused.expect_err("is the owner's")), "NOT_FOUND");
        }
        assert!(list(app, &bob).await.is_empty());
        delete(app, &old, &passkey.id, PASSWORD).await.expect("the password will do");
    })
    .await;
}

#[tokio::test]
async fn a_person_has_twenty_passkeys_and_the_operator_takes_them_all() {
    on_every_store(async |app| {
        let (owner, _) = settled_owner(app).await;
        let last = begin(app, &owner, "").await.expect("there is room");
        let mut authenticator = Authenticator::new();
        for _ in 0..20 {
            authenticator = Authenticator::new();
            add(app, &owner, &mut authenticator).await.expect("adds");
        }
        let made = Authenticator::new().create(&last.options_json);
        for refused in
            [begin(app, &owner, "").await.map(drop), finish(app, &owner, &last.handle, &made).await.map(drop)]
        {
            let refused = refused.expect_err("there are twenty");
            assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "TOO_MANY_PASSKEYS"));
        }
        assert_eq!(list(app, &owner).await.len(), 20);
        people::reset_second_factor(app.env(), OWNER).await.expect("resets");
        assert_eq!(reason(&me(app, &owner).await.expect_err("ended")), "CREDENTIALS_INVALID");
        assert_eq!(reason(&come_in(app, &mut authenticator).await.expect_err("is gone")), "PASSKEY_REFUSED");
        let known = user::Entity::find().one(&app.env().db.api).await.expect("reads").expect("is there");
        assert!(known.password_change_required);
        assert!(people::reset_second_factor(app.env(), OWNER).await.is_err(), "nothing is left");
    })
    .await;
}

#[tokio::test]
async fn another_node_finishes_what_one_began_with_a_passkey() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let first = App::start(Store::Production).await;
    let (owner, _) = settled_owner(&first).await;
    let second = first.start_beside(&[]).await;
    let mut authenticator = Authenticator::new();
    let begun = begin(&first, &owner, "").await.expect("begins");
    let made = authenticator.create(&begun.options_json);
    finish(&second, &owner, &begun.handle, &made).await.expect("adds");
    let asked = ask(&first).await;
    let shown = authenticator.get(&asked.options_json);
    show(&second, &asked.handle, &shown).await.expect("signs in");
    assert_eq!(reason(&show(&first, &asked.handle, &shown).await.expect_err("is used")), "TOKEN_INVALID");
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn passkeys_are_for_a_name_which_may_be_that_of_a_parent() {
    let parent = App::start_with(
        Store::Embedded,
        &[("FRONTEND_URL", "https://dash.example.com"), ("WEBAUTHN_RP_ID", "example.com")],
    )
    .await;
    let (owner, _) = settled_owner(&parent).await;
    let mut authenticator = Authenticator {
        origin: "https://dash.example.com".into(),
        rp_id: "example.com".into(),
        ..Authenticator::new()
    };
    add(&parent, &owner, &mut authenticator).await.expect("adds");
    come_in(&parent, &mut authenticator).await.expect("signs in");
    // Another host below it is still another page.
    authenticator.origin = "https://other.example.com".into();
    assert_eq!(reason(&come_in(&parent, &mut authenticator).await.expect_err("another")), "PASSKEY_REFUSED");
    parent.stop().await;

    let nameless = App::start_with(Store::Embedded, &[("FRONTEND_URL", "http://127.0.0.1:5173")]).await;
    let methods = nobody(&nameless).await.get_sign_in_methods(v1::GetSignInMethodsRequest {}).await;
    assert!(!methods.expect("they are no secret").into_inner().passkey);
    let refused = nobody(&nameless).await.begin_passkey_sign_in(v1::BeginPasskeySignInRequest {}).await;
    assert_eq!(reason(&refused.expect_err("there are none")), "SIGN_IN_METHOD_DISABLED");
    nameless.stop().await;
}
