//! Which clicks are asked for. Pure.

use std::collections::HashSet;

use crate::{
    analytics::{
        dims::{Dimension, Values},
        rollup::read::Part,
    },
    error::{Result, Violations},
    ids::LinkId,
    pb::v1::{self, DimensionFilter},
};

/// How many filters a question has at the most.
const MOST: usize = 5;
const MOST_VALUES: usize = 100;
const LONGEST_VALUE: usize = 2048;

/// Keeps clicks that have one of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// In which dimension.
    pub dimension: Dimension,
    /// Any of these.
    pub values: HashSet<String>,
}

/// Reads filters whose paths begin with `path`, and says everything that is wrong with them.
pub fn filters(path: &str, given: &[DimensionFilter]) -> Result<Vec<Filter>> {
    let mut wrong = Violations::default();
    let mut filters: Vec<Filter> = Vec::new();
    if given.len() > MOST {
        wrong.add(path, format!("must be at most {MOST}"));
    }
    for (place, filter) in given.iter().take(MOST).enumerate() {
        let dimension = match dimension(filter.dimension) {
            Ok(dimension) if filters.iter().any(|known| known.dimension == dimension) => {
                wrong.add(format!("{path}[{place}].dimension"), "has a filter already");
                continue;
            }
            Ok(dimension) => dimension,
            Err(says) => {
                wrong.add(format!("{path}[{place}].dimension"), says);
                continue;
            }
        };
        if filter.values.is_empty() || filter.values.len() > MOST_VALUES {
            wrong.add(format!("{path}[{place}].values"), format!("must be 1 to {MOST_VALUES}"));
        } else if let Some(long) = filter.values.iter().position(|value| value.len() > LONGEST_VALUE) {
            wrong.add(
                format!("{path}[{place}].values[{long}]"),
                format!("must have at most {LONGEST_VALUE} bytes"),
            );
        }
        filters.push(Filter { dimension, values: filter.values.iter().cloned().collect() });
    }
    wrong.into_result(filters)
}

/// Reads a dimension that clicks have.
fn dimension(number: i32) -> Result<Dimension, &'static str> {
    match v1::Dimension::try_from(number) {
        Err(_) => Err("is no dimension this server knows"),
        Ok(v1::Dimension::Unspecified) => Err("is required"),
        Ok(v1::Dimension::Method | v1::Dimension::Event | v1::Dimension::App) => {
            Err("is none that clicks have")
        }
        Ok(_) => {
            let known = u8::try_from(number).ok().and_then(Dimension::numbered);
            known.ok_or("is no dimension this server knows")
        }
    }
}

/// Says whether a click fits all filters.
pub fn fits(filters: &[Filter], values: &Values<'_>) -> bool {
    filters.iter().all(|filter| filter.values.contains(&*values[filter.dimension.index()]))
}

/// Returns the filter that a part of a workspace is, as far as no index finds it. `None`: no click is in it.
pub fn of_part(part: &Part) -> Option<Vec<Filter>> {
    let one =
        |dimension, value: String| Some(vec![Filter { dimension, values: HashSet::from([value]) }]);
    match part {
        Part::All | Part::Link(_) => Some(Vec::new()),
        Part::Project(project) => one(Dimension::Project, project.to_string()),
        Part::Domain(host) => one(Dimension::Domain, host.clone()),
        // Clicks belong to no app.
        Part::App(_) => None,
    }
}

/// Returns the one link that all that fits is of, if there is one.
pub fn only_link(part: &Part, filters: &[Filter]) -> Option<LinkId> {
    if let Part::Link(link) = part {
        return Some(*link);
    }
    let of_link = filters.iter().find(|filter| filter.dimension == Dimension::Link)?;
    let mut values = of_link.values.iter();
    match (values.next(), values.next()) {
        (Some(only), None) => LinkId::parse(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AppId;

    fn asked(dimension: i32, values: &[&str]) -> DimensionFilter {
        DimensionFilter { dimension, values: values.iter().map(|value| (*value).to_owned()).collect() }
    }

    #[test]
    fn everything_wrong_with_filters_is_told() {
        let long = "x".repeat(2049);
        let many = vec!["x"; 101];
        let given = [
            asked(0, &["CH"]),
            asked(1, &[]),
            asked(99, &["x"]),
            asked(24, &["x"]),
            asked(26, &["purchase"]),
        ];
        let error = filters("filters", &given).expect_err("all are wrong");
        let fields: Vec<_> = error.violations().iter().map(|violation| &*violation.field).collect();
        assert_eq!(
            fields,
            [
                "filters[0].dimension",
                "filters[1].values",
                "filters[2].dimension",
                "filters[3].dimension",
                "filters[4].dimension"
            ]
        );
        let given = [asked(1, &["CH"]), asked(1, &["DE"]), asked(2, &["", &long]), asked(3, &many)];
        let error = filters("clicks.filters", &given).expect_err("three are wrong");
        let fields: Vec<_> = error.violations().iter().map(|violation| &*violation.field).collect();
        assert_eq!(
            fields,
            ["clicks.filters[1].dimension", "clicks.filters[2].values[1]", "clicks.filters[3].values"]
        );
        let six: Vec<_> = (1..=6).map(|number| asked(number, &["x"])).collect();
        assert_eq!(filters("filters", &six).expect_err("one too many").violations()[0].field, "filters");
        assert_eq!(filters("filters", &six[..5]).expect("good").len(), 5);
    }

    #[test]
    fn a_click_fits_what_it_has_one_value_of_each_of() {
        let mut values = Values::default();
        values[Dimension::Country.index()] = "CH".into();
        values[Dimension::Device.index()] = "phone".into();
        for (given, expected) in [
            (vec![], true),
            (vec![asked(1, &["CH"])], true),
            (vec![asked(1, &["DE", "CH"])], true),
            (vec![asked(1, &["DE"])], false),
            (vec![asked(1, &["ch"])], false),
            (vec![asked(1, &["CH"]), asked(4, &["phone", "tablet"])], true),
            (vec![asked(1, &["CH"]), asked(4, &["desktop"])], false),
            // What is not known is the empty text.
            (vec![asked(9, &[""])], true),
            (vec![asked(1, &[""])], false),
        ] {
            assert_eq!(fits(&filters("filters", &given).expect("good"), &values), expected, "{given:?}");
        }
    }

    #[test]
    fn one_link_is_found_by_its_index() {
        let link = LinkId(uuid::Uuid::from_u128(7));
        let text = link.to_string();
        let of = |values: &[&str]| filters("filters", &[asked(22, values)]).expect("good");
        assert_eq!(only_link(&Part::Link(link), &[]), Some(link));
        assert_eq!(only_link(&Part::All, &[]), None);
        assert_eq!(only_link(&Part::All, &of(&[&text])), Some(link));
        assert_eq!(only_link(&Part::All, &of(&[&text, "x"])), None);
        assert_eq!(only_link(&Part::All, &of(&["x"])), None);
        assert_eq!(of_part(&Part::App(AppId(uuid::Uuid::nil()))), None);
        let domain = of_part(&Part::Domain(String::new())).expect("a filter");
        assert_eq!((domain[0].dimension, domain[0].values.contains("")), (Dimension::Domain, true));
    }
}
