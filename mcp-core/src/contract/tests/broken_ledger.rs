//! Ledgers and histories that break their promises.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::caller::{Principal, Tenant};
use crate::clock::simulated::SimulatedClock;
use crate::contract::Fresh;
use crate::memory::lock;
use crate::store::history::{CallQuery, FoundCalls, History, MOST_BYTES, MOST_CALLS};
use crate::store::ledger::{CallId, CallRecord, Entry, Ledger};
use crate::store::words::words;
use crate::store::{StoreError, Stores};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    TextOnly,
    DropsTheParent,
    Lazy,
    InTwoSteps,
    NothingToFlush,
    KeepsBoth,
    TheLastStays,
    OneTenantAnId,
    StaysFull,
    OldestFirst,
    BeforeIncludes,
    BeforeSkips,
    FiltersThePage,
    OneTooMany,
    AnyPrincipal,
    FoldsThePrincipal,
    AnyTool,
    AnyOutcome,
    FromExcludes,
    ToIncludes,
    AnyTenant,
    AnyTenantById,
    AnyId,
    HalfWords,
    AnyWord,
    MindsCase,
    FoldsAccents,
    JsonAsText,
    ArgumentsAlone,
    FindsAllWithoutWords,
    SearchesAll,
    SaysThatThereIsMore,
    StopsInSilence,
    LooksAtAll,
    MindsNoBytes,
}

/// Calls in a list; sound, but for its flaw.
struct Broken {
    flaw: Flaw,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calls: Vec<CallRecord>,
    waiting: Vec<Entry>,
}

fn broken(flaw: Flaw) -> Fresh {
    let clock = SimulatedClock::new();
    let broken = Arc::new(Broken { flaw, state: Arc::default() });
    let mut stores = Stores::in_memory(Arc::new(clock.clone()));
    (stores.ledger, stores.history) = (broken.clone(), broken);
    Fresh::new(stores, clock)
}

impl State {
    fn write(&mut self, flaw: Flaw, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            let Entry::Call(mut call) = entry else { continue };
            match flaw {
                Flaw::TextOnly => {
                    call.arguments = Bytes::from(String::from_utf8_lossy(&call.arguments).into_owned());
                }
                Flaw::DropsTheParent => call.parent = None,
                _ => {}
            }
            let same = |other: &CallRecord| {
                other.id == call.id && (other.tenant == call.tenant || flaw == Flaw::OneTenantAnId)
            };
            let known = self.calls.iter().position(same);
            match known {
                Some(place) if flaw == Flaw::TheLastStays => self.calls[place] = call,
                Some(_) if flaw != Flaw::KeepsBoth => {}
                _ => self.calls.push(call),
            }
        }
    }
}

impl Ledger for Broken {
    fn admit(&self) -> Result<(), StoreError> {
        let full = self.flaw == Flaw::StaysFull && lock(&self.state).calls.len() >= 3_000;
        if full { Err(StoreError::Unavailable { store: "ledger", source: None }) } else { Ok(()) }
    }

    fn commit(&self, mut entries: Vec<Entry>) -> BoxFuture<'static, Result<(), StoreError>> {
        let (flaw, state) = (self.flaw, self.state.clone());
        match flaw {
            Flaw::Lazy => async move {
                lock(&state).write(flaw, entries);
                Ok(())
            }
            .boxed(),
            Flaw::InTwoSteps => {
                let rest = entries.split_off(entries.len() / 2);
                lock(&state).write(flaw, entries);
                let mut polled = false;
                std::future::poll_fn(move |task| {
                    if std::mem::replace(&mut polled, true) {
                        lock(&state).write(flaw, rest.clone());
                        return std::task::Poll::Ready(Ok(()));
                    }
                    task.waker().wake_by_ref();
                    std::task::Poll::Pending
                })
                .boxed()
            }
            Flaw::NothingToFlush if entries.is_empty() => std::future::ready(Ok(())).boxed(),
            Flaw::NothingToFlush => {
                lock(&state).waiting.extend(entries);
                async move {
                    let state = &mut *lock(&state);
                    let waiting = std::mem::take(&mut state.waiting);
                    state.write(flaw, waiting);
                    Ok(())
                }
                .boxed()
            }
            _ => {
                lock(&state).write(flaw, entries);
                std::future::ready(Ok(())).boxed()
            }
        }
    }
}

impl Broken {
    fn matches(&self, query: &CallQuery, call: &CallRecord) -> bool {
        let mut query = query.clone();
        match self.flaw {
            Flaw::BeforeIncludes => query.before = query.before.map(|id| CallId::from_u128(id.as_u128() + 1)),
            Flaw::BeforeSkips => query.before = query.before.map(|id| CallId::from_u128(id.as_u128().max(1) - 1)),
            Flaw::AnyPrincipal => query.principal = None,
            Flaw::FoldsThePrincipal => {
                let lower = |principal: &Principal| principal.as_str().to_lowercase();
                if query.principal.as_ref().map(lower) == Some(lower(&call.principal)) {
                    query.principal = None;
                }
            }
            Flaw::AnyTool => query.tool = None,
            Flaw::AnyOutcome => query.outcome = None,
            Flaw::FromExcludes if query.from == Some(call.at) => return false,
            Flaw::ToIncludes if query.to == Some(call.at) => query.to = None,
            _ => {}
        }
        query.matches(call)
    }
}

