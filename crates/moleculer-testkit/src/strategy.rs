//! What every balancing strategy must do, as a test program: [`run`].

use std::{collections::BTreeSet, process::ExitCode, sync::Arc, thread};

use libtest_mimic::{Arguments, Failed, Trial};
use moleculer_core::{
    NodeId, Object, Payload, Value,
    strategy::{Endpoint, Selection, Strategy, StrategyHost},
};

/// Runs the conformance suite as a test program, for one strategy or several.
///
/// Each case is a rule of the contract of [`Strategy`], so that a failure
/// says which one is broken. The program needs `harness = false` in
/// `Cargo.toml`:
///
/// ```no_run
/// // tests/strategies.rs
/// use std::{process::ExitCode, sync::Arc};
///
/// use moleculer_core::strategy::{Random, RoundRobin};
///
/// fn main() -> ExitCode {
///     moleculer_testkit::strategy::run([
///         Arc::new(RoundRobin::default()) as _,
///         Arc::new(Random::default()) as _,
///     ])
/// }
/// ```
///
/// A strategy that never leaves some endpoints out is not asked for: one that
/// always takes the nearest is as good. What it takes must be in the list.
pub fn run(strategies: impl IntoIterator<Item = Arc<dyn Strategy>>) -> ExitCode {
    let trials = strategies.into_iter().flat_map(|strategy| {
        CASES.map(|(name, case)| {
            let strategy = strategy.clone();
            Trial::test(format!("{}::{name}", strategy.name()), move || {
                case(&*strategy).map_err(Failed::from)
            })
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Nothing, or which rule is broken and how.
type Outcome = Result<(), String>;
type Case = (&'static str, fn(&dyn Strategy) -> Outcome);

const CASES: [Case; 7] = [
    ("takes_one_of_the_list", takes_one_of_the_list),
    ("stands_an_empty_list", stands_an_empty_list),
    ("stands_a_single_endpoint", stands_a_single_endpoint),
    ("follows_changes_of_the_list", follows_changes_of_the_list),
    ("repeats_itself_with_a_seed", repeats_itself_with_a_seed),
    ("lists_do_not_share_instances", lists_do_not_share_instances),
    ("chooses_from_several_threads", chooses_from_several_threads),
];

/// How often each rule is tried.
const TRIES: u64 = 500;
const SEED: u64 = 42;

fn takes_one_of_the_list(strategy: &dyn Strategy) -> Outcome {
    for (what, list) in lists(7) {
        let instance = strategy.for_list(&StrategyHost::from_seed(SEED));
        for call in 0..TRIES {
            take(&*instance, &list, call, 1).map_err(|error| format!("{what}: {error}"))?;
        }
    }
    Ok(())
}

/// Lists have no such length when they are asked; a strategy must not panic all the same.
fn stands_an_empty_list(strategy: &dyn Strategy) -> Outcome {
    let instance = strategy.for_list(&StrategyHost::from_seed(SEED));
    for call in 0..TRIES {
        if let Some(index) = select(&*instance, &[], call, 1) {
            return Err(format!("took index {index} of an empty list"));
        }
    }
    Ok(())
}

fn stands_a_single_endpoint(strategy: &dyn Strategy) -> Outcome {
    for (what, list) in lists(1) {
        let instance = strategy.for_list(&StrategyHost::from_seed(SEED));
        for call in 0..TRIES {
            take(&*instance, &list, call, 1).map_err(|error| format!("{what}: {error}"))?;
        }
    }
    Ok(())
}

/// A list that shrinks, grows, and is replaced: never is one taken that is gone.
fn follows_changes_of_the_list(strategy: &dyn Strategy) -> Outcome {
    let instance = strategy.for_list(&StrategyHost::from_seed(SEED));
    let all = endpoints(0..12);
    let mut version = 0;
    for round in 0..20 {
        for (from, to) in [(0, 12), (0, 3), (3, 12), (6, 8), (11, 12), (0, 7)] {
            version += 1;
            for call in 0..20 {
                take(&*instance, &all[from..to], round * 20 + call, version)
                    .map_err(|error| format!("with nodes {from} to {to}: {error}"))?;
            }
        }
    }
    Ok(())
}

fn repeats_itself_with_a_seed(strategy: &dyn Strategy) -> Outcome {
    let list = endpoints(0..9);
    let choices = || -> Vec<Option<usize>> {
        let instance = strategy.for_list(&StrategyHost::from_seed(SEED));
        (0..TRIES).map(|call| select(&*instance, &list, call, 1)).collect()
    };
    let (once, again) = (choices(), choices());
    match (0..once.len()).find(|&call| once[call] != again[call]) {
        None => Ok(()),
        Some(call) => Err(format!(
            "call {call} took {:?}, and {:?} in a second run with the same seed; take randomness \
             from the host",
            once[call], again[call]
        )),
    }
}

/// Calls of one list do not change what another list gets.
fn lists_do_not_share_instances(strategy: &dyn Strategy) -> Outcome {
    let list = endpoints(0..9);
    let choices = |disturb: bool| -> Vec<Option<usize>> {
        let host = StrategyHost::from_seed(SEED);
        let (one, other) = (strategy.for_list(&host), strategy.for_list(&host));
        (0..TRIES)
            .map(|call| {
                if disturb {
                    select(&*other, &list[..4], call, 2);
                }
                select(&*one, &list, call, 1)
            })
            .collect()
    };
    if choices(false) == choices(true) {
        return Ok(());
    }
    Err("calls of another list changed what this list got; `for_list` must make a new instance"
        .to_owned())
}

fn chooses_from_several_threads(strategy: &dyn Strategy) -> Outcome {
    let instance = strategy.for_list(&StrategyHost::from_seed(SEED));
    let list = endpoints(0..5);
    let work = |offset: u64| {
        // The version changes while others choose.
        (0..TRIES).try_for_each(|call| {
            let length = 1 + (call as usize + offset as usize) % list.len();
            take(&*instance, &list[..length], call, length as u64).map(drop)
        })
    };
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..4).map(|offset| scope.spawn(move || work(offset))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("it panicked".to_owned())))
    })
}

/// The node that is taken, which must be one of the list.
fn take(
    instance: &dyn Strategy,
    list: &[Endpoint],
    call: u64,
    version: u64,
) -> Result<NodeId, String> {
    match select(instance, list, call, version) {
        Some(index) if index < list.len() => Ok(list[index].node_id().clone()),
        Some(index) => Err(format!("took index {index} of {} endpoints", list.len())),
        None => Err(format!("took none of {} endpoints", list.len())),
    }
}

/// Every call has other params and metadata.
fn select(instance: &dyn Strategy, list: &[Endpoint], call: u64, version: u64) -> Option<usize> {
    let params = Payload::from(Value::from(Object::from([("id", call)])));
    let meta = Object::from([("user", format!("user-{call}"))]);
    instance.select(list, &Selection::new(&params, &meta).with_version(version))
}

/// Lists with loads and latencies that are unknown, known, and odd.
fn lists(length: usize) -> [(&'static str, Vec<Endpoint>); 3] {
    let odd = |(at, endpoint): (usize, Endpoint)| match at % 4 {
        0 => endpoint.with_cpu(f64::INFINITY),
        1 => endpoint.with_cpu(-1.0),
        2 => endpoint.with_cpu(f64::NAN).with_latency(std::time::Duration::MAX),
        _ => endpoint,
    };
    let bare = (0..length).map(|at| Endpoint::new(format!("node-{at}")));
    [
        ("nothing is known of the nodes", bare.collect()),
        ("all is known", endpoints(0..length)),
        ("odd loads", endpoints(0..length).into_iter().enumerate().map(odd).collect()),
    ]
}

fn endpoints(range: std::ops::Range<usize>) -> Vec<Endpoint> {
    let endpoint = |at: usize| {
        let latency = std::time::Duration::from_millis(7 * at as u64 % 50);
        Endpoint::new(format!("node-{at}")).with_cpu((at * 13 % 100) as f64).with_latency(latency)
    };
    range.map(endpoint).collect()
}

/// The nodes that `calls` calls go to, to see how a strategy spreads them.
///
/// ```
/// use moleculer_core::strategy::RoundRobin;
///
/// assert_eq!(moleculer_testkit::strategy::nodes_of(&RoundRobin::default(), 5, 10).len(), 5);
/// ```
pub fn nodes_of(strategy: &dyn Strategy, nodes: usize, calls: u64) -> BTreeSet<NodeId> {
    let instance = strategy.for_list(&StrategyHost::from_seed(SEED));
    let list = endpoints(0..nodes);
    let taken = (0..calls).filter_map(|call| select(&*instance, &list, call, 1));
    taken.filter_map(|at| list.get(at)).map(|endpoint| endpoint.node_id().clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks one rule.
    #[derive(Debug, Clone)]
    struct Broken(fn(usize) -> Option<usize>);

    impl Strategy for Broken {
        fn name(&self) -> &str {
            "Broken"
        }
        fn for_list(&self, _: &StrategyHost) -> Arc<dyn Strategy> {
            Arc::new(self.clone())
        }
        fn select(&self, endpoints: &[Endpoint], _: &Selection<'_>) -> Option<usize> {
            (self.0)(endpoints.len())
        }
    }

    fn failures(strategy: &dyn Strategy) -> Vec<&'static str> {
        CASES.iter().filter(|(_, case)| case(strategy).is_err()).map(|(name, _)| *name).collect()
    }

    #[test]
    fn broken_strategies_are_caught() {
        assert_eq!(failures(&Broken(|length| length.checked_sub(1))), [""; 0]);
        assert_eq!(failures(&Broken(|_| Some(0))), ["stands_an_empty_list"]);
        let past = failures(&Broken(|length| (length > 0).then_some(length)));
        assert!(past.contains(&"takes_one_of_the_list") && past.len() == 4, "{past:?}");
        let first_list = failures(&Broken(|length| (length > 0).then_some(5)));
        assert!(first_list.contains(&"follows_changes_of_the_list"), "{first_list:?}");
        static CALLS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let shared = failures(&Broken(|length| {
            CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed).checked_rem(length)
        }));
        assert_eq!(shared, ["repeats_itself_with_a_seed", "lists_do_not_share_instances"]);
    }
}
