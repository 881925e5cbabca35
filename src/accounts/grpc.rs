//! `linkforty.v1.AuthService`.

use std::sync::Arc;

use chrono::TimeDelta;
use tonic::{Request, Response, Status, async_trait};

use super::{
    Challenge, Client, Session, SignedIn, Tokens, User, cookie,
    oidc::provider::Provider,
    passkeys::ceremony::Party,
    recovery,
    second_factor::{self, Enrolment, Proof},
    sessions,
};
use crate::{
    env::Env,
    error::{Error, Result, Violations},
    ids::{SessionId, UserId},
    outbound::Outbound,
    pb::v1::{self, auth_service_server::AuthService, complete_sign_in_request},
    rpc::{Caller, answer, open, status, timestamp},
    workspaces::{people_only, person},
};

const MAX_EMAIL_CHARACTERS: usize = 254;
const MAX_PASSWORD_CHARACTERS: usize = 512;
const MAX_TOKEN_CHARACTERS: usize = 200;

/// The service.
#[derive(Debug, Clone)]
pub struct AuthApi {
    pub(super) env: Env,
    pub(super) oidc: Option<Arc<Provider>>,
    pub(super) party: Option<Arc<Party>>,
}

impl AuthApi {
    /// Returns the service. `outbound` calls the identity provider, if there is one.
    pub fn new(env: Env, outbound: &Outbound) -> Self {
        let oidc = Provider::of(&env.config, outbound).map(Arc::new);
        let party = Party::of(&env.config).map(Arc::new);
        Self { env, oidc, party }
    }

    /// Returns the refresh token in the cookie of a request.
    fn carried<T>(&self, request: &Request<T>) -> Option<String> {
        cookie::read(&self.env.config, request.metadata().as_ref()).map(str::to_owned)
    }

    /// Returns tokens as they are handed out: the refresh token in a cookie, or in the answer.
    pub(super) fn handed(
        &self,
        tokens: Tokens,
        by_cookie: bool,
        cookie: &mut Option<String>,
    ) -> v1::SessionTokens {
        let mut told = v1::SessionTokens::from(tokens);
        if by_cookie {
            let token = std::mem::take(&mut told.refresh_token);
            let end = told.refresh_token_expire_time.as_ref().map_or(0, |time| time.seconds);
            let life = TimeDelta::seconds(end - self.env.now().timestamp());
            *cookie = Some(cookie::set(&self.env.config, &token, life));
        }
        told
    }

    /// Returns what a sign-in came to.
    pub(super) fn told_of(
        &self,
        signed_in: SignedIn,
        by_cookie: bool,
        cookie: &mut Option<String>,
    ) -> v1::SignInResponse {
        match signed_in {
            SignedIn::Session(tokens, user) => v1::SignInResponse {
                tokens: Some(self.handed(tokens, by_cookie, cookie)),
                user: Some(told(*user, false)),
                challenge: None,
            },
            SignedIn::Challenge(challenge) => {
                v1::SignInResponse { challenge: Some(challenge.into()), ..v1::SignInResponse::default() }
            }
        }
    }
}

#[async_trait]
impl AuthService for AuthApi {
    async fn sign_in(
        &self,
        request: Request<v1::SignInRequest>,
    ) -> Result<Response<v1::SignInResponse>, Status> {
        let mut cookie = None;
        let answer = answer(async {
            let client = Client::of(&request);
            let asked = request.into_inner();
            let mut violations = Violations::default();
            bounded("email", &asked.email, MAX_EMAIL_CHARACTERS, &mut violations);
            bounded("password", &asked.password, MAX_PASSWORD_CHARACTERS, &mut violations);
            violations.into_result(())?;
            let signed_in = super::sign_in(&self.env, &asked.email, &asked.password, &client).await?;
            Ok(self.told_of(signed_in, asked.cookie, &mut cookie))
        });
        with_cookie(answer.await?, cookie)
    }

