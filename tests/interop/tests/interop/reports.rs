//! What nodes report of the calls and events that they got.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use moleculer::{Object, prelude::*};
use serde_json::{Value as Json, json};

use crate::cluster::until;

/// Reports in the order in which they came.
#[derive(Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<Vec<Json>>>);

impl Reports {
    /// The services of the driver: one collects reports, the other is a
    /// listener like those of the nodes.
    pub(crate) fn services(&self) -> Vec<Service> {
        let scenario = Service::builder("scenario")
            .with_state(self.clone())
            .event(Event::new("$scenario.action.called", called))
            .event(Event::new("$scenario.event.emitted", called))
            .event(Event::new("$circuit-breaker.*", circuit));
        let users = Service::builder("users")
            .with_state(self.clone())
            .event(Event::new("user.created", created));
        vec![scenario.build(), users.build()]
    }

    /// Forgets what has come so far.
    pub(crate) fn clear(&self) {
        self.all().clear();
    }

    /// Waits for so many.
    pub(crate) async fn wait(&self, count: usize) -> Result<Vec<Json>> {
        until(&format!("{count} reports"), async || Ok(self.all().len() >= count)).await?;
        Ok(self.all().clone())
    }

    /// How many came from each service of each node, as `service@node`.
    pub(crate) fn counts(&self) -> Json {
        let mut counts = BTreeMap::<String, usize>::new();
        for report in &*self.all() {
            let name = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
            *counts.entry(format!("{}@{}", name("service"), name("nodeID"))).or_default() += 1;
        }
        json!(counts)
    }

    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<Json>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn called(State(reports): State<Reports>, Params(report): Params<Value>) -> Result<()> {
    reports.all().push(report.into());
    Ok(())
}

async fn circuit(
    ctx: Context,
    State(reports): State<Reports>,
    Params(data): Params<Value>,
) -> Result<()> {
    let report = Object::from([
        ("event", ctx.event().into()),
        ("sender", ctx.node_id().as_str().into()),
        ("params", data),
    ]);
    reports.all().push(Value::from(report).into());
    Ok(())
}

async fn created(
    ctx: Context,
    State(reports): State<Reports>,
    Params(data): Params<Value>,
) -> Result<()> {
    let report = Object::from([
        ("nodeID", ctx.broker()?.node_id().as_str().into()),
        ("event", ctx.event().into()),
        ("service", "users".into()),
        ("params", data),
        ("meta", ctx.meta().into()),
    ]);
    reports.all().push(Value::from(report).into());
    Ok(())
}
