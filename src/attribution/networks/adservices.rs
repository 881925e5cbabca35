//! What Apple answers to the token of an install, and what follows from it. Pure.
//!
//! `POST https://api-adservices.apple.com/api/v1/` with the token as text. 404: not known yet, to be asked again after five seconds and a few times; 400: no token of
//! Apple's; 500: later. A token is good for 24 hours (<https://developer.apple.com/documentation/adservices>).

use chrono::Duration;
use serde::Deserialize;

use super::kept;
use crate::{
    clock::Moment,
    pb::v1::{AdNetwork, ClaimEvidence, ClaimState, NetworkClaim},
    rpc::timestamp,
};

/// How long a token is good.
pub const TOKEN_LIFE: Duration = Duration::hours(24);
/// After which pause Apple may know what it did not know.
const SOON: Duration = Duration::seconds(5);
/// How often it is asked so soon.
const SOON_TIMES: i32 = 3;
/// The pauses behind that, the last again and again.
const LATER: [Duration; 6] = [
    Duration::seconds(30),
    Duration::minutes(2),
    Duration::minutes(10),
    Duration::minutes(30),
    Duration::hours(1),
    Duration::hours(2),
];
/// The campaign of the sample that Apple answers developers with.
const SAMPLE: i64 = 1_234_567_890;

/// What Apple answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// An ad of Apple's brought the user.
    Ad(Box<NetworkClaim>),
    /// None did.
    NoAd,
    /// The sample for developers.
    Sample,
    /// Apple does not know yet.
    NotYet,
    /// It is no token.
    NoToken,
    /// Nothing that helps: Apple is away, or says what nobody understands. It may ask for a pause.
    Away(Option<Duration>),
}

/// What follows.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The claim is this from now on, and Apple is asked nothing more.
    Settled(Box<NetworkClaim>),
    /// Apple is asked again at this moment.
    Again(Moment),
}

/// The record that Apple answers with. What is not there is not known.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    attribution: bool,
    org_id: Option<i64>,
    campaign_id: Option<i64>,
    ad_group_id: Option<i64>,
    ad_id: Option<i64>,
    keyword_id: Option<i64>,
    conversion_type: Option<String>,
    claim_type: Option<String>,
    country_or_region: Option<String>,
    /// Only with the user's consent to tracking.
    click_date: Option<String>,
    impression_date: Option<String>,
}

/// Reads an answer.
pub fn read(status: u16, body: &[u8], pause: Option<Duration>) -> Answer {
    match status {
        200 => match serde_json::from_slice::<Record>(body) {
            Ok(record) if record.campaign_id == Some(SAMPLE) => Answer::Sample,
            Ok(record) if record.attribution => Answer::Ad(Box::new(claimed(record))),
            Ok(_) => Answer::NoAd,
            Err(_) => Answer::Away(None),
        },
        400 => Answer::NoToken,
        404 => Answer::NotYet,
        _ => Answer::Away(pause),
    }
}

