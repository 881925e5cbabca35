//! Turns away at once whoever was turned away a moment ago.
//!
//! When ten times as many calls come as can be worked on, saying no is most of the work: finding out who calls, what is left of their
//! limits and where they stand in the queue takes a tenth of what a call takes. So whoever hears that there is more work than can be done
//! hears it again for a few milliseconds, in front of all that. Nobody loses a place by it: a queue that was full for somebody takes longer
//! than that to run dry. After it one looks whether there is room again, and as many follow as it found room for ([`Turned`]).
//!
//! It knows programs by their credentials, byte for byte, and whether those are good it need not know: they were a moment ago. Browsers,
//! which need headers of their own to read a refusal, pass.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Ready, ready},
    hash::Hasher as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::body::Body;
use futures::future::{BoxFuture, Either};
use http::{
    HeaderMap, Request, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN},
};
use http_body::Body as HttpBody;
use metrics::{Counter, counter};
use quick_cache::sync::Cache;
use siphasher::sip::SipHasher24;
use tokio::time::Instant;

use super::{
    bounds::overloaded,
    browsers::Told,
    identify,
    measure::REQUESTS,
    reading::{read_away, read_what_has_come},
};
use crate::{
    admission::Class,
    clock::Clock,
    ids::Ids,
    serve::{
        classes::{Classes, Work},
        listen::Peer,
        refusal,
    },
};

/// For how long somebody who was turned away is turned away again without another look.
const AGAIN: Duration = Duration::from_millis(10);
/// How many of theirs may look at once, at the most.
const MOST_LOOKS: usize = 64;
/// How many are remembered; who is forgotten is looked at again.
const REMEMBERED: usize = 4096;
/// How many refusals are written beforehand, so that not everybody is told to come back at the same moment.
const WRITTEN: u32 = 16;

/// Who was turned away. Clones share it.
#[derive(Clone)]
pub(in crate::serve) struct Porch(Arc<Inner>);

struct Inner {
    ids: Arc<Ids>,
    clock: Arc<dyn Clock>,
    classes: Classes,
    hash: SipHasher24,
    turned: Cache<u64, Arc<Mutex<Turned>>>,
    refusals: Vec<HeaderMap>,
    again: [Counter; Class::ALL.len()],
    /// By method: looking a counter up by its labels costs a part of a refusal that shows.
    refused: HashMap<&'static str, Counter>,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
struct Call {
    method: &'static str,
    class: Class,
}

/// Somebody who was turned away, and how many of theirs may have another look.
///
/// If everybody had one as soon as the time is over, all that were on their way when the first is turned away would be: the looks would cost
/// more than the refusals. So one goes first, and as many others follow as it found room for beside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turned {
    /// When it was heard last that there is no room, or how much, or somebody was let look for want of news.
    at: Instant,
    looks: usize,
    /// Those who look at present.
    under_way: usize,
}

impl Turned {
    /// Says whether somebody who comes at `now` may look, and counts it.
    fn looks(&mut self, now: Instant) -> bool {
        if now.duration_since(self.at) >= AGAIN {
            self.at = now;
            self.looks = self.looks.max(1);
        }
        let may = self.looks > 0;
        if may {
            self.looks -= 1;
            self.under_way += 1;
        }
        may
    }

    /// One that looks has found room at `now`, for itself and so many others.
    fn has_room(&mut self, now: Instant, others: usize) {
        self.at = now;
        self.looks = others.saturating_sub(self.under_way.saturating_sub(1)).min(MOST_LOOKS);
    }

    /// One that looks has found none at `now`.
    fn has_none(&mut self, now: Instant) {
        self.at = now;
        self.looks = 0;
    }

