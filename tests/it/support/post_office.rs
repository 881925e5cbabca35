//! A mail server for one test: it speaks as much SMTP as a client needs, and keeps what it is handed.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use super::app::eventually;

/// A mail as it was handed over.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Who sent it, as the envelope says.
    pub from: String,
    /// To whom, as the envelope says.
    pub to: Vec<String>,
    /// Headers and body.
    pub content: String,
}

#[derive(Debug, Default)]
struct Known {
    mails: Vec<Mail>,
    /// What the next receivers are answered with instead of a yes.
    refusals: VecDeque<String>,
    /// How many receivers were named.
    asked: usize,
}

/// A mail server.
pub struct PostOffice {
    at: SocketAddr,
    known: Arc<Mutex<Known>>,
    _task: AbortOnDropHandle<()>,
}

impl Mail {
    /// Returns a header, empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let head = self.content.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ");
        let found =
            head.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    }

    /// Returns all of it as it was before it was encoded, as far as ASCII goes.
    pub fn text(&self) -> String {
        self.content.replace("=\r\n", "").replace("=3D", "=")
    }

    /// Returns the token in the link.
    pub fn token(&self) -> String {
        let text = self.text();
        let (_, rest) = text.split_once("#token=").expect("a link with a token");
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect()
    }
}

impl PostOffice {
    /// Opens a server that takes everything.
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("it listens");
        let known = Arc::<Mutex<Known>>::default();
        let knows = known.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, knows.clone()));
            }
        });
        Self { at, known, _task: AbortOnDropHandle::new(task) }
    }

    /// Returns the address as the settings name it.
    pub fn url(&self) -> String {
        format!("smtp://{}?tls=none", self.at)
    }

    /// Answers the next receiver with this line.
    pub fn refuse_once(&self, line: &str) {
        self.known.lock().expect("nobody panicked").refusals.push_back(line.to_owned());
    }

    /// Returns what was handed over so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.known.lock().expect("nobody panicked").mails.clone()
    }

    /// Returns how many receivers were named so far, taken or not.
    pub fn asked(&self) -> usize {
        self.known.lock().expect("nobody panicked").asked
    }

    /// Waits for the mail number `count` whose subject has a word, and returns it.
    pub async fn wait_for(&self, count: usize, word: &str) -> Mail {
        let found =
            || self.mails().into_iter().filter(|mail| mail.header("subject").contains(word)).nth(count - 1);
        eventually("the mail comes", async || found().is_some()).await;
        found().expect("it came")
    }
}

async fn serve(stream: TcpStream, known: Arc<Mutex<Known>>) -> Option<()> {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    to.write_all(b"220 stand-in ESMTP\r\n").await.ok()?;
    let (mut sender, mut receivers) = (String::new(), Vec::new());
    loop {
        let line = lines.next_line().await.ok()??;
        let address =
            || line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(a, _)| a.to_owned());
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_str() {
            "EHLO" | "HELO" => "250-stand-in\r\n250 8BITMIME".to_owned(),
            "MAIL" => {
                sender = address()?;
                receivers.clear();
                "250 ok".to_owned()
            }
            "RCPT" => {
                let mut known = known.lock().expect("nobody panicked");
                known.asked += 1;
                match known.refusals.pop_front() {
                    Some(refusal) => refusal,
                    None => {
                        receivers.push(address()?);
                        "250 ok".to_owned()
                    }
                }
            }
            "DATA" => {
                to.write_all(b"354 go on\r\n").await.ok()?;
                let mut content = String::new();
                loop {
                    let line = lines.next_line().await.ok()??;
                    if line == "." {
                        break;
                    }
                    content.push_str(line.strip_prefix('.').unwrap_or(&line));
                    content.push_str("\r\n");
                }
                let mail = Mail { from: sender.clone(), to: receivers.clone(), content };
                known.lock().expect("nobody panicked").mails.push(mail);
                "250 ok".to_owned()
            }
            "QUIT" => {
                to.write_all(b"221 bye\r\n").await.ok()?;
                return Some(());
            }
            _ => "250 ok".to_owned(),
        };
        to.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}
