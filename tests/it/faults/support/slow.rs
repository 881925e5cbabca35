//! A way to a store that can be made slow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;

/// Carries bytes between those who connect to its port and a server on this machine; every answer can be held back a while.
pub struct Way {
    port: u16,
    delay: Arc<AtomicU64>,
    _carrying: AbortOnDropHandle<()>,
}

impl Way {
    /// Opens a way to a port, as quick as if it were not there.
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let delay = Arc::new(AtomicU64::new(0));
        let held_back = delay.clone();
        let carrying = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, server, held_back.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { port, delay, _carrying: AbortOnDropHandle::new(carrying) }
    }

    /// Returns the address of a store as it is by this way.
    pub fn by(&self, url: &str) -> String {
        let (front, back) = url.rsplit_once(':').expect("a port");
        let (_, rest) = back.split_once('/').expect("a database");
        format!("{front}:{}/{rest}", self.port)
    }

    /// Holds every answer back for so long, from now on.
    pub fn hold_back(&self, delay: Duration) {
        self.delay.store(delay.as_millis() as u64, Ordering::SeqCst);
    }
}

async fn carry(client: TcpStream, server: u16, delay: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let questions = tokio::io::copy(&mut from_client, &mut to_server);
    let answers = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            sleep(Duration::from_millis(delay.load(Ordering::SeqCst))).await;
            if to_client.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! { _ = questions => {}, () = answers => {} }
}