    async fn complete_sign_in(
        &self,
        request: Request<v1::CompleteSignInRequest>,
    ) -> Result<Response<v1::CompleteSignInResponse>, Status> {
        let mut cookie = None;
        let answer = answer(async {
            let client = Client::of(&request);
            let asked = request.into_inner();
            let mut violations = Violations::default();
            bounded("challenge", &asked.challenge, MAX_TOKEN_CHARACTERS, &mut violations);
            let proof = match asked.proof {
                Some(complete_sign_in_request::Proof::Code(code)) => {
                    bounded("code", &code, MAX_TOKEN_CHARACTERS, &mut violations);
                    Proof::Code(code)
                }
                Some(complete_sign_in_request::Proof::RecoveryCode(code)) => {
                    bounded("recovery_code", &code, MAX_TOKEN_CHARACTERS, &mut violations);
                    Proof::RecoveryCode(code)
                }
                None => {
                    violations.add("code", "must be set, or recovery_code");
                    Proof::Code(String::new())
                }
            };
            violations.into_result(())?;
            let (tokens, user) =
                second_factor::complete_sign_in(&self.env, &asked.challenge, proof, &client).await?;
            Ok(v1::CompleteSignInResponse {
                tokens: Some(self.handed(tokens, asked.cookie, &mut cookie)),
                user: Some(told(user, true)),
            })
        });
        with_cookie(answer.await?, cookie)
    }

    async fn refresh_session(
        &self,
        request: Request<v1::RefreshSessionRequest>,
    ) -> Result<Response<v1::RefreshSessionResponse>, Status> {
        let mut cookie = None;
        let answer = answer(async {
            let (client, carried) = (Client::of(&request), self.carried(&request));
            let sent = request.into_inner().refresh_token;
            let by_cookie = sent.is_empty() && carried.is_some();
            let token = if by_cookie { carried.unwrap_or_default() } else { sent };
            let tokens = super::refresh(&self.env, &token, &client).await?;
            Ok(v1::RefreshSessionResponse { tokens: Some(self.handed(tokens, by_cookie, &mut cookie)) })
        });
        with_cookie(answer.await?, cookie)
    }

    async fn sign_out(
        &self,
        request: Request<v1::SignOutRequest>,
    ) -> Result<Response<v1::SignOutResponse>, Status> {
        let mut cookie = None;
        let answer = answer(async {
            let (client, carried) = (Client::of(&request), self.carried(&request).is_some());
            let (caller, _) = open(request)?;
            super::sign_out(&self.env, signed_in(&caller)?, &client).await?;
            cookie = carried.then(|| cookie::clear(&self.env.config));
            Ok(v1::SignOutResponse {})
        });
        with_cookie(answer.await?, cookie)
    }

    async fn change_password(
        &self,
        request: Request<v1::ChangePasswordRequest>,
    ) -> Result<Response<v1::ChangePasswordResponse>, Status> {
        let mut cookie = None;
        let answer = answer(async {
            let client = Client::of(&request);
            let carried = self.carried(&request);
            let (caller, asked) = open(request)?;
            let who = signed_in(&caller)?;
            let mut violations = Violations::default();
            bounded("current_password", &asked.current_password, MAX_PASSWORD_CHARACTERS, &mut violations);
            violations.into_result(())?;
            let passwords = (&*asked.current_password, &*asked.new_password);
            let tokens = super::change_password(&self.env, who, passwords, &client).await?;
            // The cookie of this session, whose token is used up, gets the new one.
            let by_cookie =
                carried.and_then(|token| sessions::of_refresh_token(&self.env, &token)) == Some(who.1);
            Ok(v1::ChangePasswordResponse { tokens: Some(self.handed(tokens, by_cookie, &mut cookie)) })
        });
        with_cookie(answer.await?, cookie)
    }

