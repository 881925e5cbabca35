//! What a database error means for us, whatever the driver calls it.

use sea_orm::{DbErr, RuntimeErr};

use crate::error::{Error, Reason};

/// What to do about a database error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The database is away, busy or shutting down: the same statement may succeed later.
    Away,
    /// The data itself is refused: the same statement fails forever.
    Refused,
    /// Anything else: most likely a defect of ours.
    Defect,
}

/// Tells what a database error means.
///
/// Postgres: SQLSTATE classes 08, 53, 57, 40, 55 and 25006 are passing, 22 and 23 concern the data (PostgreSQL manual,
/// appendix A). SQLite: BUSY, LOCKED, IOERR, FULL, CANTOPEN and READONLY are passing, CONSTRAINT, MISMATCH, TOOBIG and
/// RANGE concern the data (result codes, primary part).
pub fn fault(error: &DbErr) -> Fault {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Fault::Away,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            match &**error {
                sqlx::Error::Database(error) => error.code().map_or(Fault::Defect, |code| by_code(&code)),
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_) => Fault::Away,
                sqlx::Error::Encode(_) => Fault::Refused,
                _ => Fault::Defect,
            }
        }
        _ => Fault::Defect,
    }
}

fn by_code(code: &str) -> Fault {
    if code.len() == 5 {
        return match code.as_bytes() {
            b"25006" => Fault::Away,
            [b'0', b'8', ..] | [b'5', b'3' | b'7' | b'5', ..] | [b'4', b'0', ..] => Fault::Away,
            [b'2', b'2' | b'3', ..] => Fault::Refused,
            _ => Fault::Defect,
        };
    }
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6 | 8 | 10 | 13 | 14) => Fault::Away,
        Ok(18 | 19 | 20 | 25) => Fault::Refused,
        _ => Fault::Defect,
    }
}

/// Says whether a text holds U+0000, which Postgres keeps in none (SQLSTATE 22021, in JSON 22P05). What is saved is checked at the door; this
/// is what somebody looked for, and SQLite merely does not find it.
fn is_unspeakable(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return false;
    };
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "22021" | "22P05"))
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match fault(&error) {
            Fault::Away => Self::store_unavailable(error),
            Fault::Refused if is_unspeakable(&error) => Self::new(
                Reason::InvalidFields,
                "a text holds U+0000, a character that no text here can hold",
            ),
            Fault::Refused | Fault::Defect => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_are_told_apart() {
        for (code, expected) in [
            ("08006", Fault::Away),
            ("57P01", Fault::Away),
            ("57014", Fault::Away),
            ("40001", Fault::Away),
            ("40P01", Fault::Away),
            ("53300", Fault::Away),
            ("55P03", Fault::Away),
            ("23505", Fault::Refused),
            ("23514", Fault::Refused),
            ("22021", Fault::Refused),
            ("42P01", Fault::Defect),
            ("5", Fault::Away),
            ("261", Fault::Away),
            ("13", Fault::Away),
            ("2067", Fault::Refused),
            ("1", Fault::Defect),
        ] {
            assert_eq!(by_code(code), expected, "{code}");
        }
    }
}
