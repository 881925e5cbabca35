//! Mails are sent once what they tell of is so, and not lost.

use chrono::Duration;
use linkforty::{clock::Clock as _, entity::mail, pb::v1};
use sea_orm::EntityTrait as _;

use crate::{
    accounts::{nobody, settled_owner},
    support::{App, PostOffice, Store, eventually, stores},
};

/// Starts a server whose mails go to a post office.
pub async fn with_mail(store: Store, office: &PostOffice, more: &[(&str, &str)]) -> App {
    let url = office.url();
    let settings = [
        &[("MAIL_DRIVER", "smtp"), ("SMTP_URL", &*url), ("MAIL_FROM", "linkforty <no-reply@example.com>")],
        more,
    ];
    App::start_with(store, &settings.concat()).await
}

/// Asks for a link to set a new password with.
pub async fn forgot(app: &App, email: &str) -> Result<(), tonic::Status> {
    let request = v1::RequestPasswordResetRequest { email: email.into() };
    nobody(app).await.request_password_reset(request).await.map(drop)
}

async fn waiting(app: &App) -> Vec<mail::Model> {
    mail::Entity::find().all(&app.env().db.api).await.expect("the stores answer")
}

/// A server that sends by the office, whose owner was told that they changed their password.
async fn settled(store: Store, office: &PostOffice) -> App {
    let app = with_mail(store, office, &[]).await;
    settled_owner(&app).await;
    office.wait_for(1, "password was changed").await;
    app
}

#[tokio::test]
async fn a_mail_says_the_same_in_two_forms_and_who_it_is_from() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = with_mail(store, &office, &[]).await;
        settled_owner(&app).await;
        let mail = office.wait_for(1, "password was changed").await;
        assert_eq!((&*mail.from, &*mail.to), ("no-reply@example.com", &["owner@localhost".to_owned()][..]));
        assert!(
            mail.header("from").contains("linkforty")
                && mail.header("from").contains("<no-reply@example.com>")
        );
        assert_eq!(mail.header("to"), "owner@localhost");
        assert_eq!(mail.header("auto-submitted"), "auto-generated");
        assert!(mail.header("message-id").ends_with("@example.com>"), "{}", mail.content);
        assert!(mail.header("date").contains("2026"), "{}", mail.header("date"));
        let text = mail.text();
        for part in
            ["multipart/alternative", "text/plain", "text/html", "https://dash.example.test/reset-password"]
        {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        eventually("it is forgotten", async || waiting(&app).await.is_empty()).await;
        app.stop().await;
    }
}

#[tokio::test]
async fn a_mail_that_was_not_taken_is_sent_later_over_a_restart_too_and_once() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = settled(store, &office).await;
        office.refuse_once("451 later");
        office.refuse_once("451 later");
        forgot(&app, "owner@localhost").await.expect("is taken");
        eventually("it was tried", async || office.asked() == 2 && waiting(&app).await[0].attempts == 1)
            .await;
        app.clock.advance(Duration::seconds(15));
        eventually("it was tried again", async || office.asked() == 3).await;
        let app = app.restart().await;
        let again = async || {
            let rows = waiting(&app).await;
            rows.len() == 1 && rows[0].attempts == 2
        };
        eventually("it waits", again).await;
        app.clock.advance(Duration::minutes(3));
        office.wait_for(1, "Set a new").await;
        eventually("it is forgotten", async || waiting(&app).await.is_empty()).await;
        assert_eq!((office.asked(), office.mails().len()), (4, 2), "{store}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_mail_without_a_mailbox_is_given_up_and_one_that_had_its_time_too() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = settled(store, &office).await;
        office.refuse_once("550 no such mailbox");
        forgot(&app, "owner@localhost").await.expect("is taken");
        eventually("it is given up", async || office.asked() == 2 && waiting(&app).await.is_empty()).await;

        office.refuse_once("451 later");
        forgot(&app, "owner@localhost").await.expect("is taken");
        eventually("it was tried", async || office.asked() == 3 && waiting(&app).await[0].attempts == 1)
            .await;
        // The link would be worth nothing.
        app.clock.advance(Duration::minutes(31));
        eventually("it is given up", async || waiting(&app).await.is_empty()).await;
        assert_eq!(office.asked(), 3, "{store}");
        app.stop().await;
    }
}

#[tokio::test]
async fn what_waits_is_sealed() {
    for store in stores() {
        let office = PostOffice::open().await;
        let app = settled(store, &office).await;
        office.refuse_once("451 later");
        forgot(&app, "owner@localhost").await.expect("is taken");
        eventually("it waits", async || office.asked() == 2 && waiting(&app).await[0].attempts == 1).await;
        let content = waiting(&app).await.remove(0).content;
        for part in ["owner", "token", "password", "https"] {
            assert!(!content.windows(part.len()).any(|window| window == part.as_bytes()), "{part}");
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn two_nodes_send_a_mail_once() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let office = PostOffice::open().await;
    let app = with_mail(Store::Production, &office, &[]).await;
    settled_owner(&app).await;
    let beside = app.start_beside(&[]).await;
    for n in 0..5 {
        app.clock.advance(Duration::hours(3));
        forgot(&app, "owner@localhost").await.expect("is taken");
        office.wait_for(n + 1, "Set a new").await;
    }
    eventually("they are forgotten", async || waiting(&app).await.is_empty()).await;
    assert_eq!((office.asked(), office.mails().len()), (6, 6));
    beside.stop().await;
    app.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_unless_the_operator_insists() {
    let office = PostOffice::open().await;
    let url = office.url().replace("?tls=none", "");
    let settings = [("MAIL_DRIVER", "smtp"), ("SMTP_URL", &*url), ("MAIL_FROM", "no-reply@example.com")];
    let app = App::start_with(Store::Embedded, &settings).await;
    settled_owner(&app).await;
    // The server knows no STARTTLS.
    let put_off = async || {
        let rows = waiting(&app).await;
        rows.len() == 1 && rows[0].attempts == 1 && rows[0].next_time < app.clock.now() + Duration::minutes(1)
    };
    eventually("it was tried", put_off).await;
    assert_eq!((office.asked(), office.mails().len()), (0, 0));
    app.stop().await;
}