    async fn get_me(
        &self,
        request: Request<v1::GetMeRequest>,
    ) -> Result<Response<v1::GetMeResponse>, Status> {
        answer(async {
            let (caller, _) = open(request)?;
            let (user, _) = signed_in(&caller)?;
            let (user, memberships) = super::me(&self.env, user).await?;
            let enrolled = second_factor::is_enrolled(&self.env.db.api, user.id).await?;
            Ok(v1::GetMeResponse {
                user: Some(told(user, enrolled)),
                memberships: memberships.into_iter().map(v1::Membership::from).collect(),
            })
        })
        .await
    }

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        answer(async {
            let (caller, asked) = open(request)?;
            let (user, current) = settled(&caller)?;
            let now = self.env.now();
            let question = [b"ListSessions".as_slice(), user.0.as_bytes()].concat();
            let page = self.env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = sessions::list(&self.env, user, &page).await?;
            Ok(v1::ListSessionsResponse {
                next_page_token: self.env.pages.token(page.next.as_ref(), &question, now),
                sessions: page.items.into_iter().map(|session| told_session(session, current)).collect(),
            })
        })
        .await
    }

    async fn revoke_session(
        &self,
        request: Request<v1::RevokeSessionRequest>,
    ) -> Result<Response<v1::RevokeSessionResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let who = settled(&caller)?;
            let session = SessionId::parse(&asked.session_id).ok_or_else(|| Error::not_found("session"))?;
            sessions::revoke(&self.env, who, session, &client).await?;
            Ok(v1::RevokeSessionResponse {})
        })
        .await
    }

    async fn revoke_other_sessions(
        &self,
        request: Request<v1::RevokeOtherSessionsRequest>,
    ) -> Result<Response<v1::RevokeOtherSessionsResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, _) = open(request)?;
            let (user, current) = settled(&caller)?;
            let ended = sessions::revoke_others(&self.env, user, current, &client).await?;
            Ok(v1::RevokeOtherSessionsResponse { revoked_count: i32::try_from(ended).unwrap_or(i32::MAX) })
        })
        .await
    }

    async fn request_password_reset(
        &self,
        request: Request<v1::RequestPasswordResetRequest>,
    ) -> Result<Response<v1::RequestPasswordResetResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let email = request.into_inner().email;
            let mut violations = Violations::default();
            bounded("email", &email, MAX_EMAIL_CHARACTERS, &mut violations);
            violations.into_result(())?;
            recovery::request_password_reset(&self.env, &email, &client).await?;
            Ok(v1::RequestPasswordResetResponse {})
        })
        .await
    }

    async fn reset_password(
        &self,
        request: Request<v1::ResetPasswordRequest>,
    ) -> Result<Response<v1::ResetPasswordResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let v1::ResetPasswordRequest { token, new_password } = request.into_inner();
            let mut violations = Violations::default();
            bounded("token", &token, MAX_TOKEN_CHARACTERS, &mut violations);
            violations.into_result(())?;
            recovery::reset_password(&self.env, &token, &new_password, &client).await?;
            Ok(v1::ResetPasswordResponse {})
        })
        .await
    }

    async fn request_email_verification(
        &self,
        request: Request<v1::RequestEmailVerificationRequest>,
    ) -> Result<Response<v1::RequestEmailVerificationResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, _) = open(request)?;
            let (user, _) = settled(&caller)?;
            recovery::request_email_verification(&self.env, user, &client).await?;
            Ok(v1::RequestEmailVerificationResponse {})
        })
        .await
    }

    async fn verify_email(
        &self,
        request: Request<v1::VerifyEmailRequest>,
    ) -> Result<Response<v1::VerifyEmailResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let token = request.into_inner().token;
            let mut violations = Violations::default();
            bounded("token", &token, MAX_TOKEN_CHARACTERS, &mut violations);
            violations.into_result(())?;
            recovery::verify_email(&self.env, &token, &client).await?;
            Ok(v1::VerifyEmailResponse {})
        })
        .await
    }

    async fn enroll_totp(
        &self,
        request: Request<v1::EnrollTotpRequest>,
    ) -> Result<Response<v1::EnrollTotpResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let (user, _) = settled(&caller)?;
            let password = of_now(&asked.password)?;
            let Enrolment { secret, uri } = second_factor::enroll(&self.env, user, password, &client).await?;
            Ok(v1::EnrollTotpResponse { secret, uri })
        })
        .await
    }

    async fn confirm_totp(
        &self,
        request: Request<v1::ConfirmTotpRequest>,
    ) -> Result<Response<v1::ConfirmTotpResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let (user, _) = settled(&caller)?;
            let mut violations = Violations::default();
            bounded("code", &asked.code, MAX_TOKEN_CHARACTERS, &mut violations);
            violations.into_result(())?;
            let recovery_codes = second_factor::confirm(&self.env, user, &asked.code, &client).await?;
            Ok(v1::ConfirmTotpResponse { recovery_codes })
        })
        .await
    }

    async fn disable_totp(
        &self,
        request: Request<v1::DisableTotpRequest>,
    ) -> Result<Response<v1::DisableTotpResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let (user, _) = settled(&caller)?;
            second_factor::disable(&self.env, user, of_now(&asked.password)?, &client).await?;
            Ok(v1::DisableTotpResponse {})
        })
        .await
    }

    async fn regenerate_recovery_codes(
        &self,
        request: Request<v1::RegenerateRecoveryCodesRequest>,
    ) -> Result<Response<v1::RegenerateRecoveryCodesResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let (user, _) = settled(&caller)?;
            let password = of_now(&asked.password)?;
            let recovery_codes = second_factor::regenerate_codes(&self.env, user, password, &client).await?;
            Ok(v1::RegenerateRecoveryCodesResponse { recovery_codes })
        })
        .await
    }

    async fn get_sign_in_methods(
        &self,
        _: Request<v1::GetSignInMethodsRequest>,
    ) -> Result<Response<v1::GetSignInMethodsResponse>, Status> {
        answer(async {
            let oidc = self.oidc.as_ref().map(|provider| v1::OidcSignInMethod {
                display_name: provider.settings().display_name.clone(),
            });
            Ok(v1::GetSignInMethodsResponse { password: true, oidc, passkey: self.party.is_some() })
        })
        .await
    }

    async fn begin_oidc_sign_in(
        &self,
        request: Request<v1::BeginOidcSignInRequest>,
    ) -> Result<Response<v1::BeginOidcSignInResponse>, Status> {
        self.begin_oidc(request).await
    }

    async fn complete_oidc_sign_in(
        &self,
        request: Request<v1::CompleteOidcSignInRequest>,
    ) -> Result<Response<v1::CompleteOidcSignInResponse>, Status> {
        self.complete_oidc(request).await
    }

    async fn begin_identity_link(
        &self,
        request: Request<v1::BeginIdentityLinkRequest>,
    ) -> Result<Response<v1::BeginIdentityLinkResponse>, Status> {
        self.begin_link(request).await
    }

    async fn link_identity(
        &self,
        request: Request<v1::LinkIdentityRequest>,
    ) -> Result<Response<v1::LinkIdentityResponse>, Status> {
        self.link(request).await
    }

    async fn list_identities(
        &self,
        request: Request<v1::ListIdentitiesRequest>,
    ) -> Result<Response<v1::ListIdentitiesResponse>, Status> {
        self.identities(request).await
    }

    async fn unlink_identity(
        &self,
        request: Request<v1::UnlinkIdentityRequest>,
    ) -> Result<Response<v1::UnlinkIdentityResponse>, Status> {
        self.unlink(request).await
    }

    async fn begin_passkey_registration(
        &self,
        request: Request<v1::BeginPasskeyRegistrationRequest>,
    ) -> Result<Response<v1::BeginPasskeyRegistrationResponse>, Status> {
        self.begin_passkey(request).await
    }

    async fn finish_passkey_registration(
        &self,
        request: Request<v1::FinishPasskeyRegistrationRequest>,
    ) -> Result<Response<v1::FinishPasskeyRegistrationResponse>, Status> {
        self.finish_passkey(request).await
    }

    async fn list_passkeys(
        &self,
        request: Request<v1::ListPasskeysRequest>,
    ) -> Result<Response<v1::ListPasskeysResponse>, Status> {
        self.passkeys(request).await
    }

    async fn rename_passkey(
        &self,
        request: Request<v1::RenamePasskeyRequest>,
    ) -> Result<Response<v1::RenamePasskeyResponse>, Status> {
        self.rename(request).await
    }

    async fn delete_passkey(
        &self,
        request: Request<v1::DeletePasskeyRequest>,
    ) -> Result<Response<v1::DeletePasskeyResponse>, Status> {
        self.delete(request).await
    }

    async fn begin_passkey_sign_in(
        &self,
        request: Request<v1::BeginPasskeySignInRequest>,
    ) -> Result<Response<v1::BeginPasskeySignInResponse>, Status> {
        self.begin_by_passkey(request).await
    }

    async fn finish_passkey_sign_in(
        &self,
        request: Request<v1::FinishPasskeySignInRequest>,
    ) -> Result<Response<v1::FinishPasskeySignInResponse>, Status> {
        self.finish_by_passkey(request).await
    }
}

