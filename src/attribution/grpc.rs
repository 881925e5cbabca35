//! `linkforty.v1.AttributionService`: who calls, may they, what do they want, do it, answer.

use std::mem::take;

use futures::stream::BoxStream;
use prost::Message as _;
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::{
    decisions,
    events::{self, Credit, EventQuery, FlowQuery, Listed, ScreenFlow, money::Amount},
    explain, fraud,
    installs::{self, InstallQuery, report::install_id},
    replay,
    returns::{self, OpenQuery},
};
use crate::{
    clock::Moment,
    entity::event,
    env::Env,
    error::{Error, Result, Violations},
    ids::{AppId, InstallId, LinkId},
    links::{NOT_A_UUID, moment, timestamp},
    pb::{
        sdk::v1::{AttributionState, MatchMethod},
        v1::{
            self, AppEvent, CountAssistsRequest, CountAssistsResponse, EventCredit,
            ExplainAttributionRequest, ExplainAttributionResponse, GetDecisionProofRequest,
            GetDecisionProofResponse, GetFraudReportRequest, GetFraudReportResponse, GetInstallRequest,
            GetInstallResponse, GetScreenFlowRequest, GetScreenFlowResponse, ListDecisionCheckpointsRequest,
            ListDecisionCheckpointsResponse, ListEventsRequest, ListEventsResponse, ListFraudRulesRequest,
            ListFraudRulesResponse, ListInstallsRequest, ListInstallsResponse, ListReengagementsRequest,
            ListReengagementsResponse, ReplayAttributionRequest, ReplayAttributionResponse,
            UpdateFraudRuleRequest, UpdateFraudRuleResponse, attribution_service_server::AttributionService,
        },
    },
    rpc::{self, Permission, Vigil},
    workspaces::{self, grpc::once},
};

/// Which installs are looked at for assists when nobody says.
const ASSISTS_SPAN: chrono::Duration = chrono::Duration::days(30);

/// Answers `AttributionService`.
#[derive(Debug, Clone)]
pub struct AttributionApi {
    /// The handles.
    pub env: Env,
}

