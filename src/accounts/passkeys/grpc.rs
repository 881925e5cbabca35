//! The methods of `AuthService` about passkeys.

use tonic::{Request, Response, Status};

use super::{Begun, Party, Passkey, Shown};
use crate::{
    accounts::{
        Client,
        grpc::{AuthApi, bounded, perhaps, settled, told, with_cookie},
        passkeys,
    },
    error::{Error, Reason, Result, Violations},
    ids::PasskeyId,
    pb::v1,
    rpc::{answer, open, timestamp},
};

const MAX_HANDLE: usize = 2000;
const MAX_CREDENTIAL: usize = 20_000;

impl AuthApi {
    fn party(&self) -> Result<&Party> {
        self.party.as_deref().ok_or_else(|| {
            Error::new(
                Reason::SignInMethodDisabled,
                "there are no passkeys where FRONTEND_URL has an address and no name",
            )
        })
    }

    pub(in crate::accounts) async fn begin_passkey(
        &self,
        request: Request<v1::BeginPasskeyRegistrationRequest>,
    ) -> Result<Response<v1::BeginPasskeyRegistrationResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let who = settled(&caller)?;
            let password = perhaps(&asked.password)?;
            let begun =
                passkeys::begin_registration(&self.env, self.party()?, who, password, &client).await?;
            let Begun { options, handle, expire_time } = begun;
            let expire_time = Some(timestamp(expire_time));
            Ok(v1::BeginPasskeyRegistrationResponse { options_json: options, handle, expire_time })
        })
        .await
    }

    pub(in crate::accounts) async fn finish_passkey(
        &self,
        request: Request<v1::FinishPasskeyRegistrationRequest>,
    ) -> Result<Response<v1::FinishPasskeyRegistrationResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let who = settled(&caller)?;
            let mut violations = Violations::default();
            bounded("handle", &asked.handle, MAX_HANDLE, &mut violations);
            bounded("credential_json", &asked.credential_json, MAX_CREDENTIAL, &mut violations);
            let name = violations.take("name", passkeys::name(&asked.name)).unwrap_or_default();
            violations.into_result(())?;
            let new = (&*asked.handle, &*asked.credential_json, name);
            let passkey = passkeys::finish_registration(&self.env, self.party()?, who, new, &client).await?;
            Ok(v1::FinishPasskeyRegistrationResponse { passkey: Some(passkey.into()) })
        })
        .await
    }

    pub(in crate::accounts) async fn passkeys(
        &self,
        request: Request<v1::ListPasskeysRequest>,
    ) -> Result<Response<v1::ListPasskeysResponse>, Status> {
        answer(async {
            let (caller, _) = open(request)?;
            let (user, _) = settled(&caller)?;
            let passkeys = passkeys::list(&self.env, user).await?;
            Ok(v1::ListPasskeysResponse { passkeys: passkeys.into_iter().map(Into::into).collect() })
        })
        .await
    }

    pub(in crate::accounts) async fn rename(
        &self,
        request: Request<v1::RenamePasskeyRequest>,
    ) -> Result<Response<v1::RenamePasskeyResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let who = settled(&caller)?;
            let mut violations = Violations::default();
            let name = violations.take("name", passkeys::name(&asked.name)).unwrap_or_default();
            violations.into_result(())?;
            let passkey = passkeys::rename(&self.env, who, (id(&asked.passkey_id)?, name), &client).await?;
            Ok(v1::RenamePasskeyResponse { passkey: Some(passkey.into()) })
        })
        .await
    }

    pub(in crate::accounts) async fn delete(
        &self,
        request: Request<v1::DeletePasskeyRequest>,
    ) -> Result<Response<v1::DeletePasskeyResponse>, Status> {
        answer(async {
            let client = Client::of(&request);
            let (caller, asked) = open(request)?;
            let who = settled(&caller)?;
            let password = perhaps(&asked.password)?;
            passkeys::delete(&self.env, who, (id(&asked.passkey_id)?, password), &client).await?;
            Ok(v1::DeletePasskeyResponse {})
        })
        .await
    }

    pub(in crate::accounts) async fn begin_by_passkey(
        &self,
        _: Request<v1::BeginPasskeySignInRequest>,
    ) -> Result<Response<v1::BeginPasskeySignInResponse>, Status> {
        answer(async {
            let Begun { options, handle, expire_time } = passkeys::begin_sign_in(&self.env, self.party()?)?;
            let expire_time = Some(timestamp(expire_time));
            Ok(v1::BeginPasskeySignInResponse { options_json: options, handle, expire_time })
        })
        .await
    }

    pub(in crate::accounts) async fn finish_by_passkey(
        &self,
        request: Request<v1::FinishPasskeySignInRequest>,
    ) -> Result<Response<v1::FinishPasskeySignInResponse>, Status> {
        let mut cookie = None;
        let answer = answer(async {
            let client = Client::of(&request);
            let asked = request.into_inner();
            let mut violations = Violations::default();
            bounded("handle", &asked.handle, MAX_HANDLE, &mut violations);
            bounded("credential_json", &asked.credential_json, MAX_CREDENTIAL, &mut violations);
            violations.into_result(())?;
            let shown = Shown::read(&asked.credential_json).ok_or_else(|| {
                Error::invalid_field(
                    "credential_json",
                    "must be an AuthenticationResponseJSON with a user handle",
                )
            })?;
            let shown = (&*asked.handle, &shown);
            let (tokens, user, enrolled) =
                passkeys::finish_sign_in(&self.env, self.party()?, shown, &client).await?;
            Ok(v1::FinishPasskeySignInResponse {
                tokens: Some(self.handed(tokens, asked.cookie, &mut cookie)),
                user: Some(told(user, enrolled)),
            })
        });
        with_cookie(answer.await?, cookie)
    }
}

fn id(text: &str) -> Result<PasskeyId> {
    PasskeyId::parse(text).ok_or_else(|| Error::not_found("passkey"))
}

impl From<Passkey> for v1::Passkey {
    fn from(passkey: Passkey) -> Self {
        Self {
            id: passkey.id.to_string(),
            name: passkey.name,
            create_time: Some(timestamp(passkey.create_time)),
            last_use_time: passkey.use_time.map(timestamp),
        }
    }
}
