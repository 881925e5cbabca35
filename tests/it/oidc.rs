//! Signing in by an identity provider, and all that one may get wrong.

use chrono::Duration;
use linkforty::{
    accounts::people,
    entity::user,
    pb::v1,
    workspaces::{
        self, Role,
        invitations::{self, NewInvitation},
    },
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, Set};
use serde_json::{Value, json};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::{
    accounts::{PASSWORD, auth, me, nobody, settled_owner, sign_in},
    mails::with_mail,
    second_factor,
    support::{
        App, Browser, IdentityProvider, PostOffice, Says, Signer, Store, eventually, moved, reason, respond,
        stores,
    },
};

const OWNER: &str = "owner@localhost";

/// What a browser keeps between going and coming back.
struct Trip {
    handle: String,
    browser: Browser,
}

impl Trip {
    fn callback(&self) -> v1::OidcCallback {
        v1::OidcCallback {
            handle: self.handle.clone(),
            state: self.browser.state.clone(),
            code: self.browser.code.clone(),
            iss: String::new(),
        }
    }
}

/// Goes to the provider.
async fn begin(app: &App, provider: &IdentityProvider) -> Result<Trip, Status> {
    let answer = nobody(app).await.begin_oidc_sign_in(v1::BeginOidcSignInRequest {}).await?.into_inner();
    let way = answer.authorization.expect("always there");
    Ok(Trip { browser: provider.authorize(app, &way.authorization_url), handle: way.handle })
}

/// Comes back.
async fn complete(app: &App, callback: v1::OidcCallback) -> Result<v1::CompleteOidcSignInResponse, Status> {
    let request = v1::CompleteOidcSignInRequest { callback: Some(callback), cookie: false };
    nobody(app).await.complete_oidc_sign_in(request).await.map(tonic::Response::into_inner)
}

/// Goes there and back.
async fn visit(app: &App, provider: &IdentityProvider) -> Result<v1::CompleteOidcSignInResponse, Status> {
    complete(app, begin(app, provider).await?.callback()).await
}

/// Returns the access token of somebody who came in.
async fn come_in(app: &App, provider: &IdentityProvider) -> String {
    let answer = visit(app, provider).await.expect("comes in");
    answer.tokens.expect("nothing else is asked for").access_token
}

/// The fact that an error carries under a name.
fn fact(status: &Status, name: &str) -> String {
    let facts = status.get_details_error_info().map(|info| info.metadata).unwrap_or_default();
    facts.get(name).cloned().unwrap_or_default()
}

fn fault(status: &Status) -> (Code, String, String) {
    (status.code(), reason(status), fact(status, "fault"))
}

/// The first owner, whose e-mail is proved.
async fn proved_owner(app: &App) -> String {
    let (token, _) = settled_owner(app).await;
    prove(app, OWNER).await;
    token
}

async fn prove(app: &App, email: &str) {
    let change = user::ActiveModel { email_verify_time: Set(Some(app.env().now())), ..Default::default() };
    let query = user::Entity::update_many().set(change).filter(user::Column::Email.eq(email));
    query.exec(&app.env().db.api).await.expect("writes");
}

async fn identities(app: &App, token: &str) -> Vec<v1::Identity> {
    let answer = auth(app, token).await.list_identities(v1::ListIdentitiesRequest {}).await;
    answer.expect("a list").into_inner().identities
}

async fn begin_link(app: &App, token: &str, password: &str) -> Result<v1::OidcAuthorization, Status> {
    let request = v1::BeginIdentityLinkRequest { password: password.into() };
    let answer = auth(app, token).await.begin_identity_link(request).await?.into_inner();
    Ok(answer.authorization.expect("always there"))
}

async fn link(
    app: &App,
    token: &str,
    provider: &IdentityProvider,
    way: v1::OidcAuthorization,
) -> Result<v1::Identity, Status> {
    let trip = Trip { browser: provider.authorize(app, &way.authorization_url), handle: way.handle };
    let request = v1::LinkIdentityRequest { callback: Some(trip.callback()) };
    let answer = auth(app, token).await.link_identity(request).await?.into_inner();
    Ok(answer.identity.expect("always there"))
}

