//! What is recorded that is no call, and from where it came.

use std::sync::Arc;
use std::time::Duration;

use mcp_core::caller::desk::{CallerError, NewKey, NewUser};
use mcp_core::caller::{Caller, KeyOrLoopback};
use mcp_core::endpoint::TrustedProxies;
use mcp_core::policy::{Policy, Requirement};
use mcp_core::store::StoreError;
use mcp_core::store::history::CallQuery;
use mcp_core::store::ledger::CallRecord;
use mcp_core::{Arguments, CallError, Endpoint, ToolError, tool_fn};
use serde_json::{Value, json};

use crate::support::{FullLedger, House, Request, local, send, settle};

fn operator() -> Caller {
    local().with_role(Caller::OPERATOR).from_address("198.51.100.7".parse().ok())
}

fn user(name: &str) -> NewUser {
    NewUser { principal: name.into(), display_name: String::new(), roles: ["writer".to_owned()].into() }
}

fn arguments(record: &CallRecord) -> Value {
    serde_json::from_slice(&record.arguments).expect("what is recorded is JSON")
}

fn shown(record: &CallRecord) -> (&str, &str, &'static str, Option<String>) {
    let address = record.address.map(|address| address.to_string());
    (record.principal.as_str(), record.tool.as_str(), record.outcome.as_str(), address)
}

#[tokio::test]
async fn who_changes_who_may_do_what_is_recorded_with_what_was_done_and_from_where() {
    let echo = tool_fn("echo", "Echoes.", async || Ok::<_, ToolError>("echo"));
    let house = House::new(|builder| builder.tool(echo));
    let (desk, by) = (house.server.callers(), operator());
    desk.create_user(&by, user("ada")).await.unwrap();
    let new = NewKey { name: "ci".to_owned(), principal: Some("ada".into()), ..NewKey::default() };
    let made = desk.create_key(&by, new).await.unwrap();
    desk.rotate_key(&by, made.key.id, None).await.unwrap();
    desk.revoke_key(&by, made.key.id).await.unwrap();
    house.server.switch_tool(&by, "echo", false).await.unwrap();
    desk.export_user(&by, &"ada".into()).await.map(drop).unwrap();
    desk.erase_user(&by, &"ada".into()).await.unwrap();
    // What is refused is an act as well.
    let refused = desk.create_user(&Caller::new("default", "eve"), user("bob")).await;
    assert!(matches!(refused, Err(CallerError::Forbidden(_))));

    let records = house.records().await;
    let from = Some("198.51.100.7".to_owned());
    let by_operator =
        ["create_user", "create_key", "rotate_key", "revoke_key", "switch_tool", "export_user", "erase_user"];
    for (record, what) in records.iter().zip(by_operator) {
        assert_eq!(shown(record), ("local", format!("act:{what}").as_str(), "ok", from.clone()));
        assert!(!record.arguments.windows(4).any(|bytes| bytes == b"mcp_"), "{:?}", record.arguments);
    }
    assert_eq!(shown(&records[7]), ("eve", "act:create_user", "error", None));
    assert!(String::from_utf8_lossy(&records[7].result).contains("the role `admin`"), "{:?}", records[7].result);
    assert_eq!(records.len(), 8);
    assert_eq!(arguments(&records[0]), json!({"user": "ada", "roles": ["writer"]}));
    assert_eq!(arguments(&records[1])["key"], made.key.id.to_string());
    assert_eq!(arguments(&records[4]), json!({"tool": "echo", "on": false}));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let house = House::with_stores(
        |mut stores| {
            stores.ledger = Arc::new(FullLedger);
            stores
        },
        |builder| builder,
    );
    let refused = house.server.callers().create_user(&operator(), user("ada")).await;
    assert!(matches!(refused, Err(CallerError::Store(StoreError::Unavailable { .. }))), "{refused:?}");
    let users = house.server.callers().users(&operator(), None, 10).await.unwrap();
    assert!(users.is_empty(), "{users:?}");
}

