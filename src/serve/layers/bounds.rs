//! How much at once, how long, and what happens when something breaks.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures::FutureExt as _;
use http::HeaderMap;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    error::{Error, Reason},
    ids::Ids,
    serve::{refusal::refuse, shutdown::Life},
};

/// The longest a call may take until its answer begins, whatever the client asks for.
pub(in crate::serve) const LONGEST: Duration = Duration::from_secs(30);

/// Room for so many requests at once, those that wait to be worked on included. Clones share it.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Room {
    places: Arc<Semaphore>,
    cutting: tokio_util::sync::CancellationToken,
    ids: Arc<Ids>,
}

impl Room {
    /// Returns room for `most` calls.
    pub(in crate::serve) fn for_calls(most: usize, life: &Life, ids: &Arc<Ids>) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), cutting: life.cutting.clone(), ids: ids.clone() }
    }
}

/// When a call has to be answered. In the extensions of every call that has an end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(pub Instant);

/// Answers a panic with an error. What panicked is in the log, with the request's ids; the caller learns nothing of it.
pub(super) async fn catch_panic(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => refuse(Error::internal(panic_text(&*panic))),
    }
}

/// Returns what a panic said.
pub(in crate::serve) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of an unknown kind");
    format!("a panic: {text}")
}

/// Refuses what there is no room for, at once: a late answer helps nobody and a queue only moves the moment.
pub(super) async fn shed(State(room): State<Room>, request: Request, next: Next) -> Response {
    let Ok(_place) = room.places.try_acquire() else {
        metrics::counter!("linkforty_shed_total", "class" => "any", "reason" => "door").increment(1);
        return refuse(overloaded(&room.ids));
    };
    tokio::select! {
        response = next.run(request) => response,
        () = room.cutting.cancelled() => refuse(
            Error::new(Reason::ShuttingDown, "this node is shutting down; try again").retry_after(Duration::from_secs(1)),
        ),
    }
}

/// Says that there is more work than can be done in time. Whoever hears so does not come back at the same moment as the others.
pub(in crate::serve) fn overloaded(ids: &Ids) -> Error {
    Error::new(Reason::ServerOverloaded, "the server has more work than it can do in time; try again")
        .retry_after(spread(ids, Duration::from_secs(1), Duration::from_secs(2)))
}

/// Returns a wait that is longer than `least` by up to `more`.
pub(super) fn spread(ids: &Ids, least: Duration, more: Duration) -> Duration {
    let millis = u32::try_from(more.as_millis()).unwrap_or(u32::MAX);
    least + Duration::from_millis(u64::from(ids.below(millis.max(1))))
}

/// Ends calls that nobody waits for any more: after the client's `grpc-timeout`, at the latest after [`LONGEST`]. It covers
/// the time until the answer begins; what a stream does afterwards is its own matter. The call's work is dropped where it stands, so a
/// transaction that was open is rolled back.
pub(super) async fn deadline(mut request: Request, next: Next) -> Response {
    let deadline = Instant::now() + allowed(request.headers());
    request.extensions_mut().insert(Deadline(deadline));
    match timeout_at(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refuse(Error::new(Reason::DeadlineExceeded, "the call did not finish in time")),
    }
}

/// Returns how long a call may take.
fn allowed(headers: &HeaderMap) -> Duration {
    asked(headers).map_or(LONGEST, |asked| asked.min(LONGEST))
}

/// Reads `grpc-timeout`: at most eight digits and a unit. What is malformed counts as not sent.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn, routing::post};
    use tower::ServiceExt as _;

    use super::*;
    use crate::serve::refusal;

    #[test]
    fn grpc_timeouts_are_read() {
        for (text, expected) in [
            ("1H", Some(Duration::from_hours(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("3S", Some(Duration::from_secs(3))),
            ("100m", Some(Duration::from_millis(100))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("5n", Some(Duration::from_nanos(5))),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("+1S", None),
            ("1", None),
            ("1s", None),
            ("1é", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", http::HeaderValue::from_bytes(text.as_bytes()).expect("valid"));
            assert_eq!(asked(&headers), expected, "{text}");
        }
    }

    async fn call(router: Router, timeout: Option<&str>) -> Response {
        let mut request = Request::post("/x.Y/Z").header("content-type", "application/grpc");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let request = request.body(Body::empty()).expect("a valid request");
        router.layer(from_fn(refusal::word)).oneshot(request).await.expect("infallible")
    }

    #[test]
    fn no_call_may_take_longer_than_ours() {
        for (text, expected) in [
            (Some("50m"), Duration::from_millis(50)),
            (Some("9H"), LONGEST),
            (Some("?"), LONGEST),
            (None, LONGEST),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(text) = text {
                headers.insert("grpc-timeout", http::HeaderValue::from_static(text));
            }
            assert_eq!(allowed(&headers), expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_call_ends_at_its_deadline() {
        let router = Router::new().route("/x.Y/Z", post(std::future::pending::<()>)).layer(from_fn(deadline));
        let response = call(router, Some("50m")).await;
        assert_eq!(response.headers()["grpc-status"], "4");
        assert!(response.headers().contains_key("grpc-status-details-bin"));
    }

    async fn breaks() -> &'static str {
        panic!("the secret is 42")
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_without_its_text() {
        let router = Router::new().route("/x.Y/Z", post(breaks)).layer(from_fn(catch_panic));
        let response = call(router, None).await;
        assert_eq!(response.headers()["grpc-status"], "13");
        assert!(!format!("{response:?}").contains("42"));
    }

    #[tokio::test]
    async fn a_full_house_refuses_at_once_and_says_when_to_come_back() {
        let room = Room::for_calls(0, &Life::new(), &Arc::new(Ids::seeded(1)));
        let router = Router::new()
            .route("/x.Y/Z", post(|| async {}))
            .layer(axum::middleware::from_fn_with_state(room, shed));
        let mut waits = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let response = call(router.clone(), None).await;
            assert_eq!(response.headers()["grpc-status"], "14");
            let wait = &response.headers()["grpc-retry-pushback-ms"];
            waits.insert(wait.to_str().expect("text").parse::<u64>().expect("a number"));
        }
        assert!(waits.len() > 10 && waits.iter().all(|wait| (1_000..3_000).contains(wait)), "{waits:?}");
    }
}
