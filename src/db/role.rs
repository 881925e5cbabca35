//! What the role may do that this server signs in to Postgres as. It needs rows and nothing else (`deploy/postgres-roles.sql`): with more,
//! whoever takes the server over takes the database over.

use std::time::Duration;

use sea_orm::{DbErr, FromQueryResult, Statement};
use tokio::time::timeout;

use super::Db;

/// How long a start waits to be told. A node serves what it remembers while its database is away.
const PATIENCE: Duration = Duration::from_secs(1);

/// The rights of a role that a server should not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Role {
    /// It may do anything.
    pub superuser: bool,
    /// It may make tables.
    pub makes_tables: bool,
}

impl Db {
    /// Returns what our role may do; `None`: the database did not say in time.
    pub async fn role(&self) -> Option<Role> {
        let asked = timeout(PATIENCE, self.ask_for_role()).await;
        asked.ok()?.ok().flatten()
    }

    async fn ask_for_role(&self) -> Result<Option<Role>, DbErr> {
        const QUESTION: &str = "SELECT rolsuper AS superuser, has_schema_privilege(current_schema(), 'CREATE') AS makes_tables \
             FROM pg_roles WHERE rolname = current_user";
        let question = Statement::from_string(self.drain.get_database_backend(), QUESTION);
        Role::find_by_statement(question).one(&self.drain).await
    }
}
