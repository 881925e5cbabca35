//! What each role may do: one table.

use crate::rpc::Permission;

/// What one person may do in one workspace. Each role may do what the one before it may, and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees links, apps and analytics.
    Viewer,
    /// Creates and changes links; sees API keys.
    Member,
    /// Creates and revokes API keys, changes settings and apps.
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
const fn least(permission: Permission) -> Role {
    match permission {
        Permission::LinksRead
        | Permission::AnalyticsRead
        | Permission::WorkspacesRead
        | Permission::AppsRead
        | Permission::DomainsRead => Role::Viewer,
        Permission::LinksWrite | Permission::ApiKeysRead => Role::Member,
        // What an app may open concerns everybody's links, and lasts on devices for days.
        Permission::ApiKeysWrite
        | Permission::WorkspacesWrite
        | Permission::AppsWrite
        | Permission::AuditRead
        | Permission::DomainsWrite => Role::Admin,
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
            (Permission::AnalyticsRead, [true, true, true, true]),
            (Permission::WorkspacesRead, [true, true, true, true]),
            (Permission::LinksWrite, [false, true, true, true]),
            (Permission::ApiKeysRead, [false, true, true, true]),
            (Permission::ApiKeysWrite, [false, false, true, true]),
            (Permission::WorkspacesWrite, [false, false, true, true]),
            (Permission::DomainsRead, [true, true, true, true]),
            (Permission::DomainsWrite, [false, false, true, true]),
            (Permission::AppsRead, [true, true, true, true]),
            (Permission::AppsWrite, [false, false, true, true]),
            (Permission::AuditRead, [false, false, true, true]),
        ];
        assert_eq!(rows.len(), Permission::ALL.len());
        for (permission, expected) in rows {
            assert_eq!(Role::ALL.map(|role| role.may(permission)), expected, "{}", permission.name());
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
