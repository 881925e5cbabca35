//! How a listener closes: newcomers are kept out first, so that nobody stands in the kernel's queue when it is gone.
//!
//! A listener that is closed resets every connection whose handshake the kernel has finished and that was not accepted yet, and to their
//! eyes those were let in. So the kernel is told to let no handshake begin, and those that have begun are waited for. Whoever comes
//! meanwhile hears nothing, asks again after a second, as TCP has it, and then finds whoever listens next.

use std::{io, time::Duration};

#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use tokio::net::TcpListener;

/// How long a handshake that has begun may take: one round trip, and the balancer in front is near.
pub(super) const LAST_CALL: Duration = Duration::from_millis(100);

/// Has the kernel drop the first segment of every handshake to come.
#[cfg(target_os = "linux")]
pub(super) fn keep_newcomers_out(listener: &TcpListener) -> io::Result<()> {
    // Where the flags stand in the head of a TCP segment (RFC 9293, 3.1). A segment with SYN and without ACK begins a handshake.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const SYN_AND_ACK: u32 = 0x12;
    // Instructions of the classic packet filter (linux/bpf_common.h).
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const NOTHING: u32 = 0;
    const ALL: u32 = u32::MAX;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN_AND_ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, NOTHING),
        SockFilter::new(RETURN, 0, 0, ALL),
    ])
}

/// Says that this system has no such filter.
#[cfg(not(target_os = "linux"))]
pub(super) fn keep_newcomers_out(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
