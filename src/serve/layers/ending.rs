//! Ends streams when the node leaves, so that their readers go on elsewhere and nobody waits for the deadline.
//!
//! A feed of events has no end of its own. Once the node is closing, a stream that has nothing to say for [`SILENCE`] is ended with
//! UNAVAILABLE, which clients retry; one that is still sending, an export say, may go on until the deadline.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{
    rpc::{self, Leaving},
    serve::shutdown::Life,
};

const SILENCE: Duration = Duration::from_secs(2);

/// What the layer needs of the node's life.
#[derive(Debug, Clone)]
pub(super) struct Closing(CancellationToken);

impl Closing {
    pub(super) fn of(life: &Life) -> Self {
        Self(life.closing.clone())
    }
}

/// Watches over the body of an answer.
pub(super) async fn end_streams(
    State(closing): State<Closing>,
    mut request: Request,
    next: Next,
) -> Response {
    // A feed that is never silent ends itself.
    request.extensions_mut().insert(Leaving::by(closing.0.clone()));
    let response = next.run(request).await;
    if response.body().is_end_stream() {
        return response;
    }
    response.map(|inner| {
        Body::new(Ending { inner, closing: closing.0.cancelled_owned(), silence: None, ended: false })
    })
}

pin_project! {
    struct Ending {
        #[pin]
        inner: Body,
        #[pin]
        closing: WaitForCancellationFutureOwned,
        silence: Option<Pin<Box<Sleep>>>,
        ended: bool,
    }
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.silence = None;
            return Poll::Ready(frame);
        }
        if this.silence.is_none() {
            ready!(this.closing.poll(cx));
        }
        let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(SILENCE)));
        ready!(silence.as_mut().poll(cx));
        *this.ended = true;
        Poll::Ready(Some(Ok(Frame::trailers(farewell()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn farewell() -> HeaderMap {
    let error = Leaving::farewell();
    let mut trailers = HeaderMap::new();
    // Without details if they cannot be written, but never without a status.
    if rpc::status(&error).add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", error.kind().grpc_code().into());
    }
    trailers
}
