//! An identity provider for one test: it speaks as much OpenID Connect as a client needs, on this machine, and lies as it is told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use linkforty::clock::Clock as _;
use ring::{
    digest, hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaKeyPair,
    },
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;
use url::{Url, form_urlencoded};

use super::{App, Says, asked, respond};

/// What it calls us, and what we show it: both need encoding.
pub const CLIENT_ID: &str = "linkforty at home";
pub const CLIENT_SECRET: &str = "hush:hush+hush";

/// What it signs with.
pub enum Signer {
    /// ES256.
    P256(EcdsaKeyPair),
    /// EdDSA.
    Ed25519(Ed25519KeyPair),
    /// RS256.
    Rsa(RsaKeyPair),
    /// PS256, with the same key.
    Pss(RsaKeyPair),
    /// HS256 with a public key, which everybody has, for the secret.
    PublicKey(Vec<u8>),
    /// Nothing.
    Nothing,
}

impl Signer {
    pub fn p256() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
        Self::P256(pair.expect("its own"))
    }

    pub fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("its own"))
    }

    pub fn rsa() -> Self {
        Self::Rsa(rsa_key())
    }

    pub fn pss() -> Self {
        Self::Pss(rsa_key())
    }

    /// Returns the one that takes another's public key for a shared secret.
    pub fn confused(other: &Self) -> Self {
        Self::PublicKey(match other {
            Self::P256(pair) => pair.public_key().as_ref().to_vec(),
            _ => panic!("say what its public key is"),
        })
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
            Self::Pss(_) => "PS256",
            Self::PublicKey(_) => "HS256",
            Self::Nothing => "none",
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let by_rsa = |pair: &RsaKeyPair, padding: &'static dyn ring::signature::RsaEncoding| {
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(padding, &random, message, &mut signature).expect("signs");
            signature
        };
        match self {
            Self::P256(pair) => pair.sign(&random, message).expect("signs").as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rsa(pair) => by_rsa(pair, &RSA_PKCS1_SHA256),
            Self::Pss(pair) => by_rsa(pair, &RSA_PSS_SHA256),
            Self::PublicKey(public) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public), message).as_ref().to_vec()
            }
            Self::Nothing => Vec::new(),
        }
    }

    /// Returns the public key as a provider publishes it.
    fn published(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "x": text(x), "y": text(y)})
            }
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(pair.public_key().as_ref())})
            }
            Self::Rsa(pair) | Self::Pss(pair) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "kid": kid, "n": text(&public.n), "e": text(&public.e)})
            }
            Self::PublicKey(_) | Self::Nothing => Value::Null,
        }
    }
}

fn rsa_key() -> RsaKeyPair {
    let pem = include_bytes!("../fixtures/identity.pem");
    let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(pem).expect("a key");
    RsaKeyPair::from_pkcs8(pkcs8.secret_pkcs8_der()).expect("a key of RSA")
}

type Change = Box<dyn Fn(&mut Value) + Send + Sync>;

/// What the browser was sent there with, and the person agreed to.
struct Agreed {
    nonce: Value,
    challenge: String,
    redirect_uri: String,
    now: i64,
}

struct Known {
    signer: Signer,
    kid: String,
    published: Vec<Value>,
    person: Value,
    user_info: Option<Value>,
    claims: Change,
    header: Change,
    discovery: Change,
    by_post: bool,
    agreed: HashMap<String, Agreed>,
    says: HashMap<&'static str, Says>,
    heard: Vec<String>,
}

/// The provider.
pub struct IdentityProvider {
    /// What it calls itself.
    pub issuer: String,
    known: Arc<Mutex<Known>>,
    task: AbortOnDropHandle<()>,
}

/// What a browser comes back with.
#[derive(Debug, Clone)]
pub struct Browser {
    pub state: String,
    pub code: String,
    /// Where to.
    pub redirect_uri: String,
}

