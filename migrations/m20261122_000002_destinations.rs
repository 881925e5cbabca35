//! Links know universal links, the app's scheme and path, and what is added to a URL on the way.

use sea_orm_migration::prelude::*;

use super::sql::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, COLUMNS).await
    }
}

/// Every column has a default, because the version before inserts without them.
const COLUMNS: &str = "
ALTER TABLE links ADD COLUMN app_scheme {text} NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN ios_universal_link {text} NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN android_app_link {text} NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN deep_link_path {text} NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN deep_link_parameters {json} NOT NULL DEFAULT '{}';
ALTER TABLE links ADD COLUMN utm {json} NOT NULL DEFAULT '{}';
ALTER TABLE links ADD COLUMN append_click_id {bool} NOT NULL DEFAULT FALSE;
ALTER TABLE links ADD COLUMN forward_query {bool} NOT NULL DEFAULT TRUE;
";
