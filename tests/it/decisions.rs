//! The log of decisions: nothing in it is changed unseen, and whoever has the public key can check what it says.

use std::{fs, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt as _, stream};
use linkforty::{
    attribution::decisions::{
        self,
        verify::{Fault, Trust, Verdict, Why, verify},
    },
    db::Dialect,
    entity::{decision, decision_log},
    ids::{InstallId, WorkspaceId},
    pb::{
        sdk::v1::{ForgetInstallRequest, ReportInstallResponse, SetConsentRequest},
        v1::{
            GetDecisionProofRequest, GetDecisionProofResponse, ListDecisionCheckpointsRequest,
            attribution_service_client::AttributionServiceClient,
        },
    },
};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use serde_json::{Value, json};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::support::{
    App, Bearer, HERE, Tenant, behind_a_proxy, coded, eventually, first_open, iphone, reason, report,
};

type People = AttributionServiceClient<InterceptedService<Channel, Bearer>>;

async fn people(app: &App, tenant: &Tenant) -> People {
    AttributionServiceClient::with_interceptor(app.channel().await, Bearer(tenant.key.clone()))
}

fn id(tenant: &Tenant) -> WorkspaceId {
    WorkspaceId::parse(&tenant.id).expect("a UUID")
}

/// One install that a click brought, and some that none did.
async fn an_evening(app: &App, tenant: &Tenant, organic: usize) -> ReportInstallResponse {
    tenant.create(coded("spring")).await;
    let sdk = app.sdk(&tenant.app_token().await, HERE).await;
    app.tap("/spring", HERE).await;
    app.settled().await;
    app.clock.advance(chrono::Duration::minutes(5));
    let brought = report(&sdk, first_open("phone-brought", iphone())).await;
    assert!(brought.deep_link.is_some(), "{brought:?}");
    stream::iter(0..organic)
        .for_each_concurrent(8, |number| {
            let sdk = sdk.clone();
            async move {
                report(&sdk, first_open(&format!("phone-{number:05}"), iphone())).await;
            }
        })
        .await;
    brought
}

async fn checked(app: &App, tenant: &Tenant) -> Verdict {
    verify(app.env(), id(tenant), &Trust::default(), |_| {}).await.expect("checks")
}

/// Gives every entry its place and has all of them signed; returns how many there are. The server's own task may have the log just then, and
/// whoever has it is not waited for.
async fn whole(app: &App, tenant: &Tenant) -> i64 {
    eventually("every entry has its place", async || {
        decisions::seal(app.env()).await.expect("seals");
        entries(app, tenant).await.iter().all(|entry| entry.leaf.is_some())
    })
    .await;
    app.clock.advance(chrono::Duration::minutes(2));
    eventually("all of them are signed", async || {
        decisions::seal(app.env()).await.expect("seals");
        let log = decision_log::Entity::find_by_id(id(tenant)).one(&app.env().db.api).await.expect("reads");
        log.is_some_and(|log| log.signed_size == log.size)
    })
    .await;
    match checked(app, tenant).await {
        Verdict::Whole(whole) => {
            assert!(whole.checkpoints > 0 && whole.without_entry == 0, "{whole:?}");
            whole.size
        }
        Verdict::Broken(fault) => panic!("{fault:?}"),
    }
}

async fn entries(app: &App, tenant: &Tenant) -> Vec<decision::Model> {
    let query = decision::Entity::find().filter(decision::Column::WorkspaceId.eq(id(tenant)));
    query.order_by_asc(decision::Column::Leaf).all(&app.env().db.api).await.expect("reads")
}

async fn prove(people: &mut People, install: &str) -> Result<GetDecisionProofResponse, Status> {
    let request = GetDecisionProofRequest {
        install_id: install.to_owned(),
        include_evidence: true,
        ..Default::default()
    };
    people.get_decision_proof(request).await.map(tonic::Response::into_inner)
}

/// Writes an answer as clients of JSON get it.
fn as_json(answer: &GetDecisionProofResponse) -> Value {
    let proofs = answer.proofs.iter().map(|proof| {
        let mut json = json!({
            "entry": STANDARD.encode(&proof.entry),
            "leafIndex": proof.leaf_index.to_string(),
            "auditPath": proof.audit_path.iter().map(|hash| STANDARD.encode(hash)).collect::<Vec<_>>(),
        });
        if let Some(evidence) = &proof.evidence {
            json["evidence"] = json!({
                "salt": STANDARD.encode(&evidence.salt), "facts": evidence.facts, "clickId": evidence.click_id,
            });
        }
        json
    });
    json!({ "proofs": proofs.collect::<Vec<_>>(), "checkpoint": answer.checkpoint, "publicKey": answer.public_key })
}

