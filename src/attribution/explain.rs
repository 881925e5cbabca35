//! Installs as people see them, and why each is credited as it is. Pure.

use prost::Message as _;
use prost_types::Duration;

use super::{
    assists::assists,
    decide::{Candidate, Device, Fate, Loss, Outcome, System, Verdict},
    fraud::{rules::Rule, wire::flag},
    installs::{
        Assists,
        settle::{Decided, Facts, method, no_match},
    },
    networks::{at_second, referrer},
    returns::Returned,
};
use crate::{
    entity::install::Model,
    links::timestamp,
    pb::{
        internal::v1::InstallRecord,
        sdk::v1::Store,
        v1::{
            AttributionCandidate, AttributionRules, ComparedDevice, CountAssistsResponse, DeviceSystem,
            ExplainAttributionResponse, Install, LinkAssists, LossReason, NetworkClaim, Reengagement,
            ScoreTerm, StoreReferral,
        },
    },
};

/// Writes an install, with what networks claim.
pub fn install(row: &Model, network_claims: Vec<NetworkClaim>) -> Install {
    let report = InstallRecord::decode(&row.report[..]).unwrap_or_default();
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    Install {
        id: row.id.to_string(),
        workspace_id: row.workspace_id.to_string(),
        app_id: id(row.app_id.map(|app| app.0)),
        state: row.state.into(),
        method: row.method.into(),
        score: row.score.into(),
        no_match: row.no_match.into(),
        link_id: id(row.link_id.map(|link| link.0)),
        click_id: id(row.click_id.map(|click| click.0)),
        click_time: row.click_time.map(timestamp),
        install_time: Some(timestamp(row.install_time)),
        receive_time: Some(timestamp(row.receive_time)),
        reinstall_count: row.reinstalls,
        reinstall_time: row.reinstall_time.map(timestamp),
        platform: row.platform.into(),
        store_referral: store_referral(&report),
        network_claims,
        previous_install_id: id(uuid::Uuid::from_slice(&report.previous_install_id).ok()),
        os_version: report.os_version,
        model: report.model,
        app_version: report.app_version,
        sdk_name: report.sdk_name,
        sdk_version: report.sdk_version,
        test: row.test,
        flags: Rule::of_flags(row.flags).map(|rule| flag(rule).into()).collect(),
        forgotten: row.report.is_empty(),
    }
}

/// Writes what the store said.
fn store_referral(report: &InstallRecord) -> Option<StoreReferral> {
    if report.store_referrer.is_empty() && report.store == 0 {
        return None;
    }
    let store = Store::try_from(report.store).unwrap_or_default();
    Some(StoreReferral {
        store: if store == Store::Unspecified { Store::GooglePlay } else { store }.into(),
        kind: referrer::kind(&report.store_referrer).into(),
        click_time: at_second(report.store_click_device_seconds),
        install_begin_time: at_second(report.store_begin_device_seconds),
        click_server_time: at_second(report.store_click_seconds),
        install_begin_server_time: at_second(report.store_begin_seconds),
        install_version: report.install_version.clone(),
        google_play_instant: report.google_play_instant,
    })
}

/// Writes a time that a user was brought back.
pub fn returned(of: Returned) -> Reengagement {
    let Returned { open, credit_end, events } = of;
    Reengagement {
        click_id: open.click_id.to_string(),
        workspace_id: open.workspace_id.to_string(),
        app_id: open.app_id.map(|app| app.to_string()).unwrap_or_default(),
        install_id: open.install_id.to_string(),
        link_id: open.link_id.to_string(),
        open_time: Some(timestamp(open.open_time)),
        last_seen_time: Some(timestamp(open.seen_time)),
        credit_end_time: Some(timestamp(credit_end)),
        event_count: i64::try_from(events).unwrap_or(i64::MAX),
    }
}

/// How many links are told of.
const MOST_LINKS: usize = 1000;

/// Writes what links had to do with installs, those with the most assists first.
pub fn assists_of_links(counted: Assists) -> CountAssistsResponse {
    let mut links: Vec<LinkAssists> = counted
        .links
        .into_iter()
        .map(|(link, (installs, assists))| LinkAssists { link_id: link.to_string(), installs, assists })
        .collect();
    links.sort_by(|a, b| (b.assists, b.installs, &a.link_id).cmp(&(a.assists, a.installs, &b.link_id)));
    let truncated = counted.truncated || links.len() > MOST_LINKS;
    links.truncate(MOST_LINKS);
    CountAssistsResponse { links, truncated }
}

