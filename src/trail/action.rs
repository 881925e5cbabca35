//! Everything that is noted.

/// Declares the actions: one line says the variant, its name and what it means.
macro_rules! actions {
    ($($(#[doc = $what:literal])+ $variant:ident = $name:literal,)+) => {
        /// Something that somebody can do, or that is decided about them. Its name is stored and shown; a name is never given another
        /// meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $($(#[doc = $what])+ $variant,)+
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the name: what it is done to, and what is done.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns what it means, for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($what),+),)+
                }
            }
        }
    };
}

actions! {
    /// A link was created.
    LinkCreated = "link.created",
    /// Fields of a link were changed; also archiving, warning of and disabling it.
    LinkUpdated = "link.updated",
    /// A link was deleted for good.
    LinkDeleted = "link.deleted",
    /// A link was given a further code.
    LinkAliasAdded = "link.alias_added",
    /// A code was taken from a link.
    LinkAliasRemoved = "link.alias_removed",
    /// Deep-link parameters of a link were erased, having been delivered.
    LinkAcknowledged = "link.acknowledged",
    /// Links of a file were stored: the target is the import, the changes count them.
    LinksImported = "links.imported",
    /// A project was created.
    ProjectCreated = "project.created",
    /// A project was changed.
    ProjectUpdated = "project.updated",
    /// A project was deleted.
    ProjectDeleted = "project.deleted",
    /// A template was created.
    TemplateCreated = "template.created",
    /// A template was changed, or became the default.
    TemplateUpdated = "template.updated",
    /// A template was deleted.
    TemplateDeleted = "template.deleted",
    /// A UTM preset was created.
    UtmPresetCreated = "utm_preset.created",
    /// A UTM preset was changed.
    UtmPresetUpdated = "utm_preset.updated",
    /// A UTM preset was deleted.
    UtmPresetDeleted = "utm_preset.deleted",
    /// A domain was added.
    DomainCreated = "domain.created",
    /// A domain was changed.
    DomainUpdated = "domain.updated",
    /// A domain was taken from the workspace.
    DomainDeleted = "domain.deleted",
    /// What the DNS says of a domain changed its state, or it lost its host to another.
    DomainStateChanged = "domain.state_changed",
    /// An app was created.
    AppCreated = "app.created",
    /// An app was changed.
    AppUpdated = "app.updated",
    /// An app was deleted.
    AppDeleted = "app.deleted",
    /// An app got another token.
    AppTokenRotated = "app.token_rotated",
    /// What is known of an install was erased on the user's wish.
    InstallForgotten = "install.forgotten",
    /// A workspace was created.
    WorkspaceCreated = "workspace.created",
    /// Fields of a workspace were changed.
    WorkspaceUpdated = "workspace.updated",
    /// A workspace was suspended by the operator.
    WorkspaceSuspended = "workspace.suspended",
    /// A workspace was restored by the operator.
    WorkspaceRestored = "workspace.restored",
    /// The operator let the apps of a workspace open links on the server's own host, or lets them no longer.
    WorkspaceAppsAllowed = "workspace.apps_allowed",
    /// A person became a member.
    MemberAdded = "member.added",
    /// An API key was created.
    ApiKeyCreated = "api_key.created",
    /// An API key was ended.
    ApiKeyRevoked = "api_key.revoked",
    /// A person was added.
    UserCreated = "user.created",
    /// A person signed in.
    SessionOpened = "session.opened",
    /// A password was wrong.
    SessionRefused = "session.refused",
    /// A person signed out.
    SessionEnded = "session.ended",
    /// A refresh token was used a second time, and its session ended for that.
    SessionTokenReused = "session.token_reused",
    /// A person changed their password; their other sessions ended.
    PasswordChanged = "password.changed",
    /// A person got another password from the operator; their sessions ended.
    PasswordReset = "password.reset",
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut names = HashSet::new();
        for action in Action::ALL {
            let name = action.name();
            assert!(names.insert(name), "{name} is there twice");
            let parts: Vec<&str> = name.split('.').collect();
            let well_formed =
                |part: &&str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(parts.len() == 2 && parts.iter().all(well_formed), "{name}");
            assert!(action.meaning().trim().ends_with('.'), "{name}");
        }
    }
}