#[tonic::async_trait]
impl AttributionService for AttributionApi {
    async fn list_installs(
        &self,
        request: Request<ListInstallsRequest>,
    ) -> Result<Response<ListInstallsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let (now, query) = (env.now(), read_installs(&asked)?);
            let of_query = ListInstallsRequest { page_size: 0, page_token: String::new(), ..asked.clone() };
            let question =
                [b"ListInstalls", tenant.id.0.as_bytes().as_slice(), &of_query.encode_to_vec()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = installs::list(env, &tenant, &query, &page).await?;
            let mut claims = installs::claims(env, &tenant, &page.items).await?;
            let installs = page.items.iter();
            Ok(ListInstallsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, now),
                installs: installs
                    .map(|row| explain::install(row, claims.remove(&row.id).unwrap_or_default()))
                    .collect(),
            })
        })
        .await
    }

    async fn get_install(
        &self,
        request: Request<GetInstallRequest>,
    ) -> Result<Response<GetInstallResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let found = installs::find(env, tenant.id, install_id(&asked.install_id)?).await?;
            let found = found.ok_or_else(|| Error::not_found("install"))?;
            let claims = installs::claims_of(env, &tenant, &found).await?;
            Ok(GetInstallResponse { install: Some(explain::install(&found, claims)) })
        })
        .await
    }

    async fn explain_attribution(
        &self,
        request: Request<ExplainAttributionRequest>,
    ) -> Result<Response<ExplainAttributionResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let found = installs::find(env, tenant.id, install_id(&asked.install_id)?).await?;
            let found = found.ok_or_else(|| Error::not_found("install"))?;
            let claims = installs::claims_of(env, &tenant, &found).await?;
            Ok(explain::explain(&found, claims))
        })
        .await
    }

    async fn get_decision_proof(
        &self,
        request: Request<GetDecisionProofRequest>,
    ) -> Result<Response<GetDecisionProofResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let install = install_id(&asked.install_id)?;
            decisions::proof::prove(env, &tenant, install, asked.include_evidence).await
        })
        .await
    }

    async fn list_decision_checkpoints(
        &self,
        request: Request<ListDecisionCheckpointsRequest>,
    ) -> Result<Response<ListDecisionCheckpointsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let now = env.now();
            let question = [b"ListDecisionCheckpoints", tenant.id.0.as_bytes().as_slice()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = decisions::list_checkpoints(env, &tenant, &page).await?;
            Ok(ListDecisionCheckpointsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, now),
                checkpoints: page.items.into_iter().map(decisions::proof::shown).collect(),
                public_key: decisions::public_key(env, tenant.id).text(),
            })
        })
        .await
    }

    type ReplayAttributionStream = BoxStream<'static, Result<ReplayAttributionResponse, Status>>;

    async fn replay_attribution(
        &self,
        request: Request<ReplayAttributionRequest>,
    ) -> Result<Response<Self::ReplayAttributionStream>, Status> {
        let opened = async {
            let env = &self.env.for_bulk();
            let caller = rpc::caller(&request)?;
            let vigil = Vigil::of(&request, env.now())?;
            let asked = request.into_inner();
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            replay::replay(env, tenant, read_replay(asked, env.now())?, vigil).await
        };
        let parts = opened.await.map_err(|error: Error| rpc::status(&error))?;
        Ok(Response::new(Box::pin(parts)))
    }

    async fn list_fraud_rules(
        &self,
        request: Request<ListFraudRulesRequest>,
    ) -> Result<Response<ListFraudRulesResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let rules = fraud::list(env, &tenant).await?;
            let rules = rules.into_iter().map(|(rule, setting)| fraud::wire::rule(rule, setting)).collect();
            Ok(ListFraudRulesResponse { rules })
        })
        .await
    }

    async fn update_fraud_rule(
        &self,
        request: Request<UpdateFraudRuleRequest>,
    ) -> Result<Response<UpdateFraudRuleResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::WorkspacesWrite).await?;
            let mut wrong = Violations::default();
            let id = take(&mut asked.request_id);
            let once = once(&tenant, "UpdateFraudRule", &id, &asked, &mut wrong);
            let change = fraud::wire::read(&asked.id, asked.action, asked.threshold, &mut wrong);
            let (change, once) = wrong.into_result((change, once))?;
            let (rule, change) = change.ok_or_else(|| Error::internal("a rule that was not read"))?;
            let setting = fraud::update(env, &tenant, rule, change, once.as_ref()).await?;
            Ok(UpdateFraudRuleResponse { rule: Some(fraud::wire::rule(rule, setting)) })
        })
        .await
    }

    async fn get_fraud_report(
        &self,
        request: Request<GetFraudReportRequest>,
    ) -> Result<Response<GetFraudReportResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let asked = read_fraud_report(&asked, env.now())?;
            Ok(fraud::wire::report(fraud::report(env, &tenant, &asked).await?))
        })
        .await
    }

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let (now, query) = (env.now(), read_query(&asked)?);
            let of_query = ListEventsRequest { page_size: 0, page_token: String::new(), ..asked.clone() };
            let question =
                [b"ListEvents", tenant.id.0.as_bytes().as_slice(), &of_query.encode_to_vec()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = events::list(env, &tenant, &query, &page).await?;
            Ok(ListEventsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, now),
                events: page.items.into_iter().map(shown).collect(),
            })
        })
        .await
    }

    async fn list_reengagements(
        &self,
        request: Request<ListReengagementsRequest>,
    ) -> Result<Response<ListReengagementsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let (now, query) = (env.now(), read_opens(&asked)?);
            let of_query =
                ListReengagementsRequest { page_size: 0, page_token: String::new(), ..asked.clone() };
            let question =
                [b"ListReengagements", tenant.id.0.as_bytes().as_slice(), &of_query.encode_to_vec()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = returns::list(env, &tenant, &query, &page).await?;
            Ok(ListReengagementsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, now),
                reengagements: page.items.into_iter().map(explain::returned).collect(),
            })
        })
        .await
    }

    async fn count_assists(
        &self,
        request: Request<CountAssistsRequest>,
    ) -> Result<Response<CountAssistsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let mut wrong = Violations::default();
            let app = read_id("app_id", &asked.app_id, AppId::parse, &mut wrong);
            let start = read_time("start_time", asked.start_time.as_ref(), &mut wrong);
            let end = read_time("end_time", asked.end_time.as_ref(), &mut wrong);
            let (app, start, end) = wrong.into_result((app, start, end))?;
            let end = end.unwrap_or_else(|| env.now());
            let start = start.unwrap_or(end - ASSISTS_SPAN);
            Ok(explain::assists_of_links(installs::count_assists(env, &tenant, app, (start, end)).await?))
        })
        .await
    }

    async fn get_screen_flow(
        &self,
        request: Request<GetScreenFlowRequest>,
    ) -> Result<Response<GetScreenFlowResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, asked) = rpc::open(request)?;
            let tenant =
                workspaces::enter(env, &caller, &asked.workspace_id, Permission::AttributionRead).await?;
            let query = read_flow(&asked, env.now())?;
            let flow = events::screen_flow(env, &tenant, &query).await?;
            Ok(flow_response(flow, &query))
        })
        .await
    }
}

