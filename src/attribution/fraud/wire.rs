//! Rules and reports of fraud as messages.

use prost_types::Duration;

use super::{
    report::{BUCKETS, Report, Source},
    rules::{Action, Rule, Setting},
};
use crate::{
    error::Violations,
    pb::v1::{
        ClickToInstallBucket, FraudAction, FraudRule, FraudRuleCount, FraudSource, GetFraudReportResponse,
        InstallFlag,
    },
};

/// How many links a report lists.
pub const MOST_SOURCES: usize = 500;

impl Action {
    /// Returns the number that is stored, which is that of the contract.
    pub fn number(self) -> i16 {
        self.shown() as i16
    }

    /// Returns the action of a number.
    pub fn numbered(number: i16) -> Option<Self> {
        match FraudAction::try_from(i32::from(number)).ok()? {
            FraudAction::Unspecified => None,
            FraudAction::Off => Some(Self::Off),
            FraudAction::Flag => Some(Self::Flag),
            FraudAction::RejectCredit => Some(Self::RejectCredit),
        }
    }

    /// Returns the contract's word for it.
    pub const fn shown(self) -> FraudAction {
        match self {
            Self::Off => FraudAction::Off,
            Self::Flag => FraudAction::Flag,
            Self::RejectCredit => FraudAction::RejectCredit,
        }
    }

    /// Returns its name in the audit trail.
    pub fn name(self) -> &'static str {
        self.shown().as_str_name()
    }
}

/// Returns the contract's word for a rule of installs; the unspecified one for a rule of links.
pub const fn flag(rule: Rule) -> InstallFlag {
    match rule {
        Rule::ClickInjection => InstallFlag::ClickInjection,
        Rule::ShortTime => InstallFlag::ShortTime,
        Rule::HarvestedClick => InstallFlag::HarvestedClick,
        Rule::ClockAnomaly => InstallFlag::ClockAnomaly,
        Rule::ClickFlooding => InstallFlag::Unspecified,
    }
}

/// Writes a rule with what a workspace says of it.
pub fn rule(rule: Rule, setting: Setting) -> FraudRule {
    let spec = rule.spec();
    FraudRule {
        id: spec.id.to_owned(),
        version: i32::try_from(spec.version).unwrap_or(i32::MAX),
        action: setting.action.shown().into(),
        threshold: setting.threshold,
        default_threshold: spec.threshold,
        least_threshold: spec.bounds.0,
        most_threshold: spec.bounds.1,
        unit: spec.unit.to_owned(),
        may_reject: spec.may_reject,
        meaning: spec.meaning.to_owned(),
    }
}

/// Reads which rule is meant, and what is said of it; notes what is wrong.
pub fn read(
    id: &str,
    action: i32,
    threshold: Option<i32>,
    wrong: &mut Violations,
) -> Option<(Rule, (Option<Action>, Option<i32>))> {
    let rule = wrong.take("id", Rule::named(id).ok_or("is none of the rules that ListFraudRules names"))?;
    read_setting(rule, "", action, threshold, wrong).map(|setting| (rule, setting))
}

/// Reads what is said of a rule; `front` is where that stands in the request.
pub fn read_setting(
    rule: Rule,
    front: &str,
    action: i32,
    threshold: Option<i32>,
    wrong: &mut Violations,
) -> Option<(Option<Action>, Option<i32>)> {
    let spec = rule.spec();
    let read = match FraudAction::try_from(action) {
        Ok(FraudAction::Unspecified) => Ok(None),
        Ok(FraudAction::RejectCredit) if !spec.may_reject => Err("must not reject: that is no fraud"),
        Ok(known) => Ok(Action::numbered(known as i16)),
        Err(_) => Err("is none this server knows"),
    };
    let action = wrong.take(&format!("{front}action"), read)?;
    let (least, most) = spec.bounds;
    if threshold.is_some_and(|threshold| !(least..=most).contains(&threshold)) {
        wrong.add(format!("{front}threshold"), format!("must be {least} to {most}"));
        return None;
    }
    Some((action, threshold))
}

/// Writes a report.
pub fn report(report: Report) -> GetFraudReportResponse {
    let sources = report.sources.len();
    // Those that are suspected are shown in any case.
    let (flooded, others): (Vec<Source>, Vec<Source>) =
        report.sources.into_iter().partition(|source| source.flooded);
    let shown = flooded.into_iter().chain(others).take(MOST_SOURCES);
    GetFraudReportResponse {
        install_count: report.installs,
        attributed_install_count: report.attributed,
        rejected_install_count: report.rejected,
        rules: counts(report.rules),
        click_to_install: histogram(report.histogram),
        median_install_rate: report.median_rate,
        sources: shown.map(source).collect(),
        truncated: sources > MOST_SOURCES,
    }
}

fn counts(counts: Vec<(Rule, i64)>) -> Vec<FraudRuleCount> {
    let count =
        |(rule, installs): (Rule, i64)| FraudRuleCount { id: rule.id().to_owned(), install_count: installs };
    counts.into_iter().map(count).collect()
}

fn source(of: Source) -> FraudSource {
    let seconds = |seconds: Option<i64>| seconds.map(|seconds| Duration { seconds, nanos: 0 });
    FraudSource {
        link_id: of.link.to_string(),
        click_count: of.clicks,
        install_count: of.installs,
        flagged_install_count: of.flagged,
        install_rate: of.rate(),
        rules: counts(of.rules),
        median_time: seconds(of.median),
        late_time: seconds(of.late),
        click_to_install: histogram(of.histogram),
        flooded: of.flooded,
    }
}

fn histogram(counts: [i64; BUCKETS.len()]) -> Vec<ClickToInstallBucket> {
    let bucket = |(place, installs): (usize, i64)| ClickToInstallBucket {
        from: Some(Duration { seconds: BUCKETS[place], nanos: 0 }),
        install_count: installs,
    };
    counts.into_iter().enumerate().map(bucket).collect()
}
