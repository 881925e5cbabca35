//! What is wrong with the way to a host: its records, its address, its certificate. Pure.

use chrono::Duration;

use super::{Facts, Fault, Findings, Sight, Tls};
use crate::{clock::Moment, outbound::Certificate, pb::v1::DomainFindingCode as Code};

/// How long before its end a certificate is warned of: renewals that work come earlier.
const SOON: Duration = Duration::days(21);

impl Findings {
    pub(super) fn dns(&mut self, facts: &Facts) {
        let Facts { host, ownership, address, .. } = facts;
        let record = format!("_linkforty.{host}");
        match ownership {
            Sight::Right => {}
            Sight::Missing => self.error(
                Code::DnsTxtMissing,
                &record,
                "Create the TXT record that GetDomain shows, and leave it in place.",
                "",
            ),
            Sight::Wrong => self.error(
                Code::DnsTxtWrong,
                &record,
                "Replace the value of the TXT record by the one that GetDomain shows: this one is another workspace's or an old one.",
                "",
            ),
            Sight::Silent => self.error(
                Code::DnsSilent,
                &record,
                "Ask whoever runs the DNS of this domain why its name servers do not answer.",
                "",
            ),
        }
        let seen = facts.address_seen.join(", ");
        match address {
            Sight::Right => {}
            Sight::Missing => self.error(
                Code::DnsHostMissing,
                host,
                "Create the CNAME or address record that GetDomain shows.",
                "",
            ),
            Sight::Wrong => self.error(
                Code::DnsHostElsewhere,
                host,
                "Change the record so that it leads here, and take out every other address of the host, those of IPv6 included.",
                seen,
            ),
            Sight::Silent if *ownership != Sight::Silent => self.error(
                Code::DnsSilent,
                host,
                "Ask whoever runs the DNS of this domain why its name servers do not answer.",
                "",
            ),
            Sight::Silent => {}
        }
        if !facts.state.serves() && *ownership == Sight::Right && *address == Sight::Right {
            self.error(
                Code::NotVerified,
                host,
                "Call VerifyDomain: the records are right, and the domain does not answer before they were seen.",
                "",
            );
        }
    }

    pub(super) fn tls(&mut self, facts: &Facts, now: Moment) {
        let origin = &facts.origin;
        match &facts.tls {
            Tls::NotTried => {}
            Tls::PrivateAddress => self.error(
                Code::DnsPrivateAddress,
                &facts.host,
                "Let the host lead to an address on the public internet.",
                facts.address_seen.join(", "),
            ),
            Tls::Refused => self.error(
                Code::ConnectionRefused,
                origin,
                "Start the proxy that answers for this host, or open its port in the firewall.",
                "",
            ),
            Tls::TimedOut => self.error(
                Code::ConnectionTimeout,
                origin,
                "Open the port in the firewall, or mend the proxy: nobody answers there in time.",
                "",
            ),
            Tls::Failed => self.error(
                Code::TlsFailed,
                origin,
                "Let the proxy speak TLS 1.2 or 1.3 for this host, with a certificate for it.",
                "",
            ),
            Tls::Shown { certificate, length, fault } => {
                self.certificate(origin, certificate.as_ref(), *length, *fault, now);
            }
        }
    }

    fn certificate(
        &mut self,
        origin: &str,
        certificate: Option<&Certificate>,
        length: usize,
        fault: Option<Fault>,
        now: Moment,
    ) {
        let until = certificate.map(|read| read.not_after.to_rfc3339()).unwrap_or_default();
        let self_issued = certificate.is_some_and(|read| read.is_self_issued);
        match fault {
            None => {
                if certificate.is_some_and(|read| read.not_after - now < SOON) {
                    self.warning(
                        Code::CertificateExpiresSoon,
                        origin,
                        "Look why the certificate was not renewed: that should have happened by now.",
                        until,
                    );
                }
            }
            Some(Fault::Expired) => self.error(
                Code::CertificateExpired,
                origin,
                "Renew the certificate, and see to it that the proxy takes the new one up.",
                until,
            ),
            Some(Fault::NotYetValid) => self.error(
                Code::CertificateNotYetValid,
                origin,
                "Wait until the certificate is valid, or set the clock of the machine that made it.",
                certificate.map(|read| read.not_before.to_rfc3339()).unwrap_or_default(),
            ),
            Some(Fault::WrongName) => self.error(
                Code::CertificateWrongName,
                origin,
                "Get a certificate for this host: the proxy shows one for other names.",
                certificate.map(|read| read.names.join(", ")).unwrap_or_default(),
            ),
            Some(Fault::UnknownIssuer | Fault::Other) if self_issued => self.error(
                Code::CertificateSelfSigned,
                origin,
                "Get a certificate from a public authority: phones believe none that signs itself.",
                "",
            ),
            Some(Fault::UnknownIssuer) if length == 1 => self.error(
                Code::CertificateChainIncomplete,
                origin,
                "Let the proxy show the whole chain: the intermediate certificates are missing, which browsers may mend and phones do not.",
                "",
            ),
            Some(Fault::UnknownIssuer) => self.error(
                Code::CertificateUntrusted,
                origin,
                "Get a certificate from a public authority: this one's is known to nobody.",
                "",
            ),
            Some(Fault::Other) => self.error(
                Code::CertificateInvalid,
                origin,
                "Get another certificate: this one is not valid.",
                "",
            ),
        }
    }
}
