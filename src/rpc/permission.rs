//! The names of what a caller may do: one table, which `workspaces::roles` says the roles of.

use crate::pb::v1::Scope;

/// Makes the enum and everything that must know all of it from one list, so that no permission can be forgotten anywhere.
macro_rules! permissions {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $text:literal, $scope:ident, [$($broader:ident),*];
    )+) => {
        /// One thing a caller may do in a workspace.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the name callers and databases know it by.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// Returns what it is, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim(),)+
                }
            }

            /// Returns the scope of the contract that allows it; the unspecified one where a key never may.
            pub const fn scope(self) -> Scope {
                match self {
                    $(Self::$name => Scope::$scope,)+
                }
            }

            /// Returns the scopes that include it besides its own.
            pub const fn broader(self) -> &'static [Self] {
                match self {
                    $(Self::$name => &[$(Self::$broader),*],)+
                }
            }
        }
    };
}

permissions! {
    /// See links.
    LinksRead = "links.read", LinksRead, [];
    /// Create, change and delete links, one by one, in batches and from files.
    LinksWrite = "links.write", LinksWrite, [];
    /// Take links along in a file.
    LinksExport = "links.export", LinksExport, [LinksRead];
    /// See projects.
    ProjectsRead = "projects.read", ProjectsRead, [LinksRead];
    /// Create and change projects.
    ProjectsWrite = "projects.write", ProjectsWrite, [LinksWrite];
    /// Delete projects.
    ProjectsDelete = "projects.delete", ProjectsDelete, [LinksWrite];
    /// See templates.
    TemplatesRead = "templates.read", TemplatesRead, [LinksRead];
    /// Create, change and delete templates.
    TemplatesWrite = "templates.write", TemplatesWrite, [LinksWrite];
    /// See presets of campaign parameters.
    UtmPresetsRead = "utm_presets.read", UtmPresetsRead, [LinksRead];
    /// Create, change and delete presets of campaign parameters.
    UtmPresetsWrite = "utm_presets.write", UtmPresetsWrite, [LinksWrite];
    /// See analytics.
    AnalyticsRead = "analytics.read", AnalyticsRead, [];
    /// Take reports and single clicks along in a file, and see the networks of single clicks.
    AnalyticsExport = "analytics.export", AnalyticsExport, [];
    /// Keep reports under names, and share them by links.
    ReportsWrite = "reports.write", ReportsWrite, [];
    /// Import and delete what campaigns cost.
    CostsWrite = "costs.write", CostsWrite, [];
    /// See installs, events of apps and how they were attributed.
    AttributionRead = "attribution.read", AttributionRead, [AnalyticsRead];
    /// See domains.
    DomainsRead = "domains.read", DomainsRead, [];
    /// Add, change, verify and delete domains.
    DomainsWrite = "domains.write", DomainsWrite, [];
    /// See apps.
    AppsRead = "apps.read", AppsRead, [];
    /// Create, change and delete apps.
    AppsWrite = "apps.write", AppsWrite, [];
    /// See webhook endpoints and what became of their deliveries.
    WebhooksRead = "webhooks.read", WebhooksRead, [];
    /// Create, change and delete webhook endpoints, and send events again.
    WebhooksWrite = "webhooks.write", WebhooksWrite, [];
    /// See who did what.
    AuditRead = "audit.read", AuditRead, [];
    /// See API keys.
    ApiKeysRead = "api_keys.read", ApiKeysRead, [];
    /// Create, rotate and revoke API keys.
    ApiKeysWrite = "api_keys.write", Unspecified, [];
    /// See members and open invitations.
    MembersRead = "members.read", MembersRead, [];
    /// Invite and remove members, and change their roles.
    MembersWrite = "members.write", Unspecified, [];
    /// See the workspace itself: its name, settings and usage.
    WorkspacesRead = "workspaces.read", WorkspacesRead, [];
    /// Change the workspace's name and settings.
    WorkspacesWrite = "workspaces.write", Unspecified, [];
    /// Give the workspace to another owner.
    WorkspacesTransfer = "workspaces.transfer", Unspecified, [];
    /// Delete the workspace.
    WorkspacesDelete = "workspaces.delete", Unspecified, [];
}

impl Permission {
    /// Returns the permission of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.name() == name)
    }

    /// Returns what a scope of the contract allows; `None` for the unspecified one.
    pub fn of_scope(scope: Scope) -> Option<Self> {
        let named = |permission: &Self| permission.scope() == scope;
        Self::ALL.iter().copied().find(named).filter(|_| scope != Scope::Unspecified)
    }

    /// Says whether an API key can ever have it.
    pub fn is_for_keys(self) -> bool {
        self.scope() != Scope::Unspecified
    }

    /// Says whether it is about links and nothing else, so that a key can have it for some of them.
    pub const fn is_about_links(self) -> bool {
        matches!(self, Self::LinksRead | Self::LinksWrite | Self::LinksExport)
    }

    /// Says whether a key with this scope may do `wanted`: its own thing, and what the scope meant before it was split.
    pub fn includes(self, wanted: Self) -> bool {
        self == wanted || wanted.broader().contains(&self)
    }

    /// Says whether scopes together allow it.
    pub fn is_in(self, scopes: &[Self]) -> bool {
        scopes.iter().any(|scope| scope.includes(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_of_the_contract_allows_one_thing() {
        for number in 0..100 {
            let Ok(scope) = Scope::try_from(number) else { continue };
            let allowed = Permission::ALL.iter().filter(|permission| permission.scope() == scope).count();
            if scope == Scope::Unspecified {
                assert_eq!(Permission::of_scope(scope), None);
            } else {
                assert_eq!(allowed, 1, "{}", scope.as_str_name());
                let permission = Permission::of_scope(scope).expect("allows something");
                assert_eq!(permission.scope(), scope);
                let name = permission.name().replace('.', "_").to_uppercase();
                assert_eq!(scope.as_str_name(), format!("SCOPE_{name}"));
            }
        }
        for permission in Permission::ALL {
            assert_eq!(Permission::named(permission.name()), Some(*permission));
        }
    }

    #[test]
    fn a_scope_goes_on_to_mean_what_it_meant_before_it_was_split() {
        use Permission::{
            AnalyticsRead, AttributionRead, LinksExport, LinksRead, LinksWrite, ProjectsDelete, ProjectsRead,
            ProjectsWrite, TemplatesRead, TemplatesWrite, UtmPresetsRead, UtmPresetsWrite,
        };
        for (scope, meant) in [
            (LinksRead, vec![LinksRead, LinksExport, ProjectsRead, TemplatesRead, UtmPresetsRead]),
            (LinksWrite, vec![LinksWrite, ProjectsWrite, ProjectsDelete, TemplatesWrite, UtmPresetsWrite]),
            (AnalyticsRead, vec![AnalyticsRead, AttributionRead]),
            (ProjectsRead, vec![ProjectsRead]),
        ] {
            let gives: Vec<Permission> =
                Permission::ALL.iter().copied().filter(|wanted| wanted.is_in(&[scope])).collect();
            assert_eq!(gives, meant, "{}", scope.name());
        }
    }
}
