//! Bytes to a socket and back, with nothing in between that would mend them.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// What came back.
pub struct Heard {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Heard {
    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends bytes and reads until the connection ends, or as many bytes as the answer says it has; `None`: no answer came.
pub async fn say(to: SocketAddr, bytes: &[u8]) -> Option<Heard> {
    let mut stream = TcpStream::connect(to).await.expect("accepts");
    // A server that has heard enough may close before all of it is sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let whole = async {
        let mut buffer = [0; 16 * 1024];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(length) => answer.extend_from_slice(&buffer[..length]),
            }
            if is_whole(&answer) {
                return;
            }
        }
    };
    let _ = timeout(Duration::from_secs(20), whole).await;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Heard { status, head: head.to_owned(), body: body.to_owned() })
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let begun = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or_default() + 4;
    length.is_some_and(|length| answer.len() >= begun + length)
}
