//! The one place where an error becomes a gRPC status.

use std::{collections::HashMap, future::Future};

use tonic::{Code, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    error::{Error, Kind, Reason, Result},
    pb::v1,
};

/// The domain of every `ErrorInfo`.
const DOMAIN: &str = "linkforty";

/// In how many milliseconds a client may try again, in gRPC's own words (A6).
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Answers of fewer bytes are not compressed, whatever the client accepts: it would cost more than it saves.
const COMPRESS_FROM: usize = 8 * 1024;

/// Runs the inside of an RPC method and turns its outcome into what tonic wants.
pub async fn answer<T: prost::Message>(work: impl Future<Output = Result<T>>) -> Result<Response<T>, Status> {
    let message = work.await.map_err(|error| status(&error))?;
    let small = message.encoded_len() < COMPRESS_FROM;
    let mut response = Response::new(message);
    if small {
        response.disable_compression();
    }
    Ok(response)
}

/// Turns an error into a status with its details, and logs it if somebody should look. The cause stays in the log.
pub fn status(error: &Error) -> Status {
    match error.kind() {
        Kind::Internal => {
            tracing::error!(reason = error.reason_name(), cause = %error.inward(), "a call failed by our fault");
        }
        // One by one they would be a flood of their own. `admission` says now and then that there are any, and counts them.
        Kind::Unavailable if error.reason() == Reason::ServerOverloaded => {}
        Kind::Unavailable => {
            tracing::warn!(reason = error.reason_name(), cause = %error.inward(), "a call was turned away");
        }
        _ => tracing::debug!(reason = error.reason_name(), message = error.message(), "a call was refused"),
    }
    let metadata: HashMap<String, String> =
        error.metadata().iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let mut details = ErrorDetails::with_error_info(error.reason_name(), DOMAIN, metadata);
    for violation in error.violations() {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    if let Some(delay) = error.retry_delay() {
        details.set_retry_info(Some(delay));
    }
    let mut status =
        Status::with_error_details(Code::from_i32(error.kind().grpc_code()), error.message(), details);
    if let Some(delay) = error.retry_delay() {
        // What gRPC's own clients go by when they retry by themselves.
        let millis = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        status.metadata_mut().insert(PUSHBACK, millis.into());
    }
    status
}

/// Turns an error into what a batch says of one item.
pub fn item_error(error: &Error) -> v1::ItemError {
    v1::ItemError {
        code: error.kind().grpc_code(),
        reason: error.reason().into(),
        message: error.message().to_owned(),
        violations: error
            .violations()
            .iter()
            .map(|violation| v1::FieldViolation {
                field: violation.field.clone(),
                description: violation.description.clone(),
            })
            .collect(),
    }
}
