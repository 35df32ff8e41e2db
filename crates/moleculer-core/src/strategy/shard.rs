//! Calls with one key go to one node: [`Shard`].

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use bytes::BytesMut;
use md5::{Digest as _, Md5};
use moleculer_protocol::{Object, Value, json};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Endpoint, Selection, Strategy, StrategyHost, simple::any};
use crate::{RandomSource, Result, config::strict};

/// Places the nodes on a ring, so that calls with the same key go to the same
/// node for as long as the nodes stay the same. The ring is divided evenly:
/// when a node comes or goes, many keys move.
///
/// Every node computes the same ring, and the same as Moleculer JS. A call
/// without the key goes to any node. While this node's own endpoint is
/// preferred nothing is sharded: set `registry.preferLocal` to false.
///
/// ```
/// use moleculer_core::{Action, Params, Result, strategy::Shard};
///
/// async fn cart(Params(user): Params<String>) -> Result<String> {
///     Ok(format!("cart of {user}"))
/// }
/// // A part of the params; `#tenant` would be one of the metadata.
/// Action::<()>::new("cart", cart).strategy(Shard::by("user.id"));
/// ```
pub struct Shard {
    key: Key,
    vnodes: usize,
    ring_size: Option<u64>,
    random: RandomSource,
    ring: ArcSwapOption<Ring>,
}

#[derive(Clone)]
enum Key {
    None,
    Param(Arc<str>),
    Meta(Arc<str>),
    Function(Arc<KeyFn>),
}

type KeyFn = dyn Fn(&Selection<'_>) -> Option<Value> + Send + Sync;

impl Shard {
    /// Takes the key from a path: into the params, or with a leading `#` into
    /// the metadata.
    pub fn by(path: &str) -> Self {
        Self::new(match path.strip_prefix('#') {
            Some(path) => Key::Meta(path.into()),
            None => Key::Param(path.into()),
        })
    }

    /// Computes the key.
    pub fn by_fn(key: impl Fn(&Selection<'_>) -> Option<Value> + Send + Sync + 'static) -> Self {
        Self::new(Key::Function(Arc::new(key)))
    }

    fn new(key: Key) -> Self {
        Self {
            key,
            vnodes: 10,
            ring_size: None,
            random: RandomSource::default(),
            ring: ArcSwapOption::empty(),
        }
    }

    /// Sets how often each node is on the ring, 1 to 10 000. Default: 10.
    #[must_use]
    pub fn with_vnodes(self, vnodes: usize) -> Self {
        Self { vnodes: vnodes.clamp(1, MOST_VNODES), ..self }
    }

    /// Sets how many places the ring has; at least 1. Default: 2^32.
    #[must_use]
    pub fn with_ring_size(self, places: u32) -> Self {
        Self { ring_size: Some(u64::from(places.max(1))), ..self }
    }

    /// Reads the options of a configuration.
    pub(crate) fn from_options(options: Object) -> Result<Self> {
        let options: Options = strict("strategy Shard", options)?;
        if options.cache_size.is_some() {
            tracing::warn!("cacheSize has no effect here: a key is hashed faster than looked up");
        }
        Ok(Self {
            vnodes: options.vnodes,
            ring_size: options.ring_size,
            ..options.shard_key.as_deref().map_or_else(|| Self::new(Key::None), Self::by)
        })
    }

    fn key(&self, call: &Selection<'_>) -> Option<Value> {
        let key = match &self.key {
            Key::None => None,
            Key::Param(path) => call.param(path),
            Key::Meta(path) => call.meta(path),
            Key::Function(key) => key(call),
        };
        key.filter(|key| !key.is_nullish())
    }

    /// The endpoint of a key, on the ring of this version of the list.
    fn place(&self, key: Value, endpoints: &[Endpoint], version: u64) -> Option<usize> {
        let ring = self.ring.load();
        if let Some(ring) = ring.as_ref().filter(|ring| ring.version == version) {
            return ring.find(key);
        }
        let ring = Arc::new(Ring::new(endpoints, self.vnodes, self.ring_size, version));
        self.ring.store(Some(ring.clone()));
        ring.find(key)
    }
}

impl Strategy for Shard {
    fn name(&self) -> &str {
        "Shard"
    }

    fn options(&self) -> Object {
        let mut options = Object::new();
        match &self.key {
            Key::None | Key::Function(_) => {}
            Key::Param(path) => {
                options.insert("shardKey", &**path);
            }
            Key::Meta(path) => {
                options.insert("shardKey", format!("#{path}"));
            }
        }
        options.insert("vnodes", self.vnodes);
        if let Some(size) = self.ring_size {
            options.insert("ringSize", size);
        }
        options
    }

    fn for_list(&self, host: &StrategyHost) -> Arc<dyn Strategy> {
        Arc::new(Self {
            vnodes: self.vnodes,
            ring_size: self.ring_size,
            random: host.random(),
            ..Self::new(self.key.clone())
        })
    }

    fn select(&self, endpoints: &[Endpoint], call: &Selection<'_>) -> Option<usize> {
        match self.key(call) {
            Some(key) => self.place(key, endpoints, call.version()),
            None => any(&self.random, endpoints),
        }
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shard({:?})", self.options())
    }
}

/// As configuration has them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Options {
    shard_key: Option<String>,
    #[serde(deserialize_with = "vnodes")]
    vnodes: usize,
    #[serde(deserialize_with = "ring_size")]
    ring_size: Option<u64>,
    cache_size: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { shard_key: None, vnodes: 10, ring_size: None, cache_size: None }
    }
}

