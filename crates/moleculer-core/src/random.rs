//! Randomness that a seed decides: [`RandomSource`].

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use moleculer_protocol::{NodeId, PacketId};

/// Random numbers for balancing, ids and timers; not for secrets.
///
/// All randomness of a broker comes from one source, so that a broker with a
/// [seed](crate::BrokerBuilder::seed) behaves the same in every run. A clone
/// would repeat its origin's numbers, so there is [`fork`](Self::fork) instead.
///
/// ```
/// use moleculer_core::RandomSource;
///
/// let (one, two) = (RandomSource::from_seed(7), RandomSource::from_seed(7));
/// assert_eq!(one.below(100), two.below(100));
/// ```
#[derive(Debug)]
pub struct RandomSource(AtomicU64);

impl Default for RandomSource {
    /// A source that nobody can repeat.
    fn default() -> Self {
        Self::from_seed(uuid::Uuid::new_v4().as_u64_pair().1)
    }
}

/// The step of SplitMix64: odd, and far from any pattern.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl RandomSource {
    /// The source of a seed.
    pub const fn from_seed(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The source of one node: nodes that share a seed differ nevertheless.
    pub(crate) fn for_node(seed: u64, node: &NodeId) -> Self {
        let seed = node.bytes().fold(mix(seed), |seed, byte| mix(seed ^ u64::from(byte)));
        Self::from_seed(seed)
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        mix(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }

    /// The next number below `limit`; 0 when the limit is 0.
    pub fn below(&self, limit: usize) -> usize {
        // The high half of the product is below the limit.
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    /// A source of its own, which this one decides.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::from_seed(self.next())
    }

    /// A random UUID, as text.
    pub(crate) fn uuid(&self) -> String {
        uuid_from(self.next(), self.next()).to_string()
    }
}

/// Makes ids with the form of a random UUID: a random start, a counter, and
/// a mixing function that maps different counts to different ids.
pub(crate) struct IdSource {
    seed: [u64; 2],
    count: AtomicU64,
    /// The user's generator takes the place of all that.
    custom: Option<UidGenerator>,
}

/// What [`BrokerBuilder::uid_generator`](crate::BrokerBuilder::uid_generator) sets.
pub(crate) type UidGenerator = Arc<dyn Fn() -> String + Send + Sync>;

impl IdSource {
    pub(crate) fn new(random: &RandomSource, custom: Option<UidGenerator>) -> Self {
        Self { seed: [random.next(), random.next()], count: AtomicU64::new(0), custom }
    }

    pub(crate) fn next(&self) -> PacketId {
        if let Some(generate) = &self.custom {
            return PacketId::from(generate().as_str());
        }
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let high = mix(self.seed[0].wrapping_add(count));
        let low = mix(self.seed[1] ^ high.rotate_left(32)).wrapping_add(count);
        PacketId::from_uuid_bytes(*uuid_from(high, low).as_bytes())
    }
}

fn uuid_from(high: u64, low: u64) -> uuid::Uuid {
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    *uuid::Builder::from_random_bytes(bytes).as_uuid()
}

/// The finalizer of SplitMix64: a bijection that flips half of the bits.
const fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_and_look_like_uuids() {
        let ids = IdSource::new(&RandomSource::default(), None);
        let all: HashSet<String> = (0..10_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'4'));
    }

    #[test]
    fn a_seed_decides_and_nodes_differ() {
        let ids = |node: &str| {
            let source = RandomSource::for_node(1, &node.into());
            [source.uuid(), IdSource::new(&source, None).next().to_string()]
        };
        assert_eq!(ids("a"), ids("a"));
        assert_ne!(ids("a"), ids("b"));
    }

    #[test]
    fn numbers_below_a_limit_are_spread() {
        let source = RandomSource::from_seed(3);
        let mut counts = [0; 10];
        (0..10_000).for_each(|_| counts[source.below(10)] += 1);
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
        assert_eq!(source.below(0), 0);
    }
}
