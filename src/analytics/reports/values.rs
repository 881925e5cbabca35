//! The values of a dimension: which have a row, which are counted together, and what people call them.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use sea_orm::DbErr;

use super::{
    numbers::{Numbers, shown},
    order::Row,
};
use crate::{
    analytics::{
        dims::{Dimension, OTHER},
        rollup::read::{Measures, Part, Scope, Sums},
        store,
    },
    env::Env,
    ids::{LinkId, ProjectId},
    pb::v1::{self, BreakdownRow, TopValues},
    workspaces::Tenant,
};

/// How many of the greatest values an overview shows.
pub const TOP: usize = 10;

/// What people call a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Its code.
    pub code: String,
    /// Its title; may be empty.
    pub title: String,
}

impl Named {
    /// Returns its title, or else its code.
    pub fn label(self) -> String {
        if self.title.is_empty() { self.code } else { self.title }
    }
}

/// Parts what has a row of its own from what is counted together, and drops what has nothing.
pub fn rows(all: HashMap<String, Numbers>) -> (Vec<Row>, Numbers) {
    let mut other = Numbers::default();
    let mut rows = Vec::with_capacity(all.len());
    for (value, numbers) in all {
        if value == OTHER {
            other += &numbers;
        } else if !numbers.is_nothing() {
            rows.push((value, numbers));
        }
    }
    (rows, other)
}

/// Returns the values of a dimension that may be among the greatest, which their names decide where their numbers are the same. One more than is
/// shown: where links are shown what has no link is none of them.
pub fn candidates<'a>(sums: &'a Sums, scope: &Scope) -> Vec<(u32, &'a Measures)> {
    sums.greatest(TOP + 1, |measures| count(measures, scope))
}

/// Returns what values are compared by.
fn count(measures: &Measures, scope: &Scope) -> i64 {
    match scope.part {
        Part::App(_) => measures.installs,
        _ => measures.clicks,
    }
}

/// Returns the greatest values of a dimension, and all others together. `texts` has those of the candidates.
pub fn top(sums: &Sums, texts: &HashMap<u32, Arc<str>>, scope: &Scope) -> TopValues {
    let mut rows: Vec<(&str, &Measures)> = candidates(sums, scope)
        .into_iter()
        .filter_map(|(value, measures)| Some((&**texts.get(&value)?, measures)))
        .collect();
    rows.sort_unstable_by_key(|(value, measures)| (Reverse(count(measures, scope)), *value));
    rows.truncate(TOP);
    let mut other: Measures = sums.iter().map(|(_, measures)| measures).sum();
    for (_, measures) in &rows {
        other -= *measures;
    }
    let row = |(value, measures): (&str, &Measures)| BreakdownRow {
        value: value.to_owned(),
        label: String::new(),
        measures: Some(shown(measures, None)),
    };
    TopValues { rows: rows.into_iter().map(row).collect(), other: Some(shown(&other, None)) }
}

/// Returns the dimension of the contract's number; `None` for none, and for those that are not asked about.
pub fn dimension(number: i32) -> Option<Dimension> {
    v1::Dimension::try_from(number).ok().and_then(|_| Dimension::numbered(u8::try_from(number).ok()?))
}

/// Returns what people call values of a dimension, where they call them anything else.
pub async fn labels<'a>(
    env: &Env,
    tenant: &Tenant,
    dimension: Dimension,
    values: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, String>, DbErr> {
    let db = &env.db.api;
    Ok(match dimension {
        Dimension::Link => {
            let ids: Vec<LinkId> = values.filter_map(LinkId::parse).collect();
            let named = store::links(db, tenant.id, &ids).await?;
            named.into_iter().map(|(id, named)| (id.to_string(), named.label())).collect()
        }
        Dimension::Project => {
            let ids: Vec<ProjectId> = values.filter_map(ProjectId::parse).collect();
            let named = store::projects(db, tenant.id, &ids).await?;
            named.into_iter().map(|(id, name)| (id.to_string(), name)).collect()
        }
        _ => HashMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::{AppId, WorkspaceId};

    fn clicks(clicks: i64) -> Measures {
        Measures { clicks, installs: 100 - clicks, ..Measures::default() }
    }

    #[test]
    fn nothing_is_lost_between_the_greatest_values_and_the_others() {
        // Code 1 is what is counted together; of the others the text is the number.
        let texts: HashMap<u32, Arc<str>> =
            (2..=20).map(|code| (code, format!("{:02}", code - 1).into())).collect();
        let all: Sums = (2..=16_u32)
            .map(|code| (code, clicks(i64::from(code) - 1)))
            .chain([(1, clicks(7)), (19, Measures::default())])
            .collect();
        let scope = |part| Scope { workspace: WorkspaceId(Uuid::nil()), part };
        let found = top(&all, &texts, &scope(Part::All));
        let sum: i64 = found.rows.iter().flat_map(|row| &row.measures).map(|measures| measures.clicks).sum();
        assert_eq!((found.rows.len(), found.rows[0].value.as_str(), sum), (10, "15", 105));
        assert_eq!(found.other.expect("always there").clicks, 15 + 7);
        let of_app = top(&all, &texts, &scope(Part::App(AppId(Uuid::nil()))));
        assert_eq!(of_app.rows[0].value, "01");
        let nothing = top(&Sums::default(), &texts, &scope(Part::All));
        assert_eq!((nothing.rows.len(), nothing.other), (0, Some(shown(&Measures::default(), None))));
    }

    #[test]
    fn dimensions_have_the_numbers_of_the_contract() {
        for dimension in Dimension::ALL {
            let number = i32::from(dimension.number());
            let is_path = matches!(dimension, Dimension::CampaignLink | Dimension::CampaignAd);
            let expected = (!is_path).then_some(dimension);
            assert_eq!(super::dimension(number), expected, "{number}");
        }
        assert_eq!((super::dimension(0), super::dimension(-1), super::dimension(300)), (None, None, None));
    }
}
