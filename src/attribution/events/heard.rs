//! Reads calls of `RecordEvents` event by event, so that one that is not even a message costs no other: prost gives a whole call up for one
//! text that is not UTF-8.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response};
use prost::{
    Message as _,
    bytes::Buf as _,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use tonic::{
    Status,
    body::Body,
    codec::{BufferSettings, Codec, CompressionEncoding::Gzip, DecodeBuf, Decoder},
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstEncoder;
use tower::Service;

use super::fields::UNREADABLE;
use crate::{
    error::{Error, Reason},
    pb::sdk::v1::{Event, RecordEventsRequest, RecordEventsResponse, sdk_service_server::SdkService},
    rpc,
};

const PATH: &str = "/linkforty.sdk.v1.SdkService/RecordEvents";

/// `SdkService`, with calls of `RecordEvents` read event by event. All others are `inner`'s.
#[derive(Debug)]
pub struct ByEvent<S, T> {
    inner: S,
    api: Arc<T>,
    /// The largest message that is read.
    most_in: usize,
}

impl<S: Clone, T> Clone for ByEvent<S, T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), api: self.api.clone(), most_in: self.most_in }
    }
}

impl<S, T> ByEvent<S, T> {
    /// Returns the service. `inner` is the generated server of `api`.
    pub fn new(inner: S, api: T, most_in: usize) -> Self {
        Self { inner, api: Arc::new(api), most_in }
    }
}

impl<S: NamedService, T> NamedService for ByEvent<S, T> {
    const NAME: &'static str = S::NAME;
}

impl<S, T> Service<Request<Body>> for ByEvent<S, T>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
    T: SdkService,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() != PATH {
            return Box::pin(self.inner.call(request));
        }
        let mut server = Grpc::new(Events)
            .accept_compressed(Gzip)
            .send_compressed(Gzip)
            .max_decoding_message_size(self.most_in);
        let method = Method(self.api.clone());
        Box::pin(async move { Ok(server.unary(method, request).await) })
    }
}

struct Method<T>(Arc<T>);

impl<T: SdkService> UnaryService<RecordEventsRequest> for Method<T> {
    type Response = RecordEventsResponse;
    type Future = BoxFuture<'static, Result<tonic::Response<RecordEventsResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<RecordEventsRequest>) -> Self::Future {
        let api = self.0.clone();
        Box::pin(async move { api.record_events(request).await })
    }
}

struct Events;

impl Codec for Events {
    type Encode = RecordEventsResponse;
    type Decode = RecordEventsRequest;
    type Encoder = ProstEncoder<RecordEventsResponse>;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Decoder for Events {
    type Item = RecordEventsRequest;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<RecordEventsRequest>, Status> {
        let bytes = message.copy_to_bytes(message.remaining());
        let request = decode(&bytes).ok_or_else(|| {
            let why = "the message is no RecordEventsRequest, or its install_id is not UTF-8";
            rpc::status(&Error::new(Reason::NotGrpc, why))
        })?;
        Ok(Some(request))
    }
}

/// Reads a call. In place of an event that cannot be read stands one that says so, with its id where that can be.
fn decode(message: &[u8]) -> Option<RecordEventsRequest> {
    let (mut request, mut rest) = (RecordEventsRequest::default(), message);
    while !rest.is_empty() {
        match decode_key(&mut rest).ok()? {
            (1, WireType::LengthDelimited) => {
                request.install_id = str::from_utf8(taken(&mut rest)?).ok()?.to_owned();
            }
            (2, WireType::LengthDelimited) => {
                let bytes = taken(&mut rest)?;
                request.events.push(Event::decode(bytes).unwrap_or_else(|_| unreadable(bytes)));
            }
            (field, kind) => skip_field(kind, field, &mut rest, DecodeContext::default()).ok()?,
        }
    }
    Some(request)
}

fn unreadable(bytes: &[u8]) -> Event {
    Event { event_id: id_in(bytes).unwrap_or_default(), name: UNREADABLE.to_owned(), ..Event::default() }
}

/// Finds the id of an event of which something else cannot be read.
fn id_in(mut rest: &[u8]) -> Option<String> {
    loop {
        match decode_key(&mut rest).ok()? {
            (1, WireType::LengthDelimited) => {
                return str::from_utf8(taken(&mut rest)?).ok().map(str::to_owned);
            }
            (field, kind) => skip_field(kind, field, &mut rest, DecodeContext::default()).ok()?,
        }
    }
}

/// Takes the bytes of a field off the front.
fn taken<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str) -> Event {
        Event { event_id: "event-0001".into(), name: name.into(), ..Event::default() }
    }

    #[test]
    fn an_event_that_is_none_stands_for_itself() {
        let request = RecordEventsRequest {
            install_id: "i".into(),
            events: vec![event("one"), event("two!"), event("three")],
        };
        let bytes = request.encode_to_vec();
        assert_eq!(decode(&bytes), Some(request.clone()));
        let at = bytes.windows(4).position(|part| part == b"two!").expect("it is there");
        let mut broken = bytes;
        broken[at + 3] = 0xff;
        let read = decode(&broken).expect("the call is whole");
        assert_eq!((&read.events[0], &read.events[2]), (&request.events[0], &request.events[2]));
        assert_eq!(read.events[1], event(UNREADABLE));
        let at = broken.iter().position(|byte| *byte == b'i').expect("it is there");
        broken[at] = 0xff;
        assert_eq!(decode(&broken), None);
    }

    proptest! {
        #[test]
        fn what_prost_reads_is_read_alike(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(read) = RecordEventsRequest::decode(&*bytes) {
                prop_assert_eq!(decode(&bytes).map(|request| request.install_id), Some(read.install_id));
            } else {
                decode(&bytes);
            }
        }
    }
}
