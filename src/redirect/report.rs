//! Visitors report a link: `/report/{code}`. Not a visit, and no click.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body_util::Full;
use tokio::time::timeout;
use url::form_urlencoded;

use super::{
    http::{Missing, Redirects, languages},
    pages::{self, ReportState},
};
use crate::{
    domains::Site,
    limits::LimitName,
    links::{self, Report, is_short_code},
};

/// How long a report may take to be kept.
const LONGEST: Duration = Duration::from_millis(1500);

/// Returns the code of a path at which a link is reported.
pub fn reported(path: &str) -> Option<&str> {
    path.strip_prefix("/report/").filter(|code| is_short_code(code))
}

impl Redirects {
    /// Shows the form to report the link of `code` on `site`.
    pub async fn ask_for_report(&self, site: &Site, code: &str, request: &Parts) -> Response<Full<Bytes>> {
        let look = self.look_of(languages(request));
        match self.find(site, code, self.0.env.now()).await {
            Ok(_) => pages::report(&look, &self.short_url(site, code), ReportState::Ask).into(),
            Err(missing) => self.unreported(missing, request),
        }
    }

    /// Answers who wants to report a link that is not there.
    fn unreported(&self, missing: Missing, request: &Parts) -> Response<Full<Bytes>> {
        match missing {
            Missing::Unknown => self.not_found(languages(request)),
            Missing::Misdirected => self.misdirected(request),
            Missing::Away => self.unavailable(languages(request)),
        }
    }

    /// Keeps what a visitor wrote about the link of `code` on `site`. Reports are counted by `household`, the address or the network
    /// around it, and for each link.
    pub async fn hear_report(
        &self,
        (site, code): (&Site, &str),
        request: &Parts,
        household: IpAddr,
        form: &[u8],
    ) -> Response<Full<Bytes>> {
        let look = self.look_of(languages(request));
        let target = match self.find(site, code, self.0.env.now()).await {
            Ok(target) => target,
            Err(missing) => return self.unreported(missing, request),
        };
        let again = |state| pages::report(&look, &self.short_url(site, code), state).into();
        let fields: Vec<_> = form_urlencoded::parse(form).collect();
        let Some(report) = Report::read(fields.iter().map(|(name, text)| (&**name, &**text))) else {
            return again(ReportState::Unread);
        };
        let limits =
            [(LimitName::Report, household.to_string()), (LimitName::ReportLink, target.id.to_string())];
        if let Some(seconds) = self.throttled(&limits).await {
            return again(ReportState::Throttled { seconds });
        }
        let kept = links::report(&self.0.env, &target, code, report);
        match timeout(LONGEST, Box::pin(kept)).await {
            Ok(Ok(())) => pages::reported(&look).into(),
            Ok(Err(error)) => {
                tracing::warn!(cause = %error.inward(), link.id = %target.id, "a report cannot be kept");
                self.unavailable(languages(request))
            }
            Err(_) => self.unavailable(languages(request)),
        }
    }
}
