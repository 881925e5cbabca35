//! The contract as a whole: every method of the descriptors is called in every way it must refuse.
//!
//! Messages are filled from their descriptors, so a new method is walked over as soon as it stands in `proto/`; it only needs its line
//! in [`METHODS`], and a word in [`Fill::text`] for ids of a new sort.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::{Buf as _, BufMut as _, Bytes};
use linkforty::{
    attribution::decisions,
    audit,
    db::Dialect,
    entity::{app, invitation, user, webhook_endpoint},
    ids::{AppId, Ids, ProjectId, UserId, WorkspaceId},
    pb::{
        self,
        v1::{self, ErrorReason},
    },
    rpc::Permission,
    workspaces::{
        self, Role, enter_as_operator,
        invitations::{self, NewInvitation},
        keys,
    },
};
use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, Statement,
};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt as _;

use crate::{
    accounts::{auth, settled_owner, sign_in},
    support::{
        ALL_SCOPES, App, Folders, HERE, SKADNETWORK, STORE_ID, Store, Tenant, an_app, eventually, first_open,
        frame, iphone, link, on_every_store, reason, report, send, send_h2, wrong,
    },
    workspaces::person,
};

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody.
    Anybody,
    /// A signed-in person, in no workspace.
    Person,
    /// Whoever has all of these in the workspace; a key only if its scopes can.
    With(&'static [Permission]),
}

use Permission::{
    AnalyticsExport, AnalyticsRead, ApiKeysRead, ApiKeysWrite, AppsRead, AppsWrite, AttributionRead,
    AuditRead, CostsWrite, DomainsRead, DomainsWrite, LinksExport, LinksRead, LinksWrite, MembersRead,
    MembersWrite, ProjectsDelete, ProjectsRead, ProjectsWrite, ReportsWrite, TemplatesRead, TemplatesWrite,
    UtmPresetsRead, UtmPresetsWrite, WebhooksRead, WebhooksWrite, WorkspacesDelete, WorkspacesRead,
    WorkspacesTransfer, WorkspacesWrite,
};

