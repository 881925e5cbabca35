//! People see where they are signed in, and end what they do not know.

use chrono::Duration;
use linkforty::{
    accounts::people,
    page::PageRequest,
    pb::v1::{self, auth_service_client::AuthServiceClient},
    rpc::Permission,
    workspaces::{
        enter_as_operator,
        keys::{self as api_keys, Which},
    },
};
use tonic::{Request, Status};

use crate::{
    accounts::{PASSWORD, auth, me, refresh, settled_owner, sign_in},
    keys::get_workspace,
    support::{App, ELSEWHERE, HERE, Store, get, json, on_every_store, reason, request_id, stores, within},
    workspaces::person,
};

/// Signs the owner in from an address, by a program of a name.
async fn sign_in_from(app: &App, from: &str, program: &str) -> v1::SessionTokens {
    let endpoint =
        tonic::transport::Endpoint::from_shared(format!("http://{}", app.api())).expect("an address");
    let endpoint = endpoint.user_agent(program.to_owned()).expect("a header value");
    let mut client = AuthServiceClient::new(endpoint.connect().await.expect("accepts"));
    let mut request = Request::new(v1::SignInRequest {
        email: "owner@localhost".into(),
        password: PASSWORD.into(),
        cookie: false,
    });
    request.metadata_mut().insert("x-forwarded-for", from.parse().expect("a header value"));
    client.sign_in(request).await.expect("signs in").into_inner().tokens.expect("always there")
}

async fn sessions(app: &App, token: &str) -> Vec<v1::Session> {
    let answer = auth(app, token).await.list_sessions(v1::ListSessionsRequest::default()).await;
    answer.expect("lists").into_inner().sessions
}

async fn revoke(app: &App, token: &str, id: &str) -> Result<(), Status> {
    let request = v1::RevokeSessionRequest { session_id: id.into() };
    auth(app, token).await.revoke_session(request).await.map(drop)
}

