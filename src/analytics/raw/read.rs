//! Clicks by index, newest first, in bounded pieces, with the texts that the dictionary holds for them.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use crate::{
    analytics::dims::{Agent, Agents, ClickFacts, Home, Place},
    clock::Moment,
    entity::{
        click::{Column, Entity, Model},
        dictionary,
    },
    ids::{ClickId, LinkId, WorkspaceId, floor},
};

/// How many texts one statement asks for.
const TEXTS: usize = 1000;
/// How many texts are remembered during one walk.
const REMEMBERED: usize = 50_000;

/// Which clicks are looked at.
#[derive(Debug, Clone)]
pub struct Walk {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Of one link alone.
    pub link: Option<LinkId>,
    /// Their ids, which are their times.
    pub ids: Range<ClickId>,
}

impl Walk {
    /// Returns the walk over the clicks from `start` on and before `end`.
    pub fn new(workspace: WorkspaceId, link: Option<LinkId>, start: Moment, end: Moment) -> Self {
        Self { workspace, link, ids: ClickId(floor(start))..ClickId(floor(end)) }
    }

    /// Reads the next `limit` clicks and leaves them behind. Fewer than that: there are no more.
    pub async fn next(&mut self, db: &impl ConnectionTrait, limit: u64) -> Result<Vec<Model>, DbErr> {
        let mut query = Entity::find()
            .filter(Column::WorkspaceId.eq(self.workspace))
            .filter(Column::Id.gte(self.ids.start))
            .filter(Column::Id.lt(self.ids.end));
        if let Some(link) = self.link {
            query = query.filter(Column::LinkId.eq(link));
        }
        let rows = query.order_by_desc(Column::Id).limit(limit).all(db).await?;
        if let Some(last) = rows.last() {
            self.ids.end = last.id;
        }
        Ok(rows)
    }
}

/// Knows the texts of clicks.
#[derive(Debug)]
pub struct Texts {
    known: HashMap<i32, Arc<str>>,
    agents: Arc<Agents>,
}

impl Texts {
    /// Returns one that knows none yet.
    pub fn new(agents: Arc<Agents>) -> Self {
        Self { known: HashMap::new(), agents }
    }

    /// Learns the texts of some clicks.
    pub async fn learn(&mut self, db: &impl ConnectionTrait, rows: &[Model]) -> Result<(), DbErr> {
        if self.known.len() > REMEMBERED {
            self.known.clear();
        }
        let ids = rows.iter().flat_map(|row| {
            let Model { user_agent_id, referrer_id, language_id, campaign_id, place_id, home_id, .. } = row;
            let always = [*user_agent_id, *referrer_id, *language_id];
            always.into_iter().chain([*campaign_id, *place_id, *home_id].into_iter().flatten())
        });
        let unknown: HashSet<i32> = ids.filter(|id| !self.known.contains_key(id)).collect();
        let unknown: Vec<i32> = unknown.into_iter().collect();
        for some in unknown.chunks(TEXTS) {
            let found = dictionary::Entity::find()
                .filter(dictionary::Column::Id.is_in(some.iter().copied()))
                .all(db)
                .await?;
            self.known.extend(found.into_iter().map(|text| (text.id, text.value.into())));
        }
        Ok(())
    }

    /// Returns what is kept of a click whose texts were learnt.
    pub fn facts<'a>(&'a self, row: &'a Model) -> ClickFacts<'a> {
        let place = row.place_id.map(|id| Place::parse(self.text(id)));
        let place = place.unwrap_or_else(|| Place {
            country: row.country.as_deref().unwrap_or_default(),
            ..Place::default()
        });
        ClickFacts {
            link: row.link_id,
            platform: row.platform,
            class: row.class,
            step: row.step,
            user_agent: self.text(row.user_agent_id),
            referrer_host: self.text(row.referrer_id),
            language: self.text(row.language_id),
            campaign: row.campaign_id.map_or("", |id| self.text(id)),
            place,
            home: row.home_id.map(|id| Home::parse(self.text(id))).unwrap_or_default(),
        }
    }

    /// Returns what a user agent says.
    pub fn agent(&self, facts: &ClickFacts<'_>) -> Arc<Agent> {
        self.agents.of(facts.user_agent)
    }

    fn text(&self, id: i32) -> &str {
        self.known.get(&id).map_or("", |text| text)
    }
}
