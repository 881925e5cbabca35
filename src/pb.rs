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

/// What linkforty says to itself: page tokens, spool records and rows of the feed. Never served.
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

/// Writes a message of `linkforty.v1`, given by its name, as JSON with the names of the contract; what is not set is left out.
pub fn to_json(name: &str, message: &impl prost::Message) -> serde_json::Map<String, serde_json::Value> {
    let shape = pool().get_message_by_name(&format!("linkforty.v1.{name}")).expect("it is in the contract");
    let options =
        prost_reflect::SerializeOptions::new().use_proto_field_name(true).stringify_64_bit_integers(false);
    let message = prost_reflect::DynamicMessage::decode(shape, message.encode_to_vec().as_slice());
    let message = message.expect("a message is of its own shape");
    match message.serialize_with_options(serde_json::value::Serializer, &options) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => unreachable!("a message is an object"),
    }
}