async fn unlink(app: &App, token: &str, id: &str, password: &str) -> Result<(), Status> {
    let request = v1::UnlinkIdentityRequest { identity_id: id.into(), password: password.into() };
    auth(app, token).await.unlink_identity(request).await.map(drop)
}

/// Runs a test on every store, with a provider of its own.
async fn with_provider(more: &[(&str, &str)], test: impl AsyncFn(&App, &IdentityProvider)) {
    for store in stores() {
        let provider = IdentityProvider::open().await;
        let app = App::start_with(store, &provider.settings(more)).await;
        eprintln!("on {store}");
        test(&app, &provider).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn a_person_comes_in_by_an_email_that_both_sides_have_proved() {
    for store in stores() {
        let (provider, office) = (IdentityProvider::open().await, PostOffice::open().await);
        let app = with_mail(store, &office, &provider.settings(&[])).await;
        let owner = proved_owner(&app).await;
        let methods = nobody(&app).await.get_sign_in_methods(v1::GetSignInMethodsRequest {}).await;
        let methods = methods.expect("they are no secret").into_inner();
        assert!(methods.password);
        assert_eq!(methods.oidc.expect("it is set up").display_name, "The House");

        let trip = begin(&app, &provider).await.expect("begins");
        assert_eq!(trip.browser.redirect_uri, "https://dash.example.test/sign-in/oidc");
        let answer = complete(&app, trip.callback()).await.expect("comes in");
        assert!(answer.challenge.is_none());
        assert_eq!(answer.user.expect("always there").email, OWNER);
        let token = answer.tokens.expect("always there").access_token;
        assert_eq!(me(&app, &token).await.expect("is known").memberships.len(), 1);
        let mail = office.wait_for(1, "another way to sign in").await;
        assert!(mail.text().contains("The House"), "{}", mail.text());
        // What was used is worth nothing, neither the handle nor the code.
        let refused = complete(&app, trip.callback()).await.expect_err("is used");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "TOKEN_INVALID"));
        let again = begin(&app, &provider).await.expect("begins");
        let stolen = v1::OidcCallback { code: trip.browser.code.clone(), ..again.callback() };
        assert_eq!(
            fault(&complete(&app, stolen).await.expect_err("is used")),
            (Code::Unauthenticated, "IDENTITY_REFUSED".into(), "code".into())
        );

        // From then on the identity is what counts, whatever becomes of the e-mail.
        provider.is_visited_by(json!({"sub": "subject-1", "email": "other@example.com"}));
        app.clock.advance(Duration::minutes(1));
        let token = come_in(&app, &provider).await;
        let [identity] = &*identities(&app, &token).await else { panic!("one") };
        assert_eq!((&*identity.issuer, &*identity.subject), (&*provider.issuer, "subject-1"));
        assert_eq!(identity.email, OWNER);
        let used = identity.last_use_time.as_ref().expect("a moment ago").seconds;
        assert_eq!(used, app.env().now().timestamp());
        assert_eq!(used, identity.create_time.as_ref().expect("always there").seconds + 60);
        // Documents and keys are asked for once.
        assert_eq!((provider.asked("openid-configuration"), provider.asked("/keys")), (1, 1));

        assert_eq!(me(&app, &owner).await.expect("is known").memberships.len(), 1);
        app.stop().await;
    }
}

#[tokio::test]
async fn the_dashboard_that_asks_is_where_browsers_come_back_to() {
    let frontend = ("FRONTEND_URL", "https://dash.example.test,https://two.example.test:8443");
    with_provider(&[frontend], async |app, provider| {
        proved_owner(app).await;
        for (origin, expected) in [
            ("https://dash.example.test", "https://dash.example.test/sign-in/oidc"),
            ("https://two.example.test:8443", "https://two.example.test:8443/sign-in/oidc"),
            ("https://evil.example", "https://dash.example.test/sign-in/oidc"),
            ("null", "https://dash.example.test/sign-in/oidc"),
        ] {
            let mut request = Request::new(v1::BeginOidcSignInRequest {});
            request.metadata_mut().insert("origin", origin.parse().expect("a value"));
            let answer = nobody(app).await.begin_oidc_sign_in(request).await;
            let Ok(answer) = answer else {
                assert!(!expected.starts_with(origin), "{origin}: {answer:?}");
                continue;
            };
            let way = answer.into_inner().authorization.expect("always there");
            let browser = provider.authorize(app, &way.authorization_url);
            assert_eq!(browser.redirect_uri, expected, "{origin}");
            let callback = Trip { handle: way.handle, browser }.callback();
            complete(app, callback).await.expect("the provider is told the same again");
        }
    })
    .await;
}