fn claimed(record: Record) -> NetworkClaim {
    let id = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
    let is = |text: &Option<String>, word: &str| {
        text.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    let time = record.click_date.as_deref().or(record.impression_date.as_deref()).and_then(moment);
    let country = record.country_or_region.as_deref().map(kept).unwrap_or_default();
    NetworkClaim {
        campaign: id(record.campaign_id),
        ad_group: id(record.ad_group_id),
        creative: id(record.ad_id),
        account: id(record.org_id),
        keyword: id(record.keyword_id),
        view_through: is(&record.claim_type, "impression"),
        interaction_time: time.map(timestamp),
        redownload: is(&record.conversion_type, "redownload"),
        country: if country.len() == 2 { country } else { String::new() },
        ..claim(ClaimState::Claimed)
    }
}

/// Reads Apple's moments, which have minutes and no seconds, as `2026-11-20T14:23Z`.
fn moment(text: &str) -> Option<Moment> {
    let full = chrono::DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let short = || chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ").map(|time| time.and_utc());
    full.or_else(|_| short()).ok()
}

/// Returns a claim of Apple's that says nothing more.
pub fn claim(state: ClaimState) -> NetworkClaim {
    NetworkClaim {
        network: AdNetwork::AppleAds.into(),
        state: state.into(),
        evidence: ClaimEvidence::Adservices.into(),
        ..NetworkClaim::default()
    }
}

/// Says what follows from an answer: the `asked`th to a token that came at `received`.
pub fn next(answer: Answer, asked: i32, received: Moment, now: Moment) -> Next {
    let settled = |state| Next::Settled(Box::new(claim(state)));
    let pause = match answer {
        Answer::Ad(claim) => return Next::Settled(claim),
        Answer::NoAd => return settled(ClaimState::Denied),
        Answer::Sample => return settled(ClaimState::Sandbox),
        Answer::NoToken => return settled(ClaimState::Invalid),
        Answer::NotYet if asked <= SOON_TIMES => SOON,
        Answer::NotYet => later(asked - SOON_TIMES),
        Answer::Away(pause) => pause.unwrap_or_default().max(later(asked)),
    };
    // Somebody may ask for a pause longer than there is time.
    let again = now + pause.min(TOKEN_LIFE);
    if again >= received + TOKEN_LIFE { settled(ClaimState::Expired) } else { Next::Again(again) }
}

fn later(asked: i32) -> Duration {
    let place = usize::try_from(asked - 1).unwrap_or(0).min(LATER.len() - 1);
    LATER[place]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    const RECORD: &str = r#"{"attribution":true,"orgId":40669820,"campaignId":542370539,"conversionType":"Redownload",
        "clickDate":"2026-11-20T14:23Z","claimType":"Click","adGroupId":542317095,"countryOrRegion":"US","keywordId":87675432,
        "adId":542317136,"newer":{}}"#;

    fn received() -> Moment {
        from_micros(1_700_000_000_000_000)
    }

    #[test]
    fn an_answer_says_which_ad_it_was() {
        let Answer::Ad(claim) = read(200, RECORD.as_bytes(), None) else { panic!("an ad") };
        let ids = [&claim.account, &claim.campaign, &claim.ad_group, &claim.creative, &claim.keyword];
        assert_eq!(ids, ["40669820", "542370539", "542317095", "542317136", "87675432"]);
        assert_eq!((claim.state(), claim.country.as_str()), (ClaimState::Claimed, "US"));
        assert!(claim.redownload && !claim.view_through);
        assert_eq!(claim.interaction_time.map(|time| time.seconds), Some(1_795_184_580));
    }

    #[test]
    fn every_answer_leads_somewhere() {
        let sample =
            br#"{"attribution":true,"orgId":1234567890,"campaignId":1234567890,"adGroupId":1234567890}"#;
        let viewed =
            br#"{"attribution":true,"campaignId":7,"claimType":"Impression","countryOrRegion":"USA"}"#;
        let seen = Answer::Ad(Box::new(NetworkClaim {
            campaign: "7".into(),
            view_through: true,
            ..claim(ClaimState::Claimed)
        }));
        for (status, body, expected) in [
            (200, &br#"{"attribution":false}"#[..], Answer::NoAd),
            (200, sample, Answer::Sample),
            (200, viewed, seen),
            (200, b"<html>", Answer::Away(None)),
            (400, b"", Answer::NoToken),
            (404, b"", Answer::NotYet),
            (429, b"", Answer::Away(Some(Duration::minutes(3)))),
            (500, b"", Answer::Away(Some(Duration::minutes(3)))),
            (302, b"", Answer::Away(Some(Duration::minutes(3)))),
        ] {
            assert_eq!(read(status, body, Some(Duration::minutes(3))), expected, "{status}");
        }
    }

    #[test]
    fn apple_is_asked_again_as_it_wants_and_not_longer_than_a_token_lives() {
        let now = received() + Duration::minutes(1);
        let after = |answer, asked| match next(answer, asked, received(), now) {
            Next::Again(at) => (at - now).num_seconds(),
            Next::Settled(claim) => panic!("settled: {claim:?}"),
        };
        let not_yet: Vec<i64> = (1..=6).map(|asked| after(Answer::NotYet, asked)).collect();
        assert_eq!(not_yet, [5, 5, 5, 30, 120, 600]);
        let away: Vec<i64> = (1..=8).map(|asked| after(Answer::Away(None), asked)).collect();
        assert_eq!(away, [30, 120, 600, 1800, 3600, 7200, 7200, 7200]);
        assert_eq!(after(Answer::Away(Some(Duration::minutes(5))), 1), 300);
        let state = |answer, now| match next(answer, 9, received(), now) {
            Next::Again(_) => None,
            Next::Settled(claim) => Some(claim.state()),
        };
        assert_eq!(state(Answer::NoAd, now), Some(ClaimState::Denied));
        assert_eq!(state(Answer::Sample, now), Some(ClaimState::Sandbox));
        assert_eq!(state(Answer::NoToken, now), Some(ClaimState::Invalid));
        let last = received() + TOKEN_LIFE - Duration::hours(2);
        assert_eq!(state(Answer::Away(None), last), Some(ClaimState::Expired));
        assert_eq!(state(Answer::Away(None), last - Duration::seconds(1)), None);
    }
}
