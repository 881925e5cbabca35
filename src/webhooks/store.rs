//! Queries of the tables of this room.

pub mod deliveries;
pub mod endpoints;
