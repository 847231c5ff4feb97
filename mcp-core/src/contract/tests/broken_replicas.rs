//! Replicas that break their promises.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::simulated::SimulatedClock;
use crate::clock::{Clock, Timestamp};
use crate::contract::Fresh;
use crate::memory::lock;
use crate::store::replicas::{Living, Replica, ReplicaId, Replicas};
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    NeverEnds,
    EndsTooEarly,
    IsNotProlonged,
    IsNotShortened,
    StaysDead,
    LongOnesEndAtOnce,
    Stays,
    AllLeave,
    NeverComesBack,
    ForgetsTheHost,
    TheLastFirst,
    ListsTheDead,
    LooksFirst,
    LetsOthersJoin,
    JoinsOthers,
    IsInItsOwnWay,
    JoinsThoughRefused,
    TheDeadAreInTheWay,
}

/// Replicas in a list; sound, but for a flaw.
struct Broken {
    flaw: Flaw,
    clock: SimulatedClock,
    all: Mutex<Vec<(Replica, Duration)>>,
    left: Mutex<Vec<ReplicaId>>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    let (all, left) = (Mutex::default(), Mutex::default());
    stores.replicas = Arc::new(Broken { flaw, clock: clock.clone(), all, left });
    Fresh::new(stores, clock)
}

impl Broken {
    fn lives(&self, until: Duration) -> bool {
        match self.flaw {
            Flaw::NeverEnds => until > Duration::ZERO,
            Flaw::EndsTooEarly => self.clock.monotonic() + Duration::from_secs(40 * 60) < until,
            _ => self.clock.monotonic() < until,
        }
    }

    fn in_the_way(&self, replica: &Replica, all: &[(Replica, Duration)]) -> Option<Living> {
        let other = all.iter().find(|(other, until)| {
            let is_another = other.id != replica.id || self.flaw == Flaw::IsInItsOwnWay;
            let must_be_apart = match self.flaw {
                Flaw::LetsOthersJoin => replica.alone,
                Flaw::JoinsOthers => other.alone,
                _ => other.alone || replica.alone,
            };
            let lives = self.lives(*until) || self.flaw == Flaw::TheDeadAreInTheWay;
            is_another && must_be_apart && lives
        });
        other.map(|(other, until)| living(other.clone(), *until))
    }
}

fn living(replica: Replica, until: Duration) -> Living {
    Living { replica, until: Timestamp::from_micros(1_000).after(until) }
}

#[async_trait]
impl Replicas for Broken {
    async fn join(&self, replica: &Replica, time: Duration) -> Result<Option<Living>, StoreError> {
        let looked = self.in_the_way(replica, &lock(&self.all));
        if self.flaw == Flaw::LooksFirst {
            // Others look as well, before this one joins.
            tokio::task::yield_now().await;
        }
        let mut all = lock(&self.all);
        let in_the_way = if self.flaw == Flaw::LooksFirst { looked } else { self.in_the_way(replica, &all) };
        if in_the_way.is_some() && self.flaw != Flaw::JoinsThoughRefused {
            return Ok(in_the_way);
        }
        if self.flaw == Flaw::NeverComesBack && lock(&self.left).contains(&replica.id) {
            return Ok(None);
        }
        let mut said = replica.clone();
        if self.flaw == Flaw::ForgetsTheHost {
            said.host.clear();
        }
        let now = self.clock.monotonic();
        let until = match self.flaw {
            Flaw::LongOnesEndAtOnce => now.checked_add(time).unwrap_or_default(),
            _ => now.saturating_add(time),
        };
        match all.iter_mut().find(|(known, _)| known.id == replica.id) {
            None => all.push((said, until)),
            Some((_, end)) => match self.flaw {
                Flaw::IsNotProlonged => {}
                Flaw::IsNotShortened => *end = until.max(*end),
                Flaw::StaysDead if *end <= now => {}
                _ => *end = until,
            },
        }
        Ok(in_the_way)
    }

    async fn leave(&self, id: ReplicaId) -> Result<(), StoreError> {
        lock(&self.left).push(id);
        match self.flaw {
            Flaw::Stays => {}
            Flaw::AllLeave => lock(&self.all).clear(),
            _ => lock(&self.all).retain(|(replica, _)| replica.id != id),
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Living>, StoreError> {
        let all = lock(&self.all);
        let listed = all.iter().filter(|(_, until)| self.lives(*until) || self.flaw == Flaw::ListsTheDead);
        let mut listed: Vec<_> = listed.map(|(replica, until)| living(replica.clone(), *until)).collect();
        listed.sort_by_key(|living| (living.replica.started, living.replica.id));
        if self.flaw == Flaw::TheLastFirst {
            listed.reverse();
        }
        Ok(listed)
    }
}

super::each_case_fails! {
    replicas, broken,
    a_replica_lives_until_its_time_is_over: [
        Flaw::NeverEnds,
        Flaw::EndsTooEarly,
        Flaw::IsNotProlonged,
        Flaw::IsNotShortened,
        Flaw::StaysDead,
        Flaw::LongOnesEndAtOnce,
        Flaw::ListsTheDead,
    ],
    a_replica_that_leaves_is_gone_at_once: [Flaw::Stays, Flaw::AllLeave, Flaw::NeverComesBack],
    all_that_live_are_listed: [Flaw::ForgetsTheHost, Flaw::TheLastFirst],
    nobody_joins_one_that_is_alone: [
        Flaw::LooksFirst,
        Flaw::LetsOthersJoin,
        Flaw::JoinsOthers,
        Flaw::IsInItsOwnWay,
        Flaw::JoinsThoughRefused,
        Flaw::TheDeadAreInTheWay,
    ],
}
