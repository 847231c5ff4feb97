//! Errors of the tool's own type: logged under an id, and not shown.

use std::sync::Arc;

use mcp_core::{Arguments, CallError, Server, Stores, ToolError, tool_fn};
use serde_json::Value;

use crate::support::{local, logging};

/// Calls a tool on a runtime of one thread, and gives what it gave and what it logged.
fn call(builder: mcp_core::ServerBuilder, tool: &str) -> (Result<mcp_core::ToolOutput, CallError>, Vec<Value>) {
    logging(async |log| {
        let result = builder.build().unwrap().call_tool(local(), tool, Arguments::none()).await;
        (result, log.take().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    })
}

#[derive(Debug, thiserror::Error)]
#[error("the ledger of {account} is locked")]
struct Locked {
    account: &'static str,
    source: std::io::Error,
}

fn lock() -> Result<(), Locked> {
    Err(Locked { account: "ann", source: std::io::Error::other("disk 7 is full") })
}

#[test]
fn an_error_of_the_users_own_type_is_logged_and_not_shown() {
    async fn by_question_mark() -> Result<String, ToolError> {
        lock()?;
        Ok("never".to_owned())
    }
    async fn by_type() -> Result<String, Locked> {
        tokio::task::yield_now().await;
        lock().map(|()| "never".to_owned())
    }
    async fn boxed() -> Result<String, ToolError> {
        lock().map_err(|error| ToolError::Internal(error.into()))?;
        Ok("never".to_owned())
    }
    for tool in ["by_question_mark", "by_type", "boxed"] {
        let builder = Server::builder("house", "1.0.0")
            .tool(tool_fn("by_question_mark", "", by_question_mark))
            .tool(tool_fn("by_type", "", by_type).read_only())
            .tool(tool_fn("boxed", "", boxed));
        let (result, log) = call(builder, tool);
        let Err(error @ CallError::Tool { id, .. }) = &result else { panic!("it has failed: {result:?}") };
        assert_eq!(error.to_string(), format!("the tool failed inside; the server's log has the cause under {id}"));
        assert_eq!(log.len(), 1, "{log:?}");
        let fields = &log[0]["fields"];
        assert_eq!(log[0]["level"], "ERROR");
        assert_eq!(fields["cause"], "the ledger of ann is locked: disk 7 is full");
        assert_eq!((&fields["call"], &fields["tool"]), (&Value::from(id.to_string()), &Value::from(tool)));
    }
}

#[test]
fn a_panic_is_logged_with_its_words() {
    async fn panics() -> Result<(), ToolError> {
        panic!("index {} of 3", 7)
    }
    let (result, log) = call(Server::builder("house", "1.0.0").tool(tool_fn("panics", "", panics)), "panics");
    let Err(CallError::Tool { id, .. }) = result else { panic!("it has panicked") };
    let fields = &log[0]["fields"];
    assert_eq!((&fields["cause"], &fields["call"]), (&"it panicked: index 7 of 3".into(), &id.to_string().into()));
}

#[test]
fn what_a_client_is_told_anyway_is_not_logged() {
    async fn fails() -> Result<(), ToolError> {
        Err(ToolError::failed("closed"))
    }
    let (result, log) = call(Server::builder("house", "1.0.0").tool(tool_fn("fails", "", fails)), "fails");
    assert_eq!((result.unwrap_err().to_string().as_str(), log), ("closed", vec![]));
}

#[test]
fn a_record_that_cannot_be_kept_is_logged() {
    struct Gone;
    impl mcp_core::store::ledger::Ledger for Gone {
        fn commit(
            &self,
            _: Vec<mcp_core::store::ledger::Entry>,
        ) -> futures_util::future::BoxFuture<'static, Result<(), mcp_core::store::StoreError>> {
            let source: mcp_core::store::Cause = Arc::new(std::io::Error::other("disk 7 is full"));
            let gone = mcp_core::store::StoreError::Unavailable { store: "ledger", source: Some(source) };
            Box::pin(std::future::ready(Err(gone)))
        }
    }
    async fn nothing() -> Result<(), ToolError> {
        Ok(())
    }
    let mut stores = Stores::in_memory(Arc::new(mcp_core::clock::simulated::SimulatedClock::new()));
    stores.ledger = Arc::new(Gone);
    let builder = Server::builder("house", "1.0.0").stores(stores).tool(tool_fn("nothing", "", nothing));
    let (result, log) = call(builder, "nothing");
    assert!(!result.unwrap_err().to_string().contains("disk"));
    assert_eq!(log[0]["fields"]["cause"], "the ledger is unavailable: disk 7 is full");
}