/// What is recorded of those who were not let in, the oldest first: from where, how often, and why.
async fn rejected(house: &House) -> Vec<(Option<String>, u64, String)> {
    settle().await;
    let query = CallQuery { tool: Some("act:authenticate".to_owned()), limit: 500, ..CallQuery::default() };
    let mut records = house.stores.history.calls(local().tenant(), &query).await.unwrap();
    records.reverse();
    let shown = |record: CallRecord| {
        assert_eq!((record.principal.as_str(), record.outcome.as_str()), ("/unknown", "error"));
        let result: Value = serde_json::from_slice(&record.result).unwrap();
        let why = result["content"][0]["text"].as_str().unwrap().to_owned();
        (record.address.map(|address| address.to_string()), arguments(&record)["times"].as_u64().unwrap(), why)
    };
    records.into_iter().map(shown).collect()
}

fn request_from(peer: &str, key: Option<&str>) -> Request {
    let mut request = Request::modern("tools/list", json!({}));
    request.peer = peer.parse().unwrap();
    match key {
        Some(key) => request.with("x-api-key", key),
        None => request,
    }
}

fn keyed(house: &House) -> Endpoint {
    house
        .endpoint
        .clone()
        .authenticate(KeyOrLoopback::loopback_only().or_key("the key of the house").everyone_needs_it())
}

#[tokio::test]
async fn who_is_not_let_in_is_recorded_once_and_then_once_a_minute() {
    let house = House::new(|builder| builder);
    let endpoint = keyed(&house);
    for _ in 0..3 {
        let reply = send(&endpoint, &request_from("203.0.113.5", Some("no key"))).await;
        assert_eq!(reply.status, 401);
    }
    // Who brings nothing asks where to get some.
    assert_eq!(send(&endpoint, &request_from("203.0.113.5", None)).await.status, 401);
    assert_eq!(send(&endpoint, &request_from("203.0.113.6", Some("the key of the house"))).await.status, 200);
    let why = "the key is not valid; check `Authorization` or `X-API-Key`";
    let once = (Some("203.0.113.5".to_owned()), 1, why.to_owned());
    assert_eq!(rejected(&house).await, std::slice::from_ref(&once));

    house.clock.advance(Duration::from_secs(61));
    let twice_more = (Some("203.0.113.5".to_owned()), 2, why.to_owned());
    assert_eq!(rejected(&house).await, [once.clone(), twice_more.clone()]);

    // The next minute begins with the next of them; what is counted when the server stops is recorded then.
    for _ in 0..3 {
        send(&endpoint, &request_from("203.0.113.5", Some("no key"))).await;
    }
    assert_eq!(rejected(&house).await, [once.clone(), twice_more.clone(), once.clone()]);
    house.server.drain(Duration::from_secs(1)).await;
    assert_eq!(rejected(&house).await, [once.clone(), twice_more.clone(), once, twice_more]);
}