fn read_installs(asked: &ListInstallsRequest) -> Result<InstallQuery> {
    let mut wrong = Violations::default();
    let number = |field, given: i32, known: bool, wrong: &mut Violations| {
        if !known {
            wrong.add(field, "is none this server knows");
        }
        i16::try_from(given).ok().filter(|given| *given != 0)
    };
    let state = number("state", asked.state, AttributionState::try_from(asked.state).is_ok(), &mut wrong);
    let method = number("method", asked.method, MatchMethod::try_from(asked.method).is_ok(), &mut wrong);
    let query = InstallQuery {
        app: read_id("app_id", &asked.app_id, AppId::parse, &mut wrong),
        link: read_id("link_id", &asked.link_id, LinkId::parse, &mut wrong),
        state,
        method,
        start: read_time("start_time", asked.start_time.as_ref(), &mut wrong),
        end: read_time("end_time", asked.end_time.as_ref(), &mut wrong),
        test: asked.include_test,
    };
    wrong.into_result(query)
}

fn read_opens(asked: &ListReengagementsRequest) -> Result<OpenQuery> {
    let mut wrong = Violations::default();
    let query = OpenQuery {
        app: read_id("app_id", &asked.app_id, AppId::parse, &mut wrong),
        link: read_id("link_id", &asked.link_id, LinkId::parse, &mut wrong),
        install: read_id("install_id", &asked.install_id, InstallId::parse, &mut wrong),
        start: read_time("start_time", asked.start_time.as_ref(), &mut wrong),
        end: read_time("end_time", asked.end_time.as_ref(), &mut wrong),
    };
    wrong.into_result(query)
}

fn read_query(asked: &ListEventsRequest) -> Result<EventQuery> {
    let mut wrong = Violations::default();
    let query = EventQuery {
        app: read_id("app_id", &asked.app_id, AppId::parse, &mut wrong),
        install: read_id("install_id", &asked.install_id, InstallId::parse, &mut wrong),
        link: read_id("link_id", &asked.link_id, LinkId::parse, &mut wrong),
        name: asked.name.clone(),
        start: read_time("start_time", asked.start_time.as_ref(), &mut wrong),
        end: read_time("end_time", asked.end_time.as_ref(), &mut wrong),
    };
    wrong.into_result(query)
}

fn read_flow(asked: &GetScreenFlowRequest, now: Moment) -> Result<FlowQuery> {
    let mut wrong = Violations::default();
    let app = read_id("app_id", &asked.app_id, AppId::parse, &mut wrong);
    let link = read_id("link_id", &asked.link_id, LinkId::parse, &mut wrong);
    let start = read_time("start_time", asked.start_time.as_ref(), &mut wrong);
    let end = read_time("end_time", asked.end_time.as_ref(), &mut wrong);
    let (app, link, span) = wrong.into_result((app, link, (start, end)))?;
    FlowQuery::new(app, link, span, now)
}

fn read_replay(asked: ReplayAttributionRequest, now: Moment) -> Result<replay::Asked> {
    let mut wrong = Violations::default();
    let app = read_id("app_id", &asked.app_id, AppId::parse, &mut wrong);
    let start = read_time("start_time", asked.start_time.as_ref(), &mut wrong);
    let end = read_time("end_time", asked.end_time.as_ref(), &mut wrong);
    let otherwise = replay::wire::read(asked.rules, &mut wrong);
    let (app, start, end, otherwise) = wrong.into_result((app, start, end, otherwise))?;
    Ok(replay::Asked { app, span: replay::span(start, end, now)?, otherwise })
}

