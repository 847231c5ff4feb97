//! How many of something there are at once, in all and of each whose they are; as many as there may be.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use crate::memory::lock;

/// Counts things as long as they are there: streams of callers, connections of addresses. Whose there are none is forgotten.
#[derive(Debug)]
pub struct Tally<K>(Mutex<Counts<K>>);

#[derive(Debug)]
struct Counts<K> {
    all: usize,
    of: HashMap<K, usize>,
}

/// Why there is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are as many in all as there may be.
    All,
    /// There are as many of this owner.
    Owner,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Mutex::new(Counts { all: 0, of: HashMap::new() }))
    }
}

impl<K: Clone + Eq + Hash> Tally<K> {
    /// Counts one more of `owner`, until what is returned is dropped; with `most` in all, and `most_of_owner` of theirs, at the most.
    ///
    /// # Errors
    /// [`Full`]: there is no room.
    pub fn enter(self: &Arc<Self>, owner: K, most: usize, most_of_owner: usize) -> Result<Entered<K>, Full> {
        let mut counts = lock(&self.0);
        if counts.all >= most {
            return Err(Full::All);
        }
        let of_owner = counts.of.get(&owner).copied().unwrap_or_default();
        if of_owner >= most_of_owner {
            return Err(Full::Owner);
        }
        counts.of.insert(owner.clone(), of_owner + 1);
        counts.all += 1;
        Ok(Entered { tally: self.clone(), owner })
    }
}

impl<K> Tally<K> {
    /// How many there are in all.
    pub fn count(&self) -> usize {
        lock(&self.0).all
    }
}

/// One of them, which is counted as long as this lives.
#[derive(Debug)]
pub struct Entered<K: Eq + Hash> {
    tally: Arc<Tally<K>>,
    owner: K,
}

impl<K: Eq + Hash> Drop for Entered<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.tally.0);
        counts.all -= 1;
        if let Some(of_owner) = counts.of.get_mut(&self.owner) {
            *of_owner -= 1;
            if *of_owner == 0 {
                counts.of.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_counted_for_each_owner_and_together_and_forgotten_with_the_last() {
        let tally = Arc::new(Tally::default());
        let enter = |owner| tally.enter(owner, 3, 2);
        let of_ann = [enter("ann").unwrap(), enter("ann").unwrap()];
        assert_eq!(enter("ann").err(), Some(Full::Owner));
        assert_eq!(tally.enter("another", 3, 2).map(drop), Ok(()));
        let of_bob = enter("bob").unwrap();
        assert_eq!((enter("bob").err(), tally.count()), (Some(Full::All), 3));
        drop((of_ann, of_bob));
        let counts = lock(&tally.0);
        assert_eq!((counts.all, counts.of.len()), (0, 0));
    }
}
