//! `linkforty.v1.AuthService`.

use tonic::{Request, Response, Status, async_trait};

use super::{Tokens, User};
use crate::{
    env::Env,
    error::{Result, Violations},
    ids::{SessionId, UserId},
    pb::v1::{self, auth_service_server::AuthService},
    rpc::{Caller, answer, open},
    workspaces::{grpc::timestamp, people_only},
};

const MAX_EMAIL_CHARACTERS: usize = 254;
const MAX_PASSWORD_CHARACTERS: usize = 512;

/// The service.
#[derive(Debug, Clone)]
pub struct AuthApi {
    env: Env,
}

impl AuthApi {
    /// Returns the service.
    pub fn new(env: Env) -> Self {
        Self { env }
    }
}

#[async_trait]
impl AuthService for AuthApi {
    async fn sign_in(
        &self,
        request: Request<v1::SignInRequest>,
    ) -> Result<Response<v1::SignInResponse>, Status> {
        answer(async {
            let asked = request.into_inner();
            let mut violations = Violations::default();
            bounded("email", &asked.email, MAX_EMAIL_CHARACTERS, &mut violations);
            bounded("password", &asked.password, MAX_PASSWORD_CHARACTERS, &mut violations);
            violations.into_result(())?;
            let (tokens, user) = super::sign_in(&self.env, &asked.email, &asked.password).await?;
            Ok(v1::SignInResponse { tokens: Some(tokens.into()), user: Some(user.into()) })
        })
        .await
    }

    async fn refresh_session(
        &self,
        request: Request<v1::RefreshSessionRequest>,
    ) -> Result<Response<v1::RefreshSessionResponse>, Status> {
        answer(async {
            let tokens = super::refresh(&self.env, &request.into_inner().refresh_token).await?;
            Ok(v1::RefreshSessionResponse { tokens: Some(tokens.into()) })
        })
        .await
    }

    async fn sign_out(
        &self,
        request: Request<v1::SignOutRequest>,
    ) -> Result<Response<v1::SignOutResponse>, Status> {
        answer(async {
            let (caller, _) = open(request)?;
            let (_, session) = signed_in(&caller)?;
            super::sign_out(&self.env, session).await?;
            Ok(v1::SignOutResponse {})
        })
        .await
    }

    async fn change_password(
        &self,
        request: Request<v1::ChangePasswordRequest>,
    ) -> Result<Response<v1::ChangePasswordResponse>, Status> {
        answer(async {
            let (caller, asked) = open(request)?;
            let (user, session) = signed_in(&caller)?;
            let mut violations = Violations::default();
            bounded("current_password", &asked.current_password, MAX_PASSWORD_CHARACTERS, &mut violations);
            violations.into_result(())?;
            let v1::ChangePasswordRequest { current_password, new_password } = asked;
            let tokens =
                super::change_password(&self.env, user, session, &current_password, &new_password).await?;
            Ok(v1::ChangePasswordResponse { tokens: Some(tokens.into()) })
        })
        .await
    }

    async fn get_me(
        &self,
        request: Request<v1::GetMeRequest>,
    ) -> Result<Response<v1::GetMeResponse>, Status> {
        answer(async {
            let (caller, _) = open(request)?;
            let (user, _) = signed_in(&caller)?;
            let (user, memberships) = super::me(&self.env, user).await?;
            Ok(v1::GetMeResponse {
                user: Some(user.into()),
                memberships: memberships.into_iter().map(v1::Membership::from).collect(),
            })
        })
        .await
    }
}

/// Returns the signed-in person, also one whose password must change: these calls are how it is changed.
fn signed_in(caller: &Caller) -> Result<(UserId, SessionId)> {
    match caller {
        Caller::Person { user, session, .. } => Ok((*user, *session)),
        Caller::ApiKey { .. } => Err(people_only()),
    }
}

fn bounded(field: &str, text: &str, most: usize, violations: &mut Violations) {
    if text.is_empty() || text.chars().count() > most {
        violations.add(field, format!("must have 1 to {most} characters"));
    }
}

impl From<Tokens> for v1::SessionTokens {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access,
            access_token_expire_time: Some(timestamp(tokens.access_expire_time)),
            refresh_token: tokens.refresh,
            refresh_token_expire_time: Some(timestamp(tokens.refresh_expire_time)),
        }
    }
}

impl From<User> for v1::User {
    fn from(user: User) -> Self {
        // The hash stays here.
        let User {
            id,
            email,
            display_name,
            password_hash: _,
            password_change_required,
            create_time,
            update_time: _,
        } = user;
        Self {
            id: id.to_string(),
            email,
            display_name,
            password_change_required,
            create_time: Some(timestamp(create_time)),
        }
    }
}
