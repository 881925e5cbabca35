//! What an app means by the values in its postbacks, from which moment on. Pure.

use std::collections::BTreeSet;

use prost::Message as _;

use crate::{
    attribution::events::money,
    clock::Moment,
    entity::conversion_schema::Model,
    error::Violations,
    links::timestamp,
    pb::v1::{self, CoarseValue, ConversionSchema, MoneyRange, PostbackWindow},
    workspaces,
};

const MOST_FINE: i32 = 63;
/// What can change of one.
pub const FIELDS: [&str; 2] = ["fine_values", "coarse_values"];
/// What is in one and cannot, or always does.
pub const OTHER_FIELDS: [&str; 5] = ["workspace_id", "app_id", "start_time", "create_time", "etag"];

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Meaning<'a> {
    /// What people call it.
    pub name: &'a str,
    /// What it is worth.
    pub revenue: Option<&'a MoneyRange>,
}

/// Returns what a value means in a window.
pub fn meaning(
    schema: &ConversionSchema,
    window: PostbackWindow,
    (fine, coarse): (Option<i16>, Option<CoarseValue>),
) -> Option<Meaning<'_>> {
    if let Some(fine) = fine {
        let of = schema.fine_values.iter().find(|of| of.value == i32::from(fine))?;
        return Some(Meaning { name: &of.name, revenue: of.revenue.as_ref() });
    }
    let coarse = coarse?;
    let of = schema.coarse_values.iter().find(|of| of.window() == window && of.value() == coarse)?;
    Some(Meaning { name: &of.name, revenue: of.revenue.as_ref() })
}

/// Everything that an app ever said, in the order in which it holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schemas(Vec<(Moment, ConversionSchema)>);

/// A span of moments in which one schema holds, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span<'a> {
    /// From when on; none: since ever.
    pub start: Option<Moment>,
    /// Until when; none: for good.
    pub end: Option<Moment>,
    /// What holds.
    pub schema: Option<&'a ConversionSchema>,
}

impl Schemas {
    /// Reads what is stored of one app. Of two that begin at one moment the later one holds.
    pub fn of(mut rows: Vec<Model>) -> Self {
        rows.sort_by_key(|row| (row.start_time, row.version));
        let mut schemas: Vec<(Moment, ConversionSchema)> = Vec::with_capacity(rows.len());
        for row in rows {
            let read = (row.start_time, shown(&row));
            match schemas.last_mut() {
                Some(last) if last.0 == row.start_time => *last = read,
                _ => schemas.push(read),
            }
        }
        Self(schemas)
    }

    /// Returns what holds at a moment, and since when.
    pub fn at(&self, moment: Moment) -> Option<(Moment, &ConversionSchema)> {
        let (start, schema) = self.0.iter().rev().find(|(start, _)| *start <= moment)?;
        Some((*start, schema))
    }

    /// Returns all of time, cut where another one begins to hold.
    pub fn spans(&self) -> Vec<Span<'_>> {
        let first = Span { start: None, end: self.0.first().map(|(start, _)| *start), schema: None };
        let others = self.0.iter().enumerate().map(|(place, (start, schema))| Span {
            start: Some(*start),
            end: self.0.get(place + 1).map(|(start, _)| *start),
            schema: Some(schema),
        });
        [first].into_iter().chain(others).collect()
    }
}

/// Writes a stored schema, without its etag.
pub fn shown(row: &Model) -> ConversionSchema {
    let content = ConversionSchema::decode(&row.content[..]).unwrap_or_default();
    ConversionSchema {
        workspace_id: row.workspace_id.to_string(),
        app_id: row.app_id.to_string(),
        start_time: Some(timestamp(row.start_time)),
        create_time: Some(timestamp(row.create_time)),
        ..content
    }
}

/// Reads what people say that values mean, and notes everything that is wrong with it.
pub fn check(schema: &ConversionSchema, wrong: &mut Violations) {
    let path = "conversion_schema";
    let mut seen = BTreeSet::new();
    for (place, of) in schema.fine_values.iter().enumerate() {
        let path = format!("{path}.fine_values[{place}]");
        if !(0..=MOST_FINE).contains(&of.value) {
            wrong.add(format!("{path}.value"), "must be 0 to 63");
        } else if !seen.insert(of.value) {
            wrong.add(format!("{path}.value"), "is there twice");
        }
        check_meaning(&path, &of.name, of.revenue.as_ref(), wrong);
    }
    let mut seen = BTreeSet::new();
    for (place, of) in schema.coarse_values.iter().enumerate() {
        let path = format!("{path}.coarse_values[{place}]");
        if PostbackWindow::try_from(of.window).unwrap_or_default() == PostbackWindow::Unspecified {
            wrong.add(format!("{path}.window"), "must be FIRST, SECOND or THIRD");
        }
        if CoarseValue::try_from(of.value).unwrap_or_default() == CoarseValue::Unspecified {
            wrong.add(format!("{path}.value"), "must be LOW, MEDIUM or HIGH");
        } else if !seen.insert((of.window, of.value)) {
            wrong.add(format!("{path}.value"), "is there twice for this window");
        }
        check_meaning(&path, &of.name, of.revenue.as_ref(), wrong);
    }
}