#[tokio::test]
async fn who_lacks_a_scope_is_recorded_once_and_then_once_a_minute() {
    let pay = tool_fn("pay", "Pays.", async || Ok::<_, ToolError>("paid")).requires("pay");
    let house = House::new(|builder| {
        builder.tool(pay).policy(Policy::none().routes("GET /a", Requirement::none().scope("read")))
    });
    let ada = Caller::new("acme", "ada").from_address("203.0.113.5".parse().ok());
    // Strangers take no room from those who are known.
    let endpoint = keyed(&house);
    for n in 0..=255 {
        send(&endpoint, &request_from(&format!("203.0.113.{n}"), Some("no key"))).await;
    }
    for _ in 0..3 {
        let refused = house.server.call_tool(ada.clone(), "pay", Arguments::none()).await;
        assert!(matches!(refused, Err(CallError::Forbidden(_))), "{refused:?}");
    }
    let call = Request::call("pay", json!({}));
    assert_eq!(house.endpoint.answer(&call, ada.clone(), call.body.clone().into()).await.status, 403);
    assert_eq!(house.endpoint.admit_to(&ada, "/a", || "GET /a".to_owned()).unwrap_err().status, 403);
    // What there is not is none of their business, and to ask for it is nothing.
    assert!(house.server.call_tool(ada.clone(), "none", Arguments::none()).await.is_err());
    let recorded = async || {
        settle().await;
        let mut records = house.stores.history.calls(ada.tenant(), &CallQuery::default()).await.unwrap();
        records.reverse();
        let from = Some("203.0.113.5".to_owned());
        let times = |record: &CallRecord| {
            assert_eq!(shown(record), ("ada", "act:authorize", "error", from.clone()));
            let is_of_tool =
                String::from_utf8_lossy(&record.result).contains(r#"the tool \"pay\" takes the scope `pay`"#);
            (is_of_tool, arguments(record)["times"].as_u64().unwrap())
        };
        let mut times: Vec<_> = records.iter().map(times).collect();
        times.sort_unstable();
        times
    };
    assert_eq!(recorded().await, [(false, 1), (true, 1)]);
    house.clock.advance(Duration::from_secs(61));
    assert_eq!(recorded().await, [(false, 1), (true, 1), (true, 3)]);
}

#[tokio::test]
async fn whoever_comes_from_everywhere_fills_no_history() {
    let house = House::new(|builder| builder);
    let endpoint = keyed(&house);
    for n in 0..=255 {
        send(&endpoint, &request_from(&format!("203.0.113.{n}"), Some("no key"))).await;
    }
    assert_eq!(rejected(&house).await.len(), 100);
    house.clock.advance(Duration::from_secs(61));
    let rejected = rejected(&house).await;
    assert_eq!(rejected.len(), 101);
    assert_eq!(rejected[100], (None, 156, "others were not let in either".to_owned()));
}

#[tokio::test]
async fn a_proxy_on_this_machine_makes_nobody_a_caller_on_this_machine_and_says_who_they_are() {
    let echo = tool_fn("echo", "Echoes.", async || Ok::<_, ToolError>("echo"));
    let house = House::new(|builder| builder.tool(echo));
    let behind = house.endpoint.clone().trusted_proxies("127.0.0.1, 10.0.0.0/8".parse::<TrustedProxies>().unwrap());
    // Without its word such a proxy is nobody.
    let call = Request::call("echo", json!({}));
    assert_eq!(send(&house.endpoint, &call).await.status, 200);
    assert_eq!(send(&behind, &call).await.status, 401);

    let keyed = behind.authenticate(KeyOrLoopback::loopback_only().or_key("the key of the house"));
    for (peer, forwarded, from) in [
        ("127.0.0.1", Some("198.51.100.1"), Some("198.51.100.1")),
        ("127.0.0.1", None, None),
        ("10.0.0.3", Some("127.0.0.1, 198.51.100.2"), Some("198.51.100.2")),
        ("203.0.113.9", Some("198.51.100.1"), Some("203.0.113.9")),
    ] {
        let mut call = Request::call("echo", json!({})).with("x-api-key", "the key of the house");
        call.peer = peer.parse().unwrap();
        if let Some(forwarded) = forwarded {
            call = call.with("x-forwarded-for", forwarded);
        }
        assert_eq!(send(&keyed, &call).await.status, 200, "{peer}");
        let last = house.records().await.pop().unwrap();
        assert_eq!(last.address.map(|address| address.to_string()).as_deref(), from, "{peer} {forwarded:?}");
    }
}

#[tokio::test]
async fn what_a_tool_or_its_server_calls_secret_is_not_recorded() {
    let echo = |name| tool_fn(name, "Echoes.", async || Ok::<_, ToolError>("echo"));
    let house = House::new(|builder| {
        builder.redacted(["/password"]).tool(echo("plain")).tool(echo("pays").redacted("/card/number"))
    });
    for tool in ["plain", "pays"] {
        house.call(tool, json!({"password": "x", "card": {"number": 4711, "of": "ada"}})).await;
    }
    let records = house.records().await;
    let card = |number: Value| json!({"password": "[redacted]", "card": {"number": number, "of": "ada"}});
    assert_eq!(arguments(&records[0]), card(json!(4711)));
    assert_eq!(arguments(&records[1]), card(json!("[redacted]")));
}