    /// One that looked does no more, whatever it has found.
    fn has_looked(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

/// Somebody who was let in to look, and may be turned away yet. They look until the last clone is dropped.
#[derive(Clone)]
pub(super) struct Newcomer(Arc<Look>);

struct Look {
    porch: Porch,
    name: u64,
    turned: Option<Arc<Mutex<Turned>>>,
}

impl Newcomer {
    /// Remembers that there was no place.
    pub(super) fn is_turned_away(&self) {
        let (Self(look), now) = (self, Instant::now());
        match &look.turned {
            Some(known) => lock(known).has_none(now),
            None => {
                let turned = Turned { at: now, looks: 0, under_way: 0 };
                look.porch.0.turned.insert(look.name, Arc::new(Mutex::new(turned)));
            }
        }
    }

    /// Notes that there was one to wait in, and would have been for so many others.
    pub(super) fn waits(&self, others: usize) {
        self.0.turned.as_ref().inspect(|known| lock(known).has_room(Instant::now(), others));
    }

    /// Notes that there was one to work in: everybody may look again.
    pub(super) fn has_a_place(&self) {
        if self.0.turned.is_some() {
            self.0.porch.0.turned.remove(&self.0.name);
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.turned.as_ref().inspect(|known| lock(known).has_looked());
    }
}

fn lock(turned: &Mutex<Turned>) -> MutexGuard<'_, Turned> {
    turned.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Porch {
    /// Returns a porch on which nobody stands, of a listener that tells browsers what `told` says.
    pub(in crate::serve) fn new(ids: &Arc<Ids>, clock: &Arc<dyn Clock>, told: Told) -> Self {
        let again =
            |class: Class| counter!("linkforty_shed_total", "class" => class.name(), "reason" => "again");
        let refused = |method| {
            let code = "UNAVAILABLE";
            (method, counter!(REQUESTS, "listener" => "api", "method" => method, "code" => code))
        };
        let refusal = |_| {
            let mut headers = refusal::to_a_program(&overloaded(ids));
            told.write(&mut headers);
            headers
        };
        let classes = Classes::of_the_contract();
        Self(Arc::new(Inner {
            refused: classes.methods().map(refused).collect(),
            classes,
            hash: SipHasher24::new_with_key(&ids.bytes()),
            turned: Cache::new(REMEMBERED),
            refusals: (0..WRITTEN).map(refusal).collect(),
            again: Class::ALL.map(again),
            ids: ids.clone(),
            clock: clock.clone(),
        }))
    }

    /// Puts the porch in front of what answers calls. What is `Right` is a refusal.
    pub(in crate::serve) fn before<H, F, I>(
        self,
        inside: H,
    ) -> impl Fn(Peer, Request<I>) -> Either<F, Refusing> + Clone
    where
        H: Fn(Peer, Request<I>) -> F + Clone,
        I: HttpBody + Send + Unpin + 'static,
        I::Data: Send,
    {
        move |peer, mut request| {
            let Some((name, call)) = self.known(&request) else {
                return Either::Left(inside(peer, request));
            };
            let turned = self.0.turned.get(&name);
            if turned.as_ref().is_none_or(|turned| lock(turned).looks(Instant::now())) {
                let look = Look { porch: self.clone(), name, turned };
                request.extensions_mut().insert(Newcomer(Arc::new(look)));
                return Either::Left(inside(peer, request));
            }
            let refusal = self.refusal(&request, call);
            if read_what_has_come(request.body_mut()) {
                return Either::Right(Either::Left(ready(Ok(refusal))));
            }
            Either::Right(Either::Right(Box::pin(async move {
                read_away(request.into_body()).await;
                Ok(refusal)
            })))
        }
    }

    /// Returns by what a program is known here and what it wants; `None` for whoever is to be looked at each time.
    fn known<I>(&self, request: &Request<I>) -> Option<(u64, Call)> {
        let headers = request.headers();
        let grpc = headers.get(CONTENT_TYPE)?.as_bytes().strip_prefix(b"application/grpc")?;
        if !(grpc.is_empty() || grpc == b"+proto") || headers.contains_key(ORIGIN) {
            return None;
        }
        let credentials = headers.get(AUTHORIZATION)?;
        let (method, Work { class, .. }) = self.0.classes.known(request.uri().path())?;
        let mut hash = self.0.hash;
        hash.write_u8(class as u8);
        hash.write(credentials.as_bytes());
        Some((hash.finish(), Call { method, class }))
    }

    fn refusal<I>(&self, request: &Request<I>, Call { method, class }: Call) -> Response<Body> {
        let Inner { ids, clock, refusals, again, refused, .. } = &*self.0;
        again[class as usize].increment(1);
        refused.get(method).inspect(|counter| counter.increment(1));
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = refusals[ids.below(WRITTEN) as usize].clone();
        let id = identify::id(request.headers(), ids, clock.now());
        response.headers_mut().insert(identify::REQUEST_ID, id);
        response
    }
}

/// What is answered; never an error of the connection's.
type Answer = Result<Response<Body>, Infallible>;
/// A refusal as soon as the message is read, which as a rule has come with the call.
type Refusing = Either<Ready<Answer>, BoxFuture<'static, Answer>>;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use http_body_util::Full;

    use super::*;
    use crate::clock::SettableClock;

    const GET: &str = "/linkforty.v1.LinkService/GetLink";
    const LIST: &str = "/linkforty.v1.LinkService/ListLinks";
    const BATCH: &str = "/linkforty.v1.LinkService/BatchCreateLinks";

    type Sent = Request<Full<axum::body::Bytes>>;

    fn call(path: &str, headers: &[(&str, &str)]) -> Sent {
        let mut request = Request::post(path).header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::from("a message")).expect("a valid request")
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_turned_away_hears_it_again_for_ten_milliseconds_and_nobody_else_does() {
        let inside = Arc::new(AtomicU32::new(0));
        let seen = inside.clone();
        // Everybody who comes in is turned away.
        let house = move |_: Peer, request: Sent| {
            seen.fetch_add(1, Ordering::Relaxed);
            if let Some(newcomer) = request.extensions().get::<Newcomer>() {
                newcomer.is_turned_away();
            }
            ready(Ok(Response::new(Body::from("looked at"))))
        };
        let clock: Arc<dyn Clock> = Arc::new(SettableClock::at(crate::clock::from_micros(0)));
        let told = Told { secret: true, only_https: true };
        let door = Porch::new(&Arc::new(Ids::seeded(1)), &clock, told).before(house);
        let peer = Peer { remote: ([127, 0, 0, 1], 1).into(), local: ([127, 0, 0, 1], 2).into() };
        let (me, other) = (("authorization", "Bearer lf_me"), ("authorization", "Bearer lf_other"));
        let mut expected = 0;
        for (path, headers, comes_in) in [
            (GET, &[me][..], true),
            (GET, &[me], false),
            // Of the same class; another class, other credentials, none, and browsers are looked at.
            (LIST, &[me], false),
            (BATCH, &[me], true),
            (GET, &[other], true),
            (GET, &[], true),
            (GET, &[], true),
            (GET, &[me, ("origin", "https://dash.example.test")], true),
            ("/nothing", &[me], true),
            (GET, &[me, ("x-request-id", "mine")], false),
        ] {
            let response = door(peer, call(path, headers)).await.expect("infallible");
            expected += u32::from(comes_in);
            assert_eq!(inside.load(Ordering::Relaxed), expected, "{path} {headers:?}");
            if !comes_in {
                for (name, value) in [
                    ("grpc-status", "14"),
                    ("content-type", "application/grpc"),
                    ("x-content-type-options", "nosniff"),
                    ("cache-control", "no-store"),
                ] {
                    assert_eq!(response.headers()[name], value);
                }
                assert!(response.headers().contains_key("grpc-status-details-bin"));
                let wait = response.headers()["grpc-retry-pushback-ms"].to_str().expect("text");
                assert!((1_000..3_000).contains(&wait.parse::<u32>().expect("a number")), "{wait}");
                let id = response.headers()["x-request-id"].to_str().expect("text");
                assert!(if headers.len() > 1 { id == "mine" } else { id.len() == 36 }, "{id}");
            }
        }
        tokio::time::advance(AGAIN).await;
        door(peer, call(GET, &[me])).await.expect("infallible");
        assert_eq!(inside.load(Ordering::Relaxed), expected + 1, "times change");
    }

    #[test]
    fn after_a_while_one_looks_and_as_many_follow_as_there_is_room_for() {
        enum Step {
            Comes { looks: bool },
            Waits { others: usize },
            IsTurnedAway,
            HangsUp,
        }
        use Step::{Comes, HangsUp, IsTurnedAway, Waits};
        let begun = Instant::now();
        let mut turned = Turned { at: begun, looks: 0, under_way: 0 };
        for (line, (millis, step)) in [
            (0, Comes { looks: false }),
            (9, Comes { looks: false }),
            (10, Comes { looks: true }),
            (10, Comes { looks: false }),
            (19, Comes { looks: false }),
            // Nothing was heard of the first.
            (20, Comes { looks: true }),
            (20, HangsUp),
            // There is room for three more, of whom nobody is on the way.
            (21, Waits { others: 3 }),
            (22, Comes { looks: true }),
            (22, Comes { looks: true }),
            // The second of them has found room for another one, and that is the third.
            (23, Waits { others: 2 }),
            (23, Comes { looks: true }),
            (23, Comes { looks: false }),
            (23, Waits { others: 1 }),
            (23, Waits { others: 0 }),
            (24, Comes { looks: false }),
            (32, Comes { looks: false }),
            (33, Comes { looks: true }),
            (34, IsTurnedAway),
            (43, Comes { looks: false }),
            (44, Comes { looks: true }),
            (44, Waits { others: 1_000 }),
        ]
        .into_iter()
        .enumerate()
        {
            let now = begun + Duration::from_millis(millis);
            match step {
                Comes { looks } => assert_eq!(turned.looks(now), looks, "step {line}"),
                Waits { others } => turned.has_room(now, others),
                IsTurnedAway => turned.has_none(now),
                HangsUp => {}
            }
            if !matches!(step, Comes { .. }) {
                turned.has_looked();
            }
        }
        assert_eq!(turned, Turned { at: turned.at, looks: MOST_LOOKS, under_way: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_a_place_to_work_in_opens_the_door_to_all() {
        let inside = Arc::new(AtomicU32::new(0));
        let seen = inside.clone();
        // The first is turned away, the second waits, and the third gets a place.
        let house = move |_: Peer, request: Sent| {
            let newcomer = request.extensions().get::<Newcomer>().expect("a program");
            match seen.fetch_add(1, Ordering::Relaxed) {
                0 => newcomer.is_turned_away(),
                1 => newcomer.waits(1),
                _ => newcomer.has_a_place(),
            }
            ready(Ok(Response::new(Body::from("looked at"))))
        };
        let clock: Arc<dyn Clock> = Arc::new(SettableClock::at(crate::clock::from_micros(0)));
        let told = Told { secret: true, only_https: true };
        let door = Porch::new(&Arc::new(Ids::seeded(1)), &clock, told).before(house);
        let peer = Peer { remote: ([127, 0, 0, 1], 1).into(), local: ([127, 0, 0, 1], 2).into() };
        let come = async || {
            door(peer, call(GET, &[("authorization", "Bearer lf_me")])).await.expect("infallible");
            inside.load(Ordering::Relaxed)
        };
        assert_eq!((come().await, come().await), (1, 1));
        tokio::time::advance(AGAIN).await;
        // One looks and waits, another one may, and finds nobody before it.
        assert_eq!((come().await, come().await), (2, 3));
        for expected in 4..20 {
            assert_eq!(come().await, expected);
        }
    }
}
