//! Gives every call a place to be worked on, or says that there is none.
//!
//! Whose call it is is known by now, so that those who call a lot wait for themselves. A file is worked on until its last part is sent; a
//! reader who takes no part for a while lends the place to others.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::Extensions;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::Instant;

use super::{
    ClientAddress,
    apps::OfApp,
    bounds::{Deadline, LONGEST, overloaded},
    network_of,
    porch::Newcomer,
};
use crate::{
    admission::{Admission, Arrived, Party, Place, Why},
    error::{Error, Reason},
    ids::Ids,
    rpc::Caller,
    serve::{
        classes::{Classes, Holds, Work},
        refusal::refuse,
    },
};

/// The largest message in base64, as some browsers send it. Whether it is too large for us is for the method to say.
const MOST_SENT: usize = 1536 * 1024;
/// A reader who takes nothing for so long does not hold a place.
const IDLE: Duration = Duration::from_secs(10);

/// What the layers need. Clones share the places.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Gate {
    pub admission: Admission,
    classes: Classes,
    ids: Arc<Ids>,
    sent: Arc<Mutex<Vec<Weak<Sending>>>>,
}

impl Gate {
    pub(in crate::serve) fn new(admission: Admission, ids: Arc<Ids>) -> Self {
        Self { admission, classes: Classes::of_the_contract(), ids, sent: Arc::default() }
    }

    /// Lends the places of those who take nothing to others. `serve` calls it every few seconds.
    pub(in crate::serve) fn lend_idle_places(&self) {
        // Taken out under the lock and given back outside of it.
        let mut idle = Vec::new();
        lock(&self.sent).retain(|sending| {
            let Some(sending) = sending.upgrade() else { return false };
            idle.extend(sending.lend());
            true
        });
    }

    async fn admit(&self, work: Work, party: Party, mut request: Request, next: Next) -> Response {
        let newcomer = request.extensions_mut().remove::<Newcomer>();
        if self.admission.has_memory(work.class).is_err() {
            newcomer.as_ref().inspect(|newcomer| newcomer.is_turned_away());
            return refuse(overloaded(&self.ids));
        }
        let request = match work.holds {
            Holds::Throughout => request,
            Holds::UntilAnswered | Holds::UntilSent => match whole(request).await {
                Ok(request) => request,
                Err(error) => return refuse(error),
            },
        };
        let deadline = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
        let deadline = deadline.unwrap_or_else(|| Instant::now() + LONGEST);
        let arrived = self.admission.arrive(work.class, party, deadline);
        if let Some(newcomer) = newcomer {
            match &arrived {
                Ok(Arrived::In(_)) => newcomer.has_a_place(),
                Ok(Arrived::Waits(waiting)) => newcomer.waits(waiting.room()),
                // The one call's own; what else there is would be so for the next one too.
                Err(Why::Deadline) => {}
                Err(Why::Full | Why::Memory | Why::Waited) => newcomer.is_turned_away(),
            }
        }
        let place = match arrived {
            Ok(arrived) => arrived.place().await,
            Err(why) => Err(why),
        };
        let place = match place {
            Ok(place) => place,
            Err(why) => {
                tracing::debug!(class = work.class.name(), reason = why.name(), "turned away");
                return refuse(overloaded(&self.ids));
            }
        };
        let response = next.run(request).await;
        if work.holds == Holds::UntilAnswered || response.body().is_end_stream() {
            return response;
        }
        let sending = Arc::new(Sending { held: Mutex::new((Some(place), Instant::now())) });
        lock(&self.sent).push(Arc::downgrade(&sending));
        let (admission, class) = (self.admission.clone(), work.class);
        let again = move || admission.enter_at_once(class, party).ok();
        response.map(|inner| Body::new(Sent { inner, sending, again: Box::new(again) }))
    }
}

/// Reads all that a call is sent: nobody holds a place by sending slowly.
async fn whole(request: Request) -> Result<Request, Error> {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok(Request::from_parts(parts, body));
    }
    match Limited::new(body, MOST_SENT).collect().await {
        Ok(sent) => Ok(Request::from_parts(parts, Body::from(sent.to_bytes()))),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Error::new(Reason::InvalidFields, "the message is larger than 1 MiB; split it up"))
        }
        Err(_) => Err(Error::new(Reason::NotGrpc, "the request ended before its end")),
    }
}