impl IdentityProvider {
    /// Opens a provider that signs by ES256 and knows one person.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let issuer = format!("http://{}/realms/main", listener.local_addr().expect("it listens"));
        let signer = Signer::p256();
        let known = Known {
            published: vec![signer.published("first")],
            signer,
            kid: "first".into(),
            person: json!({"sub": "subject-1", "email": "owner@localhost", "email_verified": true, "name": "Ann"}),
            user_info: None,
            claims: Box::new(|_| ()),
            header: Box::new(|_| ()),
            discovery: Box::new(|_| ()),
            by_post: false,
            agreed: HashMap::new(),
            says: HashMap::new(),
            heard: Vec::new(),
        };
        let known = Arc::new(Mutex::new(known));
        let (knows, own) = (known.clone(), issuer.clone());
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.push(AbortOnDropHandle::new(tokio::spawn(serve(stream, knows.clone(), own.clone()))));
            }
        });
        Self { issuer, known, task: AbortOnDropHandle::new(task) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panicked")
    }

    /// Returns what a server is set to that signs people in by it.
    pub fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut settings = vec![
            ("OIDC_ISSUER", &*self.issuer),
            ("OIDC_CLIENT_ID", CLIENT_ID),
            ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
            ("OIDC_DISPLAY_NAME", "The House"),
        ];
        settings.extend(more);
        settings
    }

    /// Says who is signed in there from now on.
    pub fn is_visited_by(&self, person: Value) {
        self.known().person = person;
    }

    /// Says what is told of people besides.
    pub fn tells(&self, user_info: Value) {
        self.known().user_info = Some(user_info);
    }

    /// Signs with another key from now on, which it publishes.
    pub fn rotate(&self, signer: Signer, kid: &str) {
        let mut known = self.known();
        known.published = vec![signer.published(kid)];
        (known.signer, known.kid) = (signer, kid.into());
    }

    /// Signs with another key from now on, and says nothing of it.
    pub fn sign_with(&self, signer: impl FnOnce(&Signer) -> Signer) {
        let mut known = self.known();
        known.signer = signer(&known.signer);
    }

    /// Changes what tokens claim.
    pub fn claims(&self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.known().claims = Box::new(change);
    }

    /// Changes the headers of tokens.
    pub fn header(&self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.known().header = Box::new(change);
    }

    /// Changes what it says of itself.
    pub fn discovery(&self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.known().discovery = Box::new(change);
    }

    /// Takes secrets in the form and nowhere else.
    pub fn wants_secrets_in_the_form(&self) {
        self.known().by_post = true;
        self.discovery(|document| {
            document["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"])
        });
    }

    /// Says what a path answers from now on, whatever is asked; `None`: what it should.
    pub fn at(&self, path: &'static str, says: Option<Says>) {
        match says {
            Some(says) => drop(self.known().says.insert(path, says)),
            None => drop(self.known().says.remove(path)),
        }
    }

    /// Returns how often a path was asked.
    pub fn asked(&self, path: &str) -> usize {
        self.known().heard.iter().filter(|heard| heard.ends_with(path)).count()
    }

    /// Is gone: nobody listens any more.
    pub fn close(&self) {
        self.task.abort();
    }

    /// Follows the URL that a browser was sent to, as the person who is signed in there and agrees.
    pub fn authorize(&self, app: &App, url: &str) -> Browser {
        let url = Url::parse(url).expect("a URL");
        let base = self.issuer.trim_end_matches("/realms/main");
        assert!(url.as_str().starts_with(&format!("{base}/authorize?tenant=1&")), "{url}");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let get = |name: &str| asked.get(name).unwrap_or_else(|| panic!("no {name} in {url}")).clone();
        assert_eq!((&*get("response_type"), &*get("client_id")), ("code", CLIENT_ID));
        assert_eq!((&*get("scope"), &*get("code_challenge_method")), ("openid email profile", "S256"));
        assert!(get("state").len() >= 43 && get("nonce").len() >= 43, "{url}");
        let mut known = self.known();
        let code = format!("code-{}", known.agreed.len());
        let agreed = Agreed {
            nonce: get("nonce").into(),
            challenge: get("code_challenge"),
            redirect_uri: get("redirect_uri"),
            now: app.clock.now().timestamp(),
        };
        known.agreed.insert(code.clone(), agreed);
        Browser { state: get("state"), code, redirect_uri: get("redirect_uri") }
    }
}

