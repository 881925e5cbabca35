//! What the database lets this server do, in production: a server that may do anything does not start. When the database is away at the
//! start, it is asked again until it answers; a server that serves by then goes on, and says every time that it should not.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    config::{Config, Problems, Risk, Stage},
    db::{Db, Role},
    env::Env,
};

/// What is made of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    /// Nobody minds.
    Fine,
    /// The database did not say.
    Unknown,
    /// It may make tables: too much, but it can do nothing to what others own.
    MakesTables,
    /// It may do anything.
    Superuser,
}

/// Judges a role.
fn judge(role: Option<Role>, accepted: &[Risk]) -> Finding {
    match role {
        _ if accepted.contains(&Risk::DatabaseSuperuser) => Finding::Fine,
        None => Finding::Unknown,
        Some(Role { superuser: true, .. }) => Finding::Superuser,
        Some(Role { makes_tables: true, .. }) => Finding::MakesTables,
        Some(_) => Finding::Fine,
    }
}

const SUPERUSER: &str = "DATABASE_URL signs in as a superuser, who may do anything: serve as linkforty_app of deploy/postgres-roles.sql; or take it upon yourself with ACCEPTED_RISKS=database_superuser";
const MAKES_TABLES: &str = "the role in DATABASE_URL may make tables; serve as linkforty_app of deploy/postgres-roles.sql, and leave linkforty_owner to `linkforty migrate`";

/// Looks before the start. Returns whether the database has said.
pub(super) async fn check(config: &Config, db: &Db) -> Result<bool, Problems> {
    if config.stage != Stage::Production || config.database.is_none() {
        return Ok(true);
    }
    match judge(db.role().await, &config.accepted_risks) {
        Finding::Superuser => return Err(Problems(vec![SUPERUSER.to_owned()])),
        Finding::Unknown => return Ok(false),
        Finding::MakesTables => tracing::warn!("{MAKES_TABLES}"),
        Finding::Fine => {}
    }
    Ok(true)
}

/// Looks again after a start at which the database was away.
#[derive(Debug, Default)]
pub(super) struct Later {
    known: AtomicBool,
}

impl Later {
    pub(super) async fn look(&self, env: &Env) {
        if self.known.load(Ordering::Relaxed) {
            return;
        }
        let finding = judge(env.db.role().await, &env.config.accepted_risks);
        match finding {
            Finding::Superuser => tracing::error!("{SUPERUSER}"),
            Finding::MakesTables => tracing::warn!("{MAKES_TABLES}"),
            Finding::Fine | Finding::Unknown => {}
        }
        metrics::gauge!("linkforty_database_superuser")
            .set(f64::from(u8::from(finding == Finding::Superuser)));
        self.known.store(matches!(finding, Finding::Fine | Finding::MakesTables), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_role_that_may_do_anything_is_refused_and_only_if_nobody_takes_it_upon_themselves() {
        let role = |superuser, makes_tables| Some(Role { superuser, makes_tables });
        let accepted = &[Risk::DatabaseSuperuser][..];
        for (role, accepted, expected) in [
            (role(true, true), &[][..], Finding::Superuser),
            (role(true, true), &[Risk::DatabaseTls], Finding::Superuser),
            (role(true, true), accepted, Finding::Fine),
            (role(false, true), &[], Finding::MakesTables),
            (role(false, false), &[], Finding::Fine),
            (None, &[], Finding::Unknown),
            (None, accepted, Finding::Fine),
        ] {
            assert_eq!(judge(role, accepted), expected, "{role:?} {accepted:?}");
        }
    }
}
