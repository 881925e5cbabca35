//! Which class of work every method is, and for how long it holds its place. One table: a method of the contract without a line here fails a
//! test, so nobody adds one without saying what may be turned away for it.

use std::{collections::HashMap, sync::Arc};

use crate::admission::Class;

/// What kind of work a method is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    pub class: Class,
    pub holds: Holds,
}

/// For how long a call holds its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Until its answer begins, which is all of it but for a feed that has no end.
    UntilAnswered,
    /// Until the last part of its answer is sent, as long as its caller takes the parts.
    UntilSent,
    /// The same, and from its beginning on: what it is sent has no size. All others have a place once all that they are sent is there.
    Throughout,
}

const APPS: Work = Work { class: Class::Ingest, holds: Holds::UntilAnswered };
const PERSON: Work = Work { class: Class::Interactive, holds: Holds::UntilAnswered };
const BULK: Work = Work { class: Class::Bulk, holds: Holds::UntilAnswered };
const UPLOAD: Work = Work { class: Class::Bulk, holds: Holds::Throughout };
const FILE: Work = Work { class: Class::Bulk, holds: Holds::UntilSent };

/// Every method of the contract that is served.
const METHODS: &[(&str, Work)] = &[
    ("linkforty.sdk.v1.SdkService/CreateLink", APPS),
    ("linkforty.sdk.v1.SdkService/ForgetInstall", APPS),
    ("linkforty.sdk.v1.SdkService/RecordEvents", APPS),
    ("linkforty.sdk.v1.SdkService/ReportInstall", APPS),
    ("linkforty.sdk.v1.SdkService/ReportOpen", APPS),
    ("linkforty.sdk.v1.SdkService/ResolveLink", APPS),
    ("linkforty.sdk.v1.SdkService/SetConsent", APPS),
    ("linkforty.v1.AnalyticsService/ExportReport", FILE),
    ("linkforty.v1.AnalyticsService/GetCampaigns", PERSON),
    // These two read installs and events one by one, up to a million of each.
    ("linkforty.v1.AnalyticsService/GetFunnel", BULK),
    ("linkforty.v1.AnalyticsService/GetOverview", PERSON),
    ("linkforty.v1.AnalyticsService/GetRetention", BULK),
    // It looks at clicks one by one, up to 20,000.
    ("linkforty.v1.AnalyticsService/ListClicks", BULK),
    ("linkforty.v1.AnalyticsService/QueryBreakdown", PERSON),
    ("linkforty.v1.AnalyticsService/QueryTimeSeries", PERSON),
    ("linkforty.v1.AnalyticsService/WatchEvents", PERSON),
    ("linkforty.v1.ApiKeyService/CreateApiKey", PERSON),
    ("linkforty.v1.ApiKeyService/GetApiKeyUsage", PERSON),
    ("linkforty.v1.ApiKeyService/ListApiKeys", PERSON),
    ("linkforty.v1.ApiKeyService/RevokeApiKey", PERSON),
    ("linkforty.v1.ApiKeyService/RotateApiKey", PERSON),
    ("linkforty.v1.AppService/CreateApp", PERSON),
    ("linkforty.v1.AppService/DeleteApp", PERSON),
    ("linkforty.v1.AppService/GetApp", PERSON),
    ("linkforty.v1.AppService/ListApps", PERSON),
    ("linkforty.v1.AppService/MatchAppLink", PERSON),
    ("linkforty.v1.AppService/RotateAppToken", PERSON),
    ("linkforty.v1.AppService/SetMetaReferrerKey", PERSON),
    ("linkforty.v1.AppService/UpdateApp", PERSON),
    // It reads the facts of installs, up to 20,000.
    ("linkforty.v1.AttributionService/CountAssists", BULK),
    ("linkforty.v1.AttributionService/ExplainAttribution", PERSON),
    // It works its answer out from some thousand rows.
    ("linkforty.v1.AttributionService/GetDecisionProof", BULK),
    // It reads installs one by one, up to 200,000.
    ("linkforty.v1.AttributionService/GetFraudReport", BULK),
    ("linkforty.v1.AttributionService/GetInstall", PERSON),
    // It reads events one by one, up to 50,000.
    ("linkforty.v1.AttributionService/GetScreenFlow", BULK),
    ("linkforty.v1.AttributionService/ListDecisionCheckpoints", PERSON),
    ("linkforty.v1.AttributionService/ListEvents", PERSON),
    ("linkforty.v1.AttributionService/ListFraudRules", PERSON),
    ("linkforty.v1.AttributionService/ListInstalls", PERSON),
    ("linkforty.v1.AttributionService/ListReengagements", PERSON),
    ("linkforty.v1.AttributionService/ReplayAttribution", FILE),
    ("linkforty.v1.AttributionService/UpdateFraudRule", PERSON),
    ("linkforty.v1.AuditService/ExportAuditEvents", FILE),
    ("linkforty.v1.AuditService/ListAuditEvents", PERSON),
    ("linkforty.v1.AuthService/BeginIdentityLink", PERSON),
    ("linkforty.v1.AuthService/BeginOidcSignIn", PERSON),
    ("linkforty.v1.AuthService/BeginPasskeyRegistration", PERSON),
    ("linkforty.v1.AuthService/BeginPasskeySignIn", PERSON),
    ("linkforty.v1.AuthService/ChangePassword", PERSON),
    ("linkforty.v1.AuthService/CompleteOidcSignIn", PERSON),
    ("linkforty.v1.AuthService/CompleteSignIn", PERSON),
    ("linkforty.v1.AuthService/ConfirmTotp", PERSON),
    ("linkforty.v1.AuthService/DeletePasskey", PERSON),
    ("linkforty.v1.AuthService/DisableTotp", PERSON),
    ("linkforty.v1.AuthService/EnrollTotp", PERSON),
    ("linkforty.v1.AuthService/FinishPasskeyRegistration", PERSON),
    ("linkforty.v1.AuthService/FinishPasskeySignIn", PERSON),
    ("linkforty.v1.AuthService/GetMe", PERSON),
    ("linkforty.v1.AuthService/GetSignInMethods", PERSON),
    ("linkforty.v1.AuthService/LinkIdentity", PERSON),
    ("linkforty.v1.AuthService/ListIdentities", PERSON),
    ("linkforty.v1.AuthService/ListPasskeys", PERSON),
    ("linkforty.v1.AuthService/ListSessions", PERSON),
    ("linkforty.v1.AuthService/RefreshSession", PERSON),
    ("linkforty.v1.AuthService/RegenerateRecoveryCodes", PERSON),
    ("linkforty.v1.AuthService/RenamePasskey", PERSON),
    ("linkforty.v1.AuthService/RequestEmailVerification", PERSON),
    ("linkforty.v1.AuthService/RequestPasswordReset", PERSON),
    ("linkforty.v1.AuthService/ResetPassword", PERSON),
    ("linkforty.v1.AuthService/RevokeOtherSessions", PERSON),
    ("linkforty.v1.AuthService/RevokeSession", PERSON),
    ("linkforty.v1.AuthService/SignIn", PERSON),
    ("linkforty.v1.AuthService/SignOut", PERSON),
    ("linkforty.v1.AuthService/UnlinkIdentity", PERSON),
    ("linkforty.v1.AuthService/VerifyEmail", PERSON),
    ("linkforty.v1.CostService/DeleteCosts", BULK),
    ("linkforty.v1.CostService/ImportCosts", BULK),
    ("linkforty.v1.CostService/ListCosts", PERSON),
    ("linkforty.v1.DomainService/CheckDomain", PERSON),
    ("linkforty.v1.DomainService/CreateDomain", PERSON),
    ("linkforty.v1.DomainService/DeleteDomain", PERSON),
    ("linkforty.v1.DomainService/GetDomain", PERSON),
    ("linkforty.v1.DomainService/ListDomains", PERSON),
    ("linkforty.v1.DomainService/UpdateDomain", PERSON),
    ("linkforty.v1.DomainService/VerifyDomain", PERSON),
    ("linkforty.v1.LinkService/AddAlias", PERSON),
    ("linkforty.v1.LinkService/BatchCreateLinks", BULK),
    ("linkforty.v1.LinkService/BatchDeleteLinks", BULK),
    ("linkforty.v1.LinkService/BatchUpdateLinks", BULK),
    ("linkforty.v1.LinkService/CreateLink", PERSON),
    ("linkforty.v1.LinkService/DeleteLink", PERSON),
    ("linkforty.v1.LinkService/DuplicateLink", PERSON),
    ("linkforty.v1.LinkService/ExportImportErrors", FILE),
    ("linkforty.v1.LinkService/ExportLinks", FILE),
    // It waits for somebody else's host.
    ("linkforty.v1.LinkService/FetchPreview", BULK),
    ("linkforty.v1.LinkService/GetImport", PERSON),
    ("linkforty.v1.LinkService/GetLink", PERSON),
    ("linkforty.v1.LinkService/GetQrCode", PERSON),
    ("linkforty.v1.LinkService/ImportChunk", BULK),
    ("linkforty.v1.LinkService/ImportLinks", UPLOAD),
    ("linkforty.v1.LinkService/ListLinkReports", PERSON),
    ("linkforty.v1.LinkService/ListLinkRevisions", PERSON),
    ("linkforty.v1.LinkService/ListLinks", PERSON),
    ("linkforty.v1.LinkService/RemoveAlias", PERSON),
    ("linkforty.v1.LinkService/ResolveLink", PERSON),
    ("linkforty.v1.LinkService/RestoreLinkRevision", PERSON),
    ("linkforty.v1.LinkService/StartImport", PERSON),
    ("linkforty.v1.LinkService/UpdateLink", PERSON),
    ("linkforty.v1.PostbackService/GetConversionSchema", PERSON),
    ("linkforty.v1.PostbackService/GetPostback", PERSON),
    // It reads the postbacks of up to 92 days.
    ("linkforty.v1.PostbackService/GetPostbackReport", BULK),
    ("linkforty.v1.PostbackService/ListPostbacks", PERSON),
    ("linkforty.v1.PostbackService/UpdateConversionSchema", PERSON),
    ("linkforty.v1.ProjectService/CreateProject", PERSON),
    ("linkforty.v1.ProjectService/DeleteProject", PERSON),
    ("linkforty.v1.ProjectService/GetProject", PERSON),
    ("linkforty.v1.ProjectService/ListProjects", PERSON),
    ("linkforty.v1.ProjectService/UpdateProject", PERSON),
    // It says what kind of question it keeps only when it is asked.
    ("linkforty.v1.ReportService/CreateReport", BULK),
    ("linkforty.v1.ReportService/CreateReportShare", PERSON),
    ("linkforty.v1.ReportService/DeleteReport", PERSON),
    ("linkforty.v1.ReportService/GetReport", PERSON),
    ("linkforty.v1.ReportService/ListReportShares", PERSON),
    ("linkforty.v1.ReportService/ListReports", PERSON),
    ("linkforty.v1.ReportService/OpenReportShare", BULK),
    ("linkforty.v1.ReportService/RevokeReportShare", PERSON),
    ("linkforty.v1.ReportService/RunReport", BULK),
    ("linkforty.v1.ReportService/UpdateReport", BULK),
    ("linkforty.v1.TemplateService/CreateTemplate", PERSON),
    ("linkforty.v1.TemplateService/DeleteTemplate", PERSON),
    ("linkforty.v1.TemplateService/GetTemplate", PERSON),
    ("linkforty.v1.TemplateService/ListTemplates", PERSON),
    ("linkforty.v1.TemplateService/SetDefaultTemplate", PERSON),
    ("linkforty.v1.TemplateService/UpdateTemplate", PERSON),
    ("linkforty.v1.UtmPresetService/CreateUtmPreset", PERSON),
    ("linkforty.v1.UtmPresetService/DeleteUtmPreset", PERSON),
    ("linkforty.v1.UtmPresetService/ListUtmPresets", PERSON),
    ("linkforty.v1.UtmPresetService/UpdateUtmPreset", PERSON),
    ("linkforty.v1.WebhookService/CreateWebhookEndpoint", PERSON),
    ("linkforty.v1.WebhookService/DeleteWebhookEndpoint", PERSON),
    ("linkforty.v1.WebhookService/GetWebhookEndpoint", PERSON),
    ("linkforty.v1.WebhookService/ListDeliveries", BULK),
    ("linkforty.v1.WebhookService/ListWebhookEndpoints", PERSON),
    ("linkforty.v1.WebhookService/RedeliverEvents", BULK),
    ("linkforty.v1.WebhookService/RotateWebhookSecret", PERSON),
    // It waits for strangers.
    ("linkforty.v1.WebhookService/SendTestEvent", BULK),
    ("linkforty.v1.WebhookService/UpdateWebhookEndpoint", PERSON),
    ("linkforty.v1.WorkspaceService/AcceptInvitation", PERSON),
    ("linkforty.v1.WorkspaceService/CreateWorkspace", PERSON),
    ("linkforty.v1.WorkspaceService/DeleteWorkspace", PERSON),
    ("linkforty.v1.WorkspaceService/GetUsage", PERSON),
    ("linkforty.v1.WorkspaceService/GetWorkspace", PERSON),
    ("linkforty.v1.WorkspaceService/InviteMember", PERSON),
    ("linkforty.v1.WorkspaceService/ListInvitations", PERSON),
    ("linkforty.v1.WorkspaceService/ListMembers", PERSON),
    ("linkforty.v1.WorkspaceService/ListWorkspaces", PERSON),
    ("linkforty.v1.WorkspaceService/RemoveMember", PERSON),
    ("linkforty.v1.WorkspaceService/ResendInvitation", PERSON),
    ("linkforty.v1.WorkspaceService/RevokeInvitation", PERSON),
    ("linkforty.v1.WorkspaceService/TransferOwnership", PERSON),
    ("linkforty.v1.WorkspaceService/UpdateMemberRole", PERSON),
    ("linkforty.v1.WorkspaceService/UpdateWorkspace", PERSON),
];