/// Has the program check a proof, without any settings; returns its exit code and what it says.
fn check(answer: &Value, key: &str) -> (Option<i32>, String) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), answer.to_string()).expect("writes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_linkforty"));
    let path = file.path().to_str().expect("a path");
    command.env_clear().args(["attribution", "check-proof", path, "--key", key]);
    let output = command.output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn whoever_has_the_public_key_can_check_what_was_decided() {
    behind_a_proxy(async |app, tenant| {
        let brought = an_evening(app, tenant, 3).await;
        let mut people = people(app, tenant).await;
        assert_eq!(whole(app, tenant).await, 4);
        let answer = prove(&mut people, &brought.install_id).await.expect("is proved");
        let (proof, key) = (&answer.proofs[0], answer.public_key.clone());
        let entry: Value = serde_json::from_slice(&proof.entry).expect("JSON");
        assert_eq!(
            (&entry["what"], &entry["state"], &entry["method"], &entry["score"]),
            (&json!("decided"), &json!("attributed"), &json!("probabilistic"), &json!(80))
        );
        let link = brought.deep_link.as_ref().map(|told| told.link_id.clone());
        assert_eq!(entry["link"].as_str(), link.as_deref());
        let evidence = proof.evidence.as_ref().expect("was asked for");
        assert!(evidence.facts.contains(&evidence.click_id) && !evidence.click_id.is_empty());
        // What could be found out by trying is not in it.
        let text = String::from_utf8(proof.entry.to_vec()).expect("text");
        assert!(!text.contains(&evidence.click_id) && !text.contains("203.0.113"));

        let json = as_json(&answer);
        let (code, said) = check(&json, &key);
        assert!(code == Some(0) && said.contains(&brought.install_id), "{said}");
        let pointers = ["/proofs/0/entry", "/proofs/0/auditPath/0", "/checkpoint", "/proofs/0/evidence/salt"];
        for pointer in pointers {
            let mut changed = json.clone();
            let text = changed.pointer(pointer).and_then(Value::as_str).expect("a text").to_owned();
            let other = if text.starts_with('A') { "B" } else { "A" };
            *changed.pointer_mut(pointer).expect("is there") = format!("{other}{}", &text[1..]).into();
            assert_eq!(check(&changed, &key).0, Some(1), "{pointer}");
        }
        // Neither does the key of somebody else's log check it.
        let other = app.another_tenant().await;
        let theirs = decisions::public_key(app.env(), id(&other)).text();
        assert_eq!(check(&json, &theirs).0, Some(1));
        let refused = prove(&mut self::people(app, &other).await, &brought.install_id).await;
        assert_eq!(refused.expect_err("is unknown").code(), Code::NotFound);

        let page = people.list_decision_checkpoints(ListDecisionCheckpointsRequest::default()).await;
        let page = page.expect("lists").into_inner();
        assert_eq!(page.public_key, key);
        assert!(page.checkpoints.iter().any(|one| one.note == answer.checkpoint && one.size == 4));
    })
    .await;
}

