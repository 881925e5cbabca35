//! What each role may do: one table. Code asks it, `docs/roles.md` prints it, and tests hold every method of the contract
//! against it.

use crate::rpc::Permission;

/// What one person may do in one workspace. Each role may do what the one before it may, and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees everything but API keys, and changes nothing.
    Viewer,
    /// Creates, changes and exports links; sees API keys.
    Member,
    /// Manages people, API keys, settings, domains, apps and webhooks.
    Admin,
    /// Owns the workspace: exactly one person.
    Owner,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Member, Self::Admin, Self::Owner];

    /// Says whether the role gives the permission.
    pub fn may(self, permission: Permission) -> bool {
        self >= least(permission)
    }

    /// Returns the number the database knows it by, which is that of `linkforty.v1.Role`.
    pub const fn number(self) -> i16 {
        match self {
            Self::Viewer => 1,
            Self::Member => 2,
            Self::Admin => 3,
            Self::Owner => 4,
        }
    }

    /// Returns the role of that number.
    pub fn numbered(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.number() == number)
    }

    /// Returns the name people write on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Returns the role of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The table: the least role that gives each permission. A new permission does not compile until it has its line.
pub const fn least(permission: Permission) -> Role {
    match permission {
        Permission::LinksRead
        | Permission::ProjectsRead
        | Permission::TemplatesRead
        | Permission::UtmPresetsRead
        | Permission::AnalyticsRead
        | Permission::AttributionRead
        | Permission::MembersRead
        | Permission::WorkspacesRead
        | Permission::AppsRead
        | Permission::DomainsRead
        | Permission::WebhooksRead => Role::Viewer,
        // Who takes data away is to be somebody who works with it.
        Permission::LinksWrite
        | Permission::LinksExport
        | Permission::ProjectsWrite
        | Permission::TemplatesWrite
        | Permission::UtmPresetsWrite
        | Permission::AnalyticsExport
        | Permission::ReportsWrite
        | Permission::CostsWrite
        | Permission::ApiKeysRead => Role::Member,
        // What an app may open concerns everybody's links, and lasts on devices for days.
        Permission::ProjectsDelete
        | Permission::ApiKeysWrite
        | Permission::MembersWrite
        | Permission::WorkspacesWrite
        | Permission::AppsWrite
        | Permission::AuditRead
        | Permission::DomainsWrite
        | Permission::WebhooksWrite => Role::Admin,
        Permission::WorkspacesTransfer | Permission::WorkspacesDelete => Role::Owner,
    }
}

/// What stands in the way of making somebody `to` who is `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// There is one owner: the workspace is handed over as a whole, never by a change of roles.
    OneOwner,
    /// The owner's role changes only when somebody else becomes the owner.
    IsOwner,
}

/// Says whether a member's role may change from `from` to `to`, by whoever may change roles at all. Nobody rises by this to
/// more than an admin, so an admin cannot rise by himself; to step down is everybody's own affair.
pub const fn change(from: Role, to: Role) -> Result<(), Obstacle> {
    match (from, to) {
        (Role::Owner, _) => Err(Obstacle::IsOwner),
        (_, Role::Owner) => Err(Obstacle::OneOwner),
        _ => Ok(()),
    }
}

/// Says whether somebody who is `role` may be removed, or leave.
pub const fn removal(role: Role) -> Result<(), Obstacle> {
    match role {
        Role::Owner => Err(Obstacle::IsOwner),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix() {
        // Columns: viewer, member, admin, owner.
        let rows = [
            (Permission::LinksRead, [true, true, true, true]),
            (Permission::LinksWrite, [false, true, true, true]),
            (Permission::LinksExport, [false, true, true, true]),
            (Permission::ProjectsRead, [true, true, true, true]),
            (Permission::ProjectsWrite, [false, true, true, true]),
            (Permission::ProjectsDelete, [false, false, true, true]),
            (Permission::TemplatesRead, [true, true, true, true]),
            (Permission::TemplatesWrite, [false, true, true, true]),
            (Permission::UtmPresetsRead, [true, true, true, true]),
            (Permission::UtmPresetsWrite, [false, true, true, true]),
            (Permission::AnalyticsRead, [true, true, true, true]),
            (Permission::AttributionRead, [true, true, true, true]),
            (Permission::AnalyticsExport, [false, true, true, true]),
            (Permission::ReportsWrite, [false, true, true, true]),
            (Permission::CostsWrite, [false, true, true, true]),
            (Permission::WorkspacesRead, [true, true, true, true]),
            (Permission::WorkspacesWrite, [false, false, true, true]),
            (Permission::WorkspacesTransfer, [false, false, false, true]),
            (Permission::WorkspacesDelete, [false, false, false, true]),
            (Permission::MembersRead, [true, true, true, true]),
            (Permission::MembersWrite, [false, false, true, true]),
            (Permission::ApiKeysRead, [false, true, true, true]),
            (Permission::ApiKeysWrite, [false, false, true, true]),
            (Permission::DomainsRead, [true, true, true, true]),
            (Permission::DomainsWrite, [false, false, true, true]),
            (Permission::AppsRead, [true, true, true, true]),
            (Permission::AppsWrite, [false, false, true, true]),
            (Permission::AuditRead, [false, false, true, true]),
            (Permission::WebhooksRead, [true, true, true, true]),
            (Permission::WebhooksWrite, [false, false, true, true]),
        ];
        assert_eq!(rows.len(), Permission::ALL.len());
        for (permission, expected) in rows {
            assert_eq!(Role::ALL.map(|role| role.may(permission)), expected, "{}", permission.name());
        }
    }

    #[test]
    fn roles_change_among_all_but_the_owner() {
        for from in Role::ALL {
            for to in Role::ALL {
                let expected = match (from, to) {
                    (Role::Owner, _) => Err(Obstacle::IsOwner),
                    (_, Role::Owner) => Err(Obstacle::OneOwner),
                    _ => Ok(()),
                };
                assert_eq!(change(from, to), expected, "{from:?} {to:?}");
            }
            assert_eq!(removal(from).is_ok(), from != Role::Owner, "{from:?}");
        }
    }

    #[test]
    fn numbers_and_names_lead_back() {
        for role in Role::ALL {
            assert_eq!(Role::numbered(role.number()), Some(role));
            assert_eq!(Role::named(role.name()), Some(role));
        }
        assert_eq!((Role::numbered(0), Role::numbered(5), Role::named("root")), (None, None, None));
    }
}