#[tokio::test]
async fn a_person_sees_where_they_are_signed_in() {
    for store in stores() {
        let app = App::start_with(store, &[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
        let (owner, _) = settled_owner(&app).await;
        app.clock.advance(Duration::minutes(1));
        let here = sign_in_from(&app, HERE, "Dashboard <b>1</b>").await;
        app.clock.advance(Duration::minutes(1));
        let there = sign_in_from(&app, "2001:db8::7", &"x".repeat(400)).await;
        app.clock.advance(Duration::minutes(1));
        let here = refresh(&app, &here.refresh_token).await.expect("refreshes");

        let listed = sessions(&app, &here.access_token).await;
        let places: Vec<_> = listed.iter().map(|s| (&*s.address, s.user_agent.len(), s.current)).collect();
        assert_eq!(places[0], ("2001:db8::7", 256, false));
        assert_eq!((places[1].0, places[1].2), (HERE, true));
        assert!(listed[1].user_agent.starts_with("Dashboard <b>1</b>"), "{}", listed[1].user_agent);
        assert_eq!(places.len(), 3);
        let seconds = |time: Option<prost_types::Timestamp>| time.expect("always there").seconds;
        assert_eq!(seconds(listed[1].refresh_time) - seconds(listed[1].create_time), 120);
        assert_eq!(seconds(listed[0].refresh_time), seconds(listed[0].create_time));
        assert_eq!(listed[1].expire_time, here.refresh_token_expire_time);

        // Page by page the same.
        let mut asked = v1::ListSessionsRequest { page_size: 2, page_token: String::new() };
        let page = auth(&app, &owner).await.list_sessions(asked.clone()).await.expect("lists").into_inner();
        asked.page_token = page.next_page_token;
        let rest = auth(&app, &owner).await.list_sessions(asked).await.expect("lists").into_inner();
        let ids = |sessions: &[v1::Session]| sessions.iter().map(|s| s.id.clone()).collect::<Vec<_>>();
        assert_eq!([ids(&page.sessions), ids(&rest.sessions)].concat(), ids(&listed));
        assert!(rest.next_page_token.is_empty());

        // One that is over is not listed, whether it was ended or left alone.
        revoke(&app, &owner, &listed[0].id).await.expect("ends it");
        assert_eq!(sessions(&app, &here.access_token).await.len(), 2);
        assert_eq!(reason(&me(&app, &there.access_token).await.expect_err("ended")), "CREDENTIALS_INVALID");
        let refused = refresh(&app, &there.refresh_token).await.expect_err("ended");
        assert_eq!(reason(&refused), "CREDENTIALS_INVALID");
        app.clock.advance(Duration::days(14));
        let again = sign_in_from(&app, ELSEWHERE, "later").await;
        assert_eq!(sessions(&app, &again.access_token).await.len(), 1);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_session_of_somebody_else_is_as_unknown_as_none() {
    on_every_store(async |app| {
        let (owner, _) = settled_owner(app).await;
        let stranger = person(app, "stranger@example.com", None).await;
        let theirs = sessions(app, &owner).await[0].id.clone();
        let foreign = revoke(app, &stranger, &theirs).await.expect_err("is not theirs");
        for id in [&*request_id(), "x", ""] {
            let unknown = revoke(app, &stranger, id).await.expect_err("is nowhere");
            assert_eq!(reason(&unknown), "NOT_FOUND");
            assert_eq!((foreign.message(), foreign.details()), (unknown.message(), unknown.details()));
        }
        assert!(me(app, &owner).await.is_ok());
        assert!(!sessions(app, &stranger).await.iter().any(|session| session.id == theirs));
        // One's own ends, and ending it again changes nothing.
        let other = sign_in(app, "stranger@example.com", PASSWORD).await.expect("signs in").tokens;
        let other = other.expect("always there").access_token;
        let mine =
            sessions(app, &other).await.into_iter().find(|session| session.current).expect("is there").id;
        for _ in 0..2 {
            revoke(app, &stranger, &mine).await.expect("ends it");
        }
        assert_eq!(reason(&me(app, &other).await.expect_err("ended")), "CREDENTIALS_INVALID");
    })
    .await;
}

#[tokio::test]
async fn all_other_sessions_end_at_once() {
    on_every_store(async |app| {
        let (owner, _) = settled_owner(app).await;
        let stranger = person(app, "stranger@example.com", None).await;
        let mut others = Vec::new();
        for _ in 0..3 {
            let tokens = sign_in(app, "owner@localhost", PASSWORD).await.expect("signs in").tokens;
            others.push(tokens.expect("always there"));
            me(app, &others[others.len() - 1].access_token).await.expect("is known");
        }
        let mut client = auth(app, &owner).await;
        for expected in [3, 0] {
            let answer = client.revoke_other_sessions(v1::RevokeOtherSessionsRequest {}).await.expect("ends");
            assert_eq!(answer.into_inner().revoked_count, expected);
        }
        for other in others {
            assert_eq!(
                reason(&me(app, &other.access_token).await.expect_err("ended")),
                "CREDENTIALS_INVALID"
            );
            assert!(refresh(app, &other.refresh_token).await.is_err());
        }
        assert!(me(app, &owner).await.is_ok() && me(app, &stranger).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn another_node_refuses_an_ended_session_at_once() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let app = App::start(Store::Production).await;
    let (owner, _) = settled_owner(&app).await;
    let beside = app.start_beside(&[]).await;
    let other = sign_in(&beside, "owner@localhost", PASSWORD).await.expect("signs in").tokens;
    let other = other.expect("always there").access_token;
    let id =
        sessions(&beside, &other).await.into_iter().find(|session| session.current).expect("is there").id;
    me(&beside, &other).await.expect("is known there");
    revoke(&app, &owner, &id).await.expect("ends it");
    // As fast as messages travel; the clock of the servers stands, so no belief ends by itself.
    within(std::time::Duration::from_secs(1), "the other node heard", async || {
        me(&beside, &other).await.is_err()
    })
    .await;
    beside.stop().await;
    app.stop().await;
}

/// Redis is never the only one to know: what ended, ended in the database, and nodes tell each other by it too.
#[tokio::test]
async fn what_ended_stays_ended_while_redis_is_away() {
    if !stores().contains(&Store::Production) {
        return;
    }
    // Nobody answers there.
    let away = [("REDIS_URL", "redis://127.0.0.1:9/0")];
    let app = App::start_with(Store::Production, &away).await;
    let (owner, workspace) = settled_owner(&app).await;
    let beside = app.start_beside(&away).await;
    let other = sign_in(&beside, "owner@localhost", PASSWORD).await.expect("signs in").tokens;
    let other = other.expect("always there").access_token;
    let id =
        sessions(&beside, &other).await.into_iter().find(|session| session.current).expect("is there").id;
    let key = app.key(&workspace, &[Permission::WorkspacesRead]).await;
    get_workspace(&beside, &key, "").await.expect("is good there");

    revoke(&app, &owner, &id).await.expect("ends it");
    within(std::time::Duration::from_secs(2), "the other node heard", async || {
        me(&beside, &other).await.is_err()
    })
    .await;
    assert!(me(&app, &other).await.is_err() && me(&app, &owner).await.is_ok());
    let operator = enter_as_operator(app.env(), Some(&workspace)).await.expect("is there");
    let page = PageRequest { size: 1, after: None };
    let newest =
        api_keys::list(app.env(), &operator, Which::All, &page).await.expect("lists").items.remove(0);
    api_keys::revoke(app.env(), &operator, newest.id).await.expect("revokes");
    // Whatever was believed ends by itself, should no message come at all.
    app.clock.advance(Duration::seconds(11));
    assert!(get_workspace(&beside, &key, "").await.is_err());

    // And operators see that Redis is away.
    let health = json(&get(app.ops(), "/health", &[]).await);
    assert_eq!(health["redis"]["state"], "down", "{health}");
    let metrics = get(app.ops(), "/metrics", &[]).await.text();
    assert!(metrics.contains("linkforty_store_up{store=\"redis\"}"), "{metrics}");
    beside.stop().await;
    app.stop().await;
}

#[tokio::test]
async fn how_long_a_session_lives_is_a_setting() {
    for store in stores() {
        let settings = [("SESSION_IDLE_TIMEOUT", "30m"), ("SESSION_LIFETIME", "2h")];
        let app = App::start_with(store, &settings).await;
        settled_owner(&app).await;
        let sign_in = async || {
            let answer = sign_in(&app, "owner@localhost", PASSWORD).await.expect("signs in");
            answer.tokens.expect("always there")
        };
        // Left alone for half an hour.
        let idle = sign_in().await;
        app.clock.advance(Duration::minutes(30));
        assert!(refresh(&app, &idle.refresh_token).await.is_err(), "{store}");
        // In use all the time it ends after two hours.
        let mut tokens = sign_in().await;
        for _ in 0..4 {
            app.clock.advance(Duration::minutes(29));
            tokens = refresh(&app, &tokens.refresh_token).await.expect("is in use");
        }
        assert!(me(&app, &tokens.access_token).await.is_ok());
        app.clock.advance(Duration::minutes(4) + Duration::seconds(5));
        assert_eq!(reason(&me(&app, &tokens.access_token).await.expect_err("over")), "CREDENTIALS_INVALID");
        assert!(refresh(&app, &tokens.refresh_token).await.is_err(), "{store}");
        app.stop().await;
    }
}

#[tokio::test]
async fn who_is_disabled_is_out_at_once_and_cannot_come_back() {
    on_every_store(async |app| {
        settled_owner(app).await;
        let token = person(app, "ann@example.com", None).await;
        let tokens = sign_in(app, "ann@example.com", PASSWORD).await.expect("signs in").tokens;
        let tokens = tokens.expect("always there");
        me(app, &token).await.expect("is known");
        people::disable(app.env(), "ANN@example.com").await.expect("disables");
        assert_eq!(reason(&me(app, &token).await.expect_err("out")), "CREDENTIALS_INVALID");
        assert!(refresh(app, &tokens.refresh_token).await.is_err());
        let disabled = sign_in(app, "ann@example.com", PASSWORD).await.expect_err("out");
        let unknown = sign_in(app, "nobody@example.com", PASSWORD).await.expect_err("nobody");
        assert_eq!(
            (disabled.code(), disabled.message(), disabled.details()),
            (unknown.code(), unknown.message(), unknown.details())
        );
        people::enable(app.env(), "ann@example.com").await.expect("enables");
        assert!(sign_in(app, "ann@example.com", PASSWORD).await.is_ok());
        assert_eq!(reason(&me(app, &token).await.expect_err("stays over")), "CREDENTIALS_INVALID");
    })
    .await;
}
