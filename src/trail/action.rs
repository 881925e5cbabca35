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
    /// A LinkForty database was taken over: the target is the workspace, the changes count what was stored.
    LinkfortyTakenOver = "linkforty.taken_over",
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
    /// A report was kept under a name.
    ReportCreated = "report.created",
    /// A kept report was changed; whoever has a link to it sees the changed one.
    ReportUpdated = "report.updated",
    /// A kept report was deleted, and its shares with it.
    ReportDeleted = "report.deleted",
    /// What campaigns cost was imported. The target is the workspace, the changes count the costs.
    CostsImported = "costs.imported",
    /// What campaigns cost was deleted. The target is the workspace, the changes count the costs.
    CostsDeleted = "costs.deleted",
    /// A report was shared: everybody who has the link sees it. The target is the share.
    ReportShared = "report.shared",
    /// A share of a report was ended. The target is the share.
    ReportShareRevoked = "report.share_revoked",
    /// Somebody who has the link to a shared report tried a wrong password. The target is the share.
    ReportShareRefused = "report.share_refused",
    /// A domain was added.
    DomainCreated = "domain.created",
    /// A domain was changed.
    DomainUpdated = "domain.updated",
    /// A domain was taken from the workspace.
    DomainDeleted = "domain.deleted",
    /// What the DNS says of a domain changed its state, or it lost its host to another.
    DomainStateChanged = "domain.state_changed",
    /// The server got the first certificate for a domain, or another one after it was over.
    CertificateIssued = "domain.certificate_issued",
    /// The server got the next certificate for a domain.
    CertificateRenewed = "domain.certificate_renewed",
    /// A certificate for a domain could not be got; noted once, until the next one is got.
    CertificateFailed = "domain.certificate_failed",
    /// A webhook endpoint was created.
    WebhookEndpointCreated = "webhook_endpoint.created",
    /// A webhook endpoint was changed, paused, resumed or enabled again.
    WebhookEndpointUpdated = "webhook_endpoint.updated",
    /// A webhook endpoint was deleted, and what it was still to be sent with it.
    WebhookEndpointDeleted = "webhook_endpoint.deleted",
    /// A webhook endpoint got another secret.
    WebhookSecretRotated = "webhook_endpoint.secret_rotated",
    /// A webhook endpoint is sent events again: the changes count them.
    WebhookEventsRedelivered = "webhook_endpoint.events_redelivered",
    /// The server disabled a webhook endpoint, which is gone or has failed for days.
    WebhookEndpointDisabled = "webhook_endpoint.disabled",
    /// An app was created.
    AppCreated = "app.created",
    /// An app was changed.
    AppUpdated = "app.updated",
    /// An app was deleted.
    AppDeleted = "app.deleted",
    /// An app got another token.
    AppTokenRotated = "app.token_rotated",
    /// The key of Meta's install referrers of an app was set or removed.
    AppMetaKeySet = "app.meta_key_set",
    /// Somebody said what the values in an app's postbacks mean. The target is the app.
    ConversionSchemaUpdated = "conversion_schema.updated",
    /// What is known of an install was erased on the user's wish.
    InstallForgotten = "install.forgotten",
    /// What follows from a rule of fraud was changed, or the number that it compares with. The target is the workspace.
    FraudRuleUpdated = "fraud_rule.updated",
    /// The operator imported exchange rates.
    RatesImported = "rates.imported",
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
    /// The operator set what a workspace may have.
    WorkspaceQuotasChanged = "workspace.quotas_changed",
    /// A workspace was deleted by its owner.
    WorkspaceDeleted = "workspace.deleted",
    /// A workspace got another owner.
    OwnershipTransferred = "workspace.ownership_transferred",
    /// A person became a member.
    MemberAdded = "member.added",
    /// A member got another role.
    MemberRoleChanged = "member.role_changed",
    /// A person is no member any more: removed, or left.
    MemberRemoved = "member.removed",
    /// Somebody was invited.
    InvitationCreated = "invitation.created",
    /// An invitation was sent again, with another token.
    InvitationResent = "invitation.resent",
    /// An invitation was taken back.
    InvitationRevoked = "invitation.revoked",
    /// Somebody accepted an invitation and became a member.
    InvitationAccepted = "invitation.accepted",
    /// An API key was created.
    ApiKeyCreated = "api_key.created",
    /// An API key got another secret.
    ApiKeyRotated = "api_key.rotated",
    /// An API key was ended.
    ApiKeyRevoked = "api_key.revoked",
    /// A person was added.
    UserCreated = "user.created",
    /// A person may sign in no longer; their sessions ended.
    UserDisabled = "user.disabled",
    /// A disabled person may sign in again.
    UserEnabled = "user.enabled",
    /// A person signed in.
    SessionOpened = "session.opened",
    /// A proof of who somebody is was wrong: a password, a code, an identity of another server, a passkey.
    SessionRefused = "session.refused",
    /// A person signed out, or ended another session of theirs.
    SessionEnded = "session.ended",
    /// A person ended all their sessions but one.
    OtherSessionsEnded = "session.others_ended",
    /// A refresh token was used a second time, and its session ended for that.
    SessionTokenReused = "session.token_reused",
    /// A person changed their password; their other sessions ended.
    PasswordChanged = "password.changed",
    /// Somebody asked for a link to set a new password with.
    PasswordResetRequested = "password.reset_requested",
    /// A person set a new password by mail, or got one from the operator; their sessions ended.
    PasswordReset = "password.reset",
    /// Somebody asked for a link to prove their e-mail with.
    EmailVerificationRequested = "email.verification_requested",
    /// A person proved that their e-mail reaches them.
    EmailVerified = "email.verified",
    /// A person enrolled a second factor.
    SecondFactorEnrolled = "second_factor.enrolled",
    /// A person took their second factor away.
    SecondFactorDisabled = "second_factor.disabled",
    /// The operator took a person's second factor and passkeys away; their sessions ended.
    SecondFactorReset = "second_factor.reset",
    /// A person replaced their recovery codes.
    RecoveryCodesReplaced = "second_factor.recovery_codes_replaced",
    /// A person can sign in by an identity of another server from now on.
    IdentityLinked = "identity.linked",
    /// A person took an identity of another server away.
    IdentityUnlinked = "identity.unlinked",
    /// A person added a passkey.
    PasskeyAdded = "passkey.added",
    /// A person gave a passkey another name.
    PasskeyRenamed = "passkey.renamed",
    /// A person took a passkey away.
    PasskeyDeleted = "passkey.deleted",
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
