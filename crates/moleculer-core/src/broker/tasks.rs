//! The tasks of a broker: they end with it.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Spawns tasks that the broker owns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Tasks {
    /// Runs a task until it is done or the broker stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let token = self.token.clone();
        self.tracker.spawn(async move {
            token.run_until_cancelled_owned(task).await;
        });
    }

    /// Runs a task to its end, which a stop waits for.
    pub(crate) fn finish(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    pub(crate) fn token(&self) -> &CancellationToken {
        &self.token
    }

    pub(crate) fn len(&self) -> usize {
        self.tracker.len()
    }

    pub(crate) fn cancel(&self) {
        self.token.cancel();
    }

    /// Resolves when no task is left.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