#[async_trait]
impl History for Broken {
    async fn calls(&self, tenant: &Tenant, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        let mut calls = lock(&self.state).calls.clone();
        calls.retain(|call| call.tenant == *tenant || self.flaw == Flaw::AnyTenant);
        calls.sort_by_key(|call| std::cmp::Reverse(call.id));
        let limit = usize::from(query.limit);
        match self.flaw {
            Flaw::FiltersThePage => calls.truncate(limit),
            Flaw::OldestFirst => calls.reverse(),
            _ => {}
        }
        calls.retain(|call| self.matches(query, call));
        calls.truncate(limit + usize::from(self.flaw == Flaw::OneTooMany));
        Ok(calls)
    }

    async fn call(&self, tenant: &Tenant, id: CallId) -> Result<Option<CallRecord>, StoreError> {
        let calls = &lock(&self.state).calls;
        let mut own = calls.iter().filter(|call| call.tenant == *tenant || self.flaw == Flaw::AnyTenantById);
        Ok(own.find(|call| call.id == id || self.flaw == Flaw::AnyId).cloned())
    }

    async fn search(&self, tenant: &Tenant, text: &str, query: &CallQuery) -> Result<FoundCalls, StoreError> {
        let any = CallQuery { limit: u16::MAX, ..CallQuery::default() };
        let all = CallQuery { limit: u16::MAX, ..query.clone() };
        let calls = self.calls(tenant, if self.flaw == Flaw::SearchesAll { &any } else { &all }).await?;
        Ok(Self::search(self, calls, text, query.limit.into()))
    }
}

impl Broken {
    fn words(&self, text: &str) -> BTreeSet<String> {
        let fold = |word: String| if self.flaw == Flaw::FoldsAccents { word.replace('ü', "u") } else { word };
        match self.flaw {
            Flaw::MindsCase => text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect(),
            _ => words(text).map(fold).collect(),
        }
    }

    fn text(&self, call: &CallRecord) -> String {
        let of = |json: &Bytes| {
            let text = String::from_utf8_lossy(json).into_owned();
            if self.flaw == Flaw::JsonAsText { text } else { text.replace("\\n", " ") }
        };
        match self.flaw {
            Flaw::ArgumentsAlone => of(&call.arguments),
            _ => format!("{} {}", of(&call.arguments), of(&call.result)),
        }
    }

    fn holds(&self, call: &CallRecord, wanted: &BTreeSet<String>) -> bool {
        let text = self.text(call);
        match self.flaw {
            Flaw::HalfWords => wanted.iter().all(|word| text.to_lowercase().contains(word)),
            Flaw::AnyWord => !wanted.is_disjoint(&self.words(&text)),
            _ => wanted.is_subset(&self.words(&text)),
        }
    }

    fn search(&self, calls: Vec<CallRecord>, text: &str, limit: usize) -> FoundCalls {
        let (wanted, mut found) = (self.words(text), FoundCalls::default());
        if limit == 0 || wanted.is_empty() && self.flaw != Flaw::FindsAllWithoutWords {
            return found;
        }
        let (mut seen, mut bytes) = (0, 0);
        for call in calls {
            (seen, bytes) = (seen + 1, bytes + call.arguments.len() + call.result.len());
            let (id, holds) = (call.id, self.holds(&call, &wanted));
            found.calls.extend(holds.then_some(call));
            let too_much = seen == MOST_CALLS && self.flaw != Flaw::LooksAtAll
                || bytes >= MOST_BYTES && self.flaw != Flaw::MindsNoBytes;
            if found.calls.len() == limit || too_much {
                found.next = (self.flaw != Flaw::StopsInSilence).then_some(id);
                return found;
            }
            if self.flaw == Flaw::SaysThatThereIsMore {
                found.next = Some(id);
            }
        }
        found
    }
}

mod ledger {
    use super::{Flaw, broken};

    super::super::each_case_fails! {
    ledger, broken,
    committed_entries_are_read_back: [Flaw::TextOnly, Flaw::DropsTheParent],
    entries_are_taken_at_once: [Flaw::Lazy],
    all_or_none: [Flaw::InTwoSteps],
    an_empty_commit_waits_for_all_before_it: [Flaw::NothingToFlush],
    the_same_id_twice_is_one_entry: [Flaw::KeepsBoth, Flaw::TheLastStays, Flaw::OneTenantAnId],
    a_ledger_that_keeps_up_admits: [Flaw::StaysFull],
    }
}

mod history {
    use super::{Flaw, broken};

    super::super::each_case_fails! {
    history, broken,
    newest_first: [Flaw::OldestFirst],
    pages_neither_repeat_nor_skip: [Flaw::BeforeIncludes, Flaw::BeforeSkips],
    pages_are_full: [Flaw::FiltersThePage, Flaw::OneTooMany],
    every_filter_holds: [
        Flaw::AnyPrincipal,
        Flaw::FoldsThePrincipal,
        Flaw::AnyTool,
        Flaw::AnyOutcome,
        Flaw::FromExcludes,
        Flaw::ToIncludes,
        Flaw::BeforeIncludes,
    ],
    a_call_is_found_by_its_id: [Flaw::AnyId, Flaw::DropsTheParent],
    search_finds_whole_words_in_any_case: [
        Flaw::HalfWords,
        Flaw::AnyWord,
        Flaw::MindsCase,
        Flaw::FoldsAccents,
        Flaw::JsonAsText,
        Flaw::ArgumentsAlone,
        Flaw::FindsAllWithoutWords,
        Flaw::SearchesAll,
        Flaw::SaysThatThereIsMore,
    ],
    a_search_tells_how_far_it_looked: [
        Flaw::StopsInSilence,
        Flaw::LooksAtAll,
        Flaw::MindsNoBytes,
        Flaw::SaysThatThereIsMore,
    ],
    tenants_are_apart: [Flaw::AnyTenant, Flaw::AnyTenantById],
    }
}
