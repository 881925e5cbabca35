//! Which clicks are asked for. Pure.

use crate::{
    analytics::{
        dims::{Dimension, Values},
        reports::{Filter, read_filter},
        rollup::read::Part,
    },
    error::{Result, Violations},
    ids::LinkId,
    pb::v1::DimensionFilter,
};

/// How many filters a question has at the most.
const MOST: usize = 5;

/// Reads filters of clicks whose paths begin with `path`, and says everything that is wrong with them.
pub fn filters(path: &str, given: &[DimensionFilter]) -> Result<Vec<Filter>> {
    let mut wrong = Violations::default();
    let mut filters: Vec<Filter> = Vec::new();
    if given.len() > MOST {
        wrong.add(path, format!("must be at most {MOST}"));
    }
    for (place, filter) in given.iter().take(MOST).enumerate() {
        let at = format!("{path}[{place}].");
        match read_filter(&at, filter) {
            Ok(filter) if filters.iter().any(|known| known.dimension == filter.dimension) => {
                wrong.add(format!("{at}dimension"), "must not be that of another filter");
            }
            Ok(Filter { dimension: Dimension::Method | Dimension::Event | Dimension::App, .. }) => {
                wrong.add(format!("{at}dimension"), "is none that clicks have");
            }
            Ok(filter) => filters.push(filter),
            Err(error) => {
                for violation in error.violations() {
                    wrong.add(violation.field.clone(), violation.description.clone());
                }
            }
        }
    }
    wrong.into_result(filters)
}

/// Says whether a click fits all filters.
pub fn fits(filters: &[Filter], values: &Values<'_>) -> bool {
    filters.iter().all(|filter| {
        let value = &*values[filter.dimension.index()];
        filter.values.binary_search_by(|known| (**known).cmp(value)).is_ok()
    })
}

/// Returns the filter that a part of a workspace is, as far as no index finds it. `None`: no click is in it.
pub fn of_part(part: &Part) -> Option<Vec<Filter>> {
    let one = |dimension, value: String| Some(vec![Filter { dimension, values: vec![value] }]);
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
    match &of_link.values[..] {
        [only] => LinkId::parse(only),
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
        assert_eq!((domain[0].dimension, domain[0].values == [""]), (Dimension::Domain, true));
    }
}