#[tokio::test]
async fn a_browser_gets_its_refresh_token_in_a_cookie() {
    with_provider(&[], async |app, provider| {
        proved_owner(app).await;
        let callback = begin(app, provider).await.expect("begins").callback();
        let request = v1::CompleteOidcSignInRequest { callback: Some(callback), cookie: true };
        let answer = nobody(app).await.complete_oidc_sign_in(request).await.expect("comes in");
        let cookie = answer.metadata().get("set-cookie").expect("there is one").to_str().expect("ASCII");
        assert!(cookie.starts_with("__Host-lf_session="), "{cookie}");
        assert!(answer.into_inner().tokens.expect("always there").refresh_token.is_empty());
    })
    .await;
}

#[tokio::test]
async fn every_lie_about_a_person_is_found_out() {
    type Lie = Box<dyn Fn(&IdentityProvider)>;
    fn claim(name: &'static str, value: Value) -> Lie {
        Box::new(move |provider| {
            let value = value.clone();
            provider.claims(move |claims| claims[name] = value.clone());
        })
    }
    fn later(name: &'static str, seconds: i64) -> Lie {
        Box::new(move |provider| {
            provider.claims(move |claims| {
                claims[name] = json!(claims["iat"].as_i64().expect("a moment") + seconds);
            });
        })
    }
    fn signed(signer: impl Fn(&Signer) -> Signer + 'static) -> Lie {
        Box::new(move |provider| provider.sign_with(&signer))
    }
    fn header(name: &'static str, value: Value) -> Lie {
        Box::new(move |provider| {
            let value = value.clone();
            provider.header(move |header| header[name] = value.clone());
        })
    }
    let lies: Vec<(&str, Lie)> = vec![
        ("issuer", claim("iss", json!("https://id.example.com"))),
        ("audience", claim("aud", json!("somebody else"))),
        ("audience", claim("aud", json!(["one", "two"]))),
        ("authorized_party", claim("aud", json!(["linkforty at home", "somebody else"]))),
        ("authorized_party", claim("azp", json!("somebody else"))),
        ("nonce", claim("nonce", json!("another"))),
        ("nonce", claim("nonce", Value::Null)),
        ("expired", later("exp", -30)),
        ("not_yet", later("nbf", 31)),
        ("not_yet", later("iat", 31)),
        ("access_token", claim("at_hash", json!("AAAA"))),
        ("subject", claim("sub", json!(""))),
        ("form", claim("sub", json!(7))),
        ("form", claim("exp", Value::Null)),
        ("algorithm", signed(|_| Signer::Nothing)),
        ("algorithm", signed(Signer::confused)),
        ("signature", signed(|_| Signer::p256())),
        ("key", signed(|_| Signer::rsa())),
        ("key", header("kid", json!("unknown"))),
        ("algorithm", header("alg", json!("none"))),
        ("algorithm", header("alg", json!("HS256"))),
        ("key", header("alg", json!("RS256"))),
        ("form", header("typ", json!("at+jwt"))),
        ("form", header("crit", json!(["b64"]))),
        ("email_unverified", claim("email_verified", json!(false))),
        ("email_unverified", claim("email_verified", Value::Null)),
    ];
    for store in stores() {
        for (expected, lie) in &lies {
            let provider = IdentityProvider::open().await;
            let app = App::start_with(store, &provider.settings(&[("OIDC_CREATE_ACCOUNTS", "true")])).await;
            lie(&provider);
            let refused = visit(&app, &provider).await.expect_err(expected);
            assert_eq!(
                fault(&refused),
                (Code::Unauthenticated, "IDENTITY_REFUSED".into(), (*expected).to_owned()),
                "on {store}"
            );
            assert!(user::Entity::find().all(&app.env().db.api).await.expect("reads").len() <= 1);
            app.stop().await;
            if store == Store::Production {
                // What is judged without a database is judged the same on every one.
                break;
            }
        }
    }
}

