//! Numbers that are lent and come back: slots of a runner and pages of its KV cache.

use std::sync::{Arc, Mutex, PoisonError};

/// The numbers that are free. Clones share them.
#[derive(Clone)]
pub(crate) struct Leases {
    free: Arc<Mutex<Vec<u32>>>,
}

/// A number that is lent. It is free again when this is dropped.
pub(crate) struct Lease {
    number: u32,
    all: Leases,
}

impl Leases {
    /// All numbers below `count`.
    pub(crate) fn new(count: usize) -> Self {
        // The lowest number is lent first.
        Self { free: Arc::new(Mutex::new((0..count as u32).rev().collect())) }
    }

    /// Lends a number; `None` if all are lent.
    pub(crate) fn take(&self) -> Option<Lease> {
        let number = self.lock().pop()?;
        Some(Lease { number, all: self.clone() })
    }

    /// How many numbers are free.
    pub(crate) fn free(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.all.lock().push(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_when_they_are_dropped() {
        let leases = Leases::new(2);
        let first = leases.take().unwrap();
        let second = leases.take().unwrap();
        assert_eq!((first.number(), second.number()), (0, 1));
        assert!(leases.take().is_none());
        drop(first);
        assert_eq!(leases.free(), 1);
        assert_eq!(leases.take().map(|lease| lease.number()), Some(0));
    }
}
