//! The methods of `AuthService` about identity providers.

use http::header;
use tonic::{Request, Response, Status};

use super::{Callback, Identity, Provider, Way};
use crate::{
    accounts::{
        Client,
        grpc::{AuthApi, bounded, perhaps, settled, with_cookie},
        oidc,
    },
    error::{Error, Reason, Result, Violations},
    ids::IdentityId,
    pb::v1,
    rpc::{answer, open, timestamp},
};

const MAX_HANDLE: usize = 2000;
const MAX_STATE: usize = 200;
const MAX_CODE: usize = 4000;
const MAX_ISSUER: usize = 2000;

impl AuthApi {
    fn provider(&self) -> Result<&Provider> {
        self.oidc.as_deref().ok_or_else(|| {
            Error::new(Reason::SignInMethodDisabled, "this server has no identity provider to sign in by")
        })
    }

    pub(in crate::accounts) async fn begin_oidc(
        &self,
        request: Request<v1::BeginOidcSignInRequest>,
    ) -> Result<Response<v1::BeginOidcSignInResponse>, Status> {
        answer(async {
            let origin = origin(&request);
            let way = oidc::begin_sign_in(&self.env, self.provider()?, origin.as_deref()).await?;
            Ok(v1::BeginOidcSignInResponse { authorization: Some(way.into()) })
        })
        .await
    }

    pub(in crate::accounts) async fn complete_oidc(
        &self,
        request: Request<v1::CompleteOidcSignInRequest>,
    ) -> Result<Response<v1::CompleteOidcSignInResponse>, Status> {
        let mut cookie = None;
        let answer = answer(async {
            let client = Client::of(&request);
            let v1::CompleteOidcSignInRequest { callback, cookie: by_cookie } = request.into_inner();
            let callback = read(callback.unwrap_or_default())?;
            let signed_in = oidc::complete_sign_in(&self.env, self.provider()?, &callback, &client).await?;
            let v1::SignInResponse { tokens, user, challenge } =
                self.told_of(signed_in, by_cookie, &mut cookie);
            Ok(v1::CompleteOidcSignInResponse { tokens, user, challenge })
        });
        with_cookie(answer.await?, cookie)
    }

    pub(in crate::accounts) async fn begin_link(
        &self,
        request: Request<v1::BeginIdentityLinkRequest>,
    ) -> Result<Response<v1::BeginIdentityLinkResponse>, Status> {
        answer(async {
            let (client, origin) = (Client::of(&request), origin(&request));
            let (caller, asked) = open(request)?;
            let who = settled(&caller)?;
            let password = perhaps(&asked.password)?;
            let proof = (password, origin.as_deref());
            let way = oidc::begin_link(&self.env, self.provider()?, who, proof, &client).await?;
            Ok(v1::BeginIdentityLinkResponse { authorization: Some(way.into()) })
        })
        .await
    }

    pub(in crate::accounts) async fn link(
        &self,
        request: Request<v1::LinkIdentityRequest>,
    ) -> Result<Response<v1::LinkIdentityResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let who = settled(&caller)?;
            let callback = read(asked.callback.unwrap_or_default())?;
            let identity = oidc::link(&self.env, self.provider()?, who, &callback, &client).await?;
            Ok(v1::LinkIdentityResponse { identity: Some(identity.into()) })
        })
        .await
    }

    pub(in crate::accounts) async fn identities(
        &self,
        request: Request<v1::ListIdentitiesRequest>,
    ) -> Result<Response<v1::ListIdentitiesResponse>, Status> {
        answer(async {
            let (caller, _) = open(request)?;
            let (user, _) = settled(&caller)?;
            let identities = oidc::list(&self.env, user).await?;
            Ok(v1::ListIdentitiesResponse { identities: identities.into_iter().map(Into::into).collect() })
        })
        .await
    }

    pub(in crate::accounts) async fn unlink(
        &self,
        request: Request<v1::UnlinkIdentityRequest>,
    ) -> Result<Response<v1::UnlinkIdentityResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let who = settled(&caller)?;
            let password = perhaps(&asked.password)?;
            let id = IdentityId::parse(&asked.identity_id).ok_or_else(|| Error::not_found("identity"))?;
            oidc::unlink(&self.env, who, (id, password), &client).await?;
            Ok(v1::UnlinkIdentityResponse {})
        })
        .await
    }
}

/// Returns the page that calls, as its browser says.
fn origin<T>(request: &Request<T>) -> Option<String> {
    let origin = request.metadata().get(header::ORIGIN.as_str())?;
    origin.to_str().ok().map(str::to_owned)
}

fn read(callback: v1::OidcCallback) -> Result<Callback> {
    let v1::OidcCallback { handle, state, code, iss } = callback;
    let mut violations = Violations::default();
    bounded("callback.handle", &handle, MAX_HANDLE, &mut violations);
    bounded("callback.state", &state, MAX_STATE, &mut violations);
    bounded("callback.code", &code, MAX_CODE, &mut violations);
    if iss.chars().count() > MAX_ISSUER {
        violations.add("callback.iss", format!("must have at most {MAX_ISSUER} characters"));
    }
    violations.into_result(Callback { handle, state, code, iss })
}

impl From<Way> for v1::OidcAuthorization {
    fn from(way: Way) -> Self {
        Self { authorization_url: way.url, handle: way.handle, expire_time: Some(timestamp(way.expire_time)) }
    }
}

impl From<Identity> for v1::Identity {
    fn from(identity: Identity) -> Self {
        Self {
            id: identity.id.to_string(),
            issuer: identity.issuer,
            subject: identity.subject,
            email: identity.email,
            create_time: Some(timestamp(identity.create_time)),
            last_use_time: identity.use_time.map(timestamp),
        }
    }
}
