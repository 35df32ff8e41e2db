//! With `disableBalancer` the server of the medium shares calls and events out.

use futures_util::future::try_join_all;
use moleculer::prelude::*;
use serde_json::json;

use crate::{
    balancing::send,
    checks::{Check, check, run_all},
    cluster::{Cluster, DRIVER, JAVASCRIPT, RUST, Setup, THIRD, until},
    matrix::Place,
    process::Implementation,
};

pub(crate) const ALL: &[(&str, Check)] = &[
    ("the server gives each call to one node", |cluster| Box::pin(calls(cluster))),
    ("the server gives each event to one of a group", |cluster| Box::pin(events(cluster))),
];

const NODES: [&str; 3] = [RUST, JAVASCRIPT, THIRD];
const CALLERS: [&str; 3] = [DRIVER, RUST, JAVASCRIPT];
/// So many that chance leaves nobody out.
const MANY: usize = 40;

/// Both implementations are in each group but the driver's.
pub(crate) async fn run(place: Place) -> Result<()> {
    let setup = Setup::default()
        .services(RUST, "test,users,payment,probe")
        .services(JAVASCRIPT, "test,users,mail,probe")
        .services(THIRD, "test,payment,mail,probe")
        .driver("disableBalancer", true)
        .third(Implementation::JavaScript);
    let setup = NODES
        .into_iter()
        .fold(setup, |setup, node| setup.variable(node, "DISABLEBALANCER", "true"));
    let cluster = setup.start(place).await?;
    for node in NODES {
        cluster.reports_from(node).await?;
    }
    everybody_takes_a_share(&cluster).await?;
    run_all(&cluster, &[ALL]).await
}

/// A JavaScript node that is known may be about to subscribe: it does so when
/// it tells all nodes of itself, not when it answers one.
async fn everybody_takes_a_share(cluster: &Cluster) -> Result<()> {
    until("everybody takes a share", async || {
        cluster.reports.clear();
        for n in 0..MANY {
            cluster.driver.call::<bool>("test.work", json!({ "n": n })).await?;
            send(cluster, DRIVER, "emit", n).await?;
        }
        cluster.fence().await?;
        let groups = ["test", "users", "payment", "mail"].map(|group| shares(cluster, group).len());
        Ok(groups == [3, 3, 2, 2])
    })
    .await
}

async fn calls(cluster: &Cluster) -> Result<()> {
    for caller in CALLERS {
        cluster.reports.clear();
        let work = async |n: usize| {
            let params = json!({ "n": n, "text": ["é", null] });
            if caller == DRIVER {
                return cluster.driver.call::<bool>("test.work", params).await.map(|ok| json!(ok));
            }
            let call = json!({ "action": "test.work", "params": params });
            Ok(cluster.relay(caller, call).await?["result"].take())
        };
        for answer in try_join_all((0..MANY).map(work)).await? {
            check(&format!("{caller}'s answer"), &answer, &true.into())?;
        }
        cluster.reports.wait(MANY).await?;
        cluster.fence().await?;
        let shares = shares(cluster, "test");
        check(&format!("calls of {caller}"), &shares.iter().sum::<usize>().into(), &MANY.into())?;
        check(&format!("callees of {caller}"), &shares.len().into(), &NODES.len().into())?;
    }
    // A call that names its node goes there.
    for node in NODES {
        cluster.reports.clear();
        try_join_all((0..5).map(|n| cluster.ask(node, "test.work", json!({ "n": n })))).await?;
        cluster.reports.wait(5).await?;
        check("direct calls", &cluster.reports.counts(), &json!({ (format!("test@{node}")): 5 }))?;
    }
    Ok(())
}

async fn events(cluster: &Cluster) -> Result<()> {
    for sender in CALLERS {
        cluster.reports.clear();
        for n in 0..MANY {
            send(cluster, sender, "emit", n).await?;
        }
        cluster.reports.wait(3 * MANY).await?;
        cluster.fence().await?;
        for (group, members) in [("users", 3), ("payment", 2), ("mail", 2)] {
            let shares = shares(cluster, group);
            let what = format!("{group} of events from {sender}");
            check(&what, &shares.iter().sum::<usize>().into(), &MANY.into())?;
            check(&what, &shares.len().into(), &members.into())?;
        }
        cluster.reports.clear();
        for n in 0..3 {
            send(cluster, sender, "broadcast", n).await?;
        }
        cluster.reports.wait(21).await?;
        cluster.fence().await?;
        let expected = json!({
            "users@rust": 3, "users@javascript": 3, "users@driver": 3, "payment@rust": 3,
            "payment@third": 3, "mail@javascript": 3, "mail@third": 3
        });
        check(&format!("broadcasts of {sender}"), &cluster.reports.counts(), &expected)?;
    }
    Ok(())
}

/// What each node got that got anything for a service.
fn shares(cluster: &Cluster, service: &str) -> Vec<usize> {
    let counts = cluster.reports.counts();
    let counts = counts.as_object().into_iter().flatten();
    let counts = counts.filter(|(name, _)| name.split('@').next() == Some(service));
    counts.filter_map(|(_, count)| usize::try_from(count.as_u64()?).ok()).collect()
}
