//! State that a tool comes back to.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use crate::store::StoreError;
use crate::store::sessions::{LARGEST, Saved, StoredSession};
use crate::tool::error::ToolError;

/// State of one caller that a tool comes back to, from any call and on any replica. The server mints its handle, which goes through
/// the hands of the model: a tool gives it with its result, and takes it as an argument like any other. Nobody else finds anything
/// under it.
///
/// It reads and changes as the value does; a change is kept by [`Session::save`] alone.
///
/// ```
/// use mcp_core::{Context, Server, Session, TestClient, ToolError, tool_fn};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Cart {
///     items: Vec<String>,
/// }
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Put {
///     /// What to put into the cart.
///     item: String,
///     /// The cart of an earlier call; without it a new one is begun.
///     cart: Option<String>,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Filled {
///     /// The cart, for the next call.
///     cart: String,
///     items: Vec<String>,
/// }
///
/// async fn put(put: Put, cx: Context) -> Result<Filled, ToolError> {
///     let mut cart: Session<Cart> = cx.session(put.cart.as_deref()).await?;
///     cart.items.push(put.item);
///     Ok(Filled { cart: cart.save().await?, items: cart.items.clone() })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tool = tool_fn("cart.put", "Puts something into a cart.", put);
/// let client = TestClient::new(Server::builder("shop", "1.0.0").tool(tool).build()?);
/// let first = client.call("cart.put", serde_json::json!({"item": "lamp"})).await;
/// let first: serde_json::Value = serde_json::from_str(first.structured_json().unwrap())?;
/// let second = client.call("cart.put", serde_json::json!({"item": "desk", "cart": first["cart"]})).await;
/// let second: serde_json::Value = serde_json::from_str(second.structured_json().unwrap())?;
/// assert_eq!(second["items"], serde_json::json!(["lamp", "desk"]));
/// # Ok(())
/// # }
/// ```
pub struct Session<T> {
    cx: Context,
    value: T,
    /// Nothing, until it is saved for the first time.
    kept: Option<Kept>,
}

/// Where a session is kept, and which of its versions this is.
struct Kept {
    handle: String,
    version: u64,
}

impl<T> Session<T> {
    /// What the caller presents to come back to it; nothing for a new one that was not saved yet.
    pub fn handle(&self) -> Option<&str> {
        self.kept.as_ref().map(|kept| &*kept.handle)
    }

    /// Ends it, whatever another call has saved meanwhile: nothing is found under its handle any more.
    ///
    /// Not cancel safe: a dropped future may or may not have ended it.
    ///
    /// # Errors
    /// [`ToolError::Unavailable`] when the store cannot be reached.
    pub async fn end(self) -> Result<(), ToolError> {
        let (server, caller) = (&self.cx.inner().server, self.cx.caller());
        match self.handle() {
            Some(handle) => server.end_session(caller, handle).await.map(drop).map_err(unavailable),
            None => Ok(()),
        }
    }
}

impl<T: Serialize + DeserializeOwned + Default> Session<T> {
    pub(super) async fn load(cx: &Context, handle: Option<&str>) -> Result<Self, ToolError> {
        let cx = cx.clone();
        let Some(handle) = handle else { return Ok(Self { cx, value: T::default(), kept: None }) };
        let (server, caller) = (&cx.inner().server, cx.caller());
        let found = server.session_store().load(caller.tenant(), caller.principal(), handle).await;
        let StoredSession { handle, version, value } = found.map_err(unavailable)?.ok_or_else(|| gone(handle))?;
        let value = serde_json::from_slice(&value).map_err(|_| {
            ToolError::failed(format!(
                "the session {handle:?} is none of this tool's; call again without it to begin a new one"
            ))
        })?;
        Ok(Self { cx, value, kept: Some(Kept { handle, version }) })
    }
}

impl<T: Serialize> Session<T> {
    /// Keeps it as it is now, and gives its handle. Until a session is saved for the first time, there is none.
    ///
    /// Not cancel safe: a dropped future may or may not have saved.
    ///
    /// # Errors
    /// [`ToolError::Unavailable`] when the store cannot be reached. [`ToolError::Failed`], by which the model learns what to do, when
    /// another call has saved since this one loaded it, when it has ended meanwhile, and when it has become larger than 64 KiB; what was
    /// kept stays as it is.
    pub async fn save(&mut self) -> Result<String, ToolError> {
        let value = Bytes::from(serde_json::to_vec(&self.value)?);
        if value.len() > LARGEST {
            return Err(ToolError::failed(format!(
                "the session would have {} bytes, more than the {LARGEST} allowed; keep less in it, or begin a new one",
                value.len()
            )));
        }
        let (server, caller) = (&self.cx.inner().server, self.cx.caller());
        let (sessions, tenant, owner) = (server.session_store(), caller.tenant(), caller.principal());
        let (handle, version) = match &self.kept {
            None => {
                let created = sessions.create(tenant, owner, value, server.limits().session_idle).await;
                let StoredSession { handle, version, .. } = created.map_err(unavailable)?;
                (handle, version)
            }
            Some(Kept { handle, version }) => {
                match sessions.save(tenant, owner, handle, *version, value).await.map_err(unavailable)? {
                    Saved::As(version) => (handle.clone(), version),
                    Saved::Gone => return Err(gone(handle)),
                    Saved::Conflict => {
                        return Err(ToolError::failed(
                            "another call has changed the session meanwhile, and this change is not kept; call again with the \
                             same session",
                        ));
                    }
                }
            }
        };
        Ok(self.kept.insert(Kept { handle, version }).handle.clone())
    }
}

impl<T> Deref for Session<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Session<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

fn gone(handle: &str) -> ToolError {
    let shown: String = handle.chars().take(64).collect();
    ToolError::failed(format!(
        "there is no session {shown:?}: it may have ended, or be another caller's; call again without it to begin a new one"
    ))
}

fn unavailable(error: StoreError) -> ToolError {
    match error {
        StoreError::Unavailable { .. } => ToolError::Unavailable(Box::new(error)),
        error => error.into(),
    }
}