/// Decides an install again from what it was decided from, and says why.
pub fn explain(row: &Model, network_claims: Vec<NetworkClaim>) -> ExplainAttributionResponse {
    let shown = install(row, network_claims);
    let Ok(facts) = serde_json::from_str::<Facts>(&row.facts) else {
        return ExplainAttributionResponse { install: Some(shown), ..ExplainAttributionResponse::default() };
    };
    let report = InstallRecord::decode(&row.report[..]).unwrap_or_default();
    let Decided { decision, flags } = facts.decide(&report);
    let again = match decision.outcome {
        Outcome::Attributed(at) => {
            let click = &facts.candidates[at];
            (Some(click.click), method(click.evidence) as i16, 0, flags)
        }
        Outcome::Organic(why) => (None, 0, no_match(why) as i16, flags),
    };
    let assisted = match decision.outcome {
        Outcome::Attributed(_) => assists(&facts),
        Outcome::Organic(_) => Vec::new(),
    };
    let candidates = facts.candidates.iter().zip(&decision.verdicts).enumerate();
    ExplainAttributionResponse {
        install: Some(shown),
        device: Some(device(&facts.install.device)),
        rules: Some(AttributionRules {
            version: i32::try_from(facts.rules.version).unwrap_or(i32::MAX),
            probabilistic: facts.rules.likeness,
            probabilistic_threshold: facts.rules.threshold.into(),
            probabilistic_window: Some(seconds(facts.rules.likeness_window_seconds)),
            same_address: facts.rules.same_address,
            crowd: facts.rules.crowd.into(),
            view_window: Some(facts.rules.view_window_seconds).filter(|window| *window != 0).map(seconds),
        }),
        candidates: candidates
            .map(|(place, (candidate, verdict))| AttributionCandidate {
                assisted: assisted.contains(&place),
                ..shown_candidate(candidate, verdict)
            })
            .collect(),
        crowded: facts.crowded,
        agrees: again == (row.click_id, row.method, row.no_match, row.flags),
    }
}

fn shown_candidate(candidate: &Candidate, verdict: &Verdict) -> AttributionCandidate {
    let terms = verdict.likeness.terms.iter().map(|term| ScoreTerm {
        factor: term.factor.name().to_owned(),
        points: term.points.into(),
        most: term.most.into(),
    });
    AttributionCandidate {
        click_id: candidate.click.to_string(),
        link_id: candidate.link.to_string(),
        click_time: Some(timestamp(candidate.time)),
        method: method(candidate.evidence).into(),
        won: verdict.fate == Fate::Won,
        loss: loss(verdict.fate).into(),
        window: Some(seconds(candidate.window_seconds)),
        window_end: Some(timestamp(verdict.window_end)),
        terms: terms.collect(),
        score: verdict.likeness.score().into(),
        same_address: verdict.likeness.same_address,
        visitor: candidate.visitor,
        human: candidate.human,
        claimed: candidate.claimed,
        other_app: candidate.other_app,
        device: Some(device(&candidate.device)),
        assisted: false,
    }
}

fn device(of: &Device) -> ComparedDevice {
    let system = match of.system {
        None => DeviceSystem::Unspecified,
        Some(System::Ios) => DeviceSystem::Ios,
        Some(System::Android) => DeviceSystem::Android,
        Some(System::Other) => DeviceSystem::Other,
    };
    let (width, height) = of.screen.unwrap_or_default();
    let side = |side: u32| i32::try_from(side).unwrap_or(i32::MAX);
    ComparedDevice {
        network: of.network.clone(),
        address: of.address,
        system: system.into(),
        system_version: of.version.map(i32::from),
        browser: of.browser.clone().unwrap_or_default(),
        time_zone: of.time_zone.clone().unwrap_or_default(),
        language: of.language.clone().unwrap_or_default(),
        screen_width: side(width),
        screen_height: side(height),
    }
}

const fn loss(fate: Fate) -> LossReason {
    match fate {
        Fate::Won => LossReason::Unspecified,
        Fate::Lost(Loss::NotHuman) => LossReason::NotHuman,
        Fate::Lost(Loss::AfterInstall) => LossReason::AfterInstall,
        Fate::Lost(Loss::OtherApp) => LossReason::OtherApp,
        Fate::Lost(Loss::Claimed) => LossReason::Claimed,
        Fate::Lost(Loss::WindowPassed) => LossReason::WindowPassed,
        Fate::Lost(Loss::LikenessOff) => LossReason::ProbabilisticOff,
        Fate::Lost(Loss::OtherSystem) => LossReason::OtherSystem,
        Fate::Lost(Loss::BelowThreshold) => LossReason::BelowThreshold,
        Fate::Lost(Loss::WeakerEvidence) => LossReason::WeakerEvidence,
        Fate::Lost(Loss::OtherAddress) => LossReason::OtherAddress,
        Fate::Lost(Loss::Crowded) => LossReason::Crowded,
        Fate::Lost(Loss::LowerScore) => LossReason::LowerScore,
        Fate::Lost(Loss::Ambiguous) => LossReason::Ambiguous,
        Fate::Lost(Loss::Earlier) => LossReason::Earlier,
        Fate::Lost(Loss::Later) => LossReason::Later,
        Fate::Lost(Loss::Rejected) => LossReason::Rejected,
    }
}

const fn seconds(seconds: i64) -> Duration {
    Duration { seconds, nanos: 0 }
}
