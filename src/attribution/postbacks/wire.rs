//! Postbacks as people see them. Pure.

use super::{
    aak,
    postback::{Fields, Judged, is_signed, object, window},
    schema::{Schemas, meaning},
};
use crate::{
    entity::postback::Model,
    ids::time_of,
    links::timestamp,
    pb::v1::{CoarseValue, Postback, PostbackField, PostbackKind, PostbackOutcome},
};

/// Writes a postback, with what its value means.
pub fn postback(row: &Model, schemas: &Schemas) -> Postback {
    let coarse = row.coarse_value.map(i32::from).and_then(|value| CoarseValue::try_from(value).ok());
    let schema = schemas.at(row.value_time).map(|(_, schema)| schema);
    let meaning =
        schema.and_then(|schema| meaning(schema, window(row.sequence_index), (row.fine_value, coarse)));
    Postback {
        id: row.id.to_string(),
        workspace_id: row.workspace_id.to_string(),
        app_id: row.app_id.to_string(),
        receive_time: Some(timestamp(time_of(row.id.0))),
        kind: row.kind.into(),
        outcome: row.outcome.into(),
        detail: row.detail.clone(),
        version: row.version.clone(),
        ad_network_id: row.ad_network_id.clone(),
        source_identifier: row.source_identifier.clone(),
        transaction_id: row.transaction_id.clone(),
        sequence_index: row.sequence_index.map(i32::from),
        did_win: row.did_win,
        conversion_type: row.conversion_type.into(),
        interaction: row.interaction.into(),
        fine_value: row.fine_value.map(i32::from),
        coarse_value: coarse.unwrap_or_default().into(),
        publisher: row.publisher.clone(),
        country: row.country.clone(),
        value_name: meaning.map(|meaning| meaning.name.to_owned()).unwrap_or_default(),
        revenue: meaning.and_then(|meaning| meaning.revenue.cloned()),
        repeat_count: row.repeats,
        differing_repeat_count: row.differing_repeats,
    }
}

/// Writes the fields of a postback, those that are signed first.
pub fn fields(row: &Model, judged: &Judged) -> Vec<PostbackField> {
    let outcome = PostbackOutcome::try_from(i32::from(row.outcome)).unwrap_or_default();
    let holds = is_signed(outcome);
    let Some(all) = object(&row.body) else { return Vec::new() };
    let payload = match PostbackKind::try_from(i32::from(row.kind)) {
        Ok(PostbackKind::AdAttributionKit) => aak::payload(&all),
        _ => None,
    };
    let signed = payload.as_ref().unwrap_or(&all);
    let field = |name: &String, from: &Fields, signed| PostbackField {
        name: name.clone(),
        value_json: from.get(name).map(ToString::to_string).unwrap_or_default(),
        signed,
    };
    let others = all.keys().filter(|name| payload.is_some() || !judged.signed.contains(name));
    let others: Vec<PostbackField> = others.map(|name| field(name, &all, false)).collect();
    judged.signed.iter().map(|name| field(name, signed, holds)).chain(others).collect()
}
