//! A phone: taps links in its browser, then opens the app that it installed.

use http::Method;
use linkforty::pb::sdk::v1::{
    self as sdk, Device, Platform, ReportInstallRequest, sdk_service_client::SdkServiceClient,
};
use tonic::{
    Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use super::{App, IPHONE, Tenant, an_app, plain::Answer, stores};

/// The calls of an app, from an address.
pub type Sdk = SdkServiceClient<InterceptedService<Channel, Sender>>;

/// Adds what a copy of an app sends with every call, and where it comes from.
#[derive(Clone)]
pub struct Sender {
    /// The app's token.
    pub token: String,
    /// The address; a proxy says so.
    pub from: String,
}

impl Interceptor for Sender {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = |text: String| text.parse().map_err(|_| Status::internal("not a header value"));
        request.metadata_mut().insert("authorization", value(format!("Bearer {}", self.token))?);
        request.metadata_mut().insert("x-forwarded-for", value(self.from.clone())?);
        Ok(request)
    }
}

/// What makes a server believe where tests say they come from.
const BEHIND_A_PROXY: [(&str, &str); 1] = [("TRUSTED_PROXIES", "127.0.0.1/32")];
/// An address somewhere.
pub const HERE: &str = "203.0.113.7";
/// An address elsewhere.
pub const ELSEWHERE: &str = "198.51.100.9";

/// Runs a test on every store behind a proxy, each time in the first workspace of a server of its own.
pub async fn behind_a_proxy(test: impl AsyncFn(&App, &Tenant)) {
    for store in stores() {
        eprintln!("on {store}");
        let app = App::start_with(store, &BEHIND_A_PROXY).await;
        let tenant = app.tenant().await;
        test(&app, &tenant).await;
        app.stop().await;
    }
}

impl App {
    /// Returns the calls of an app from an address.
    pub async fn sdk(&self, token: &str, from: &str) -> Sdk {
        let channel = self.links_channel().await;
        SdkServiceClient::with_interceptor(channel, Sender { token: token.to_owned(), from: from.to_owned() })
    }

    /// Opens a connection for calls of apps.
    pub async fn links_channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.links())).expect("a valid address");
        endpoint.connect().await.expect("the links listener accepts")
    }

    /// Taps a link in Safari on an iPhone.
    pub async fn tap(&self, path: &str, from: &str) -> Answer {
        self.tap_with(path, from, IPHONE).await
    }

    /// Taps a link in a browser.
    pub async fn tap_with(&self, path: &str, from: &str, user_agent: &str) -> Answer {
        let headers =
            [("x-forwarded-for", from), ("user-agent", user_agent), ("accept-language", "de-CH,de;q=0.9")];
        self.visit_as(Method::GET, path, &headers).await
    }
}

impl Tenant {
    /// Makes an app and returns its token.
    pub async fn app_token(&self) -> String {
        self.create_app(an_app()).await.app_token
    }
}

/// The iPhone that [`App::tap`] taps with, as its app sees it.
pub fn iphone() -> Device {
    Device {
        platform: Platform::Ios.into(),
        os_version: "17.5.1".to_owned(),
        model: "iPhone16,1".to_owned(),
        time_zone: "Europe/Zurich".to_owned(),
        language: "de-CH".to_owned(),
        screen_width: 1179,
        screen_height: 2556,
        app_version: "3.1".to_owned(),
        ..Device::default()
    }
}

/// An Android phone, as its app sees it.
pub fn pixel() -> Device {
    Device {
        platform: Platform::Android.into(),
        os_version: "14".to_owned(),
        model: "Pixel 8".to_owned(),
        ..iphone()
    }
}

/// The first open of an app on a phone.
pub fn first_open(installation_id: &str, device: Device) -> ReportInstallRequest {
    ReportInstallRequest {
        installation_id: installation_id.to_owned(),
        device: Some(device),
        ..ReportInstallRequest::default()
    }
}

/// Reports an install until it is decided: a machine with other things to do may put it off.
pub async fn report(sdk: &Sdk, request: ReportInstallRequest) -> sdk::ReportInstallResponse {
    try_report(sdk, request).await.expect("is answered")
}

/// The same, if it may be.
pub async fn try_report(
    sdk: &Sdk,
    request: ReportInstallRequest,
) -> Result<sdk::ReportInstallResponse, Status> {
    for _ in 0..200 {
        let answer = sdk.clone().report_install(request.clone()).await?.into_inner();
        if answer.state() != sdk::AttributionState::Pending {
            return Ok(answer);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the install stays pending")
}
