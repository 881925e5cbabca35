//! What every RPC method shares: who calls, what they may do, and how an error leaves.

mod caller;
mod long;
mod permission;
mod status;

pub use self::caller::{Caller, ClientAddress, Reach, bearer, caller, open};
pub use self::long::{Leaving, Recheck};
pub use self::permission::Permission;
pub use self::status::{answer, item_error, status};
