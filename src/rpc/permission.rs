//! The names of what a caller may do.

use crate::pb::v1::Scope;

/// One thing a caller may do in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See links.
    LinksRead,
    /// Create, change and delete links.
    LinksWrite,
    /// See analytics.
    AnalyticsRead,
    /// See the workspace itself.
    WorkspacesRead,
    /// Change the workspace itself. Never given to an API key.
    WorkspacesWrite,
    /// See API keys.
    ApiKeysRead,
    /// Create and revoke API keys. Never given to an API key.
    ApiKeysWrite,
    /// See domains.
    DomainsRead,
    /// Add, change, verify and delete domains.
    DomainsWrite,
    /// See apps.
    AppsRead,
    /// Create, change and delete apps.
    AppsWrite,
    /// See who did what.
    AuditRead,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 12] = [
        Self::LinksRead,
        Self::LinksWrite,
        Self::AnalyticsRead,
        Self::WorkspacesRead,
        Self::WorkspacesWrite,
        Self::ApiKeysRead,
        Self::ApiKeysWrite,
        Self::DomainsRead,
        Self::DomainsWrite,
        Self::AppsRead,
        Self::AppsWrite,
        Self::AuditRead,
    ];

    /// Returns the name callers and databases know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinksRead => "links.read",
            Self::LinksWrite => "links.write",
            Self::AnalyticsRead => "analytics.read",
            Self::WorkspacesRead => "workspaces.read",
            Self::WorkspacesWrite => "workspaces.write",
            Self::ApiKeysRead => "api_keys.read",
            Self::ApiKeysWrite => "api_keys.write",
            Self::DomainsRead => "domains.read",
            Self::DomainsWrite => "domains.write",
            Self::AppsRead => "apps.read",
            Self::AppsWrite => "apps.write",
            Self::AuditRead => "audit.read",
        }
    }

    /// Returns the permission of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }

    /// Returns what a scope of the contract allows; `None` for the unspecified one.
    pub const fn of_scope(scope: Scope) -> Option<Self> {
        match scope {
            Scope::Unspecified => None,
            Scope::LinksRead => Some(Self::LinksRead),
            Scope::LinksWrite => Some(Self::LinksWrite),
            Scope::AnalyticsRead => Some(Self::AnalyticsRead),
            Scope::WorkspacesRead => Some(Self::WorkspacesRead),
            Scope::ApiKeysRead => Some(Self::ApiKeysRead),
            Scope::DomainsRead => Some(Self::DomainsRead),
            Scope::DomainsWrite => Some(Self::DomainsWrite),
            Scope::AppsRead => Some(Self::AppsRead),
            Scope::AppsWrite => Some(Self::AppsWrite),
            Scope::AuditRead => Some(Self::AuditRead),
        }
    }

    /// Returns the scope of the contract that allows it; the unspecified one where a key never may.
    pub const fn scope(self) -> Scope {
        match self {
            Self::LinksRead => Scope::LinksRead,
            Self::LinksWrite => Scope::LinksWrite,
            Self::AnalyticsRead => Scope::AnalyticsRead,
            Self::WorkspacesRead => Scope::WorkspacesRead,
            Self::ApiKeysRead => Scope::ApiKeysRead,
            Self::DomainsRead => Scope::DomainsRead,
            Self::DomainsWrite => Scope::DomainsWrite,
            Self::AppsRead => Scope::AppsRead,
            Self::AppsWrite => Scope::AppsWrite,
            Self::AuditRead => Scope::AuditRead,
            Self::WorkspacesWrite | Self::ApiKeysWrite => Scope::Unspecified,
        }
    }
}
