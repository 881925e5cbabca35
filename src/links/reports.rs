//! What visitors report about links: kept for the members of the workspace. Reports change nothing about a link, so that nobody
//! switches off another's link by reporting it.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _,
};

use super::{fields::timestamp, store, target::Target, unknown};
use crate::{
    entity::link_report::{ActiveModel, Column, Entity, Model},
    env::Env,
    error::Result,
    ids::{LinkId, ReportId, parse},
    page::{Cursor, Page, PageRequest},
    pb::v1::{self, ReportKind},
    workspaces::Tenant,
};

const MAX_DETAILS: usize = 2000;
const MAX_CONTACT: usize = 200;

/// What a visitor says about a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    kind: ReportKind,
    details: String,
    contact: String,
}

impl Report {
    /// Reads the fields of a form; `None` when they say nothing that can be kept.
    pub fn read<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let (mut kind, mut details, mut contact) = (None, String::new(), String::new());
        for (name, text) in fields {
            match name {
                "kind" => kind = kind_named(text),
                "details" => details = kept(text, MAX_DETAILS)?,
                "contact" => contact = kept(text, MAX_CONTACT)?,
                _ => {}
            }
        }
        Some(Self { kind: kind?, details, contact })
    }
}

/// The kinds and what forms call them.
pub const REPORT_KINDS: [(ReportKind, &str); 5] = [
    (ReportKind::Phishing, "phishing"),
    (ReportKind::Malware, "malware"),
    (ReportKind::Spam, "spam"),
    (ReportKind::Content, "content"),
    (ReportKind::Other, "other"),
];

fn kind_named(text: &str) -> Option<ReportKind> {
    REPORT_KINDS.into_iter().find(|(_, name)| *name == text).map(|(kind, _)| kind)
}

fn kept(text: &str, most: usize) -> Option<String> {
    let text = text.trim().replace("\r\n", "\n");
    let is_odd = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    (text.chars().nth(most).is_none() && !text.contains(is_odd)).then_some(text)
}

/// Keeps a report. The visitor's tenant is the link's.
pub async fn report(env: &Env, target: &Target, short_code: &str, report: Report) -> Result<()> {
    let now = env.now();
    let Report { kind, details, contact } = report;
    let row = Model {
        id: ReportId::mint(&env.ids, now),
        workspace_id: target.workspace_id,
        link_id: target.id,
        short_code: short_code.to_owned(),
        kind: kind as i16,
        details,
        contact,
        create_time: now,
    };
    Entity::insert(ActiveModel::from(row).reset_all()).exec_without_returning(&env.db.api).await?;
    Ok(())
}

/// Lists reports, newest first.
pub async fn list_reports(
    env: &Env,
    tenant: &Tenant,
    link: Option<LinkId>,
    page: &PageRequest,
) -> Result<Page<Model>> {
    if link.is_none() {
        tenant.require_all_links()?;
    }
    if let Some(link) = link {
        store::find(&env.db.api, tenant, link).await?.ok_or_else(unknown)?;
    }
    let after = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let rows = Entity::find()
        .filter(Column::WorkspaceId.eq(tenant.id))
        .apply_if(link, |query, link| query.filter(Column::LinkId.eq(link)))
        .apply_if(after, |query, after| query.filter(Column::Id.lt(after)))
        .order_by_desc(Column::Id)
        .limit(u64::from(page.size) + 1)
        .all(&env.db.api)
        .await?;
    // Any character takes four bytes at the most.
    let size =
        super::list::fitting(rows.iter().map(|row| row.details.len() + row.contact.len() + 512), page.size);
    Ok(Page::of(rows, size, |last| Cursor { key: String::new(), id: last.id.to_string() }))
}

impl From<Model> for v1::LinkReport {
    fn from(report: Model) -> Self {
        let Model { id, workspace_id: _, link_id, short_code, kind, details, contact, create_time } = report;
        Self {
            id: id.to_string(),
            link_id: link_id.to_string(),
            short_code,
            kind: kind.into(),
            details,
            contact,
            create_time: Some(timestamp(create_time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_says_what_is_wrong_and_perhaps_more() {
        let long = "x".repeat(2001);
        for (fields, read) in [
            (&[("kind", "spam")][..], Some((ReportKind::Spam, "", ""))),
            (
                &[
                    ("kind", "phishing"),
                    ("details", " two\r\nlines "),
                    ("contact", "me@example.com"),
                    ("x", "y"),
                ],
                Some((ReportKind::Phishing, "two\nlines", "me@example.com")),
            ),
            (&[("kind", "nonsense")], None),
            (&[("details", "without a kind")], None),
            (&[("kind", "other"), ("details", &long)], None),
            (&[("kind", "other"), ("contact", &long[..201])], None),
            (&[("kind", "other"), ("details", "a\0b")], None),
            (&[], None),
        ] {
            let expected = read.map(|(kind, details, contact)| Report {
                kind,
                details: details.to_owned(),
                contact: contact.to_owned(),
            });
            assert_eq!(Report::read(fields.iter().copied()), expected, "{fields:?}");
        }
    }
}
