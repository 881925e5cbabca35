//! How a call ends that brings no answer. Each has a text for whoever gave the URL, which says nothing of our networks, and a
//! source for the log.

use std::{
    error::Error as _,
    io::{self, ErrorKind},
    net::IpAddr,
};

use rustls::CertificateError;

use super::{address::Special, target::Refused, wire::Flood};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings forbid the URL, perhaps only since it was saved.
    #[error("the URL {0}")]
    Refused(Refused),
    /// So many calls to this host or its address are under way already. Nothing was sent; it says nothing of the receiver.
    #[error("too many calls to this host are under way; it is called again later")]
    Busy,
    /// The host's name cannot be looked up.
    #[error("the host's name cannot be looked up")]
    Name(#[source] io::Error),
    /// The host's name leads to no address.
    #[error("the host's name has no address")]
    NoAddress,
    /// No address of the host may be called.
    #[error("the host's name leads to an address that is not on the public internet")]
    Address {
        /// One of them, for the log.
        address: IpAddr,
        /// What it is.
        special: Special,
    },
    /// No address of the host took the connection.
    #[error("the host does not accept connections")]
    Connect(#[source] io::Error),
    /// The host shows a certificate that does not prove who it is.
    #[error("the host's certificate {}", fault_of(.0))]
    Certificate(#[source] rustls::Error),
    /// No agreement on an encrypted connection.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The host did not take the connection, TLS handshake included, in time.
    #[error("the host did not accept a connection in time")]
    ConnectTimeout,
    /// The whole answer did not come in time.
    #[error("the host did not answer in time")]
    Timeout,
    /// The headers of the answer are more than was asked for.
    #[error("the headers of the answer are too large")]
    HeadersTooLarge,
    /// Far more bytes came than the answer has.
    #[error("the host sent far more than its answer")]
    Flood,
    /// What came is no answer.
    #[error("the answer is not valid HTTP/1.1")]
    Protocol(#[source] hyper::Error),
    /// The host sent us on to a URL that is not called.
    #[error("the host redirects to a URL that is not called: it {0}")]
    Redirect(Refused),
    /// The host, and those it sent us to, sent us on too often.
    #[error("the host redirects too often")]
    Redirects,
    /// The connection ended before the answer did.
    #[error("the host closed the connection before it had answered")]
    Closed(#[source] hyper::Error),
}

impl Failure {
    /// Returns the failure's name as metrics and logs carry it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Busy => "busy",
            Self::Name(_) => "name",
            Self::NoAddress => "no_address",
            Self::Address { .. } => "address",
            Self::Connect(_) => "connect",
            Self::Certificate(_) => "certificate",
            Self::Tls(_) => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::Timeout => "timeout",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Flood => "flood",
            Self::Protocol(_) => "protocol",
            Self::Redirect(_) => "redirect",
            Self::Redirects => "redirects",
            Self::Closed(_) => "closed",
        }
    }

    /// Says what became of a handshake.
    pub(super) fn of_handshake(error: io::Error) -> Self {
        if is_flood(&error) {
            return Self::Flood;
        }
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(fault @ rustls::Error::InvalidCertificate(_)) => Self::Certificate(fault.clone()),
            _ => Self::Tls(error),
        }
    }

    /// Says what became of an exchange.
    pub(super) fn of_exchange(error: hyper::Error) -> Self {
        let io = io_below(&error);
        if error.is_parse_too_large() {
            Self::HeadersTooLarge
        } else if io.is_some_and(is_flood) {
            Self::Flood
        } else if error.is_parse()
            || io.is_some_and(|io| matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput))
        {
            Self::Protocol(error)
        } else {
            Self::Closed(error)
        }
    }
}

fn is_flood(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Flood>()).is_some()
}

/// Returns the error of the connection, or of the reader of chunks, that an error stands for.
fn io_below(error: &hyper::Error) -> Option<&io::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        next = error.source();
    }
    None
}

const fn fault_of(error: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(fault) = error else { return "is not valid" };
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name"
        }
        CertificateError::UnknownIssuer => "is signed by nobody this server knows",
        CertificateError::Revoked => "has been revoked",
        _ => "is not valid",
    }
}