/// Admits calls of people and programs.
pub(super) async fn calls(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Some(work) = gate.classes.of(request.uri().path()) else { return next.run(request).await };
    let party = party(request.extensions());
    gate.admit(work, party, request, next).await
}

/// Admits calls of apps.
pub(super) async fn app_calls(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let work = gate.classes.of_app(request.uri().path());
    let party = request.extensions().get::<OfApp>().map_or(Party(0), |app| app.party);
    gate.admit(work, party, request, next).await
}

/// Says whose work a call is: all keys of a workspace share, a person has their own, and so has a network that says nothing.
fn party(extensions: &Extensions) -> Party {
    match (extensions.get::<Caller>(), extensions.get::<ClientAddress>()) {
        (Some(Caller::ApiKey { workspace, .. }), _) => Party::from(workspace.0),
        (Some(Caller::Person { user, .. }), _) => Party::from(user.0),
        (None, Some(client)) => Party::from(network_of(client.0)),
        (None, None) => Party(0),
    }
}

/// The place of an answer that is being sent, and when its reader took something last.
#[derive(Debug)]
struct Sending {
    held: Mutex<(Option<Place>, Instant)>,
}

impl Sending {
    /// Returns the place if the reader has taken nothing for a while.
    fn lend(&self) -> Option<Place> {
        let mut held = lock(&self.held);
        if held.1.elapsed() >= IDLE { held.0.take() } else { None }
    }
}

type Again = dyn Fn() -> Option<Place> + Send;

/// An answer that holds a place while it is sent.
struct Sent {
    inner: Body,
    sending: Arc<Sending>,
    again: Box<Again>,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let lent = {
            let mut held = lock(&this.sending.held);
            held.1 = Instant::now();
            held.0.is_none()
        };
        // What was lent may be gone. What has begun goes on all the same: it was admitted once.
        if lent && let Some(place) = (this.again)() {
            lock(&this.sending.held).0 = Some(place);
        }
        Pin::new(&mut this.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here is half done when somebody panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::from_fn_with_state, routing::post};
    use futures::{StreamExt as _, stream};
    use tower::ServiceExt as _;

    use super::*;
    use crate::admission::{Class, Shares};

    async fn export(router: &Router) -> Response {
        let request = Request::post("/linkforty.v1.LinkService/ExportLinks").body(Body::empty());
        router.clone().oneshot(request.expect("a valid request")).await.expect("infallible")
    }

    /// A file of a thousand parts.
    async fn file() -> Body {
        let part = || Ok::<_, std::io::Error>(Bytes::from_static(b"part"));
        Body::from_stream(stream::repeat_with(part).take(1_000))
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_holds_its_place_until_it_is_sent_and_lends_it_while_nobody_reads() {
        let gate = Gate::new(Admission::new(Shares::of_places(100, 1)), Arc::new(Ids::seeded(1)));
        let router = Router::new()
            .route("/linkforty.v1.LinkService/ExportLinks", post(file))
            .layer(from_fn_with_state(gate.clone(), calls));
        let is_full = || gate.admission.enter_at_once(Class::Bulk, Party(0)).is_err();
        let mut first = export(&router).await.into_body();
        let second = export(&router).await.into_body();
        assert!(is_full());
        first.frame().await.expect("a part").expect("no error");
        drop(second);
        assert!(!is_full(), "whoever hangs up gives their place back");
        let third = export(&router).await.into_body();
        assert!(is_full());

        tokio::time::advance(Duration::from_secs(9)).await;
        first.frame().await.expect("a part").expect("no error");
        tokio::time::advance(Duration::from_secs(2)).await;
        gate.lend_idle_places();
        let lent = gate.admission.enter_at_once(Class::Bulk, Party(0)).expect("the third reads nothing");
        assert!(is_full(), "the first does");
        // It goes on without, and takes the place again when it is free.
        let rest = third.collect().await.expect("goes on").to_bytes();
        assert_eq!(rest.len(), 4_000);
        drop(lent);
        assert!(!is_full());
        first.collect().await.expect("goes on");
        let both = [0, 1].map(|_| gate.admission.enter_at_once(Class::Bulk, Party(0)).is_ok());
        assert_eq!(both, [true, true]);
        assert_eq!(lock(&gate.sent).len(), 2, "the second was forgotten with the first look");
        gate.lend_idle_places();
        assert!(lock(&gate.sent).is_empty(), "nobody remembers what is over");
    }
}
