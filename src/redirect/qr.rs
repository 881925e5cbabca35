//! The QR code of a link, for everybody: `GET /{code}/qr`. No click. The link is looked at first, whatever was drawn before.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::IpAddr,
    sync::Arc,
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use quick_cache::{Weighter, sync::Cache};
use tokio::sync::Semaphore;

use super::{
    destination::{Closed, Outcome, choose},
    ending::Ending,
    http::{Redirects, code_of, languages},
    pages,
    visitor::Visit,
};
use crate::{
    domains::Site,
    limits::LimitName,
    links::read_qr_query,
    qr::{self, Style},
};

/// How many codes are drawn at once. The largest takes some ten milliseconds of a thread.
const AT_ONCE: usize = 2;
/// Bytes of pictures that are remembered.
const REMEMBERED: u64 = 8 * 1024 * 1024;
/// How many pictures that may be.
const PICTURES: usize = 1024;
/// A day, and everybody may: a picture says nothing but the short URL. What the link says is asked anew by whoever asks us.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=86400");
/// Goes up when the same style is drawn in another way.
const VERSION: u8 = 1;
/// An SVG that is opened by itself may do nothing at all.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; img-src data:; sandbox");

/// Returns the code of a path that asks for the QR code of a short link.
pub fn drawn(path: &str) -> Option<&str> {
    code_of(path.strip_suffix("/qr")?)
}

/// Pictures that were drawn, by what they show and how.
struct Pictures {
    remembered: Cache<(String, Style), Bytes, Weight>,
    places: Arc<Semaphore>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<(String, Style), Bytes> for Weight {
    fn weight(&self, (text, _): &(String, Style), picture: &Bytes) -> u64 {
        (text.len() + picture.len() + 256) as u64
    }
}

impl Pictures {
    fn new() -> Self {
        let remembered = Cache::with_weighter(PICTURES, REMEMBERED, Weight);
        Self { remembered, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Redirects {
    /// Draws the code of a link on `site` for somebody in the network `household`.
    pub async fn draw(
        &self,
        site: &Site,
        code: &str,
        request: &Parts,
        household: IpAddr,
    ) -> Response<Full<Bytes>> {
        let now = self.0.env.now();
        let target = match self.find(site, code, now).await {
            Ok(target) => target,
            Err(missing) => return self.missed(missing, site, request),
        };
        let look = self.look_of(languages(request));
        match choose(&target, &Visit::of_nobody(), now) {
            Outcome::Gone(_) => {
                self.count(Ending::Gone);
                return pages::gone(&look).into();
            }
            // Codes are printed before a campaign begins, and for people that nobody is.
            Outcome::NotFound(Closed::NotStarted | Closed::NotTargeted) => {}
            Outcome::NotFound(_) => {
                self.count(Ending::Closed);
                return pages::not_found(&look).into();
            }
            _ => {}
        }
        let style = match read_qr_query(request.uri.query().unwrap_or_default()) {
            Ok(style) => style,
            Err(wrong) => return self.undrawable(&wrong),
        };
        let key = (self.short_url(site, code), style);
        let etag = etag(&key);
        if request.headers.get(header::IF_NONE_MATCH).is_some_and(|given| names(given, &etag)) {
            self.count(Ending::Drawn);
            return answer(StatusCode::NOT_MODIFIED, Bytes::new(), &etag);
        }
        let pictures = self.0.env.memory.of(Pictures::new);
        let picture = match pictures.remembered.get(&key) {
            Some(picture) => picture,
            None => match self.drawn_now(&pictures, &key, household).await {
                Ok(picture) => picture,
                Err(response) => return *response,
            },
        };
        self.count(Ending::Drawn);
        let mut response = answer(StatusCode::OK, picture, &etag);
        let headers = response.headers_mut();
        let format = key.1.format;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
        let name = format!("inline; filename=\"qr-{code}.{}\"", format.name());
        // A code is letters, digits and dashes.
        if let Ok(name) = HeaderValue::try_from(name) {
            headers.insert(header::CONTENT_DISPOSITION, name);
        }
        response
    }

    async fn drawn_now(
        &self,
        pictures: &Pictures,
        key: &(String, Style),
        household: IpAddr,
    ) -> Result<Bytes, Box<Response<Full<Bytes>>>> {
        if let Some(seconds) = self.throttled(&[(LimitName::QrCode, household.to_string())]).await {
            self.count(Ending::Throttled);
            let mut response =
                said(StatusCode::TOO_MANY_REQUESTS, "Too many codes at once. Please try again.\n");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            return Err(Box::new(response));
        }
        let Ok(place) = pictures.places.clone().acquire_owned().await else {
            self.count(Ending::Overloaded);
            return Err(Box::new(said(StatusCode::SERVICE_UNAVAILABLE, "Please try again.\n")));
        };
        let (text, style) = key.clone();
        let drawing = tokio::task::spawn_blocking(move || {
            // For as long as it takes, also when nobody waits any more.
            let _place = place;
            qr::draw(&text, &style)
        });
        match drawing.await {
            Ok(Ok(picture)) => {
                let picture = Bytes::from(picture.bytes);
                pictures.remembered.insert(key.clone(), picture.clone());
                Ok(picture)
            }
            Ok(Err(wrong)) => Err(Box::new(self.undrawable(&crate::links::undrawable(wrong).1))),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn undrawable(&self, wrong: &str) -> Response<Full<Bytes>> {
        self.count(Ending::Undrawable);
        said(StatusCode::BAD_REQUEST, &format!("{wrong}\n"))
    }
}

fn answer(status: StatusCode, body: Bytes, etag: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHE);
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn said(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(words.to_owned()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The same on every node: the standard library's hasher without a seed.
fn etag(key: &(String, Style)) -> String {
    let mut hasher = DefaultHasher::new();
    (VERSION, key).hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Says whether an If-None-Match header names a tag.
fn names(given: &HeaderValue, etag: &str) -> bool {
    let given = given.to_str().unwrap_or_default();
    given.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_stands_before_the_last_part_of_the_path() {
        for (path, code) in [
            ("/spring/qr", Some("spring")),
            ("/spring/QR", None),
            ("/qr", None),
            ("/qr/qr", None),
            ("/spring/qr/", None),
            ("/a/spring/qr", None),
            ("//qr", None),
        ] {
            assert_eq!(drawn(path), code, "{path}");
        }
    }

    #[test]
    fn a_tag_is_known_in_every_list() {
        for (given, known) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(names(&HeaderValue::from_static(given), "\"a\""), known, "{given}");
        }
    }
}
