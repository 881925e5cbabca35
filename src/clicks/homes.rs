//! Where links are: the host of each and its project, as they are when something about them is stored. Looked up by the drain, in batches.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use quick_cache::sync::Cache;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _, Statement,
};

use super::store::BETWEEN;
use crate::{
    db::{Dialect, dialect},
    domains,
    entity::link,
    env::Env,
    ids::{LinkId, ProjectId, WorkspaceId},
};

/// How long what was looked up is believed.
const BELIEVED: Duration = Duration::from_secs(2);
const REMEMBERED: usize = 50_000;
/// How many links one statement asks for on SQLite.
const LINKS_A_STATEMENT: usize = 1000;

/// Where a link is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Home {
    /// Its host, as `Link.domain` says it; empty when the link was deleted.
    pub domain: String,
    /// Its project, as text; empty when it has none.
    pub project: String,
    /// Both, as the dictionary has them; empty when the link was deleted.
    pub text: String,
}

impl Home {
    /// Reads one as the dictionary has it.
    pub fn read(text: &str) -> Self {
        let (domain, project) = text.split_once(BETWEEN).unwrap_or((text, ""));
        Self { domain: domain.to_owned(), project: project.to_owned(), text: text.to_owned() }
    }
}

/// Remembers where links are, and which are gone, for two seconds.
#[derive(Debug)]
pub struct Homes {
    /// The server's own host.
    own: String,
    known: Cache<LinkId, (Instant, Known)>,
    nowhere: Arc<Home>,
}

/// What is known of a link: `None` when it is gone. None comes back, and nobody asks for one before it is there.
type Known = Option<(WorkspaceId, Arc<Home>)>;

#[derive(Debug, FromQueryResult)]
struct Row {
    id: LinkId,
    workspace_id: WorkspaceId,
    domain: String,
    project_id: Option<ProjectId>,
}

impl Homes {
    /// Returns those that this node remembers.
    pub fn here(env: &Env) -> Arc<Self> {
        env.memory.of(|| Self {
            own: env.config.links_host(),
            known: Cache::new(REMEMBERED),
            nowhere: Arc::default(),
        })
    }

    /// Returns where links are, in their order. A link that is not there, or not the workspace's, is nowhere.
    pub async fn of(
        &self,
        db: &impl ConnectionTrait,
        links: impl Iterator<Item = (WorkspaceId, LinkId)> + Clone,
    ) -> Result<Vec<Arc<Home>>, DbErr> {
        let now = Instant::now();
        let mut found: HashMap<LinkId, Known> = HashMap::new();
        let mut missing = Vec::new();
        for (_, link) in links.clone() {
            found.entry(link).or_insert_with(|| {
                let known = self.known.get(&link).filter(|(at, _)| now.duration_since(*at) < BELIEVED);
                if known.is_none() {
                    missing.push(link);
                }
                known.and_then(|(_, known)| known)
            });
        }
        for row in look_up(db, &missing).await? {
            found.insert(row.id, Some((row.workspace_id, Arc::new(self.home(&row)))));
        }
        for link in missing {
            self.known.insert(link, (now, found.get(&link).cloned().flatten()));
        }
        let home = |(workspace, link): (WorkspaceId, LinkId)| match found.get(&link) {
            Some(Some((of, home))) if *of == workspace => home.clone(),
            _ => self.nowhere.clone(),
        };
        Ok(links.map(home).collect())
    }

    fn home(&self, row: &Row) -> Home {
        let domain = domains::host_of(&row.domain).map_or_else(|| self.own.clone(), str::to_owned);
        let project = row.project_id.map(|project| project.to_string()).unwrap_or_default();
        let text = format!("{domain}{BETWEEN}{project}");
        Home { domain, project, text }
    }
}

async fn look_up(db: &impl ConnectionTrait, links: &[LinkId]) -> Result<Vec<Row>, DbErr> {
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let backend = db.get_database_backend();
    if dialect(backend) == Dialect::Postgres {
        // One text for any number of links, which is prepared once.
        let ids: Vec<String> = links.iter().map(LinkId::to_string).collect();
        let sql = "SELECT id, workspace_id, domain, project_id FROM links
            WHERE id = ANY(string_to_array($1, ',')::uuid[])";
        let statement = Statement::from_sql_and_values(backend, sql, [ids.join(",").into()]);
        return Row::find_by_statement(statement).all(db).await;
    }
    let mut rows = Vec::with_capacity(links.len());
    for chunk in links.chunks(LINKS_A_STATEMENT) {
        use link::Column;
        let query = link::Entity::find()
            .select_only()
            .columns([Column::Id, Column::WorkspaceId, Column::Domain, Column::ProjectId])
            .filter(Column::Id.is_in(chunk.iter().copied()));
        rows.extend(query.into_model::<Row>().all(db).await?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_home_of_a_link_is_its_host_and_its_project() {
        let homes = Homes { own: "go.example.com".to_owned(), known: Cache::new(1), nowhere: Arc::default() };
        let project = ProjectId(Uuid::from_u128(7));
        for (domain, project_id, host, text) in [
            ("", None, "go.example.com", "go.example.com\u{1f}".to_owned()),
            ("brand.example", None, "brand.example", "brand.example\u{1f}".to_owned()),
            ("brand.example/2", Some(project), "brand.example", format!("brand.example\u{1f}{project}")),
        ] {
            let (id, workspace_id) = (LinkId(Uuid::nil()), WorkspaceId(Uuid::nil()));
            let home = homes.home(&Row { id, workspace_id, domain: domain.to_owned(), project_id });
            assert_eq!((&*home.domain, &*home.text), (host, &*text), "{domain}");
            assert_eq!(Home::read(&text), home);
        }
    }
}
