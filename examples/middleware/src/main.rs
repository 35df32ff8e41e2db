//! Two middlewares: one wraps actions of this node, the other every call that
//! is made here.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moleculer::{ActionFn, ActionSite, CallFn, Middleware, prelude::*};
use tokio::time::{Instant, sleep};

/// Measures the actions of this node that ask for it by
/// `extra(measured = true)`.
#[derive(Clone, Debug, Default)]
struct Stopwatch {
    slowest_ms: Arc<AtomicU64>,
}

impl Middleware for Stopwatch {
    /// Runs once for each action, when it is registered: one that does not
    /// ask for it is handed back as it is, and its calls pay nothing.
    fn local_action(&self, next: ActionFn, site: &ActionSite<'_>) -> ActionFn {
        if site.action.extra.get("measured") != Some(&Value::Bool(true)) {
            return next;
        }
        let slowest_ms = self.slowest_ms.clone();
        Arc::new(move |ctx| {
            let (running, slowest_ms, started) = (next(ctx), slowest_ms.clone(), Instant::now());
            Box::pin(async move {
                let result = running.await;
                let elapsed = started.elapsed().as_millis() as u64;
                slowest_ms.fetch_max(elapsed, Ordering::Relaxed);
                result
            })
        })
    }
}

/// Sends the tenant along with every call: whoever is called, here or on
/// another node, finds it in the metadata.
#[derive(Debug)]
struct Tenant(&'static str);

impl Middleware for Tenant {
    fn call(&self, next: CallFn) -> CallFn {
        let tenant = self.0;
        Arc::new(move |mut request| {
            request.options.meta.insert("tenant", tenant);
            next(request)
        })
    }
}

struct Reports;

#[service(name = "reports")]
impl Reports {
    #[action(extra(measured = true))]
    async fn yearly(&self, ctx: Context) -> Result<String> {
        sleep(Duration::from_millis(20)).await;
        let meta = ctx.meta();
        let tenant = meta.get("tenant").and_then(Value::as_str);
        Ok(format!("the year of {}", tenant.unwrap_or("nobody")))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let stopwatch = Stopwatch::default();
    let broker = ServiceBroker::builder()
        .middleware(stopwatch.clone())
        .middleware(Tenant("acme"))
        .service(Reports)
        .start()
        .await?;

    let report: String = broker.call("reports.yearly", ()).await?;
    println!("report   {report}");
    let slowest_ms = stopwatch.slowest_ms.load(Ordering::Relaxed);
    println!("measured 20 ms or more: {}", slowest_ms >= 20);
    broker.stop().await
}
