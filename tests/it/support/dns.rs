//! A name server for one test: it says what the test wrote, over UDP.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, TXT},
    },
};
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

/// What the server knows, by name and type.
#[derive(Debug, Default)]
struct Known {
    records: HashMap<(String, RecordType), Vec<RData>>,
    broken: HashSet<String>,
}

/// A name server.
pub struct Zone {
    /// Where it listens.
    pub at: SocketAddr,
    known: Arc<Mutex<Known>>,
    asked: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Zone {
    /// Opens a server that knows nothing.
    pub async fn open() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let at = socket.local_addr().expect("it listens");
        let (known, asked) = (Arc::<Mutex<Known>>::default(), Arc::<AtomicUsize>::default());
        let (knows, counts) = (known.clone(), asked.clone());
        let task = tokio::spawn(async move {
            let mut bytes = [0; 4096];
            loop {
                let Ok((length, who)) = socket.recv_from(&mut bytes).await else { continue };
                counts.fetch_add(1, Ordering::SeqCst);
                if let Some(answer) = answer(&knows, &bytes[..length]) {
                    drop(socket.send_to(&answer, who).await);
                }
            }
        });
        Self { at, known, asked, _task: AbortOnDropHandle::new(task) }
    }

    /// Returns the setting that makes a server ask here.
    pub fn setting(&self) -> String {
        self.at.to_string()
    }

    /// Says from now on that a name has these texts; none: that it has none.
    pub fn texts(&self, name: &str, values: &[&str]) {
        let data = values.iter().map(|value| RData::TXT(TXT::new(vec![(*value).to_owned()])));
        self.set(name, RecordType::TXT, data.collect());
    }

    /// Says from now on that a name is an alias.
    pub fn alias(&self, name: &str, of: &str) {
        let of = Name::from_ascii(format!("{of}.")).expect("a name");
        self.set(name, RecordType::CNAME, vec![RData::CNAME(CNAME(of))]);
    }

    /// Says from now on that a name is no alias.
    pub fn no_alias(&self, name: &str) {
        self.set(name, RecordType::CNAME, Vec::new());
    }

    /// Says from now on that a name has these addresses.
    pub fn addresses(&self, name: &str, values: &[&str]) {
        let four = values.iter().filter_map(|value| value.parse().ok()).map(|ip| RData::A(A(ip)));
        self.set(name, RecordType::A, four.collect());
        let six = values.iter().filter_map(|value| value.parse().ok()).map(|ip| RData::AAAA(AAAA(ip)));
        self.set(name, RecordType::AAAA, six.collect());
    }

    /// Says from now on of a name that the server has a problem, or no longer does.
    pub fn breaks(&self, name: &str, broken: bool) {
        let mut known = self.known.lock().expect("nobody panicked");
        if broken {
            known.broken.insert(name.to_owned());
        } else {
            known.broken.remove(name);
        }
    }

    /// Returns how many questions came.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn set(&self, name: &str, kind: RecordType, data: Vec<RData>) {
        self.known.lock().expect("nobody panicked").records.insert((name.to_owned(), kind), data);
    }
}

fn answer(known: &Mutex<Known>, question: &[u8]) -> Option<Vec<u8>> {
    let asked = Message::from_vec(question).ok()?;
    let query = asked.queries.first()?.clone();
    let known = known.lock().expect("nobody panicked");
    let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    let mut name = query.name().clone();
    let mut exists = false;
    for _ in 0..8 {
        let text = name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
        if known.broken.contains(&text) {
            answer.metadata.response_code = ResponseCode::ServFail;
            answer.add_query(query);
            return answer.to_vec().ok();
        }
        exists |= known.records.iter().any(|((owner, _), data)| *owner == text && !data.is_empty());
        let of = |kind| known.records.get(&(text.clone(), kind)).into_iter().flatten();
        for data in of(query.query_type()) {
            answer.add_answer(Record::from_rdata(name.clone(), 1, data.clone()));
        }
        let alias = of(RecordType::CNAME).next().filter(|_| query.query_type() != RecordType::CNAME);
        let Some(RData::CNAME(alias)) = alias else { break };
        answer.add_answer(Record::from_rdata(name.clone(), 1, RData::CNAME(alias.clone())));
        name = alias.0.clone();
    }
    if !exists {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    answer.add_query(query);
    answer.to_vec().ok()
}
