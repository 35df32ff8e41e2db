//! Services whose callers look for the node that is least busy, or nearest.

use std::time::Duration;

use moleculer::{
    ServiceBuilder,
    prelude::*,
    strategy::{CpuUsage, Latency},
};

pub(crate) fn beacon(name: &str) -> ServiceBuilder<()> {
    let nearest = Latency::default().with_ping_interval(Duration::from_millis(200));
    let nearest = nearest.with_collect_count(2);
    let idlest = CpuUsage::default().with_low_cpu_usage(-100.0);
    Service::builder(name)
        .action(Action::new("nearest", who).strategy(nearest))
        .action(Action::new("idlest", who).strategy(idlest))
}

async fn who(ctx: Context) -> Result<String> {
    Ok(ctx.broker()?.node_id().to_string())
}
