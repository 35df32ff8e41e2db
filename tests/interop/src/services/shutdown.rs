//! Ends the process one second after somebody broadcast `$shutdown`.

use std::{sync::Arc, time::Duration};

use moleculer::{ServiceBuilder, prelude::*};
use tokio::sync::watch;

/// Whether `$shutdown` was seen, and with an error or not.
#[derive(Clone)]
pub(crate) struct Shutdown(Arc<watch::Sender<Option<bool>>>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Shutdown {
    pub(crate) fn service(&self) -> ServiceBuilder<Self> {
        Service::builder("$shutdown-listener")
            .with_state(self.clone())
            .event(Event::new("$shutdown", seen))
    }

    /// Resolves when the process should end; true for an error.
    pub(crate) async fn asked(&self) -> bool {
        let mut asked = self.0.subscribe();
        let failed =
            asked.wait_for(Option::is_some).await.is_ok_and(|failed| *failed == Some(true));
        // Others hear of it in the meantime.
        tokio::time::sleep(Duration::from_secs(1)).await;
        failed
    }
}

async fn seen(State(shutdown): State<Shutdown>, Params(data): Params<Value>) -> Result<()> {
    let failed = data.pointer("error").is_some_and(Value::is_truthy);
    shutdown.0.send_replace(Some(failed));
    Ok(())
}