fn read_fraud_report(asked: &GetFraudReportRequest, now: Moment) -> Result<fraud::Asked> {
    let mut wrong = Violations::default();
    let app = read_id("app_id", &asked.app_id, AppId::parse, &mut wrong);
    let link = read_id("link_id", &asked.link_id, LinkId::parse, &mut wrong);
    let start = read_time("start_time", asked.start_time.as_ref(), &mut wrong);
    let end = read_time("end_time", asked.end_time.as_ref(), &mut wrong);
    let (app, link, start, end) = wrong.into_result((app, link, start, end))?;
    Ok(fraud::Asked { app, link, span: fraud::span(start, end, now)? })
}

fn read_id<T>(field: &str, text: &str, parse: fn(&str) -> Option<T>, wrong: &mut Violations) -> Option<T> {
    if text.is_empty() { None } else { wrong.take(field, parse(text).ok_or(NOT_A_UUID)) }
}

fn read_time(field: &str, given: Option<&Timestamp>, wrong: &mut Violations) -> Option<Moment> {
    given.and_then(|given| wrong.take(field, moment(given)))
}

fn shown(Listed { event, credit, test }: Listed) -> AppEvent {
    let event::Model {
        id,
        workspace_id,
        install_id,
        app_id,
        link_id,
        click_id,
        link_open_time,
        event_time,
        receive_time,
        content_hash: _,
        units,
        reporting_units,
        nanos,
        reporting_nanos,
        rate_day,
        duplicate_revenue,
        event_key,
        name,
        session,
        currency,
        reporting_currency,
        transaction_id,
        properties,
    } = event;
    let money = |units: Option<i64>, nanos: Option<i32>, currency: Option<String>| {
        let amount = Amount::new(units?, nanos.unwrap_or_default());
        Some(v1::Money { currency: currency?, units: amount.units(), nanos: amount.nanos() })
    };
    let (credit, credited) = match credit {
        Credit::LastLink(link) => (EventCredit::LastLink, link.to_string()),
        Credit::InstallLink(link) => (EventCredit::InstallLink, link.to_string()),
        Credit::WindowPassed => (EventCredit::WindowPassed, String::new()),
        Credit::Organic => (EventCredit::Organic, String::new()),
    };
    AppEvent {
        id: id.to_string(),
        workspace_id: workspace_id.to_string(),
        app_id: app_id.map(|app| app.to_string()).unwrap_or_default(),
        install_id: install_id.to_string(),
        event_key,
        name,
        event_time: Some(timestamp(event_time)),
        receive_time: Some(timestamp(receive_time)),
        session_id: session.unwrap_or_default(),
        properties: properties.as_deref().map(events::shown_properties),
        revenue: money(units, nanos, currency),
        reporting_revenue: money(reporting_units, reporting_nanos, reporting_currency),
        rate_date: rate_day.map(|day| events::date_of(day).to_string()).unwrap_or_default(),
        duplicate_revenue,
        transaction_id: transaction_id.unwrap_or_default(),
        link_id: link_id.map(|link| link.to_string()).unwrap_or_default(),
        click_id: click_id.map(|click| click.to_string()).unwrap_or_default(),
        link_open_time: link_open_time.map(timestamp),
        credit: credit.into(),
        credited_link_id: credited,
        test,
    }
}

fn flow_response(flow: ScreenFlow, query: &FlowQuery) -> GetScreenFlowResponse {
    let ScreenFlow { walks, sessions, events, more } = flow;
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let screens = walks.screens.into_iter().map(|(name, screen)| v1::Screen {
        name,
        views: screen.views,
        entries: screen.entries,
        exits: screen.exits,
        average_time: screen
            .average()
            .map(|time| prost_types::Duration { seconds: time.num_seconds(), nanos: time.subsec_nanos() }),
    });
    let transitions = walks.ways.into_iter().map(|(from_screen, to_screen, count)| v1::ScreenTransition {
        from_screen,
        to_screen,
        count,
    });
    GetScreenFlowResponse {
        screens: screens.collect(),
        transitions: transitions.collect(),
        session_count: count(sessions),
        event_count: count(events),
        truncated: more || walks.cut,
        start_time: Some(timestamp(query.start)),
        end_time: Some(timestamp(query.end)),
    }
}
