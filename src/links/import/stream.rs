//! Many steps in one call: parts of the file come in, what became of their rows goes out after each transaction.

use bytes::{Buf as _, BytesMut};
use futures::{Stream, stream};
use tonic::{Status, Streaming};

use super::{
    import_id, shown,
    step::{Given, Step, step},
    wire::check_part,
};
use crate::{
    env::Env,
    error::{Error, Reason, Result},
    ids::ImportId,
    links::Decide,
    pb::v1::{ImportLinksRequest, ImportLinksResponse},
    rpc::{self, Permission, Vigil},
    workspaces::{self, Tenant},
};

/// A caller who sends a file.
#[derive(Debug)]
pub struct Inbound {
    /// The parts.
    pub parts: Streaming<ImportLinksRequest>,
    /// Sees whether it may go on.
    pub vigil: Vigil,
    /// What becomes of a described visit.
    pub decide: Decide,
}

/// Imports what comes. `first` is the first part, which says of which import it is.
pub fn stream(
    env: &Env,
    tenant: Tenant,
    first: &ImportLinksRequest,
    inbound: Inbound,
) -> Result<impl Stream<Item = Result<ImportLinksResponse, Status>> + Send + use<>> {
    let id = import_id(&first.import_id)?;
    check_part(first.offset, &first.data)?;
    let run = Run {
        env: env.clone(),
        tenant,
        id,
        inbound,
        offset: first.offset,
        buffer: BytesMut::from(&first.data[..]),
        last: first.last,
        fresh: true,
        done: false,
    };
    Ok(stream::unfold(Some(run), async |run| {
        let mut run = run?;
        match Box::pin(run.next()).await {
            Ok(Some(answer)) => Some((Ok(answer), Some(run))),
            Ok(None) => None,
            Err(error) => Some((Err(rpc::status(&error)), None)),
        }
    }))
}

struct Run {
    env: Env,
    tenant: Tenant,
    id: ImportId,
    inbound: Inbound,
    /// Where in the file the buffer begins.
    offset: i64,
    buffer: BytesMut,
    last: bool,
    /// Whether there may be a whole row in the buffer.
    fresh: bool,
    done: bool,
}

impl Run {
    async fn next(&mut self) -> Result<Option<ImportLinksResponse>> {
        loop {
            if self.done {
                return Ok(None);
            }
            let (env, workspace) = (&self.env, self.tenant.id.to_string());
            let enter = async |caller| {
                workspaces::enter(env, &caller, &workspace, Permission::LinksWrite).await.map(drop)
            };
            self.inbound.vigil.keep(env.now(), enter).await?;
            if self.fresh {
                let given = Given { offset: self.offset, data: &self.buffer, last: self.last };
                let Step { import, rows } =
                    step(&self.env, &self.tenant, self.id, given, self.inbound.decide).await?;
                let consumed = import.next_offset.saturating_sub(self.offset).max(0) as usize;
                let consumed = consumed.min(self.buffer.len());
                self.buffer.advance(consumed);
                self.offset += consumed as i64;
                self.fresh = consumed > 0 && !self.buffer.is_empty();
                self.done = import.done;
                if consumed > 0 || import.done {
                    return Ok(Some(ImportLinksResponse { import: Some(shown(&import)?), rows }));
                }
            }
            if !self.receive().await? {
                return Ok(None);
            }
        }
    }

    /// Receives the next part; `false` when there is none.
    async fn receive(&mut self) -> Result<bool> {
        let received = tokio::select! {
            biased;
            left = self.inbound.vigil.left() => return Err(left),
            received = self.inbound.parts.message() => received,
        };
        let Some(part) = received.map_err(|status| unreadable(&status))? else { return Ok(false) };
        check_part(part.offset, &part.data)?;
        let expected = self.offset + self.buffer.len() as i64;
        if part.offset != 0 && part.offset != expected {
            return Err(Error::new(
                Reason::ImportOffsetMismatch,
                format!("the parts of one call follow each other: the next begins at the byte {expected}"),
            )
            .with("next_offset", self.offset.to_string()));
        }
        self.buffer.extend_from_slice(&part.data);
        self.last = part.last;
        self.fresh = true;
        Ok(true)
    }
}

/// Says in our words why a part could not be received.
pub fn unreadable(status: &Status) -> Error {
    match status.code() {
        tonic::Code::OutOfRange => {
            Error::new(Reason::InvalidFields, "the message is larger than 1 MiB; split it up")
        }
        tonic::Code::Internal => Error::new(Reason::NotGrpc, "a message of the stream cannot be read"),
        _ => Error::new(Reason::DeadlineExceeded, "the stream broke off").caused_by(status.to_string()),
    }
}
