//! A connection to a server or a cluster: [`Link`].

use std::collections::BTreeSet;

use redis::{
    Cmd, FromRedisValue, RedisResult, Value,
    aio::MultiplexedConnection,
    cluster_async::ClusterConnection,
    cluster_routing::{RoutingInfo, SingleNodeRoutingInfo},
};

/// A connection; clones share it.
#[derive(Clone)]
pub(crate) enum Link {
    Single(MultiplexedConnection),
    Cluster(Box<ClusterConnection>),
}

impl Link {
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self.clone() {
            Self::Single(mut connection) => command.query_async(&mut connection).await,
            Self::Cluster(mut connection) => command.query_async(&mut *connection).await,
        }
    }

    /// The servers that have keys.
    pub(crate) async fn masters(&self) -> RedisResult<Vec<Master>> {
        let Self::Cluster(_) = self else {
            return Ok(vec![Master::Only]);
        };
        let slots: Vec<Vec<Value>> = self.query(redis::cmd("CLUSTER").arg("SLOTS")).await?;
        let masters = slots.into_iter().filter_map(|range| {
            // First and last slot, the master, its replicas.
            let (host, port) = match range.into_iter().nth(2)? {
                Value::Array(parts) => {
                    let mut parts = parts.into_iter();
                    let host = redis::from_redis_value::<String>(parts.next()?).ok()?;
                    (host, redis::from_redis_value::<u16>(parts.next()?).ok()?)
                }
                _ => return None,
            };
            Some((host, port))
        });
        let masters: BTreeSet<_> = masters.collect();
        Ok(masters.into_iter().map(|(host, port)| Master::At { host, port }).collect())
    }

    /// A step of a scan: where the next one begins, and keys that fit.
    pub(crate) async fn scan(
        &self,
        master: &Master,
        cursor: u64,
        glob: &str,
    ) -> RedisResult<(u64, Vec<Vec<u8>>)> {
        const AT_A_TIME: usize = 100;
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(glob).arg("COUNT").arg(AT_A_TIME);
        match (self.clone(), master) {
            (Self::Cluster(mut connection), Master::At { host, port }) => {
                let place = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                let answer = connection.route_command(command, RoutingInfo::SingleNode(place));
                Ok(redis::from_redis_value(answer.await?)?)
            }
            (link, _) => link.query(&command).await,
        }
    }
}

/// A server that has keys.
#[derive(Debug)]
pub(crate) enum Master {
    /// There are no others.
    Only,
    /// One of a cluster.
    At { host: String, port: u16 },
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}