/// Every method: who may call it, and whether its request names things of a workspace by their ids.
pub const METHODS: &[(&str, Who, Names)] = &[
    ("linkforty.v1.AnalyticsService/ExportReport", Who::With(&[AnalyticsExport]), Names::Things),
    ("linkforty.v1.AnalyticsService/ListClicks", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.AnalyticsService/GetCampaigns", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.AnalyticsService/GetFunnel", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.AnalyticsService/GetOverview", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.AnalyticsService/GetRetention", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.AnalyticsService/QueryBreakdown", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.AnalyticsService/QueryTimeSeries", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.AnalyticsService/WatchEvents", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.ApiKeyService/CreateApiKey", Who::With(&[ApiKeysWrite]), Names::Nothing),
    ("linkforty.v1.ApiKeyService/ListApiKeys", Who::With(&[ApiKeysRead]), Names::Nothing),
    ("linkforty.v1.ApiKeyService/GetApiKeyUsage", Who::With(&[ApiKeysRead]), Names::Things),
    // What is revoked cannot be rotated, so it comes first.
    ("linkforty.v1.ApiKeyService/RotateApiKey", Who::With(&[ApiKeysWrite]), Names::Things),
    ("linkforty.v1.ApiKeyService/RevokeApiKey", Who::With(&[ApiKeysWrite]), Names::Things),
    ("linkforty.v1.AppService/CreateApp", Who::With(&[AppsWrite]), Names::Nothing),
    ("linkforty.v1.AppService/DeleteApp", Who::With(&[AppsWrite]), Names::Things),
    ("linkforty.v1.AppService/GetApp", Who::With(&[AppsRead]), Names::Things),
    ("linkforty.v1.AppService/ListApps", Who::With(&[AppsRead]), Names::Nothing),
    ("linkforty.v1.AppService/MatchAppLink", Who::With(&[AppsRead]), Names::Things),
    ("linkforty.v1.AppService/RotateAppToken", Who::With(&[AppsWrite]), Names::Things),
    ("linkforty.v1.AppService/SetMetaReferrerKey", Who::With(&[AppsWrite]), Names::Things),
    ("linkforty.v1.AppService/UpdateApp", Who::With(&[AppsWrite]), Names::Things),
    ("linkforty.v1.AttributionService/CountAssists", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.AttributionService/ExplainAttribution", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.AttributionService/GetDecisionProof", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.AttributionService/GetFraudReport", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.AttributionService/GetInstall", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.AttributionService/GetScreenFlow", Who::With(&[AttributionRead]), Names::Things),
    (
        "linkforty.v1.AttributionService/ListDecisionCheckpoints",
        Who::With(&[AttributionRead]),
        Names::Nothing,
    ),
    ("linkforty.v1.AttributionService/ListEvents", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.AttributionService/ListFraudRules", Who::With(&[AttributionRead]), Names::Nothing),
    ("linkforty.v1.AttributionService/ListInstalls", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.AttributionService/ListReengagements", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.AttributionService/ReplayAttribution", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.AttributionService/UpdateFraudRule", Who::With(&[WorkspacesWrite]), Names::Nothing),
    ("linkforty.v1.AuditService/ExportAuditEvents", Who::With(&[AuditRead]), Names::Nothing),
    ("linkforty.v1.AuditService/ListAuditEvents", Who::With(&[AuditRead]), Names::Nothing),
    ("linkforty.v1.AuthService/BeginIdentityLink", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/BeginOidcSignIn", Who::Anybody, Names::Nothing),
    ("linkforty.v1.AuthService/BeginPasskeyRegistration", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/BeginPasskeySignIn", Who::Anybody, Names::Nothing),
    ("linkforty.v1.AuthService/ChangePassword", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/CompleteOidcSignIn", Who::Anybody, Names::Nothing),
    ("linkforty.v1.AuthService/CompleteSignIn", Who::Anybody, Names::Nothing),
    ("linkforty.v1.AuthService/ConfirmTotp", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/DeletePasskey", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/DisableTotp", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/EnrollTotp", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/FinishPasskeyRegistration", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/FinishPasskeySignIn", Who::Anybody, Names::Nothing),
    ("linkforty.v1.AuthService/GetMe", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/GetSignInMethods", Who::Anybody, Names::Nothing),
    ("linkforty.v1.AuthService/LinkIdentity", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/ListIdentities", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/ListPasskeys", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/ListSessions", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/RefreshSession", Who::Anybody, Names::Nothing),
    ("linkforty.v1.AuthService/RegenerateRecoveryCodes", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/RenamePasskey", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/RequestEmailVerification", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/RequestPasswordReset", Who::Anybody, Names::Nothing),
    ("linkforty.v1.AuthService/ResetPassword", Who::Anybody, Names::Nothing),
    ("linkforty.v1.AuthService/RevokeOtherSessions", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/RevokeSession", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/SignIn", Who::Anybody, Names::Nothing),
    ("linkforty.v1.AuthService/SignOut", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/UnlinkIdentity", Who::Person, Names::Nothing),
    ("linkforty.v1.AuthService/VerifyEmail", Who::Anybody, Names::Nothing),
    ("linkforty.v1.CostService/DeleteCosts", Who::With(&[CostsWrite]), Names::Things),
    ("linkforty.v1.CostService/ImportCosts", Who::With(&[CostsWrite]), Names::Things),
    ("linkforty.v1.CostService/ListCosts", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.DomainService/CheckDomain", Who::With(&[DomainsRead]), Names::Things),
    ("linkforty.v1.DomainService/CreateDomain", Who::With(&[DomainsWrite]), Names::Nothing),
    ("linkforty.v1.DomainService/DeleteDomain", Who::With(&[DomainsWrite]), Names::Things),
    ("linkforty.v1.DomainService/GetDomain", Who::With(&[DomainsRead]), Names::Things),
    ("linkforty.v1.DomainService/ListDomains", Who::With(&[DomainsRead]), Names::Nothing),
    ("linkforty.v1.DomainService/UpdateDomain", Who::With(&[DomainsWrite]), Names::Things),
    ("linkforty.v1.DomainService/VerifyDomain", Who::With(&[DomainsWrite]), Names::Things),
    ("linkforty.v1.LinkService/AddAlias", Who::With(&[LinksWrite]), Names::Things),
    ("linkforty.v1.LinkService/BatchCreateLinks", Who::With(&[LinksWrite]), Names::Nothing),
    ("linkforty.v1.LinkService/BatchDeleteLinks", Who::With(&[LinksWrite]), Names::Things),
    ("linkforty.v1.LinkService/BatchUpdateLinks", Who::With(&[LinksWrite]), Names::Things),
    ("linkforty.v1.LinkService/CreateLink", Who::With(&[LinksWrite]), Names::Nothing),
    ("linkforty.v1.LinkService/DeleteLink", Who::With(&[LinksWrite]), Names::Things),
    ("linkforty.v1.LinkService/DuplicateLink", Who::With(&[LinksRead, LinksWrite]), Names::Things),
    ("linkforty.v1.LinkService/ExportImportErrors", Who::With(&[LinksRead]), Names::Things),
    ("linkforty.v1.LinkService/ExportLinks", Who::With(&[LinksExport]), Names::Nothing),
    ("linkforty.v1.LinkService/FetchPreview", Who::With(&[LinksWrite]), Names::Nothing),
    ("linkforty.v1.LinkService/GetImport", Who::With(&[LinksRead]), Names::Things),
    ("linkforty.v1.LinkService/GetLink", Who::With(&[LinksRead]), Names::Things),
    ("linkforty.v1.LinkService/GetQrCode", Who::With(&[LinksRead]), Names::Things),
    ("linkforty.v1.LinkService/ImportChunk", Who::With(&[LinksWrite]), Names::Things),
    ("linkforty.v1.LinkService/ImportLinks", Who::With(&[LinksWrite]), Names::Things),
    ("linkforty.v1.LinkService/ListLinkReports", Who::With(&[LinksRead]), Names::Things),
    ("linkforty.v1.LinkService/ListLinkRevisions", Who::With(&[LinksRead]), Names::Things),
    ("linkforty.v1.LinkService/ListLinks", Who::With(&[LinksRead]), Names::Nothing),
    ("linkforty.v1.LinkService/ResolveLink", Who::With(&[LinksRead]), Names::Things),
    ("linkforty.v1.LinkService/RemoveAlias", Who::With(&[LinksWrite]), Names::Things),
    ("linkforty.v1.LinkService/RestoreLinkRevision", Who::With(&[LinksWrite]), Names::Things),
    ("linkforty.v1.LinkService/StartImport", Who::With(&[LinksWrite]), Names::Nothing),
    ("linkforty.v1.LinkService/UpdateLink", Who::With(&[LinksWrite]), Names::Things),
    ("linkforty.v1.PostbackService/GetConversionSchema", Who::With(&[AppsRead]), Names::Things),
    ("linkforty.v1.PostbackService/GetPostback", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.PostbackService/GetPostbackReport", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.PostbackService/ListPostbacks", Who::With(&[AttributionRead]), Names::Things),
    ("linkforty.v1.PostbackService/UpdateConversionSchema", Who::With(&[AppsWrite]), Names::Things),
    ("linkforty.v1.ProjectService/CreateProject", Who::With(&[ProjectsWrite]), Names::Nothing),
    ("linkforty.v1.ProjectService/DeleteProject", Who::With(&[ProjectsDelete]), Names::Things),
    ("linkforty.v1.ProjectService/GetProject", Who::With(&[ProjectsRead]), Names::Things),
    ("linkforty.v1.ProjectService/ListProjects", Who::With(&[ProjectsRead]), Names::Nothing),
    ("linkforty.v1.ProjectService/UpdateProject", Who::With(&[ProjectsWrite]), Names::Things),
    ("linkforty.v1.ReportService/CreateReport", Who::With(&[ReportsWrite]), Names::Things),
    ("linkforty.v1.ReportService/CreateReportShare", Who::With(&[ReportsWrite]), Names::Things),
    ("linkforty.v1.ReportService/GetReport", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.ReportService/ListReportShares", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.ReportService/ListReports", Who::With(&[AnalyticsRead]), Names::Nothing),
    ("linkforty.v1.ReportService/OpenReportShare", Who::Anybody, Names::Nothing),
    ("linkforty.v1.ReportService/RunReport", Who::With(&[AnalyticsRead]), Names::Things),
    ("linkforty.v1.ReportService/UpdateReport", Who::With(&[ReportsWrite]), Names::Things),
    ("linkforty.v1.ReportService/RevokeReportShare", Who::With(&[ReportsWrite]), Names::Things),
    ("linkforty.v1.ReportService/DeleteReport", Who::With(&[ReportsWrite]), Names::Things),
    ("linkforty.v1.TemplateService/CreateTemplate", Who::With(&[TemplatesWrite]), Names::Nothing),
    ("linkforty.v1.TemplateService/DeleteTemplate", Who::With(&[TemplatesWrite]), Names::Things),
    ("linkforty.v1.TemplateService/GetTemplate", Who::With(&[TemplatesRead]), Names::Things),
    ("linkforty.v1.TemplateService/ListTemplates", Who::With(&[TemplatesRead]), Names::Nothing),
    ("linkforty.v1.TemplateService/SetDefaultTemplate", Who::With(&[TemplatesWrite]), Names::Things),
    ("linkforty.v1.TemplateService/UpdateTemplate", Who::With(&[TemplatesWrite]), Names::Things),
    ("linkforty.v1.UtmPresetService/CreateUtmPreset", Who::With(&[UtmPresetsWrite]), Names::Nothing),
    ("linkforty.v1.UtmPresetService/DeleteUtmPreset", Who::With(&[UtmPresetsWrite]), Names::Things),
    ("linkforty.v1.UtmPresetService/ListUtmPresets", Who::With(&[UtmPresetsRead]), Names::Nothing),
    ("linkforty.v1.UtmPresetService/UpdateUtmPreset", Who::With(&[UtmPresetsWrite]), Names::Things),
    ("linkforty.v1.WebhookService/CreateWebhookEndpoint", Who::With(&[WebhooksWrite]), Names::Nothing),
    ("linkforty.v1.WebhookService/GetWebhookEndpoint", Who::With(&[WebhooksRead]), Names::Things),
    ("linkforty.v1.WebhookService/ListWebhookEndpoints", Who::With(&[WebhooksRead]), Names::Nothing),
    ("linkforty.v1.WebhookService/UpdateWebhookEndpoint", Who::With(&[WebhooksWrite]), Names::Things),
    ("linkforty.v1.WebhookService/RotateWebhookSecret", Who::With(&[WebhooksWrite]), Names::Things),
    ("linkforty.v1.WebhookService/SendTestEvent", Who::With(&[WebhooksWrite]), Names::Things),
    ("linkforty.v1.WebhookService/ListDeliveries", Who::With(&[WebhooksRead]), Names::Things),
    ("linkforty.v1.WebhookService/RedeliverEvents", Who::With(&[WebhooksWrite]), Names::Things),
    ("linkforty.v1.WebhookService/DeleteWebhookEndpoint", Who::With(&[WebhooksWrite]), Names::Things),
    ("linkforty.v1.WorkspaceService/CreateWorkspace", Who::Person, Names::Nothing),
    ("linkforty.v1.WorkspaceService/GetWorkspace", Who::With(&[WorkspacesRead]), Names::Nothing),
    ("linkforty.v1.WorkspaceService/ListWorkspaces", Who::With(&[WorkspacesRead]), Names::Nothing),
    ("linkforty.v1.WorkspaceService/UpdateWorkspace", Who::With(&[WorkspacesWrite]), Names::Nothing),
    ("linkforty.v1.WorkspaceService/GetUsage", Who::With(&[WorkspacesRead]), Names::Nothing),
    ("linkforty.v1.WorkspaceService/DeleteWorkspace", Who::With(&[WorkspacesDelete]), Names::Nothing),
    ("linkforty.v1.WorkspaceService/ListMembers", Who::With(&[MembersRead]), Names::Nothing),
    ("linkforty.v1.WorkspaceService/UpdateMemberRole", Who::With(&[MembersWrite]), Names::Things),
    ("linkforty.v1.WorkspaceService/RemoveMember", Who::With(&[MembersWrite]), Names::Things),
    ("linkforty.v1.WorkspaceService/InviteMember", Who::With(&[MembersWrite]), Names::Nothing),
    ("linkforty.v1.WorkspaceService/ListInvitations", Who::With(&[MembersRead]), Names::Nothing),
    ("linkforty.v1.WorkspaceService/RevokeInvitation", Who::With(&[MembersWrite]), Names::Things),
    ("linkforty.v1.WorkspaceService/ResendInvitation", Who::With(&[MembersWrite]), Names::Things),
    ("linkforty.v1.WorkspaceService/AcceptInvitation", Who::Anybody, Names::Nothing),
    // Last, because whoever was the owner is none after it.
    ("linkforty.v1.WorkspaceService/TransferOwnership", Who::With(&[WorkspacesTransfer]), Names::Things),
];

/// Methods that answer with a stream, which need not have an end. Those that are sent a stream get one message.
const STREAMS: &[&str] = &[
    "linkforty.v1.AnalyticsService/ExportReport",
    "linkforty.v1.AnalyticsService/WatchEvents",
    "linkforty.v1.AttributionService/ReplayAttribution",
    "linkforty.v1.AuditService/ExportAuditEvents",
    "linkforty.v1.LinkService/ExportImportErrors",
    "linkforty.v1.LinkService/ExportLinks",
    "linkforty.v1.LinkService/ImportLinks",
];

/// What a request names by id, besides its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    Nothing,
    Things,
}

/// The contract, read from its descriptors.
struct Contract {
    messages: HashMap<String, DescriptorProto>,
    methods: BTreeMap<String, MethodDescriptorProto>,
}

impl Contract {
    /// Reads what is served to people and programs.
    fn read() -> Self {
        Self::of_package("linkforty.v1")
    }

    /// Reads the services of a package, and all messages.
    fn of_package(served: &str) -> Self {
        let files = FileDescriptorSet::decode(pb::DESCRIPTORS).expect("descriptors").file;
        let (mut messages, mut methods) = (HashMap::new(), BTreeMap::new());
        for file in files {
            let package = file.package().to_owned();
            for message in file.message_type {
                messages.insert(format!(".{package}.{}", message.name()), message);
            }
            for service in file.service.into_iter().filter(|_| package == served) {
                let service_name = format!("{package}.{}", service.name());
                for method in service.method {
                    methods.insert(format!("{service_name}/{}", method.name()), method);
                }
            }
        }
        Self { messages, methods }
    }

    /// Says whether the request has a field for its workspace.
    fn takes_workspace(&self, method: &str) -> bool {
        let message = &self.messages[self.methods[method].input_type()];
        let has = |field: &FieldDescriptorProto| {
            field.name() == "workspace_id" || field.type_name() == ".linkforty.v1.ReportScope"
        };
        message.field.iter().any(has)
    }

    /// Makes a request in which every field has a value that is right as far as that can be told from its name.
    fn request(&self, method: &str, fill: &Fill<'_>) -> Bytes {
        Bytes::from(self.message(self.methods[method].input_type(), fill))
    }

    fn message(&self, name: &str, fill: &Fill<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        if name == ".google.protobuf.FieldMask" {
            return prost_types::FieldMask { paths: vec!["*".into()] }.encode_to_vec();
        }
        // Moments are optional everywhere and mean something; so do filters.
        let Some(message) = self.messages.get(name).filter(|_| !name.starts_with(".google.")) else {
            return bytes;
        };
        for field in &message.field {
            let number = u32::try_from(field.number()).expect("numbers are positive");
            match field.r#type() {
                Type::String => {
                    if let Some(text) = fill.text(name, field.name()) {
                        put(&mut bytes, number, text.as_bytes());
                    }
                }
                Type::Message => {
                    let inner = field.type_name();
                    // An entry of a map, a routing rule, a routing test and an app's platforms need more than their names tell.
                    let optional = inner != ".linkforty.v1.CostFilter"
                        && [
                            "Timestamp",
                            "Duration",
                            "Filter",
                            "Entry",
                            "RoutingRule",
                            "RoutingTest",
                            "IosApp",
                            "AndroidApp",
                            "RelativeSpan",
                            "WebhookHeader",
                            "WebhookPostback",
                            "ReplayRules",
                            "MoneyRange",
                        ]
                        .iter()
                        .any(|end| inner.ends_with(end));
                    if !optional {
                        put(&mut bytes, number, &self.message(inner, fill));
                    }
                }
                Type::Enum if field.label() == Label::Repeated => put(&mut bytes, number, &[1]),
                Type::Enum => {
                    prost::encoding::int32::encode(number, &1, &mut bytes);
                }
                // What a rule compares with has bounds of its own.
                Type::Int32 if field.name() == "threshold" => {}
                Type::Int32 => prost::encoding::int32::encode(number, &0, &mut bytes),
                Type::Bool => prost::encoding::bool::encode(number, &false, &mut bytes),
                Type::Int64 if field.name() == "revision" => {
                    prost::encoding::int64::encode(number, &1, &mut bytes);
                }
                Type::Int64 => {}
                Type::Bytes => match field.name() {
                    "data" => put(&mut bytes, number, b"destination_url\nhttps://example.com/contract\n"),
                    "logo" => {}
                    other => panic!("{name}.{other}: say what stands there"),
                },
                other => panic!("{name}.{}: say how a {other:?} is filled", field.name()),
            }
        }
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, number: u32, content: &[u8]) {
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, bytes);
    prost::encoding::encode_varint(content.len() as u64, bytes);
    bytes.put_slice(content);
}

/// The ids a request is filled with.
#[derive(Debug, Clone, Copy)]
struct Fill<'a> {
    workspace: &'a str,
    domain: &'a str,
    api_key: &'a str,
    link: &'a str,
    project: &'a str,
    template: &'a str,
    preset: &'a str,
    report: &'a str,
    share: &'a str,
    endpoint: &'a str,
    alias: &'a str,
    import: &'a str,
    app: &'a str,
    install: &'a str,
    postback: &'a str,
    member: &'a str,
    invitation: &'a str,
}

impl Fill<'_> {
    fn text(&self, message: &str, field: &str) -> Option<String> {
        let text = match field {
            "workspace_id" => self.workspace,
            "link_id" | "link_ids" => self.link,
            "domain_id" => self.domain,
            "api_key_id" => self.api_key,
            "session_id" | "identity_id" | "passkey_id" => "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50d",
            // Of what a link names, and lists are about, nothing.
            "project_id" | "template_id" if message == ".linkforty.v1.Link" => return None,
            "utm_preset_id" if message == ".linkforty.v1.CreateLinkRequest" => return None,
            // It looks at one thing alone.
            "project_id" | "app_id" if message == ".linkforty.v1.GetOverviewRequest" => return None,
            "project_id" => self.project,
            "template_id" => self.template,
            "utm_preset_id" => self.preset,
            "alias" if message == ".linkforty.v1.RemoveAliasRequest" => self.alias,
            "report_id" => self.report,
            "share_id" => self.share,
            "webhook_endpoint_id" => self.endpoint,
            "import_id" => self.import,
            "app_id" => self.app,
            "postback_id" => self.postback,
            "user_id" => self.member,
            "invitation_id" => self.invitation,
            // Not the name of any workspace: none is to be deleted here.
            "confirmation" | "token" => "nothing of this name",
            "install_id" if !message.ends_with(".ListEventsRequest") => self.install,
            "id" => match message {
                ".linkforty.v1.UpdateFraudRuleRequest" | ".linkforty.v1.ReplayFraudRule" => "short_time",
                ".linkforty.v1.Link" => self.link,
                ".linkforty.v1.ApiKey" => self.api_key,
                ".linkforty.v1.Domain" => self.domain,
                ".linkforty.v1.App" => self.app,
                ".linkforty.v1.Invitation" => self.invitation,
                ".linkforty.v1.Workspace" => self.workspace,
                ".linkforty.v1.Project" => self.project,
                ".linkforty.v1.Template" => self.template,
                ".linkforty.v1.UtmPreset" => self.preset,
                ".linkforty.v1.Report" => self.report,
                ".linkforty.v1.ReportShare" => self.share,
                ".linkforty.v1.WebhookEndpoint" => self.endpoint,
                _ => panic!("{message}.id: say whose id that is"),
            },
            "date" | "start_date" => "2026-11-20",
            "end_date" => "2026-11-21",
            "currency" => "CHF",
            "destination_url" | "url" => "https://example.com/contract",
            "host" => "contract.shop.test",
            "expected_app_ids" => "ABCDE12345.com.example.app",
            "package_name" => "com.example.app",
            "sha256_fingerprint" => "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
            "url_schemes" => "contract",
            // Hashing takes a while.
            "password"
                if message == ".linkforty.v1.Link" || message == ".linkforty.v1.CreateReportShareRequest" =>
            {
                return None;
            }
            // Unique in a workspace.
            "name" if message == ".linkforty.v1.UtmPreset" => {
                return Some(format!("contract {}", self.preset));
            }
            "source" if message == ".linkforty.v1.Utm" => "contract",
            "title" | "name" | "event_names" | "refresh_token" | "challenge" | "code" | "recovery_code"
            | "handle" | "state" | "credential_json" => "contract",
            "email" => "contract@example.com",
            "password" | "current_password" | "new_password" => "wir essen morgen torte",
            // Empty means any, none or unconditionally.
            "short_code" | "etag" | "request_id" | "page_token" | "resume_cursor" | "search"
            | "description" | "tags" | "prefix" | "ios_url" | "android_url" | "web_url" | "app_scheme"
            | "ios_universal_link" | "android_app_link" | "deep_link_path" | "source" | "medium"
            | "campaign" | "term" | "content" | "domain" | "short_url" | "countries" | "languages"
            | "image_url" | "site_name" | "disable_reason" | "ios_store_url" | "android_store_url"
            | "report_abuse_url" | "app_name" | "app_icon_url" | "accent_color" | "root_url"
            | "not_found_url" | "expired_url" | "robots_txt" | "value" | "ownership_seen"
            | "address_seen" | "alias" | "aliases" | "external_id" | "external_user_id" | "slug"
            | "linkforty_settings" | "user_agent" | "accept_language" | "referrer" | "query"
            | "client_address" | "country" | "regions" | "city" | "file_name" | "file_digest" | "color"
            | "background_color" | "caption" | "hosts" | "served_hosts" | "logo_url" | "frame_color"
            | "install_id" | "reporting_currency" | "app_token" | "display_name" | "inviter_id"
            | "project_ids" | "domain_ids" | "iss" | "time_zone" | "order_by" | "certificate_name"
            | "issuer" | "failure_detail" | "advice" | "message_id" | "public_key" | "key"
            | "ad_network_id" | "ad_group" | "creative" => {
                return None;
            }
            other => panic!("{message}.{other}: say what stands there"),
        };
        Some(text.to_owned())
    }
}

/// Carries bytes as they are.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Calls a method; of one that streams, the first message counts. Every refusal is held against the contract: a known reason, in our domain, with the code that belongs to it.
async fn call(channel: &Channel, method: &str, bearer: &str, message: Bytes) -> Result<Bytes, Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.expect("the server is there");
    let mut request = Request::new(message);
    if !bearer.is_empty() {
        let value = format!("Bearer {bearer}").parse().expect("a header value");
        request.metadata_mut().insert("authorization", value);
    }
    let path = format!("/{method}").parse().expect("a path");
    let outcome = if STREAMS.contains(&method) {
        match client.server_streaming(request, path, Raw).await {
            Ok(stream) => stream.into_inner().message().await.map(|first| first.expect("a first message")),
            Err(status) => Err(status),
        }
    } else {
        client.unary(request, path, Raw).await.map(tonic::Response::into_inner)
    };
    if let Err(status) = &outcome {
        let info = status.get_details_error_info();
        let info = info.unwrap_or_else(|| panic!("{method}: no ErrorInfo in {status:?}"));
        assert_eq!(info.domain, "linkforty", "{method}");
        let known = ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason));
        let known = known.unwrap_or_else(|| panic!("{method}: {} is not in ErrorReason", info.reason));
        let kind = linkforty::error::kind_of(known);
        assert_eq!(Code::from_i32(kind.grpc_code()), status.code(), "{method}: {}", info.reason);
        assert!(!matches!(status.code(), Code::Internal | Code::Unknown), "{method}: {status:?}");
    }
    outcome
}

/// What a caller can tell two refusals apart by.
fn face(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

fn nowhere() -> Fill<'static> {
    Fill {
        workspace: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506",
        link: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f507",
        domain: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f509",
        api_key: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f508",
        project: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f509",
        template: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50a",
        preset: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50b",
        report: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50f",
        share: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f510",
        endpoint: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f511",
        alias: "nowhere",
        import: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50a",
        app: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f509",
        install: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50c",
        postback: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f513",
        member: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50d",
        invitation: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f50e",
    }
}

fn locked() -> impl Iterator<Item = &'static (&'static str, Who, Names)> {
    METHODS.iter().filter(|(_, who, _)| *who != Who::Anybody)
}

#[test]
fn every_method_has_its_line_here() {
    let described: BTreeSet<String> = Contract::read().methods.into_keys().collect();
    let listed: BTreeSet<String> = METHODS.iter().map(|(method, ..)| (*method).to_owned()).collect();
    assert_eq!(described, listed, "left: proto/, right: METHODS of this file");
    assert_eq!(listed.len(), METHODS.len(), "a method stands here twice");
    let methods = Contract::read().methods;
    let streams: Vec<&str> =
        methods.iter().filter(|(_, m)| m.server_streaming()).map(|(name, _)| &**name).collect();
    assert_eq!(streams, STREAMS);
}

#[tokio::test]
async fn without_credentials_only_signing_in_is_open() {
    on_every_store(async |app| {
        let (contract, channel) = (Contract::read(), app.channel().await);
        for (method, who, _) in METHODS {
            for message in [contract.request(method, &nowhere()), Bytes::new()] {
                let refused = match call(&channel, method, "", message).await {
                    // It says nothing to anybody.
                    Ok(answer) => {
                        match method.rsplit('/').next() {
                            Some("RequestPasswordReset") => assert!(answer.is_empty()),
                            // The same for everybody.
                            Some("GetSignInMethods" | "BeginPasskeySignIn") => {}
                            _ => panic!("{method} answers {answer:?}"),
                        }
                        continue;
                    }
                    Err(refused) => refused,
                };
                let missing = reason(&refused) == "CREDENTIALS_MISSING";
                assert_eq!(missing, *who != Who::Anybody, "{method}: {refused:?}");
                assert!(!missing || refused.code() == Code::Unauthenticated, "{method}");
            }
        }
    })
    .await;
}

fn base64(text: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn forged_expired_and_revoked_credentials_open_nothing() {
    on_every_store(async |app| {
        let contract = Contract::read();
        let (expired, workspace) = settled_owner(app).await;
        let env = app.env();
        let operator = enter_as_operator(env, Some(&workspace)).await.expect("is there");
        let make = async |minutes: i64| {
            let new = keys::NewKey {
                expire_time: Some(env.now() + chrono::Duration::minutes(minutes)),
                ..keys::NewKey::new("k", ALL_SCOPES.to_vec())
            };
            keys::create(env, &operator, new, None).await.expect("creates")
        };
        let (short, revoked) = (make(5).await, make(60).await);
        let channel = app.channel().await;
        let get = "linkforty.v1.WorkspaceService/GetWorkspace";
        let ask = contract.request(get, &Fill { workspace: &workspace, ..nowhere() });
        let secret = |made: &keys::Created| made.secret.clone().expect("a new key has one");
        // All of them are good at first, and believed to be.
        for good in [&expired, &secret(&short), &secret(&revoked)] {
            call(&channel, get, good, ask.clone()).await.expect("is good");
        }
        app.clock.advance(chrono::Duration::minutes(11));
        keys::revoke(env, &operator, revoked.key.id).await.expect("revokes");
        let first = crate::accounts::PASSWORD;
        let ended = sign_in(app, "owner@localhost", first).await.expect("signs in").tokens;
        let ended = ended.expect("always there");
        let good = sign_in(app, "owner@localhost", first).await.expect("signs in").tokens;
        let good = good.expect("always there").access_token;
        auth(app, &ended.access_token).await.sign_out(v1::SignOutRequest {}).await.expect("signs out");

        let parts: Vec<&str> = good.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("a token has three parts") };
        let bent = if signature.starts_with('A') { "B" } else { "A" };
        let mut changed_key = secret(&revoked);
        changed_key.replace_range(10..11, if &changed_key[10..11] == "a" { "b" } else { "a" });
        let bad = [
            ("expired token", expired),
            ("session that ended", ended.access_token.clone()),
            ("no token but a refresh token", ended.refresh_token),
            ("no signature", format!("{header}.{claims}.")),
            ("alg none", format!("{}.{claims}.", base64(r#"{"alg":"none","typ":"JWT"}"#))),
            ("another signature", format!("{header}.{claims}.{bent}{}", &signature[1..])),
            ("other claims", format!("{header}.{}.{signature}", base64(r#"{"sub":"x"}"#))),
            ("expired key", secret(&short)),
            ("revoked key", secret(&revoked)),
            ("changed key", changed_key),
            ("made-up key", format!("lf_{}", "a".repeat(43))),
            ("no token but dots", "....".to_owned()),
        ];
        call(&channel, get, &good, ask).await.expect("the one they were made from is good");
        for (what, bearer) in &bad {
            for (method, ..) in locked() {
                let message = contract.request(method, &Fill { workspace: &workspace, ..nowhere() });
                let refused = call(&channel, method, bearer, message).await.expect_err(what);
                // What does not even look like a token is as good as none.
                let expected =
                    if what.starts_with("no token") { "CREDENTIALS_MISSING" } else { "CREDENTIALS_INVALID" };
                assert_eq!(
                    (refused.code(), &*reason(&refused)),
                    (Code::Unauthenticated, expected),
                    "{method} with {what}"
                );
            }
        }
    })
    .await;
}

/// Everything a workspace owns, table by table, whatever tables there are.
async fn rows_of(app: &App, workspace: &str) -> BTreeMap<String, Vec<String>> {
    // When a key was used, which place in the chain a note has, and that something was told, is written a while later, and is no harm.
    app.told().await;
    audit::seal(app.env()).await.expect("seals");
    decisions::seal(app.env()).await.expect("seals");
    keys::flush_last_use(app.env()).await.expect("writes");
    let db = &app.env().db.api;
    let ask = async |sql: String| {
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await;
        let rows = rows.expect("the database answers");
        rows.iter().map(|row| row.try_get_by_index::<String>(0).expect("text")).collect::<Vec<_>>()
    };
    let postgres = app.env().db.dialect() == Dialect::Postgres;
    let tables = ask(if postgres {
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '^(clicks|events)_'".into()
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'".into()
    })
    .await;
    let mut all = BTreeMap::new();
    for table in tables {
        let columns = ask(if postgres {
            format!("SELECT column_name::text FROM information_schema.columns WHERE table_name = '{table}'")
        } else {
            format!("SELECT name FROM pragma_table_info('{table}')")
        })
        .await;
        let owner = if table == "workspaces" { "id" } else { "workspace_id" };
        if !columns.iter().any(|column| column == owner) {
            continue;
        }
        let sql = if postgres {
            format!("SELECT t::text FROM {table} t WHERE {owner} = '{workspace}' ORDER BY 1")
        } else {
            let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
            let id = workspace.replace('-', "");
            format!("SELECT {} FROM {table} WHERE {owner} = x'{id}' ORDER BY 1", quoted.join("||','||"))
        };
        all.insert(table, ask(sql).await);
    }
    assert!(["links", "api_keys", "clicks", "apps"].iter().all(|table| all.contains_key(*table)));
    all
}

/// A workspace with something of everything in it.
struct Victim {
    tenant: Tenant,
    folders: Folders,
    things: Things,
    api_key: String,
    install: String,
    postback: String,
}

/// What a call may use up.
struct Things {
    link: String,
    domain: String,
    import: String,
    app: String,
    project: String,
    template: String,
    preset: String,
    report: String,
    share: String,
    endpoint: String,
    alias: String,
    member: String,
    invitation: String,
}

impl Things {
    /// Makes new ones, the link with an alias and a history.
    async fn of(app: &App, tenant: &Tenant, folders: &Folders, number: &str) -> Self {
        let link = tenant.create(link("", "https://example.com/fresh")).await.id;
        let changed = v1::Link { id: link.clone(), title: "changed".into(), ..v1::Link::default() };
        tenant.update(changed, &["title"]).await;
        let alias = format!("alias-{number}");
        let (report, share) = a_shared_report(tenant).await;
        tenant.alias(&link, &alias).await.expect("adds");
        Self {
            link,
            domain: tenant.add_domain(&format!("{number}.shop.test")).await.id,
            import: crate::imports::start(tenant, v1::ImportSource::Csv).await.id,
            app: a_new_app(app, tenant).await,
            project: folders.project("fresh").await,
            template: folders.template("", v1::LinkDefaults::default()).await.id,
            preset: folders.preset(number, v1::Utm { source: "x".into(), ..v1::Utm::default() }).await,
            report,
            share,
            endpoint: an_endpoint(app, tenant, number).await,
            alias,
            member: a_member(app, &tenant.id, &format!("member-{number}@example.com")).await,
            invitation: {
                let operator = enter_as_operator(app.env(), Some(&tenant.id)).await.expect("is there");
                let email = format!("invited-{number}@example.com");
                let new = NewInvitation { email, role: Role::Viewer };
                let sent = invitations::invite(app.env(), &operator, new, None).await.expect("invites");
                // There is room for a hundred.
                if number != "victim" {
                    left_over(app, &tenant.id, &sent.invitation.email).await;
                }
                sent.invitation.id.to_string()
            },
        }
    }
}

/// Keeps a report and shares it. Returns the ids of both.
async fn a_shared_report(tenant: &Tenant) -> (String, String) {
    let mut reports = tenant.reports.clone();
    let asked = v1::QueryTimeSeriesRequest::default();
    let query =
        v1::ReportQuery { query: Some(v1::report_query::Query::TimeSeries(asked)), relative_span: None };
    let report = v1::Report { name: "fresh".into(), query: Some(query), ..v1::Report::default() };
    let request = v1::CreateReportRequest { report: Some(report), ..v1::CreateReportRequest::default() };
    let made = reports.create_report(request).await.expect("creates").into_inner();
    let report = made.report.expect("always there").id;
    let request =
        v1::CreateReportShareRequest { report_id: report.clone(), ..v1::CreateReportShareRequest::default() };
    let made = reports.create_report_share(request).await.expect("shares").into_inner();
    (report, made.share.expect("always there").id)
}

/// Creates an app. There is room for a hundred, so those before it that a test has made and not used go: all but the first two, which are the
/// victim's and the one that its install is of. Returns its id.
async fn a_new_app(app: &App, tenant: &Tenant) -> String {
    let workspace = WorkspaceId::parse(&tenant.id).expect("an id");
    let db = &app.env().db.api;
    let theirs = app::Entity::find().filter(app::Column::WorkspaceId.eq(workspace));
    let theirs = theirs.order_by_asc(app::Column::Id).all(db).await.expect("the stores answer");
    let left_over = theirs.iter().skip(2).map(|theirs| theirs.id);
    app::Entity::delete_many().filter(app::Column::Id.is_in(left_over)).exec(db).await.expect("deletes");
    tenant.create_app(an_app()).await.id
}

/// Has a postback come that nobody signed, for an app of its own, and returns its id. There is no room for the app among those that a test uses up, so it
/// goes again.
async fn a_postback(app: &App, tenant: &Tenant) -> String {
    let ios = v1::IosApp {
        bundle_id: "com.example.postbacks".to_owned(),
        app_id_prefixes: vec!["ABCDE12345".to_owned()],
        app_store_id: STORE_ID.to_string(),
        ..v1::IosApp::default()
    };
    let advertised = tenant.create_app(v1::App { ios: Some(ios), ..an_app() }).await;
    let body = format!("{{\"version\":\"4.0\",\"app-id\":{STORE_ID}}}");
    let json = [("content-type", "application/json")];
    let answer = send(app.links(), http::Method::POST, SKADNETWORK, &json, body.into()).await;
    assert_eq!(answer.status, 200);
    let request =
        v1::ListPostbacksRequest { app_id: advertised.id.clone(), ..v1::ListPostbacksRequest::default() };
    let listed = tenant.postbacks.clone().list_postbacks(request).await.expect("lists").into_inner();
    let db = &app.env().db.api;
    let gone =
        app::Entity::delete_many().filter(app::Column::Id.eq(AppId::parse(&advertised.id).expect("an id")));
    gone.exec(db).await.expect("deletes");
    listed.postbacks.first().expect("one").id.clone()
}

/// Adds a webhook endpoint. There is room for a hundred, so those before it that a test has made and not used go. Returns its id.
async fn an_endpoint(app: &App, tenant: &Tenant, name: &str) -> String {
    let workspace = WorkspaceId::parse(&tenant.id).expect("an id");
    webhook_endpoint::Entity::delete_many()
        .filter(webhook_endpoint::Column::WorkspaceId.eq(workspace))
        .filter(webhook_endpoint::Column::Name.ne("victim"))
        .exec(&app.env().db.api)
        .await
        .expect("deletes");
    let endpoint = v1::WebhookEndpoint {
        name: name.to_owned(),
        url: "https://example.com/contract".into(),
        event_types: vec![v1::WebhookEventType::DomainVerified.into()],
        ..v1::WebhookEndpoint::default()
    };
    tenant.add_endpoint(endpoint).await.0.id
}

/// Makes somebody a member who never signs in, which takes no hash. Returns who.
async fn a_member(app: &App, workspace: &str, email: &str) -> String {
    let env = app.env();
    let operator = enter_as_operator(env, Some(workspace)).await.expect("is there");
    let somebody =
        user::Entity::find().one(&env.db.api).await.expect("the stores answer").expect("the owner");
    let id = UserId::mint(&env.ids, env.now());
    let member = user::Model { id, email: email.to_owned(), ..somebody };
    let row = member.into_active_model().reset_all();
    user::Entity::insert(row).exec_without_returning(&env.db.api).await.expect("is new");
    workspaces::join(env, &env.db.api, &operator, id, Role::Viewer, env.now()).await.expect("joins");
    id.to_string()
}

/// Takes back the invitations before this one that a test has made and not used.
async fn left_over(app: &App, workspace: &str, but: &str) {
    let workspace = WorkspaceId::parse(workspace).expect("an id");
    invitation::Entity::delete_many()
        .filter(invitation::Column::WorkspaceId.eq(workspace))
        .filter(invitation::Column::Email.like("invited-%"))
        .filter(invitation::Column::Email.is_not_in([but, "invited-victim@example.com"]))
        .exec(&app.env().db.api)
        .await
        .expect("deletes");
}

impl Victim {
    async fn of(app: &App, workspace: &str) -> Self {
        let tenant = app.tenant_of(workspace).await;
        let folders = app.folders(&tenant).await;
        let things = Things::of(app, &tenant, &folders, "victim").await;
        tenant.create(link("victim", "https://example.com/victim")).await;
        app.visit("/victim").await;
        app.settled().await;
        let operator = enter_as_operator(app.env(), Some(workspace)).await.expect("is there");
        let new = keys::NewKey::new("theirs", ALL_SCOPES.to_vec());
        let api_key =
            keys::create(app.env(), &operator, new, None).await.expect("creates").key.id.to_string();
        // What nobody does by themselves does not happen later either, while the clock stands.
        eventually("the DNS was looked at", async || {
            tenant.domain(&things.domain).await.proof.is_some_and(|proof| proof.look_time.is_some())
        })
        .await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        let install = report(&sdk, first_open("contract-0001", iphone())).await.install_id;
        // What is counted of it is counted before anybody looks for traces.
        app.settled().await;
        let postback = a_postback(app, &tenant).await;
        Self { tenant, folders, things, api_key, install, postback }
    }

    fn fill(&self) -> Fill<'_> {
        self.fill_with(&self.things)
    }

    fn fill_with<'a>(&'a self, things: &'a Things) -> Fill<'a> {
        let Things {
            link,
            domain,
            import,
            app,
            project,
            template,
            preset,
            report,
            share,
            endpoint,
            alias,
            member,
            invitation,
        } = things;
        Fill {
            workspace: &self.tenant.id,
            api_key: &self.api_key,
            link,
            domain,
            import,
            app,
            project,
            template,
            preset,
            report,
            share,
            endpoint,
            alias,
            install: &self.install,
            postback: &self.postback,
            member,
            invitation,
        }
    }

    /// Makes new things.
    async fn fresh(&self, app: &App, number: usize) -> Things {
        Things::of(app, &self.tenant, &self.folders, &number.to_string()).await
    }
}

#[tokio::test]
async fn what_is_somebody_elses_is_unknown() {
    on_every_store(async |app| {
        let contract = Contract::read();
        let (owner, workspace) = settled_owner(app).await;
        let victim = Victim::of(app, &workspace).await;
        let stranger = person(app, "stranger@example.com", None).await;
        let channel = app.channel().await;
        let request = v1::CreateWorkspaceRequest {
            workspace: Some(v1::Workspace { name: "Stranger's".into(), ..v1::Workspace::default() }),
            request_id: String::new(),
        };
        let method = "linkforty.v1.WorkspaceService/CreateWorkspace";
        let made = call(&channel, method, &stranger, request.encode_to_vec().into()).await.expect("creates");
        let made = v1::CreateWorkspaceResponse::decode(made).expect("a workspace").workspace;
        let own = made.expect("always there").id;
        let key = app.key(&own, &ALL_SCOPES).await;
        let before = rows_of(app, &workspace).await;

        for (method, who, names) in locked() {
            let Who::With(needed) = who else { continue };
            for bearer in [&key, &stranger] {
                // In the other's workspace nothing is to be found, whether it exists or not.
                let theirs = contract.request(method, &victim.fill());
                let unknown = contract.request(method, &nowhere());
                if contract.takes_workspace(method) {
                    let theirs = call(&channel, method, bearer, theirs).await.expect_err("is not theirs");
                    let unknown = call(&channel, method, bearer, unknown).await.expect_err("is nowhere");
                    assert_eq!((theirs.code(), &*reason(&theirs)), (Code::NotFound, "NOT_FOUND"), "{method}");
                    assert_eq!(face(&theirs), face(&unknown), "{method}");
                }
                // In one's own workspace the other's things are unknown too.
                if *names == Names::Things {
                    let theirs = contract.request(method, &Fill { workspace: &own, ..victim.fill() });
                    let unknown = contract.request(method, &Fill { workspace: &own, ..nowhere() });
                    let theirs = call(&channel, method, bearer, theirs).await;
                    let unknown = call(&channel, method, bearer, unknown).await;
                    match (theirs, unknown) {
                        (Err(theirs), Err(unknown)) => {
                            let denied = bearer == &key && needed.iter().any(|needed| !needed.is_for_keys());
                            let expected = if denied { "PERMISSION_MISSING" } else { "NOT_FOUND" };
                            assert_eq!(reason(&theirs), expected, "{method}");
                            assert_eq!(face(&theirs), face(&unknown), "{method}");
                        }
                        // Of what was spent for somebody else's nothing is there.
                        (Ok(theirs), Ok(unknown)) if method.contains(".CostService/") => {
                            assert_eq!(theirs, unknown, "{method}");
                        }
                        // A batch answers for each of its items.
                        (Ok(theirs), Ok(unknown)) => {
                            assert_eq!(theirs, unknown, "{method}");
                            let batch = v1::BatchDeleteLinksResponse::decode(theirs).expect("a batch");
                            assert_eq!((batch.succeeded, batch.failed), (0, 1), "{method}");
                        }
                        mixed => panic!("{method} tells them apart: {mixed:?}"),
                    }
                }
            }
        }
        assert_eq!(rows_of(app, &workspace).await, before, "a stranger left traces");

        // The very same requests are good when their owner sends them: it was not for another reason that they failed.
        for (number, (method, who, _)) in locked().enumerate() {
            let Who::With(_) = who else { continue };
            let fresh = victim.fresh(app, number).await;
            let message = contract.request(method, &victim.fill_with(&fresh));
            let answer = call(&channel, method, &owner, message).await;
            if answer.as_ref().is_err_and(was_let_in) {
                continue;
            }
            let answer = answer.unwrap_or_else(|status| panic!("{method}: {status:?}"));
            if method.contains("/Batch") {
                let batch = v1::BatchDeleteLinksResponse::decode(answer).expect("a batch");
                assert_eq!((batch.succeeded, batch.failed), (1, 0), "{method}");
            }
        }
        assert_ne!(rows_of(app, &workspace).await, before, "what the owner does is seen");
    })
    .await;
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_say_and_nothing_else() {
    on_every_store(async |app| {
        let contract = Contract::read();
        let tenant = app.tenant().await;
        let victim = Victim::of(app, &tenant.id).await;
        let channel = app.channel().await;
        let every: Vec<Permission> = Permission::ALL.to_vec();
        for (number, (method, who, _)) in locked().enumerate() {
            let message = contract.request(method, &victim.fill());
            match who {
                Who::Anybody => {}
                Who::Person => {
                    let refused =
                        call(&channel, method, &tenant.key, message).await.expect_err("people only");
                    assert_eq!(
                        (refused.code(), &*reason(&refused)),
                        (Code::PermissionDenied, "PERMISSION_MISSING"),
                        "{method}"
                    );
                }
                Who::With(needed) => {
                    for lacking in *needed {
                        let scopes: Vec<_> =
                            every.iter().copied().filter(|p| !p.includes(*lacking)).collect();
                        let key = app.key(&tenant.id, &scopes).await;
                        let refused = call(&channel, method, &key, message.clone()).await;
                        let refused = refused.expect_err("one is lacking");
                        assert_eq!(reason(&refused), "PERMISSION_MISSING", "{method}");
                        let info = refused.get_details_error_info().expect("always there");
                        assert_eq!(info.metadata["permission"], lacking.name(), "{method}");
                    }
                    // And these are enough.
                    let key = app.key(&tenant.id, needed).await;
                    let fresh = victim.fresh(app, number).await;
                    let message = contract.request(method, &victim.fill_with(&fresh));
                    match call(&channel, method, &key, message).await {
                        Ok(_) => {}
                        Err(status) if was_let_in(&status) => {}
                        Err(status) => panic!("{method}: {status:?}"),
                    }
                }
            }
        }
    })
    .await;
}

/// A key that is bound to a project in which nothing is: whatever it calls, it finds nothing and leaves no trace.
#[tokio::test]
async fn a_bound_key_reaches_nothing_outside_of_what_it_is_bound_to() {
    on_every_store(async |app| {
        let contract = Contract::read();
        let tenant = app.tenant().await;
        let victim = Victim::of(app, &tenant.id).await;
        let empty = victim.folders.project("empty").await;
        let operator = enter_as_operator(app.env(), Some(&tenant.id)).await.expect("is there");
        let new = keys::NewKey {
            projects: vec![ProjectId::parse(&empty).expect("an id")],
            ..keys::NewKey::new("bound", ALL_SCOPES.to_vec())
        };
        let key = keys::create(app.env(), &operator, new, None).await.expect("creates");
        let key = key.secret.expect("a new key has one");
        let channel = app.channel().await;
        // That it was used is written down of a key, and no trace of it elsewhere.
        let traces = async || {
            let mut rows = rows_of(app, &tenant.id).await;
            rows.retain(|table, _| !table.starts_with("api_key"));
            rows
        };
        let before = traces().await;
        for (method, who, _) in locked() {
            let Who::With(_) = who else { continue };
            let message = contract.request(method, &victim.fill());
            match call(&channel, method, &key, message).await {
                Err(status) => {
                    let fine =
                        matches!(&*reason(&status), "NOT_FOUND" | "PERMISSION_MISSING" | "FETCH_FAILED");
                    let outside = wrong(&status) == ["link.project_id"];
                    assert!(fine || outside, "{method}: {status:?}");
                }
                Ok(answer) => match method.rsplit('/').next().expect("a name") {
                    "BatchCreateLinks" | "BatchUpdateLinks" | "BatchDeleteLinks" => {
                        let batch = v1::BatchDeleteLinksResponse::decode(answer).expect("a batch");
                        assert_eq!((batch.succeeded, batch.failed), (0, 1), "{method}");
                    }
                    "ListLinks" => {
                        let page = v1::ListLinksResponse::decode(answer).expect("a page");
                        assert!(page.links.is_empty(), "{page:?}");
                    }
                    "ExportLinks" => {
                        let part = v1::ExportLinksResponse::decode(answer).expect("a part");
                        assert_eq!(part.links, 0, "{part:?}");
                    }
                    _ => panic!("{method} answers {answer:?}"),
                },
            }
        }
        let after = traces().await;
        let changed: Vec<_> = after.iter().filter(|(table, rows)| before.get(*table) != Some(rows)).collect();
        assert!(changed.is_empty(), "a key left traces where it may not be: {changed:?}, not {before:?}");
    })
    .await;
}

/// Says whether a call failed only because there is nobody at its URL, no test asks the world, or because it does not say the name of the
/// workspace it deletes.
fn was_let_in(status: &Status) -> bool {
    let unconfirmed = || wrong(status) == ["confirmation"];
    reason(status) == "FETCH_FAILED" || unconfirmed()
}

#[tokio::test]
async fn each_role_may_call_what_the_table_says_and_nothing_else() {
    on_every_store(async |app| {
        let contract = Contract::read();
        let (_, workspace) = settled_owner(app).await;
        let victim = Victim::of(app, &workspace).await;
        let channel = app.channel().await;
        let mut people = Vec::new();
        for role in [Role::Viewer, Role::Member, Role::Admin] {
            let email = format!("{}@example.com", role.name());
            people.push((role, person(app, &email, Some((&workspace, role))).await));
        }
        let mut number = 0;
        for (method, who, names) in locked() {
            let Who::With(needed) = who else { continue };
            number += 1;
            let fresh = match names {
                Names::Things => Some(victim.fresh(app, number).await),
                Names::Nothing => None,
            };
            for (role, token) in &people {
                let lacking = needed.iter().find(|needed| !role.may(**needed));
                let things = fresh.as_ref().unwrap_or(&victim.things);
                let message = contract.request(method, &victim.fill_with(things));
                let answer = call(&channel, method, token, message).await;
                let Some(lacking) = lacking else {
                    // What somebody of another role did to the same things before is in the way of nobody's right.
                    let before = |status: &Status| {
                        matches!(
                            &*reason(status),
                            "ALREADY_EXISTS" | "API_KEY_OVER" | "NOT_FOUND" | "SHORT_CODE_TAKEN"
                        )
                    };
                    let fine =
                        answer.as_ref().map_or_else(|status| was_let_in(status) || before(status), |_| true);
                    assert!(fine, "{method} by a {}: {answer:?}", role.name());
                    continue;
                };
                let refused = answer.expect_err("the role does not reach");
                assert_eq!(reason(&refused), "PERMISSION_MISSING", "{method} by a {}", role.name());
                let info = refused.get_details_error_info().expect("always there");
                assert_eq!(info.metadata["permission"], lacking.name(), "{method} by a {}", role.name());
            }
        }
    })
    .await;
}

/// What apps call is served elsewhere, and opened by the app's token alone.
#[tokio::test]
async fn an_app_calls_with_its_token_and_what_it_sends_is_nobodys_crash() {
    on_every_store(async |app| {
        let contract = Contract::of_package("linkforty.sdk.v1");
        assert_eq!(contract.methods.len(), 7);
        let (owner, workspace) = settled_owner(app).await;
        let tenant = app.tenant_of(&workspace).await;
        let token = tenant.app_token().await;
        let (links, api) = (app.links_channel().await, app.channel().await);
        let ids = Ids::seeded(8);
        for method in contract.methods.keys() {
            for (bearer, why) in [
                ("", "CREDENTIALS_MISSING"),
                (&*tenant.key, "CREDENTIALS_INVALID"),
                (&*owner, "CREDENTIALS_INVALID"),
                ("at_00000000000000000000000000000000", "CREDENTIALS_INVALID"),
            ] {
                let refused = call(&links, method, bearer, Bytes::new()).await.expect_err("is not let in");
                assert_eq!((refused.code(), &*reason(&refused)), (Code::Unauthenticated, why), "{method}");
            }
            let elsewhere = call(&api, method, &token, Bytes::new()).await.expect_err("is not served there");
            assert!(
                matches!(elsewhere.code(), Code::Unimplemented | Code::Unauthenticated),
                "{method}: {elsewhere:?}"
            );
            let empty = call(&links, method, &token, Bytes::new()).await.expect_err("says nothing");
            assert_eq!(empty.code(), Code::InvalidArgument, "{method}: {empty:?}");
            for round in 0..40_usize {
                let bytes = ids.bytes::<64>()[..round].to_vec();
                let _ = call(&links, method, &token, bytes.into()).await;
            }
            let refused = call(&links, method, &token, Bytes::from_static(&[0xff; 9])).await;
            assert_eq!(refused.expect_err("cannot be read").code(), Code::InvalidArgument, "{method}");
        }
        // And it opens nothing else, wherever that is served.
        for (method, ..) in locked() {
            let message = Contract::read().request(method, &Fill { workspace: &tenant.id, ..nowhere() });
            let refused = call(&api, method, &token, message).await.expect_err("is not let in");
            let face = (refused.code(), &*reason(&refused));
            assert_eq!(face, (Code::Unauthenticated, "CREDENTIALS_INVALID"), "{method}");
            assert!(refused.message().contains("linkforty.sdk.v1"), "{method}: {refused:?}");
        }
        for other in METHODS.iter().map(|(method, ..)| method).take(5) {
            let refused =
                call(&links, other, &tenant.key, Bytes::new()).await.expect_err("is not served there");
            assert_eq!(refused.code(), Code::Unimplemented, "{other}");
        }
    })
    .await;
}

/// Whatever comes in, it is the caller's fault and never ours. [`call`] checks the rest.
#[tokio::test]
async fn random_bytes_are_nobodys_crash() {
    on_every_store(async |app| {
        let contract = Contract::read();
        let (owner, workspace) = settled_owner(app).await;
        let key = app.key(&workspace, &ALL_SCOPES).await;
        let channel = app.channel().await;
        let ids = Ids::seeded(7);
        for (method, ..) in METHODS {
            let whole = contract.request(method, &Fill { workspace: &workspace, ..nowhere() });
            for round in 0..40_u32 {
                let mut bytes = match round % 4 {
                    // A message that goes wrong somewhere is further inside than one that begins wrong.
                    0 => ids.bytes::<64>()[..(round as usize)].to_vec(),
                    1 => whole[..ids.below(whole.len() as u32 + 1) as usize].to_vec(),
                    _ => whole.to_vec(),
                };
                if round % 4 > 1 && !bytes.is_empty() {
                    let at = ids.below(bytes.len() as u32) as usize;
                    bytes[at] = ids.bytes::<1>()[0];
                }
                let bearer = if round % 3 == 0 && !method.ends_with("SignOut") { &owner } else { &key };
                let _ = call(&channel, method, bearer, bytes.into()).await;
            }
            // Not a message at all.
            let refused = call(&channel, method, &key, Bytes::from_static(&[0xff; 9])).await;
            let refused = refused.expect_err("cannot be read");
            assert_eq!(refused.code(), Code::InvalidArgument, "{method}: {refused:?}");
            // Nor framed as one.
            let headers = [
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                ("authorization", &*format!("Bearer {key}")),
            ];
            for body in [
                &b""[..],
                b"\x00",
                b"\x00\xff\xff\xff\xff",
                b"\x07\x00\x00\x00\x00",
                b"\x01\x00\x00\x00\x01x",
            ] {
                let answer =
                    send_h2(app.api(), &format!("/{method}"), &headers, Bytes::copy_from_slice(body)).await;
                let status = Status::from_header_map(&answer.headers);
                let status = status.unwrap_or_else(|| panic!("{method} {body:?}: {answer:?}"));
                assert!(
                    matches!(
                        status.code(),
                        Code::InvalidArgument
                            | Code::Unimplemented
                            | Code::PermissionDenied
                            | Code::Unauthenticated
                    ),
                    "{method} {body:?}: {status:?}"
                );
                assert!(!reason(&status).is_empty(), "{method} {body:?}: {status:?}");
            }
        }
        // It is still there, and still answers as it should.
        let method = "linkforty.v1.WorkspaceService/GetWorkspace";
        let message = contract.request(method, &Fill { workspace: &workspace, ..nowhere() });
        call(&channel, method, &key, message).await.expect("still answers");
        assert_eq!(
            send_h2(app.api(), "/x", &[("content-type", "application/grpc")], frame(b"")).await.status,
            200
        );
    })
    .await;
}

#[tokio::test]
async fn only_operators_may_read_the_contract_from_the_server() {
    let app = App::start(Store::Embedded).await;
    let ask = async |address: std::net::SocketAddr| {
        let endpoint =
            tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let mut client = ServerReflectionClient::new(endpoint.connect().await.expect("accepts"));
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut answers = client.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
        let answer = answers.message().await?.expect("one answer").message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
        Ok::<_, Status>(list.service.into_iter().map(|service| service.name).collect::<BTreeSet<_>>())
    };
    let told = ask(app.ops()).await.expect("operators may");
    let methods = Contract::read().methods;
    for service in methods.keys().filter_map(|method| method.split('/').next()) {
        assert!(told.contains(service), "{service} is not among {told:?}");
    }
    for address in [app.api(), app.links()] {
        let refused = ask(address).await.expect_err("not here");
        assert!(matches!(refused.code(), Code::Unimplemented | Code::NotFound), "{refused:?}");
    }
    app.stop().await;
}
