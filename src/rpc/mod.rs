//! What every RPC method shares: who calls, what they may do, and how an error leaves.

mod caller;
mod long;
mod moments;
mod permission;
mod status;

pub use self::caller::{Caller, ClientAddress, Reach, bearer, caller, open, origin};
pub use self::long::{Leaving, Recheck, Vigil, parts};
pub use self::moments::{moment, timestamp};
pub use self::permission::Permission;
pub use self::status::{answer, item_error, status};