#[tokio::test]
async fn every_algorithm_on_the_list_is_taken_and_keys_may_change() {
    with_provider(&[], async |app, provider| {
        proved_owner(app).await;
        come_in(app, provider).await;
        for (kid, signer) in [
            ("second", Signer::ed25519()),
            ("third", Signer::rsa()),
            ("fourth", Signer::pss()),
            ("fifth", Signer::p256()),
        ] {
            provider.rotate(signer, kid);
            let asked = provider.asked("/keys");
            // Keys were asked for a moment ago, so an unknown one has to wait.
            let refused = visit(app, provider).await.expect_err("too soon");
            assert_eq!(fault(&refused).2, "key", "{kid}");
            assert_eq!(provider.asked("/keys"), asked, "{kid}");
            app.clock.advance(Duration::minutes(1));
            come_in(app, provider).await;
            assert_eq!(provider.asked("/keys"), asked + 1, "{kid}");
        }
        // A key that is not published any more is worth nothing an hour later.
        provider.rotate(Signer::p256(), "sixth");
        provider.header(|header| header["kid"] = json!("fifth"));
        app.clock.advance(Duration::hours(1));
        assert_eq!(fault(&visit(app, provider).await.expect_err("is gone")).2, "key");
    })
    .await;
}

#[tokio::test]
async fn what_comes_back_counts_in_the_browser_that_began_and_in_time() {
    with_provider(&[], async |app, provider| {
        proved_owner(app).await;
        let invalid = async |callback: v1::OidcCallback| {
            let refused = complete(app, callback).await.expect_err("does not count");
            assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "TOKEN_INVALID"));
        };
        let (ours, theirs) =
            (begin(app, provider).await.expect("ours"), begin(app, provider).await.expect("theirs"));
        // Somebody sends us where their own sign-in came back to: we have another handle, or none.
        invalid(v1::OidcCallback { handle: ours.handle.clone(), ..theirs.callback() }).await;
        invalid(v1::OidcCallback { handle: "made up".into(), ..theirs.callback() }).await;
        let mut bent = theirs.handle.clone();
        bent.replace_range(30..31, if &bent[30..31] == "A" { "B" } else { "A" });
        invalid(v1::OidcCallback { handle: bent, ..theirs.callback() }).await;
        // With our state and their code the provider finds out that the verifier is another one.
        let mixed = v1::OidcCallback { code: theirs.browser.code.clone(), ..ours.callback() };
        assert_eq!(fault(&complete(app, mixed).await.expect_err("is not ours")).2, "code");
        // Browsers that say who sent them are believed only if it is the provider.
        let other = begin(app, provider).await.expect("begins");
        let elsewhere = v1::OidcCallback { iss: "https://id.example.com".into(), ..other.callback() };
        assert_eq!(fault(&complete(app, elsewhere).await.expect_err("another")).2, "response_issuer");
        let right = v1::OidcCallback { iss: provider.issuer.clone(), ..other.callback() };
        complete(app, right).await.expect("comes in");

        let late = begin(app, provider).await.expect("begins");
        app.clock.advance(Duration::minutes(10));
        invalid(late.callback()).await;
        // Nobody's link is a sign-in, and the other way round.
        let token = come_in(app, provider).await;
        let way = begin_link(app, &token, "").await.expect("has signed in a moment ago");
        let browser = provider.authorize(app, &way.authorization_url);
        invalid(Trip { handle: way.handle, browser }.callback()).await;
        let trip = begin(app, provider).await.expect("begins");
        let request = v1::LinkIdentityRequest { callback: Some(trip.callback()) };
        let refused = auth(app, &token).await.link_identity(request).await.expect_err("is for signing in");
        assert_eq!(reason(&refused), "TOKEN_INVALID");

        let nothing = complete(app, v1::OidcCallback::default()).await.expect_err("nothing");
        let wrong = crate::support::wrong(&nothing);
        assert_eq!(wrong, ["callback.handle", "callback.state", "callback.code"]);
    })
    .await;
}