/// Returns an answer with the cookie that goes with it.
pub(super) fn with_cookie<T>(mut answer: Response<T>, cookie: Option<String>) -> Result<Response<T>, Status> {
    if let Some(cookie) = cookie {
        let value = cookie.parse().map_err(|_| status(&Error::internal("a cookie is no header value")))?;
        answer.metadata_mut().append("set-cookie", value);
    }
    Ok(answer)
}

/// Reads the password of somebody who proves again who they are.
fn of_now(password: &str) -> Result<&str> {
    let mut violations = Violations::default();
    bounded("password", password, MAX_PASSWORD_CHARACTERS, &mut violations);
    violations.into_result(password)
}

/// Reads a password that may be left out.
pub(super) fn perhaps(password: &str) -> Result<&str> {
    if password.chars().count() > MAX_PASSWORD_CHARACTERS {
        let most = format!("must have at most {MAX_PASSWORD_CHARACTERS} characters");
        return Err(Error::invalid_field("password", most));
    }
    Ok(password)
}

/// Returns the signed-in person, also one whose password must change: these calls are how it is changed.
fn signed_in(caller: &Caller) -> Result<(UserId, SessionId)> {
    match caller {
        Caller::Person { user, session, .. } => Ok((*user, *session)),
        Caller::ApiKey { .. } => Err(people_only()),
    }
}