fn vnodes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        n if (1..=MOST_VNODES).contains(&n) => Ok(n),
        n => Err(D::Error::custom(format_args!("vnodes must be 1 to {MOST_VNODES}, not {n}"))),
    }
}

fn ring_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    // The reference takes 0 as not set.
    let size = Option::<u64>::deserialize(deserializer)?.filter(|size| *size > 0);
    match size {
        Some(size) if size > HASHES => Err(D::Error::custom("ringSize must be at most 4294967296")),
        size => Ok(size),
    }
}

/// Options come from other nodes too; a ring must not eat the memory.
const MOST_VNODES: usize = 10_000;

/// How many hashes there are.
const HASHES: u64 = 1 << 32;

/// Which stretch of hashes belongs to which endpoint.
struct Ring {
    version: u64,
    /// Last hash of each stretch, and the endpoint; ascending.
    places: Vec<(u64, usize)>,
    size: Option<u64>,
}

impl Ring {
    fn new(endpoints: &[Endpoint], vnodes: usize, size: Option<u64>, version: u64) -> Self {
        let mut order: Vec<usize> = (0..endpoints.len()).collect();
        order.sort_by_key(|&at| endpoints[at].node_id());
        let total = endpoints.len() * vnodes;
        let length = size.unwrap_or(HASHES);
        let slice = length as f64 / total as f64;
        let rounds = (0..vnodes).flat_map(|_| order.iter().copied());
        let places = rounds.enumerate().map(|(at, endpoint)| {
            let last = if at + 1 == total { length } else { (slice * (at + 1) as f64) as u64 };
            (last, endpoint)
        });
        Self { version, places: places.collect(), size }
    }

    fn find(&self, key: Value) -> Option<usize> {
        let hash = u64::from(hash(&text(key)));
        let hash = self.size.map_or(hash, |size| hash % size);
        let at = self.places.partition_point(|(last, _)| *last < hash);
        self.places.get(at).map(|(_, endpoint)| *endpoint)
    }
}

/// Where a key stands in the ring: the first four bytes of its MD5, which
/// protects nothing here.
fn hash(key: &[u8]) -> u32 {
    let [a, b, c, d, ..] = Md5::digest(key).0;
    u32::from_be_bytes([a, b, c, d])
}