impl Known {
    fn answer(&mut self, issuer: &str, path: &str, head: &str, body: &str) -> Says {
        let base = issuer.trim_end_matches("/realms/main");
        match path {
            "/realms/main/.well-known/openid-configuration" => {
                let mut document = json!({
                    "issuer": issuer,
                    "authorization_endpoint": format!("{base}/authorize?tenant=1"),
                    "token_endpoint": format!("{base}/token"),
                    "jwks_uri": format!("{base}/keys"),
                    "userinfo_endpoint": format!("{base}/me"),
                });
                (self.discovery)(&mut document);
                as_json(&document)
            }
            "/keys" => as_json(&json!({ "keys": self.published })),
            "/me" if !head.contains("authorization: Bearer access-token\r\n") => {
                respond("401 Unauthorized", "", "")
            }
            "/me" => as_json(&self.user_info.clone().unwrap_or_else(|| json!({"sub": self.person["sub"]}))),
            "/token" => self.token(issuer, head, body),
            _ => respond("404 Not Found", "", "none"),
        }
    }

    fn token(&mut self, issuer: &str, head: &str, body: &str) -> Says {
        let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let get = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = STANDARD.encode(format!("{}:{}", encoded(CLIENT_ID), encoded(CLIENT_SECRET)));
        let known = if self.by_post {
            get("client_id") == CLIENT_ID && get("client_secret") == CLIENT_SECRET
        } else {
            head.contains(&format!("authorization: Basic {basic}\r\n"))
        };
        if !known {
            let refusal = json!({"error": "invalid_client"}).to_string();
            return respond("401 Unauthorized", "content-type: application/json\r\n", refusal);
        }
        let verifier = digest::digest(&digest::SHA256, get("code_verifier").as_bytes());
        let good = |agreed: &Agreed| {
            get("grant_type") == "authorization_code"
                && get("redirect_uri") == agreed.redirect_uri
                && URL_SAFE_NO_PAD.encode(verifier) == agreed.challenge
        };
        // A code is good once, whoever shows it.
        let Some(agreed) = self.agreed.remove(get("code")).filter(good) else {
            let refusal = json!({"error": "invalid_grant"}).to_string();
            return respond("400 Bad Request", "content-type: application/json\r\n", refusal);
        };
        self.agreed.insert(format!("{} is used", get("code")), Agreed { challenge: String::new(), ..agreed });
        let agreed = &self.agreed[&format!("{} is used", get("code"))];
        let mut claims = self.person.clone();
        for (name, value) in [
            ("iss", json!(issuer)),
            ("aud", json!(CLIENT_ID)),
            ("iat", json!(agreed.now)),
            ("exp", json!(agreed.now + 300)),
            ("nonce", agreed.nonce.clone()),
        ] {
            claims[name] = value;
        }
        (self.claims)(&mut claims);
        let mut header = json!({"alg": self.signer.algorithm(), "kid": self.kid, "typ": "JWT"});
        (self.header)(&mut header);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.signer.sign(message.as_bytes()));
        as_json(&json!({
            "access_token": "access-token", "token_type": "Bearer", "expires_in": 300, "id_token": format!("{message}.{signature}"),
        }))
    }
}

/// Returns a document.
fn as_json(value: &Value) -> Says {
    respond("200 OK", "content-type: application/json\r\n", value.to_string())
}

async fn serve(mut stream: TcpStream, known: Arc<Mutex<Known>>, issuer: String) {
    let Some((head, path)) = asked(&mut stream).await else { return };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let says = {
        let mut known = known.lock().expect("nobody panicked");
        known.heard.push(path.clone());
        let lie = known.says.iter().find(|(lied, _)| path.ends_with(**lied)).map(|(_, says)| says.clone());
        lie.unwrap_or_else(|| known.answer(&issuer, &path, &head, &String::from_utf8_lossy(&body)))
    };
    match says {
        Says::This(bytes) => drop(stream.write_all(&bytes).await),
        Says::WithoutEnd(first, again) => {
            drop(stream.write_all(&first).await);
            while stream.write_all(&again).await.is_ok() {}
        }
        Says::Nothing => std::future::pending().await,
    }
}
