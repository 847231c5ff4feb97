//! What changes while the server serves: at SIGHUP the configuration is read again.

use std::sync::Arc;

use mcp_core::Stores;
use mcp_core::clock::Clock;
use mcp_core::retention::keep_tidy;
use mcp_core::tokio_runtime::TokioClock;
use tokio::task::JoinHandle;

use super::opened;
use crate::alert::{self, Watch};
use crate::config::{Config, ConfigError};
use crate::system::System;

/// What goes on beside the server, as the configuration in force says.
pub(super) struct Living {
    watch: Arc<Watch>,
    watched: JoinHandle<()>,
    system: Arc<System>,
    stores: Stores,
    tidy: JoinHandle<()>,
    clock: Arc<dyn Clock>,
}

impl Living {
    pub(super) fn begin(
        config: &Config,
        watch: Arc<Watch>,
        system: Arc<System>,
        stores: Stores,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let looking = watch.clone();
        let watched = tokio::spawn(async move { looking.run().await });
        let tidy = tidy(config, stores.clone());
        Self { watch, watched, system, stores, tidy, clock }
    }

    /// Reads the configuration again, and takes what can change. Where any of it cannot be used, all stays as it is.
    pub(super) fn reload(&mut self, config: &mut Config) {
        if let Err(error) = self.take(config) {
            tracing::error!(%error, "the configuration was read again and cannot be used: all stays as it was");
        }
    }

    fn take(&mut self, config: &mut Config) -> Result<(), ConfigError> {
        let newer = config.reload()?;
        let channels = alert::channels(&newer, &self.clock)?;
        let changes = config.changes(&newer);
        if changes.is_empty() {
            tracing::info!("the configuration was read again: nothing has changed");
            return Ok(());
        }
        config.take(newer);
        crate::log::change(config);
        self.system.change(config);
        for change in changes {
            let (setting, before, after) = (change.key, change.before, change.after);
            if change.is_taken {
                tracing::info!(setting, before, after, "a setting has changed");
            } else {
                tracing::warn!(setting, before, after, "a setting has changed, and is in force after a restart");
            }
        }
        self.watch.change(config.alerts.clone(), channels);
        self.tidy.abort();
        self.tidy = tidy(config, self.stores.clone());
        Ok(())
    }

    pub(super) fn end(&self) {
        self.tidy.abort();
        self.watched.abort();
    }
}

fn tidy(config: &Config, stores: Stores) -> JoinHandle<()> {
    let policy = opened::policy(config);
    tokio::spawn(async move { keep_tidy(&stores, &TokioClock::new(), &policy).await })
}