/// The key as JavaScript turns it into text, but lists and objects as JSON.
fn text(key: Value) -> Vec<u8> {
    match key {
        Value::String(text) => text.into_bytes(),
        other => {
            let mut out = BytesMut::new();
            // Only what no serializer can express fails; it is one key then.
            if json::to_writer(&other, &mut out).is_err() {
                out.clear();
            }
            out.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Payload;

    fn instance(options: serde_json::Value) -> Arc<dyn Strategy> {
        let Value::Object(options) = options.into() else { unreachable!() };
        Shard::from_options(options).unwrap().for_list(&StrategyHost::from_seed(1))
    }

    fn nodes(names: &[&str]) -> Vec<Endpoint> {
        names.iter().map(|name| Endpoint::new(format!("node-{name}"))).collect()
    }

    /// Where params with this `id` go: the letter of the node.
    fn place(shard: &dyn Strategy, nodes: &[Endpoint], version: u64, id: impl Into<Value>) -> char {
        let (params, meta) =
            (Payload::from(Value::from(Object::from([("id", id)]))), Object::new());
        let call = Selection::new(&params, &meta).with_version(version);
        let at = shard.select(nodes, &call).unwrap();
        nodes[at].node_id().chars().last().unwrap()
    }

    #[test]
    fn rings_are_those_of_the_reference() {
        let endpoints = nodes(&["c", "a", "b"]);
        let ring = Ring::new(&endpoints, 2, None, 0);
        // `a` is the second of the list, `b` the third, `c` the first.
        let places = [
            (715_827_882, 1),
            (1_431_655_765, 2),
            (2_147_483_648, 0),
            (2_863_311_530, 1),
            (3_579_139_413, 2),
            (4_294_967_296, 0),
        ];
        assert_eq!(ring.places, places);
        let ring = Ring::new(&endpoints, 2, Some(100), 0);
        assert_eq!(ring.places, [(16, 1), (33, 2), (50, 0), (66, 1), (83, 2), (100, 0)]);
    }

    #[test]
    fn keys_go_where_the_reference_sends_them() {
        let endpoints = nodes(&["a", "b", "c"]);
        let keys = ["1", "2", "42", "John", "user-100"];
        let shard = instance(json!({"shardKey": "id", "vnodes": 2}));
        let all = keys.map(|key| place(&*shard, &endpoints, 1, key));
        assert_eq!(all, ['b', 'b', 'a', 'c', 'c']);
        assert_eq!(place(&*shard, &endpoints, 1, 42), 'a');
        assert_eq!(place(&*shard, &endpoints, 1, 42.0), 'a');

        let shard = instance(json!({"shardKey": "id", "vnodes": 2, "ringSize": 100}));
        let all = keys.map(|key| place(&*shard, &endpoints, 1, key));
        assert_eq!(all, ['a', 'a', 'c', 'c', 'b']);
    }

    #[test]
    fn a_changed_list_makes_a_new_ring() {
        let shard = instance(json!({"shardKey": "id"}));
        let five = nodes(&["a", "b", "c", "d", "e"]);
        let four = nodes(&["a", "b", "c", "d"]);
        let before: Vec<_> = (0..1000).map(|id| place(&*shard, &five, 1, id)).collect();
        let after: Vec<_> = (0..1000).map(|id| place(&*shard, &four, 2, id)).collect();
        assert!(!after.contains(&'e'));
        assert_eq!(place(&*shard, &five, 3, 0), before[0]);
    }

    #[test]
    fn keys_come_from_params_metadata_or_a_function() {
        let endpoints = nodes(&["a", "b", "c", "d"]);
        let params = Payload::new(json!({"user": {"id": "42"}, "none": null}));
        let meta: Object = [("tenant", Value::from(json!({"id": "42"})))].into();
        let call = Selection::new(&params, &meta).with_version(1);
        let always = |shard: Shard| {
            let shard = shard.for_list(&StrategyHost::from_seed(5));
            let mut all: Vec<_> = (0..50).filter_map(|_| shard.select(&endpoints, &call)).collect();
            all.dedup();
            all
        };
        let by_function = always(Shard::by_fn(|_| Some("42".into())));
        assert_eq!(by_function.len(), 1);
        assert_eq!(always(Shard::by("user.id")), by_function);
        assert_eq!(always(Shard::by("#tenant.id")), by_function);
        for absent in ["user.name", "none", "#user", "#tenant.id.x"] {
            assert!(always(Shard::by(absent)).len() > 10, "{absent} is no key: any node");
        }
    }

    #[test]
    fn wrong_options_are_named() {
        let check = |options: serde_json::Value, expected: &str| {
            let Value::Object(options) = options.into() else { unreachable!() };
            let error = Shard::from_options(options).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        };
        check(json!({"shardkey": "id"}), "did you mean `shardKey`?");
        check(json!({"vnodes": 0}), "vnodes must be 1 to 10000, not 0");
        check(json!({"ringSize": 5_000_000_000_u64}), "ringSize must be at most 4294967296");
        check(json!({"shardKey": 5}), "expected a string");
    }
}