#[tokio::test]
async fn what_is_decided_again_or_forgotten_is_logged_too_and_stays_provable() {
    behind_a_proxy(async |app, tenant| {
        let brought = an_evening(app, tenant, 0).await;
        let (mut people, install) = (people(app, tenant).await, brought.install_id.clone());
        let refused = prove(&mut people, &install).await;
        // The background may have been faster.
        assert!(refused.is_ok() || reason(&refused.expect_err("is too early")) == "DECISION_NOT_LOGGED");
        whole(app, tenant).await;
        let first = prove(&mut people, &install).await.expect("is proved");
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        let consent = SetConsentRequest { install_id: install.clone(), ..Default::default() };
        sdk.clone().set_consent(consent).await.expect("is noted");
        sdk.clone().forget_install(ForgetInstallRequest { install_id: install.clone() }).await.expect("goes");
        assert_eq!(whole(app, tenant).await, 3);
        let now = prove(&mut people, &install).await.expect("is proved");
        let what: Vec<String> = now
            .proofs
            .iter()
            .map(|proof| serde_json::from_slice::<Value>(&proof.entry).expect("JSON")["what"].to_string())
            .collect();
        assert_eq!(what, [r#""forgotten""#, r#""decided_again""#, r#""decided""#]);
        assert!(now.proofs.iter().all(|proof| proof.evidence.is_none()), "what was hashed is gone");
        assert_eq!(check(&as_json(&now), &now.public_key).0, Some(0));
        // What somebody was handed before goes on to be good.
        assert_eq!(check(&as_json(&first), &now.public_key).0, Some(0));
        assert_eq!(now.proofs[2].entry, first.proofs[0].entry);
    })
    .await;
}

#[tokio::test]
async fn every_decision_gets_one_place_however_many_nodes_give_it() {
    behind_a_proxy(async |app, tenant| {
        an_evening(app, tenant, 300).await;
        futures::future::join_all((0..8).map(|_| decisions::seal(app.env()))).await;
        assert_eq!(whole(app, tenant).await, 301);
        let places: Vec<Option<i64>> = entries(app, tenant).await.iter().map(|entry| entry.leaf).collect();
        assert_eq!(places, (0..301).map(Some).collect::<Vec<_>>());
        let mut people = people(app, tenant).await;
        for at in [0, 1, 255, 256, 300] {
            let install = entries(app, tenant).await[at].install_id.to_string();
            let answer = prove(&mut people, &install).await.expect("is proved");
            assert_eq!(check(&as_json(&answer), &answer.public_key).0, Some(0), "{at}");
        }
    })
    .await;
}

async fn run(app: &App, sql: &str) -> Result<(), sea_orm::DbErr> {
    app.owner_db().await.execute_unprepared(sql).await.map(drop)
}

/// Takes away what keeps the tables from being rewritten, as somebody who owns the database can.
async fn unlock(app: &App) {
    let postgres = app.env().db.dialect() == Dialect::Postgres;
    for table in ["decisions", "decision_nodes", "decision_checkpoints"] {
        let on = if postgres { format!(" ON {table}") } else { String::new() };
        for trigger in ["keep", "keep_all"] {
            run(app, &format!("DROP TRIGGER {table}_{trigger}{on}")).await.expect("drops");
        }
    }
}

#[tokio::test]
async fn the_database_refuses_to_rewrite_what_was_decided() {
    behind_a_proxy(async |app, tenant| {
        an_evening(app, tenant, 2).await;
        let before = whole(app, tenant).await;
        for sql in [
            "UPDATE decisions SET entry = '{}'",
            "UPDATE decisions SET leaf = leaf + 1000",
            "UPDATE decisions SET hash = NULL, leaf = NULL",
            "DELETE FROM decisions",
            "UPDATE decision_checkpoints SET note = ''",
            "DELETE FROM decision_checkpoints",
        ] {
            app.env().db.api.execute_unprepared(sql).await.expect_err(sql);
        }
        if app.env().db.dialect() == Dialect::Postgres {
            app.env().db.api.execute_unprepared("TRUNCATE decisions").await.expect_err("no truncation");
        }
        assert_eq!(whole(app, tenant).await, before);
    })
    .await;
}

#[tokio::test]
async fn any_byte_of_the_log_that_is_another_is_found_and_named() {
    behind_a_proxy(async |app, tenant| {
        let brought = an_evening(app, tenant, 3).await;
        whole(app, tenant).await;
        unlock(app).await;
        let db = app.owner_db().await;
        let all = entries(app, tenant).await;
        let victim = &all[1];
        let altered = Verdict::Broken(Fault::Altered { leaf: 1, install: victim.install_id });
        let set = async |entry: &str| {
            let sql = format!("UPDATE decisions SET entry = '{entry}' WHERE number = {}", victim.number);
            db.execute_unprepared(&sql).await.expect("rewrites");
        };
        for at in 0..victim.entry.len() {
            let mut bytes = victim.entry.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            set(&String::from_utf8(bytes).expect("ASCII")).await;
            assert_eq!(checked(app, tenant).await, altered, "at {at}");
        }
        set(&victim.entry).await;
        assert!(matches!(checked(app, tenant).await, Verdict::Whole(_)));

        let postgres = app.env().db.dialect() == Dialect::Postgres;
        let hash = if postgres { r"decode(repeat('00', 32), 'hex')" } else { "zeroblob(32)" };
        let number = all[2].number;
        let kept = entries(app, tenant).await[2].hash.clone().expect("has one");
        let hex: String = kept.iter().map(|byte| format!("{byte:02x}")).collect();
        let back = if postgres { format!("decode('{hex}', 'hex')") } else { format!("x'{hex}'") };
        run(app, &format!("UPDATE decisions SET hash = {hash} WHERE number = {number}")).await.expect("sets");
        let third = Verdict::Broken(Fault::Altered { leaf: 2, install: all[2].install_id });
        assert_eq!(checked(app, tenant).await, third);
        run(app, &format!("UPDATE decisions SET hash = {back} WHERE number = {number}")).await.expect("sets");
        assert!(matches!(checked(app, tenant).await, Verdict::Whole(_)));

        // An install that is not what was decided.
        let brought = InstallId::parse(&brought.install_id).expect("a UUID");
        run(app, "UPDATE installs SET score = 81 WHERE score = 80").await.expect("rewrites");
        let Verdict::Broken(Fault::Install { install, there: true, .. }) = checked(app, tenant).await else {
            panic!("{:?}", checked(app, tenant).await)
        };
        assert_eq!(install, brought);
        run(app, "UPDATE installs SET score = 80 WHERE score = 81").await.expect("rewrites");

        run(app, "UPDATE decision_checkpoints SET note = replace(note, 'time 2', 'time 3')")
            .await
            .expect("sets");
        let said = checked(app, tenant).await;
        assert!(matches!(said, Verdict::Broken(Fault::Checkpoint { why: Why::Signature, .. })), "{said:?}");
        run(app, "UPDATE decision_checkpoints SET note = replace(note, 'time 3', 'time 2')")
            .await
            .expect("sets");
        assert!(matches!(checked(app, tenant).await, Verdict::Whole(_)));
        let key = if postgres { r"decode(repeat('07', 32), 'hex')" } else { "zeroblob(32)" };
        run(app, &format!("UPDATE decision_checkpoints SET public_key = {key}")).await.expect("sets");
        let said = checked(app, tenant).await;
        assert!(matches!(said, Verdict::Broken(Fault::Checkpoint { why: Why::OtherKey, .. })), "{said:?}");

        run(app, "DELETE FROM decision_checkpoints").await.expect("deletes");
        run(app, &format!("DELETE FROM decisions WHERE number = {}", victim.number)).await.expect("deletes");
        assert_eq!(checked(app, tenant).await, Verdict::Broken(Fault::Missing { leaf: 1 }));
    })
    .await;
}

#[tokio::test]
async fn a_log_that_was_cut_off_is_told_by_a_checkpoint_that_was_kept() {
    behind_a_proxy(async |app, tenant| {
        an_evening(app, tenant, 3).await;
        whole(app, tenant).await;
        let mut people = people(app, tenant).await;
        let page = people.list_decision_checkpoints(ListDecisionCheckpointsRequest::default()).await;
        let kept = page.expect("lists").into_inner().checkpoints.swap_remove(0).note;
        let trust = Trust { kept: Some(kept), ..Trust::default() };
        let held = async || verify(app.env(), id(tenant), &trust, |_| {}).await.expect("checks");
        assert!(matches!(held().await, Verdict::Whole(_)));
        unlock(app).await;
        // All that an owner of the database can do to hide the end.
        let first = &entries(app, tenant).await[0];
        let hex: String =
            first.hash.clone().expect("has one").iter().map(|byte| format!("{byte:02x}")).collect();
        let postgres = app.env().db.dialect() == Dialect::Postgres;
        let head = if postgres { format!("decode('{hex}', 'hex')") } else { format!("x'{hex}'") };
        run(app, "DELETE FROM decision_checkpoints WHERE size > 1").await.expect("deletes");
        run(app, "DELETE FROM decisions WHERE leaf > 0").await.expect("deletes");
        assert!(matches!(checked(app, tenant).await, Verdict::Broken(Fault::End { size: 1 })));
        let sql = format!("UPDATE decision_logs SET size = 1, signed_size = 1, head = {head}");
        run(app, &sql).await.expect("rewrites");
        assert!(matches!(checked(app, tenant).await, Verdict::Whole(_)), "it looks like a shorter one");
        assert_eq!(held().await, Verdict::Broken(Fault::OtherLog));
    })
    .await;
}
