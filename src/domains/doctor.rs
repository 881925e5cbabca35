//! Looks at a domain as visitors, Apple and Google do, for [`check`] to judge.
//!
//! Everything goes through [`Outbound`]: the host may be anybody's.

use std::{io::ErrorKind, time::Duration};

use http::header;
use rustls::CertificateError;

use super::{
    Domain,
    check::{self, APPLE, Expected, Facts, Fault, File, GOOGLE, MOST_BYTES, Tls},
    looks,
    verify::{Sight, State},
};
use crate::{
    env::Env,
    outbound::{Certificate, Failure, Outbound, OutboundRequest, OutboundUrl, Refused},
    pb::v1,
};

/// How long a file may take.
const FILE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a check came to.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What is wrong.
    pub findings: Vec<v1::DomainFinding>,
    /// The certificate that was shown.
    pub certificate: Option<Certificate>,
}

/// Checks a domain.
pub async fn check_domain(env: &Env, outbound: &Outbound, domain: &Domain, expected: &Expected) -> Checked {
    let seen = looks::records(env, domain).await;
    let origin = origin(env, &domain.host);
    let url = |path: &str| outbound.url(&format!("{origin}{path}"));
    let leads = matches!(seen.address, Sight::Right | Sight::Wrong);
    let tls = match url("/") {
        Ok(url) if leads => tls(outbound, &url).await,
        Err(Refused::Address(_)) => Tls::PrivateAddress,
        Ok(_) | Err(_) => Tls::NotTried,
    };
    let is_good = matches!(tls, Tls::Shown { fault: None, .. });
    let fetch = async |path: &str| match url(path) {
        Ok(url) if is_good => Some(file(outbound, url).await),
        Ok(_) | Err(_) => None,
    };
    let (apple, google) = tokio::join!(fetch(APPLE), fetch(GOOGLE));
    let certificate = match &tls {
        Tls::Shown { certificate, .. } => certificate.clone(),
        _ => None,
    };
    let facts = Facts {
        host: domain.host.clone(),
        origin,
        state: State::numbered(domain.state),
        ownership: seen.ownership,
        address: seen.address,
        address_seen: seen.ways,
        tls,
        apple,
        google,
    };
    Checked { findings: check::check(&facts, expected, env.now()), certificate }
}

/// Returns what encrypted URLs of a host begin with: on the port of the server's own, if that is encrypted.
fn origin(env: &Env, host: &str) -> String {
    let own = &env.config.links_url;
    match own.port().filter(|_| own.scheme() == "https") {
        Some(port) => format!("https://{host}:{port}"),
        None => format!("https://{host}"),
    }
}

async fn tls(outbound: &Outbound, url: &OutboundUrl) -> Tls {
    match outbound.shake_hands(url).await {
        Ok(shown) => Tls::Shown {
            certificate: shown.chain.first().and_then(|own| Certificate::read(own)),
            length: shown.chain.len(),
            fault: shown.fault.as_ref().map(fault),
        },
        Err(Failure::Address { .. }) => Tls::PrivateAddress,
        Err(Failure::Connect(error)) if error.kind() == ErrorKind::TimedOut => Tls::TimedOut,
        Err(Failure::Connect(_)) => Tls::Refused,
        Err(Failure::ConnectTimeout | Failure::Timeout) => Tls::TimedOut,
        Err(Failure::Refused(_) | Failure::Busy | Failure::Name(_) | Failure::NoAddress) => Tls::NotTried,
        Err(_) => Tls::Failed,
    }
}

fn fault(error: &rustls::Error) -> Fault {
    let rustls::Error::InvalidCertificate(error) = error else { return Fault::Other };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Fault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Fault::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Fault::WrongName
        }
        CertificateError::UnknownIssuer => Fault::UnknownIssuer,
        _ => Fault::Other,
    }
}

async fn file(outbound: &Outbound, url: OutboundUrl) -> File {
    let request = OutboundRequest {
        timeout: Some(FILE_TIMEOUT),
        max_response_bytes: MOST_BYTES,
        ..OutboundRequest::get(url)
    };
    match outbound.send(request).await {
        Ok(answer) => {
            let text = |name: &header::HeaderName| {
                let value = answer.headers.get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            };
            File::Answer {
                status: answer.status.as_u16(),
                location: text(&header::LOCATION),
                content_type: text(&header::CONTENT_TYPE),
                body: answer.body.to_vec(),
                truncated: answer.truncated,
            }
        }
        Err(failure) => File::NotRead(failure.to_string()),
    }
}
