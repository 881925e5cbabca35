//! Reads to its end what a call that was refused has sent.
//!
//! A refusal is often ready before the message has come. If it were left unread, HTTP/2 would reset the stream, and the parts that arrive
//! then would count as errors of the peer: after some hundred of them the connection would end, under the calls of a client that did
//! nothing but be told to come back later.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    middleware::Next,
    response::Response,
};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Buf;
use tokio::time::timeout;

/// How much is read of a message that nobody wants: most are smaller, and whoever sends more may well be cut off.
const MOST: usize = 64 * 1024;
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_millis(200);

/// Answers, and reads what is left of the message of a call whose answer says nothing but a status.
pub(super) async fn to_the_end(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let left = Shared(Arc::default());
    let request = request.map(|body| {
        *left.lock() = Some(body);
        Body::new(Shared(left.0.clone()))
    });
    let response = next.run(request).await;
    if response.body().is_end_stream() && !left.is_end_stream() {
        read_away(left).await;
    }
    response
}

/// Reads what nobody wants.
pub(super) async fn read_away(mut body: impl HttpBody<Data: Buf> + Unpin) {
    let mut read = 0;
    let _ = timeout(PATIENCE, poll_fn(|cx| poll_away(&mut body, &mut read, cx))).await;
}

/// Reads what has come of what nobody wants, and says whether there is no more to read.
pub(super) fn read_what_has_come(body: &mut (impl HttpBody<Data: Buf> + Unpin)) -> bool {
    poll_away(body, &mut 0, &mut Context::from_waker(Waker::noop())).is_ready()
}

/// Reads on; ready at the end, when the message broke off, and when it is too long to read.
fn poll_away(
    body: &mut (impl HttpBody<Data: Buf> + Unpin),
    read: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<()> {
    while let Some(Ok(frame)) = ready!(Pin::new(&mut *body).poll_frame(cx)) {
        *read += frame.data_ref().map_or(0, Buf::remaining);
        if *read > MOST {
            break;
        }
    }
    Poll::Ready(())
}

/// A message that two can read from, one after the other.
struct Shared(Arc<Mutex<Option<Body>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Body>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut *self.lock() {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.lock().as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}
