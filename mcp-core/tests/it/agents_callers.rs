//! What becomes of a run of an agent when what its caller had is taken from them.

use std::time::Duration;

use mcp_core::agent::{Delegation, Inquiry};
use mcp_core::caller::desk::{MadeKey, NewKey, NewUser, OVERLAP, RotatedKey};
use mcp_core::clock::Clock;
use mcp_core::store::runs::{NewRun, RunId, RunQuery, RunRecord, RunState};
use mcp_core::{Agent, AgentSpec, Authenticate, Caller, ServerBuilder, Step};
use serde_json::json;

use crate::agents::{Thinker, Yes, agent, answer, call, furnished};
use crate::run_house::{House, Replica, SECOND, World, caller, comes, json_of};
use crate::support::{Request, settle};

/// Asks, and then says that it is done.
fn careful() -> impl Agent {
    agent("careful", |so_far, _| match so_far.turns() {
        [] => Ok(Step::Ask(Inquiry::form::<Yes>("Go on?")?)),
        _ => Step::done("gone on"),
    })
}

/// A server, and a user with keys who starts runs there.
struct Keys {
    house: House,
    replica: Replica,
}

impl Keys {
    async fn new(furnish: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let house = House::new();
        let replica = house.replica(|builder| furnish(builder.agent(careful())));
        let new =
            NewUser { principal: caller().principal().clone(), display_name: String::new(), roles: Default::default() };
        replica.server.callers().create_user(&operator(), new).await.unwrap();
        Self { house, replica }
    }

    async fn make(&self, lifetime: Option<Duration>) -> MadeKey {
        let new = NewKey {
            name: "ci".to_owned(),
            principal: Some(caller().principal().clone()),
            expires: lifetime.map(|lifetime| self.house.clock.now().after(lifetime)),
            ..NewKey::default()
        };
        self.replica.server.callers().create_key(&operator(), new).await.unwrap()
    }

    async fn rotate(&self, key: &MadeKey, overlap: Duration) -> RotatedKey {
        self.replica.server.callers().rotate_key(&operator(), key.key.id, Some(overlap)).await.unwrap()
    }

    async fn revoke(&self, key: &MadeKey) {
        self.replica.server.callers().revoke_key(&operator(), key.key.id).await.unwrap();
    }

    /// Whoever comes by that key.
    async fn come(&self, key: &MadeKey) -> Caller {
        let request = Request::post("").with("authorization", &format!("Bearer {}", key.secret.expose()));
        let ada = self.replica.server.stored_keys().authenticate(&request).await.unwrap();
        assert_eq!((&ada, ada.key()), (&caller(), Some(key.key.id)));
        ada
    }

    /// Starts a run with that key.
    async fn start(&self, key: &MadeKey, agent: &str) -> RunId {
        self.replica.server.agent_runs().start(&self.come(key).await, agent, &(), None, None).await.unwrap()
    }

    /// The same, of one that waits for an answer.
    async fn begin(&self, key: &MadeKey) -> RunId {
        let run = self.start(key, "careful").await;
        self.house.until(run, RunState::Waiting).await;
        run
    }

    /// Answers what it asks, and waits for its end.
    async fn end(&self, run: RunId) -> RunRecord {
        settle().await;
        answer(&self.replica, run, "turn.0", json!({"yes": true})).await;
        self.house.until_ended(run).await
    }

    async fn assert_goes_on(&self, run: RunId, why: &str) {
        let run = self.end(run).await;
        assert_eq!((run.state, &json_of(&run)["output"]), (RunState::Completed, &json!("gone on")), "{why}");
    }

    async fn assert_ended(&self, run: RunId, why: &str) {
        assert_no_more(&self.end(run).await, why);
    }
}

fn assert_no_more(run: &RunRecord, why: &str) {
    let told = "the key by which the run was started lets nobody in any more";
    assert_eq!((run.state, &json_of(run)["error"]), (RunState::Failed, &json!(told)), "{why}");
}

fn operator() -> Caller {
    Caller::new(caller().tenant().clone(), "root").with_role(Caller::ADMIN).with_role(Caller::OPERATOR)
}

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn a_run_goes_no_further_than_the_key_by_which_it_was_started() {
    let keys = Keys::new(|builder| builder).await;
    let (revoked, short, other) = (keys.make(None).await, keys.make(Some(HOUR)).await, keys.make(None).await);
    let of_revoked = keys.begin(&revoked).await;
    let (of_short, of_other) = (keys.begin(&short).await, keys.begin(&other).await);
    let good = keys.begin(&short).await;
    keys.assert_goes_on(good, "its key is good").await;
    keys.revoke(&revoked).await;
    keys.assert_ended(of_revoked, "its key is revoked").await;
    keys.house.clock.advance(HOUR);
    keys.assert_ended(of_short, "its key has expired").await;
    keys.house.stores.api_keys.remove(caller().tenant(), other.key.id).await.unwrap();
    keys.assert_ended(of_other, "its key is gone").await;
}

