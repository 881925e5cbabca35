//! Answers that are at hand leave their connection together.
//!
//! hyper gives every request of HTTP/2 a task, and an answer wakes its connection, which writes it at once: ten refusals are ten tasks, ten
//! writes, and a peer that is woken ten times. When refusing is most of the work, that is most of what it costs. So an answer that is there
//! already is noted where the request was read, without a task, and the connection sends those of one turn together. Then it rests for some
//! milliseconds: what comes meanwhile is read in one go, and whoever else waits for the thread has it.

use std::{
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a connection rests that was answered with what is at hand, at the most. Its other answers wait as long. Measured: docs/performance.md.
const REST: Duration = Duration::from_millis(6);

/// Returns when a rest ends that begins now. All end at the same moments, so that what they have let wait is done in one go.
fn end_of_rest() -> Instant {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let (origin, now) = (*ORIGIN, Instant::now());
    let into = now.saturating_duration_since(origin).as_micros() % REST.as_micros();
    now + REST - Duration::from_micros(into as u64)
}

/// What a connection does between being woken and having nothing to do. Only its own task looks at it.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// The request that was read last is answered already.
    at_hand: AtomicBool,
    /// Such an answer waits until all that has come is read.
    holds: AtomicBool,
}

impl Turn {
    /// Notes that the request is answered already which hyper asks for a task for next.
    pub(super) fn is_answered(&self) {
        self.at_hand.store(true, Ordering::Relaxed);
    }

    /// Pending while what there is to send is to wait.
    pub(super) fn poll_send(&self) -> Poll<()> {
        if self.holds.load(Ordering::Relaxed) { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Lets go out what was held, and says whether something was.
    fn release(&self) -> bool {
        self.holds.swap(false, Ordering::Relaxed)
    }
}

/// Gives a connection its turns.
#[derive(Debug)]
pub(super) struct Turns {
    turn: Arc<Turn>,
    rest: Option<Pin<Box<Sleep>>>,
}

impl Turns {
    pub(super) const fn new(turn: Arc<Turn>) -> Self {
        Self { turn, rest: None }
    }

    /// Polls the connection, unless it rests.
    pub(super) fn poll<C: Future>(
        &mut self,
        mut connection: Pin<&mut C>,
        cx: &mut Context<'_>,
    ) -> Poll<C::Output> {
        loop {
            if let Some(rest) = &mut self.rest {
                ready!(rest.as_mut().poll(cx));
                self.rest = None;
            }
            self.turn.release();
            let outcome = connection.as_mut().poll(cx);
            if outcome.is_ready() || !self.turn.release() {
                return outcome;
            }
            let outcome = connection.as_mut().poll(cx);
            if outcome.is_ready() {
                return outcome;
            }
            self.rest = Some(Box::pin(sleep_until(end_of_rest())));
        }
    }
}

/// Gives requests their tasks.
#[derive(Debug, Clone)]
pub(super) struct Tasks(pub Arc<Turn>);

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        let Self(turn) = self;
        if !turn.at_hand.swap(false, Ordering::Relaxed) {
            tokio::spawn(task);
            return;
        }
        let mut task = Box::pin(task);
        if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            turn.holds.store(true, Ordering::Relaxed);
        } else {
            // The message has not come whole. Its task says anew who is to be woken.
            tokio::spawn(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::{Ready, ready},
        io,
        sync::atomic::AtomicUsize,
    };

    use axum::body::{Body, Bytes};
    use futures::future::{BoxFuture, Either, join_all};
    use http::{Request, Response};
    use http_body_util::BodyExt as _;
    use hyper::{body::Incoming, client::conn::http2};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::{
        io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
        time::sleep,
    };

    use super::*;
    use crate::serve::shutdown::Life;

    /// One end of a pipe that counts what is written at once.
    struct Counted(DuplexStream, Arc<AtomicUsize>);

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    type Answer = Result<Response<Body>, Infallible>;

    fn no() -> Answer {
        Ok(Response::builder().header("grpc-status", "14").body(Body::empty()).expect("a valid answer"))
    }

    /// Makes twenty calls at once, and returns in how many writes they were answered.
    async fn writes_of_twenty<H, G>(answer: H) -> usize
    where
        H: Fn(Request<Incoming>) -> Either<Ready<Answer>, G> + Send + 'static,
        G: Future<Output = Answer> + Send + 'static,
    {
        writes_of_twenty_apart(Duration::ZERO, answer).await
    }

    /// The same of calls that come one after the other.
    async fn writes_of_twenty_apart<H, G>(apart: Duration, answer: H) -> usize
    where
        H: Fn(Request<Incoming>) -> Either<Ready<Answer>, G> + Send + 'static,
        G: Future<Output = Answer> + Send + 'static,
    {
        let (client, server) = tokio::io::duplex(1 << 20);
        let writes = Arc::new(AtomicUsize::new(0));
        let (counted, life) = (Counted(server, writes.clone()), Life::new());
        tokio::spawn(
            async move { super::super::speak(counted, answer, &life, Duration::from_mins(1)).await },
        );
        let (client, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(client)).await.expect("a connection");
        tokio::spawn(connection);
        let call = || {
            let request = Request::post("http://localhost/x.Y/Z").body(Body::from("a message"));
            let mut client = client.clone();
            async move { client.send_request(request.expect("a valid request")).await.expect("an answer") }
        };
        // Greetings and settings are over.
        call().await;
        let before = writes.load(Ordering::Relaxed);
        let calls = (0..20).map(|number| {
            let call = call();
            async move {
                sleep(apart * number).await;
                call.await
            }
        });
        for answer in join_all(calls).await {
            assert_eq!(answer.headers()["grpc-status"], "14");
            assert_eq!(answer.into_body().collect().await.expect("no error").to_bytes(), Bytes::new());
        }
        writes.load(Ordering::Relaxed) - before
    }

    // With one thread, as on a machine where it matters.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn answers_that_are_at_hand_leave_in_one_write() {
        let at_hand = writes_of_twenty(|_| Either::Right(ready(no()))).await;
        // A client that writes in two parts is answered in two.
        assert!(at_hand <= 3, "{at_hand} writes");
        // As soon as the message is read.
        let read = writes_of_twenty(|request: Request<Incoming>| -> Either<_, BoxFuture<'static, Answer>> {
            Either::Right(Box::pin(async move {
                assert_eq!(request.into_body().collect().await.expect("comes whole").to_bytes(), "a message");
                no()
            }))
        })
        .await;
        assert!(read <= 20, "{read} writes");
        let others = writes_of_twenty(|_| -> Either<_, Ready<Answer>> { Either::Left(ready(no())) }).await;
        assert!(others > 3, "{others} writes");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_calls_on_is_answered_every_few_milliseconds() {
        let apart = Duration::from_millis(1);
        let at_hand = writes_of_twenty_apart(apart, |_| Either::Right(ready(no()))).await;
        assert!(at_hand <= 8, "{at_hand} writes in 20 ms, which are three or four rests");
        let others =
            writes_of_twenty_apart(apart, |_| -> Either<_, Ready<Answer>> { Either::Left(ready(no())) })
                .await;
        assert!(others >= 20, "{others} writes");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_whose_message_is_late_comes_when_it_has_come() {
        let late = writes_of_twenty(|request: Request<Incoming>| -> Either<_, BoxFuture<'static, Answer>> {
            Either::Right(Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                drop(request);
                no()
            }))
        })
        .await;
        assert!(late >= 1);
    }
}