/// The table, to look things up in. A cheap clone.
#[derive(Debug, Clone)]
pub(super) struct Classes(Arc<HashMap<&'static str, Work>>);

impl Classes {
    pub(super) fn of_the_contract() -> Self {
        Self(Arc::new(METHODS.iter().copied().collect()))
    }

    /// Returns what a call of the API is. `None`: it is health, which whoever decides about this node must hear in any case.
    pub(super) fn of(&self, path: &str) -> Option<Work> {
        let method = path.trim_start_matches('/');
        if method.starts_with("grpc.health.v1.Health/") {
            return None;
        }
        Some(self.0.get(method).copied().unwrap_or(PERSON))
    }

    /// Returns the name of a method that is served, without a slash in front, and what it is.
    pub(super) fn known(&self, path: &str) -> Option<(&'static str, Work)> {
        self.0.get_key_value(path.strip_prefix('/')?).map(|(name, work)| (*name, *work))
    }

    /// Returns the names of all methods.
    pub(super) fn methods(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// Returns what a call of an app is: the same for the paths that it calls by JSON.
    pub(super) fn of_app(&self, path: &str) -> Work {
        self.0.get(path.trim_start_matches('/')).copied().unwrap_or(APPS)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::{FileDescriptorSet, MethodDescriptorProto};

    use super::*;
    use crate::pb;

    #[test]
    fn every_method_of_the_contract_has_a_class_and_no_other_has() {
        let files = FileDescriptorSet::decode(pb::DESCRIPTORS).expect("descriptors").file;
        let served = ["linkforty.v1", "linkforty.sdk.v1"];
        let mut contract = BTreeSet::new();
        for file in files.iter().filter(|file| served.contains(&file.package())) {
            for service in &file.service {
                let names = service.method.iter().map(MethodDescriptorProto::name);
                contract.extend(names.map(|name| format!("{}.{}/{name}", file.package(), service.name())));
            }
        }
        let table: BTreeSet<String> = METHODS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(table, contract, "say in src/serve/classes.rs what kind of work a new method is");
        assert_eq!(table.len(), METHODS.len(), "a method stands there twice");
    }

    #[test]
    fn what_is_called_is_found() {
        let classes = Classes::of_the_contract();
        for (path, expected) in [
            ("/linkforty.v1.LinkService/ExportLinks", Some(FILE)),
            ("/linkforty.v1.LinkService/GetLink", Some(PERSON)),
            ("/linkforty.v1.LinkService/Nope", Some(PERSON)),
            ("/grpc.health.v1.Health/Check", None),
        ] {
            assert_eq!(classes.of(path), expected, "{path}");
        }
        for path in ["/linkforty.sdk.v1.SdkService/RecordEvents", "/api/sdk/v1/install"] {
            assert_eq!(classes.of_app(path), APPS, "{path}");
        }
    }
}