fn check_meaning(path: &str, name: &str, revenue: Option<&MoneyRange>, wrong: &mut Violations) {
    // Kept as it is written: a blank at its end is a mistake to be told.
    match workspaces::name(name) {
        Ok(clean) if clean == name => {}
        Ok(_) => wrong.add(format!("{path}.name"), "must not begin or end with a blank"),
        Err(says) => wrong.add(format!("{path}.name"), says),
    }
    let Some(MoneyRange { min, max }) = revenue else { return };
    let path = format!("{path}.revenue");
    let (least, most) =
        (amount(&path, "min", min.as_ref(), wrong), amount(&path, "max", max.as_ref(), wrong));
    let currency = |money: &Option<v1::Money>| money.as_ref().map(|money| money.currency.clone());
    if let (Some(least), Some(most)) = (least, most) {
        if currency(min) != currency(max) {
            wrong.add(format!("{path}.max.currency"), "must be the currency of min");
        } else if most < least {
            wrong.add(format!("{path}.max"), "must not be less than min");
        }
    }
}

fn amount(path: &str, end: &str, money: Option<&v1::Money>, wrong: &mut Violations) -> Option<money::Amount> {
    let Some(v1::Money { currency, units, nanos }) = money else {
        wrong.add(format!("{path}.{end}"), "is required");
        return None;
    };
    let read = money::read(currency, *units, *nanos);
    read.map_err(|(field, says)| wrong.add(format!("{path}.{end}.{field}"), says)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::from_micros,
        ids::{AppId, WorkspaceId},
        pb::v1::{CoarseConversionValue, FineConversionValue},
    };

    fn money(currency: &str, units: i64) -> Option<v1::Money> {
        Some(v1::Money { currency: currency.into(), units, nanos: 0 })
    }

    fn fine(value: i32, name: &str) -> FineConversionValue {
        FineConversionValue { value, name: name.into(), revenue: None }
    }

    fn at(day: i64) -> Moment {
        from_micros(day * 86_400_000_000)
    }

    fn row(version: i64, start: i64, name: &str) -> Model {
        let content = ConversionSchema { fine_values: vec![fine(1, name)], ..ConversionSchema::default() };
        Model {
            app_id: AppId(uuid::Uuid::nil()),
            version,
            workspace_id: WorkspaceId(uuid::Uuid::nil()),
            start_time: at(start),
            create_time: at(start),
            content: content.encode_to_vec(),
        }
    }

    #[test]
    fn the_one_that_began_last_holds_and_of_two_the_later() {
        let schemas = Schemas::of(vec![row(1, 10, "a"), row(2, 30, "b"), row(3, 20, "c"), row(4, 30, "d")]);
        let name = |moment| {
            let (_, schema) = schemas.at(moment)?;
            meaning(schema, PostbackWindow::First, (Some(1), None)).map(|meaning| meaning.name)
        };
        for (day, expected) in [(9, None), (10, Some("a")), (19, Some("a")), (20, Some("c")), (30, Some("d"))]
        {
            assert_eq!(name(at(day)), expected, "{day}");
        }
        let spans = schemas.spans();
        let ends: Vec<_> = spans.iter().map(|span| (span.start, span.end)).collect();
        let whole = [
            (None, Some(at(10))),
            (Some(at(10)), Some(at(20))),
            (Some(at(20)), Some(at(30))),
            (Some(at(30)), None),
        ];
        assert_eq!(ends, whole);
        assert_eq!(Schemas::default().spans(), [Span { start: None, end: None, schema: None }]);
    }

    #[test]
    fn a_coarse_value_means_something_else_in_each_window_and_a_fine_one_comes_first() {
        let coarse = |window: PostbackWindow, name: &str| CoarseConversionValue {
            window: window.into(),
            value: CoarseValue::High.into(),
            name: name.into(),
            revenue: None,
        };
        let schema = ConversionSchema {
            fine_values: vec![fine(0, "open")],
            coarse_values: vec![coarse(PostbackWindow::First, "one"), coarse(PostbackWindow::Third, "three")],
            ..ConversionSchema::default()
        };
        let high = Some(CoarseValue::High);
        for (window, value, expected) in [
            (PostbackWindow::First, (None, high), Some("one")),
            (PostbackWindow::Second, (None, high), None),
            (PostbackWindow::Third, (None, high), Some("three")),
            (PostbackWindow::First, (None, Some(CoarseValue::Low)), None),
            (PostbackWindow::First, (Some(0), high), Some("open")),
            (PostbackWindow::First, (Some(1), high), None),
            (PostbackWindow::First, (None, None), None),
        ] {
            let name = meaning(&schema, window, value).map(|meaning| meaning.name);
            assert_eq!(name, expected, "{window:?} {value:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let of = |min, max| Some(MoneyRange { min, max });
        let priced = |value, revenue| FineConversionValue { value, name: "n".into(), revenue };
        let schema = ConversionSchema {
            fine_values: vec![
                fine(-1, "a"),
                fine(64, "a"),
                fine(5, "a"),
                fine(5, ""),
                fine(6, " a"),
                priced(7, of(money("CHF", 2), money("CHF", 1))),
                priced(8, of(money("CHF", 1), money("EUR", 1))),
                priced(9, of(money("XXX", 1), None)),
                priced(10, of(money("CHF", 1), money("CHF", 1))),
            ],
            coarse_values: vec![CoarseConversionValue::default()],
            ..ConversionSchema::default()
        };
        let mut wrong = Violations::default();
        check(&schema, &mut wrong);
        let fields: Vec<String> = wrong.into_inner().into_iter().map(|one| one.field).collect();
        let fields: Vec<&str> =
            fields.iter().map(|field| field.strip_prefix("conversion_schema.").expect("its path")).collect();
        assert_eq!(
            fields,
            [
                "fine_values[0].value",
                "fine_values[1].value",
                "fine_values[3].value",
                "fine_values[3].name",
                "fine_values[4].name",
                "fine_values[5].revenue.max",
                "fine_values[6].revenue.max.currency",
                "fine_values[7].revenue.min.currency",
                "fine_values[7].revenue.max",
                "coarse_values[0].window",
                "coarse_values[0].value",
                "coarse_values[0].name",
            ]
        );
    }
}
