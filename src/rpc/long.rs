//! What a call that goes on for long needs to know of the world outside: whether its caller is still good, and whether the node
//! leaves.

use std::{fmt, sync::Arc, time::Duration};

use futures::{Stream, future::BoxFuture, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::{Caller, status};
use crate::{
    clock::Moment,
    error::{Error, Kind, Reason, Result},
};

/// How often the caller's right is looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(30);

type Again = dyn Fn() -> BoxFuture<'static, Result<Caller>> + Send + Sync;

/// Looks at the credentials of a call again. The layer in `serve/` puts one into the extensions of every call that may go on
/// for long.
#[derive(Clone)]
pub struct Recheck(Arc<Again>);

impl Recheck {
    /// Returns a look that `again` takes.
    pub fn new(again: impl Fn() -> BoxFuture<'static, Result<Caller>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(again))
    }

    /// Returns the one of a request.
    pub fn of<T>(request: &Request<T>) -> Result<Self> {
        // Without one nobody would notice that the credentials are over.
        let found = request.extensions().get::<Self>().cloned();
        found
            .ok_or_else(|| Error::internal("the call is not among those whose credentials are checked again"))
    }

    /// Says who calls, if the credentials are still good.
    pub async fn caller(&self) -> Result<Caller> {
        (self.0)().await
    }
}

impl fmt::Debug for Recheck {
    // What it holds is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recheck")
    }
}

/// Keeps a call that goes on for long from outliving its caller's right to it, and the node.
#[derive(Debug)]
pub struct Vigil {
    recheck: Recheck,
    leaving: Leaving,
    looked: Moment,
}

impl Vigil {
    /// Returns that of a request, whose caller was let in just now.
    pub fn of<T>(request: &Request<T>, now: Moment) -> Result<Self> {
        Ok(Self { recheck: Recheck::of(request)?, leaving: Leaving::of(request), looked: now })
    }

    /// Fails when the node leaves, and when `enter` lets the caller in no longer, which is asked every thirty seconds. While that cannot be
    /// told because a store is away, the call goes on.
    pub async fn keep(&mut self, now: Moment, enter: impl AsyncFnOnce(Caller) -> Result<()>) -> Result<()> {
        if self.leaving.has_left() {
            return Err(Leaving::farewell());
        }
        if now >= self.looked && now < self.looked + LOOK_EVERY {
            return Ok(());
        }
        self.looked = now;
        let entered = match self.recheck.caller().await {
            Ok(caller) => enter(caller).await,
            Err(error) => Err(error),
        };
        entered.or_else(|error| if error.kind() == Kind::Unavailable { Ok(()) } else { Err(error) })
    }

    /// Returns what the call ends with once the node leaves.
    pub async fn left(&self) -> Error {
        self.leaving.left().await;
        Leaving::farewell()
    }
}

/// Sends an answer part by part: `next` makes the next one, and says whether another follows. After an error nothing does.
pub fn parts<R, T>(
    run: R,
    next: for<'a> fn(&'a mut R) -> BoxFuture<'a, Result<(T, bool)>>,
) -> impl Stream<Item = Result<T, Status>> + Send + use<R, T>
where
    R: Send,
    T: Send,
{
    stream::unfold(Some(run), move |run| async move {
        let mut run = run?;
        match next(&mut run).await {
            Ok((part, more)) => Some((Ok(part), more.then_some(run))),
            Err(error) => Some((Err(status(&error)), None)),
        }
    })
}

/// Tells when the node leaves.
#[derive(Debug, Clone, Default)]
pub struct Leaving(CancellationToken);

impl Leaving {
    /// Returns one that tells when `token` is cancelled.
    pub const fn by(token: CancellationToken) -> Self {
        Self(token)
    }

    /// Returns the one of a request; one that never tells where there is none.
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// Returns once the node leaves.
    pub async fn left(&self) {
        self.0.cancelled().await;
    }

    /// Says whether the node leaves.
    pub fn has_left(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns what a call that goes on for long ends with then.
    pub fn farewell() -> Error {
        Error::new(Reason::ShuttingDown, "this node is shutting down; go on with another one")
            .retry_after(Duration::from_secs(1))
    }
}
