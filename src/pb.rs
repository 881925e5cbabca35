//! The generated contract: messages, services and the descriptor set of `proto/`.
#![allow(
    missing_docs,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated: the words stand in proto/"
)]

/// What people and servers speak.
pub mod v1 {
    tonic::include_proto!("linkforty.v1");
}

/// What apps speak.
pub mod sdk {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("linkforty.sdk.v1");
    }
}

/// What linkforty says to itself: page tokens, spool records and live clicks. Never served.
pub mod internal {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("linkforty.internal.v1");
    }
}

/// All of `proto/` as an encoded `FileDescriptorSet`, comments left out.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// Returns the contract as values that can be walked over.
pub fn pool() -> &'static prost_reflect::DescriptorPool {
    /// Never changes: it is a part of the program.
    static POOL: std::sync::LazyLock<prost_reflect::DescriptorPool> = std::sync::LazyLock::new(|| {
        prost_reflect::DescriptorPool::decode(DESCRIPTORS).expect("the descriptors are those of this build")
    });
    &POOL
}
