//! What the rooms remember in this process and would have to work out again otherwise: derived keys, short-lived
//! beliefs, counts that wait to be written.
//!
//! There are no globals: a memory belongs to one [`Env`](crate::env::Env) and its clones, so two servers in one process
//! (tests start many) share nothing.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// One thing of each type, made when it is first asked for. Clones share it.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>);

impl Memory {
    /// Returns the one `T` of this process. Two that ask first at the same time may both run `make`; one result is
    /// kept, and both get that one.
    pub fn of<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let remembered = self.lock().get(&TypeId::of::<T>()).cloned();
        // Made outside the lock, so that making one thing may ask for another.
        let thing = remembered.unwrap_or_else(|| {
            let fresh: Arc<dyn Any + Send + Sync> = Arc::new(make());
            self.lock().entry(TypeId::of::<T>()).or_insert(fresh).clone()
        });
        thing.downcast().expect("it is stored under its own type")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TypeId, Arc<dyn Any + Send + Sync>>> {
        // A map that somebody panicked over is still a map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Memory {
    // What is remembered may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").field(&self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_made_once_for_all_clones() {
        let memory = Memory::default();
        let first = memory.of(|| 7_u32);
        assert!(Arc::ptr_eq(&first, &memory.clone().of(|| 8_u32)));
        assert_eq!(*memory.of(|| 8_u64), 8);
        assert_eq!(*Memory::default().of(|| 9_u32), 9);
    }
}