/// It is looked every five seconds, before the next step.
#[tokio::test]
async fn a_run_that_is_under_way_ends_within_five_seconds() {
    let world = World::closed();
    let endless = agent("endless", |_, _| Ok(Step::call(call("change", "x"))));
    let keys = Keys::new(furnished(&world, endless)).await;
    let key = keys.make(None).await;
    let run = keys.start(&key, "endless").await;
    comes(|| world.done().len() == 1).await;
    keys.house.clock.advance(5 * SECOND);
    world.gate.add_permits(1);
    comes(|| world.done().len() == 2).await;
    keys.revoke(&key).await;
    keys.house.clock.advance(5 * SECOND);
    world.gate.add_permits(1);
    assert_no_more(&keys.house.until_ended(run).await, "its key is revoked");
    assert_eq!(world.done().len(), 2);
}

/// What it does is told, as where the run is cancelled, and dropped after a while.
#[tokio::test]
async fn a_run_ends_in_the_middle_of_what_takes_long() {
    let world = World::closed();
    let caller = agent("caller", |_, _| Ok(Step::call(call("change", "x"))));
    let keys =
        Keys::new(|builder| furnished(&world, caller)(builder).agent(Thinker(AgentSpec::new("thinker", "Thinks."))))
            .await;
    let key = keys.make(None).await;
    let runs = [keys.start(&key, "caller").await, keys.start(&key, "thinker").await];
    comes(|| world.done().len() == 1).await;
    keys.house.clock.advance(5 * SECOND);
    settle().await;
    keys.revoke(&key).await;
    for run in runs {
        assert_no_more(&keys.house.until_ended(run).await, "its key is revoked");
    }
    assert_eq!(world.done().len(), 1, "nothing is begun again");
}

/// The one in its place keeps them going, however often that happens, and for as long as it lets in itself.
#[tokio::test]
async fn a_run_goes_on_with_the_key_that_took_over() {
    let keys = Keys::new(|builder| builder).await;
    let first = keys.make(None).await;
    let (once, twice, end) = (keys.begin(&first).await, keys.begin(&first).await, keys.begin(&first).await);
    let second = keys.rotate(&first, OVERLAP).await.made;
    keys.house.clock.advance(OVERLAP);
    keys.assert_goes_on(once, "its key was replaced").await;
    let third = keys.rotate(&second, HOUR).await.made;
    keys.house.clock.advance(HOUR);
    keys.assert_goes_on(twice, "its key was replaced twice").await;
    keys.revoke(&third).await;
    keys.assert_ended(end, "the key that took over is revoked").await;
}

/// Whoever revokes a key means it.
#[tokio::test]
async fn a_key_that_is_revoked_while_another_takes_its_place_ends_its_runs() {
    let keys = Keys::new(|builder| builder).await;
    let first = keys.make(None).await;
    let (in_overlap, after) = (keys.begin(&first).await, keys.begin(&first).await);
    let second = keys.rotate(&first, OVERLAP).await.made;
    keys.revoke(&first).await;
    keys.assert_ended(in_overlap, "its key is revoked before the overlap is over").await;
    keys.house.clock.advance(OVERLAP);
    keys.assert_ended(after, "and stays so").await;
    let at_once = keys.begin(&second).await;
    keys.rotate(&second, Duration::ZERO).await;
    keys.assert_ended(at_once, "its key was replaced with no overlap").await;
}

#[tokio::test]
async fn what_a_run_leaves_to_others_ends_with_its_key_as_well() {
    let boss = agent("boss", |_, _| Ok(Step::delegate(Delegation::new("careful", ())?)));
    let keys = Keys::new(|builder| builder.agent(boss)).await;
    let key = keys.make(None).await;
    let run = keys.start(&key, "boss").await;
    keys.house.until(run, RunState::Waiting).await;
    let runs = keys.replica.server.runs().list(&caller(), RunQuery::default()).await.unwrap();
    let child = runs.iter().find(|child| child.parent == Some(run)).unwrap().id;
    keys.house.until(child, RunState::Waiting).await;
    keys.revoke(&key).await;
    keys.assert_ended(child, "its parent was started by a key that is revoked").await;
    assert_no_more(&keys.house.until_ended(run).await, "and so was this one");
}

/// Those that were begun by an older version do not say by which key.
#[tokio::test]
async fn a_run_that_does_not_know_its_key_goes_on() {
    let keys = Keys::new(|builder| builder).await;
    let order = json!({"version": 1, "agent": "careful", "input": null, "roles": [], "scopes": [], "budget": {}});
    let run = NewRun {
        id: RunId::from_u128(7),
        tenant: caller().tenant().clone(),
        principal: caller().principal().clone(),
        kind: "agent".to_owned(),
        parent: None,
        arguments: order.to_string().into(),
        at: keys.house.clock.now(),
    };
    keys.house.stores.runs.create(&run).await.unwrap();
    keys.house.until(run.id, RunState::Waiting).await;
    keys.assert_goes_on(run.id, "it is not known by which key it was started").await;
}
