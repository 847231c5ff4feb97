//! What was found out lately, by a hash of what it is about.

use std::collections::HashMap;

/// A map that never grows beyond twice its capacity: where the newer half is full, the older one is forgotten, and the newer takes its
/// place. Whoever keeps something in it says by its value until when that holds.
pub(crate) struct Lately<T> {
    newer: HashMap<[u8; 32], T>,
    older: HashMap<[u8; 32], T>,
    /// How many each half holds.
    capacity: usize,
}

impl<T> Lately<T> {
    /// Nothing yet, and twice as many as this at the most.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { newer: HashMap::new(), older: HashMap::new(), capacity: capacity.max(1) }
    }

    pub(crate) fn find(&self, hash: &[u8; 32]) -> Option<&T> {
        self.newer.get(hash).or_else(|| self.older.get(hash))
    }

    pub(crate) fn keep(&mut self, hash: [u8; 32], value: T) {
        if self.newer.len() >= self.capacity {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(hash, value);
    }

    /// Forgets what passes `test`.
    pub(crate) fn forget(&mut self, test: impl Fn(&T) -> bool) {
        for half in [&mut self.newer, &mut self.older] {
            half.retain(|_, value| !test(value));
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}
