//! Rouses those who deliver on this node: something may be due. Other nodes find it when they look.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::env::Env;

/// Something may be due.
#[derive(Debug, Default)]
struct Due(Arc<Notify>);

/// Tells whoever delivers on this node that something may be due. After the commit that makes it so.
pub fn wake(env: &Env) {
    due(env).notify_one();
}

/// Returns what whoever delivers waits for, beside the time when it looks anyway. A word that comes while nobody waits is kept.
pub fn due(env: &Env) -> Arc<Notify> {
    env.memory.of(Due::default).0.clone()
}
