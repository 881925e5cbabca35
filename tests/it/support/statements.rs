//! Counts what a node asks its Postgres: a proxy between the two that reads what the node sends.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};
use url::Url;

/// A way to the database on which statements are counted, those that begin and end transactions too.
pub struct Statements {
    /// The database, by this way.
    pub url: String,
    count: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Statements {
    /// Opens another way to the database at `url`.
    pub async fn to(url: &str) -> Self {
        let mut url = Url::parse(url).expect("the address of a database");
        let host = url.host_str().expect("a host").to_owned();
        let port = url.port().unwrap_or(5432);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let own: SocketAddr = listener.local_addr().expect("it listens");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(own.port())).expect("a port");
        // Nothing could be read of what is encrypted.
        url.query_pairs_mut().append_pair("sslmode", "disable");
        let count = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&count);
        let task = tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                let database = TcpStream::connect((host.as_str(), port)).await.expect("the database accepts");
                let (from_node, mut to_node) = node.into_split();
                let (mut from_database, to_database) = database.into_split();
                tokio::spawn(async move { copy(&mut from_database, &mut to_node).await });
                tokio::spawn(forward(from_node, to_database, Arc::clone(&counted)));
            }
        });
        Self { url: url.into(), count, task }
    }

    /// Returns how many statements a piece of work takes. A node has other things to do too, which can only add to the
    /// number, so the work is done a few times and the least counts.
    pub async fn of(&self, mut work: impl AsyncFnMut()) -> u64 {
        let mut least = u64::MAX;
        for _ in 0..5 {
            let before = self.count.load(Ordering::SeqCst);
            work().await;
            least = least.min(self.count.load(Ordering::SeqCst) - before);
        }
        least
    }
}

impl Drop for Statements {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the first message of the drain's connections names.
const DRAIN: &[u8] = b"linkforty-drain";

/// Passes on what a node sends and counts the messages that run something: `Query` and `Execute`. Not those of the drain, which
/// begins to record a click before its answer is here.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: Arc<AtomicU64>) -> Option<()> {
    // The first message of a connection has no kind.
    let mut head = vec![0; 4];
    let mut counts = true;
    loop {
        from.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes(head[head.len() - 4..].try_into().ok()?) as usize;
        let mut body = vec![0; length.checked_sub(4)?];
        from.read_exact(&mut body).await.ok()?;
        if head.len() == 4 {
            counts = !body.windows(DRAIN.len()).any(|name| name == DRAIN);
        } else if counts && matches!(head[0], b'Q' | b'E') {
            count.fetch_add(1, Ordering::SeqCst);
        }
        to.write_all(&[head.as_slice(), &body].concat()).await.ok()?;
        head = vec![0; 5];
    }
}