#[tokio::test]
async fn of_many_that_come_back_at_once_one_opens_a_session() {
    with_provider(&[], async |app, provider| {
        proved_owner(app).await;
        let trip = begin(app, provider).await.expect("begins");
        let tries = (0..4).map(|_| complete(app, trip.callback()));
        let opened = futures::future::join_all(tries).await;
        assert_eq!(opened.iter().filter(|answer| answer.is_ok()).count(), 1, "{opened:?}");
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_says_its_name_must_have_said_it() {
    with_provider(&[], async |app, provider| {
        provider
            .discovery(|document| document["authorization_response_iss_parameter_supported"] = json!(true));
        proved_owner(app).await;
        let refused = visit(app, provider).await.expect_err("it was left out");
        assert_eq!(fault(&refused).2, "response_issuer");
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_fails_signs_nobody_in() {
    let json = "content-type: application/json\r\n";
    let endless = || {
        Says::WithoutEnd(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec(),
            vec![b' '; 4096],
        )
    };
    let failures: Vec<(Says, &str)> = vec![
        (Says::Nothing, "timeout"),
        (endless(), "too_large"),
        (moved("http://127.0.0.1/elsewhere"), "status"),
        (respond("503 Service Unavailable", "", "gone"), "status"),
        (respond("200 OK", "content-type: text/html\r\n", "<p>hello"), "content"),
        (respond("200 OK", json, "no json"), "content"),
        (Says::This(b"HTTP/1.1 what\r\n\r\n".to_vec()), "protocol"),
        (Says::This(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort".to_vec()), "closed"),
    ];
    for store in stores() {
        let provider = IdentityProvider::open().await;
        let app = App::start_with(store, &provider.settings(&[("OUTBOUND_TIMEOUT_MS", "500")])).await;
        proved_owner(&app).await;
        for path in ["openid-configuration", "/keys", "/token"] {
            for (says, expected) in &failures {
                provider.at(path, Some(says.clone()));
                app.clock.advance(Duration::minutes(61));
                let refused = visit(&app, &provider).await.expect_err(expected);
                let told = (refused.code(), reason(&refused), fact(&refused, "failure"));
                let expected =
                    (Code::Unavailable, "IDENTITY_PROVIDER_FAILED".to_owned(), (*expected).to_owned());
                assert_eq!(told, expected, "{path} on {store}");
                provider.at(path, None);
            }
            app.clock.advance(Duration::seconds(2));
            visit(&app, &provider).await.expect("it is well again");
        }
        // It is left alone for two seconds.
        provider.at("openid-configuration", Some(respond("503 Service Unavailable", "", "")));
        app.clock.advance(Duration::minutes(61));
        let before = provider.asked("openid-configuration");
        for _ in 0..3 {
            assert_eq!(fact(&visit(&app, &provider).await.expect_err("fails"), "failure"), "status");
        }
        assert_eq!(provider.asked("openid-configuration"), before + 1);
        provider.close();
        app.clock.advance(Duration::seconds(2));
        eventually("nobody listens", async || {
            app.clock.advance(Duration::seconds(2));
            fact(&visit(&app, &provider).await.expect_err("is gone"), "failure") == "connect"
        })
        .await;
        app.stop().await;
    }
}

#[tokio::test]
async fn a_provider_is_the_one_that_was_set_up_and_keeps_secrets() {
    let cases: Vec<(&str, &str, Value)> = vec![
        ("issuer", "issuer", json!("https://id.example.com")),
        ("content", "token_endpoint", Value::Null),
        ("endpoint", "token_endpoint", json!("http://id.example.com/token")),
        ("endpoint", "authorization_endpoint", json!("javascript:alert(1)")),
        ("endpoint", "jwks_uri", json!("file:///etc/passwd")),
        ("endpoint", "jwks_uri", json!("https://169.254.169.254/keys")),
        ("endpoint", "userinfo_endpoint", json!("https://127.0.0.1:1/me")),
        ("client_authentication", "token_endpoint_auth_methods_supported", json!(["private_key_jwt"])),
    ];
    with_provider(&[], async |app, provider| {
        for (expected, name, value) in &cases {
            let (name, value) = (*name, value.clone());
            provider.discovery(move |document| document[name] = value.clone());
            app.clock.advance(Duration::minutes(61));
            let refused = visit(app, provider).await.expect_err(expected);
            let told = (reason(&refused), fact(&refused, "failure"));
            assert_eq!(told, ("IDENTITY_PROVIDER_FAILED".into(), (*expected).to_owned()), "{name}");
        }
        provider.wants_secrets_in_the_form();
        app.clock.advance(Duration::minutes(61));
        proved_owner(app).await;
        come_in(app, provider).await;
        // One that knows us no longer says so of us, not of the person.
        provider.at(
            "/token",
            Some(respond(
                "401 Unauthorized",
                "content-type: application/json\r\n",
                r#"{"error":"invalid_client"}"#,
            )),
        );
        let refused = visit(app, provider).await.expect_err("knows us no longer");
        assert_eq!(
            (reason(&refused), fact(&refused, "failure")),
            ("IDENTITY_PROVIDER_FAILED".into(), "client".into())
        );
    })
    .await;
}

#[tokio::test]
async fn what_a_provider_says_besides_is_about_the_same_person() {
    with_provider(&[], async |app, provider| {
        proved_owner(app).await;
        provider.is_visited_by(json!({"sub": "subject-1"}));
        provider.tells(json!({"sub": "somebody else", "email": OWNER, "email_verified": true}));
        assert_eq!(fault(&visit(app, provider).await.expect_err("is another")).2, "user_info");
        provider.tells(json!({"sub": "subject-1", "email": OWNER, "email_verified": true}));
        come_in(app, provider).await;
    })
    .await;
}

#[tokio::test]
async fn whoever_may_not_come_in_hears_the_same() {
    with_provider(&[], async |app, provider| {
        settled_owner(app).await;
        let face = |status: &Status| (status.code(), status.message().to_owned(), status.details().to_vec());
        provider
            .is_visited_by(json!({"sub": "stranger", "email": "nobody@example.com", "email_verified": true}));
        let unknown = visit(app, provider).await.expect_err("nobody knows them");
        assert_eq!((unknown.code(), &*reason(&unknown)), (Code::Unauthenticated, "IDENTITY_UNKNOWN"));
        // The owner has never proved their e-mail here: whoever made the account may be somebody else.
        let owner = json!({"sub": "subject-1", "email": OWNER, "email_verified": true});
        provider.is_visited_by(owner.clone());
        let unproved = visit(app, provider).await.expect_err("is not proved");
        assert_eq!(face(&unproved), face(&unknown));
        prove(app, OWNER).await;
        come_in(app, provider).await;
        // Somebody else who got the e-mail there later is not the person here.
        provider.is_visited_by(json!({"sub": "subject-2", "email": OWNER, "email_verified": true}));
        assert_eq!(face(&visit(app, provider).await.expect_err("is another")), face(&unknown));
        provider.is_visited_by(owner);
        people::disable(app.env(), OWNER).await.expect("disables");
        assert_eq!(face(&visit(app, provider).await.expect_err("is disabled")), face(&unknown));
        people::enable(app.env(), OWNER).await.expect("enables");
        come_in(app, provider).await;
        assert!(user::Entity::find().all(&app.env().db.api).await.expect("reads").len() == 1);
    })
    .await;
}

#[tokio::test]
async fn who_was_invited_gets_an_account_and_accepts_with_it() {
    with_provider(&[], async |app, provider| {
        let (_, workspace) = settled_owner(app).await;
        provider.is_visited_by(
            json!({"sub": "bob", "email": "Bob@Example.com", "email_verified": true, "name": "Bob"}),
        );
        visit(app, provider).await.expect_err("nobody invited them yet");
        let operator = workspaces::enter_as_operator(app.env(), Some(&workspace)).await.expect("is there");
        let new = NewInvitation { email: "bob@example.com".into(), role: Role::Member };
        let sent = invitations::invite(app.env(), &operator, new, None).await.expect("invites");
        let token = come_in(app, provider).await;
        let known = me(app, &token).await.expect("is known");
        let bob = known.user.expect("always there");
        assert_eq!((&*bob.email, &*bob.display_name), ("bob@example.com", "Bob"));
        assert!(bob.email_verified && !bob.password_change_required && known.memberships.is_empty());
        let mut client = v1::workspace_service_client::WorkspaceServiceClient::with_interceptor(
            app.channel().await,
            crate::support::Bearer(token.clone()),
        );
        let request = v1::AcceptInvitationRequest {
            token: sent.token.expect("a new one"),
            ..v1::AcceptInvitationRequest::default()
        };
        client.accept_invitation(request).await.expect("accepts");
        assert_eq!(me(app, &token).await.expect("is known").memberships.len(), 1);
        // There is no password to guess.
        let refused = sign_in(app, "bob@example.com", PASSWORD).await.expect_err("there is none");
        assert_eq!(reason(&refused), "SIGN_IN_FAILED");
    })
    .await;
}

#[tokio::test]
async fn the_operator_may_let_everybody_in_of_some_domains() {
    let settings =
        [("OIDC_CREATE_ACCOUNTS", "true"), ("OIDC_ALLOWED_EMAIL_DOMAINS", "Example.com,localhost")];
    with_provider(&settings, async |app, provider| {
        let visitor =
            |email: &str, verified: bool| json!({"sub": email, "email": email, "email_verified": verified});
        provider.is_visited_by(visitor("eve@evil.example", true));
        assert_eq!(reason(&visit(app, provider).await.expect_err("another domain")), "IDENTITY_UNKNOWN");
        provider.is_visited_by(visitor("cleo@example.com", false));
        assert_eq!(fault(&visit(app, provider).await.expect_err("not proved")).2, "email_unverified");
        provider.is_visited_by(visitor("cleo@example.com", true));
        let token = come_in(app, provider).await;
        assert!(me(app, &token).await.expect("is known").memberships.is_empty());
        // They are at home like everybody else: a workspace of their own is a call away.
        let mut client = v1::workspace_service_client::WorkspaceServiceClient::with_interceptor(
            app.channel().await,
            crate::support::Bearer(token.clone()),
        );
        let request = v1::CreateWorkspaceRequest {
            workspace: Some(v1::Workspace { name: "Cleo's".into(), ..v1::Workspace::default() }),
            ..v1::CreateWorkspaceRequest::default()
        };
        client.create_workspace(request).await.expect("creates");
        assert_eq!(me(app, &token).await.expect("is known").memberships.len(), 1);
        let again = come_in(app, provider).await;
        assert_eq!(identities(app, &again).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_second_factor_here_is_asked_for_all_the_same() {
    with_provider(&[], async |app, provider| {
        let (_, phone, codes) = second_factor::enrolled(app).await;
        prove(app, OWNER).await;
        let answer = visit(app, provider).await.expect("comes as far as that");
        assert!(answer.tokens.is_none() && answer.user.is_none());
        let challenge = answer.challenge.expect("a second factor is asked for").token;
        app.clock.advance(Duration::seconds(30));
        let answer = second_factor::complete(app, &challenge, second_factor::by_code(&phone, app)).await;
        let token = answer.expect("signs in").tokens.expect("always there").access_token;
        me(app, &token).await.expect("is known");
        let challenge = visit(app, provider).await.expect("again").challenge.expect("again").token;
        let proof = v1::complete_sign_in_request::Proof::RecoveryCode(codes[0].clone());
        second_factor::complete(app, &challenge, proof).await.expect("signs in");
        let told = crate::support::get(app.ops(), "/metrics", &[]).await.text();
        assert!(told.contains(r#"linkforty_sign_ins_total{how="identity and code"}"#), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_person_links_and_unlinks_identities() {
    for store in stores() {
        let (provider, office) = (IdentityProvider::open().await, PostOffice::open().await);
        let app = with_mail(store, &office, &provider.settings(&[("OIDC_CREATE_ACCOUNTS", "true")])).await;
        let (owner, _) = settled_owner(&app).await;
        // Whoever the provider knows, under whatever e-mail.
        provider.is_visited_by(json!({"sub": "work", "email": "ann@work.example", "email_verified": false}));
        let way = begin_link(&app, &owner, "").await.expect("has signed in a moment ago");
        let identity = link(&app, &owner, &provider, way).await.expect("links");
        assert_eq!((&*identity.subject, &*identity.email), ("work", "ann@work.example"));
        assert!(identity.last_use_time.is_none());
        office.wait_for(1, "another way to sign in").await;
        let token = come_in(&app, &provider).await;
        assert_eq!(me(&app, &token).await.expect("is known").user.expect("always there").email, OWNER);

        // Another identity, somebody else's, and one's own again.
        provider.is_visited_by(json!({"sub": "home", "email": "cleo@example.com", "email_verified": true}));
        let way = begin_link(&app, &owner, PASSWORD).await.expect("the password will do");
        let refused = link(&app, &owner, &provider, way).await.expect_err("has one already");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "ALREADY_EXISTS"));
        let cleo = come_in(&app, &provider).await;
        provider.is_visited_by(json!({"sub": "work", "email": "cleo@example.com", "email_verified": true}));
        let way = begin_link(&app, &cleo, "").await.expect("has signed in a moment ago");
        let refused = link(&app, &cleo, &provider, way).await.expect_err("is the owner's");
        assert_eq!(reason(&refused), "ALREADY_EXISTS");
        // A link that one began is of no use to another.
        let way = begin_link(&app, &owner, "").await.expect("begins");
        let refused = link(&app, &cleo, &provider, way).await.expect_err("is the owner's");
        assert_eq!(reason(&refused), "TOKEN_INVALID");

        // A session that was left open is not enough.
        app.clock.advance(Duration::minutes(9));
        begin_link(&app, &owner, "").await.expect("nine minutes");
        let id = identity.id.clone();
        let stale = old_session(&app).await;
        for refused in [
            begin_link(&app, &stale, "").await.map(drop),
            unlink(&app, &stale, &id, "").await,
            unlink(&app, &stale, &id, "not this one at all").await,
        ] {
            let refused = refused.expect_err("proves nothing");
            assert_eq!((refused.code(), &*reason(&refused)), (Code::Unauthenticated, "SIGN_IN_FAILED"));
        }
        let cleo = come_in_as(&app, &provider, "home").await;
        for unknown in [&*id, "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50d", "x"] {
            let refused = unlink(&app, &cleo, unknown, "").await.expect_err("is not theirs");
            assert_eq!((refused.code(), &*reason(&refused)), (Code::NotFound, "NOT_FOUND"));
        }
        unlink(&app, &stale, &id, PASSWORD).await.expect("unlinks");
        office.wait_for(1, "a way to sign in less").await;
        assert!(identities(&app, &stale).await.is_empty());
        provider.is_visited_by(json!({"sub": "work"}));
        assert_eq!(reason(&visit(&app, &provider).await.expect_err("is gone")), "IDENTITY_UNKNOWN");
        app.stop().await;
    }
}

async fn come_in_as(app: &App, provider: &IdentityProvider, subject: &str) -> String {
    provider.is_visited_by(json!({"sub": subject}));
    come_in(app, provider).await
}

/// A session of the owner that was opened ten minutes ago.
async fn old_session(app: &App) -> String {
    let tokens = sign_in(app, OWNER, PASSWORD).await.expect("signs in").tokens.expect("always there");
    app.clock.advance(Duration::minutes(10));
    crate::accounts::refresh(app, &tokens.refresh_token).await.expect("refreshes").access_token
}

#[tokio::test]
async fn another_node_finishes_what_one_began() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let provider = IdentityProvider::open().await;
    let first = App::start_with(Store::Production, &provider.settings(&[])).await;
    proved_owner(&first).await;
    let second = first.start_beside(&[]).await;
    let trip = begin(&first, &provider).await.expect("begins");
    complete(&second, trip.callback()).await.expect("comes in");
    assert_eq!(reason(&complete(&first, trip.callback()).await.expect_err("is used")), "TOKEN_INVALID");
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn without_a_provider_there_is_no_such_way() {
    let app = App::start(Store::Embedded).await;
    let methods = nobody(&app).await.get_sign_in_methods(v1::GetSignInMethodsRequest {}).await;
    assert!(methods.expect("they are no secret").into_inner().oidc.is_none());
    let refused = nobody(&app).await.begin_oidc_sign_in(v1::BeginOidcSignInRequest {}).await;
    let refused = refused.expect_err("there is none");
    assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "SIGN_IN_METHOD_DISABLED"));
    app.stop().await;
}
