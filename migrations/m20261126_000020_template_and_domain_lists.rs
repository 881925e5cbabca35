//! Lists of the links of a template and of a domain are read in their order.

use sea_orm_migration::prelude::*;

use super::sql::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, INDEXES).await
    }
}

const INDEXES: &str = "
CREATE INDEX links_workspace_template_id_idx ON links (workspace_id, template_id, id) WHERE template_id IS NOT NULL;
CREATE INDEX links_workspace_domain_idx ON links (workspace_id, domain, id) WHERE alias_of IS NULL;
";