/// Returns the signed-in person, whose password is their own.
pub(super) fn settled(caller: &Caller) -> Result<(UserId, SessionId)> {
    person(caller)?;
    signed_in(caller)
}

fn told_session(session: Session, current: SessionId) -> v1::Session {
    v1::Session {
        id: session.id.to_string(),
        user_agent: session.user_agent,
        address: session.address,
        create_time: Some(timestamp(session.create_time)),
        refresh_time: Some(timestamp(session.rotate_time)),
        expire_time: Some(timestamp(session.refresh_expire_time)),
        current: session.id == current,
    }
}

pub(super) fn bounded(field: &str, text: &str, most: usize, violations: &mut Violations) {
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

impl From<Challenge> for v1::SignInChallenge {
    fn from(challenge: Challenge) -> Self {
        Self { token: challenge.token, expire_time: Some(timestamp(challenge.expire_time)) }
    }
}

pub(super) fn told(user: User, second_factor_enrolled: bool) -> v1::User {
    // The hash stays here.
    let User {
        id,
        email,
        display_name,
        password_hash: _,
        password_change_required,
        create_time,
        update_time: _,
        disable_time: _,
        email_verify_time,
    } = user;
    v1::User {
        id: id.to_string(),
        email,
        display_name,
        password_change_required,
        create_time: Some(timestamp(create_time)),
        email_verified: email_verify_time.is_some(),
        second_factor_enrolled,
    }
}
