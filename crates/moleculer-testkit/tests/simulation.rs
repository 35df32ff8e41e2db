//! Clusters under faults that a seed decides, in paused time.
//!
//! `MOLECULER_SIMULATION_SEED` runs one seed alone.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    iter::Sum,
    num::NonZero,
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use moleculer_core::{
    Action, BrokerBuilder, BrokerOptions, Context, Error, Event, ObjectStream, Params, Plugins,
    RandomSource, Result, Service, ServiceBroker, State,
};
use moleculer_testkit::network::{Faults, SimNetwork};
use serde_json::json;
use tokio::{
    task::{JoinHandle, LocalSet, spawn_local},
    time::{Instant, sleep, timeout},
};

const SEEDS: u64 = 120;
/// Steps of each storm.
const STEPS: usize = 150;
const IDS: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];
const HEARTBEAT: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(5);
/// How late a timer may be.
const TICK: Duration = Duration::from_millis(2);

#[test]
fn storms_leave_nothing_behind() {
    let seed = std::env::var("MOLECULER_SIMULATION_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds: Vec<u64> = seed.map_or((0..SEEDS).collect(), |seed| vec![seed]);
    let share = seeds.len().div_ceil(thread::available_parallelism().map_or(1, NonZero::get));
    let sums: Outcomes = thread::scope(|scope| {
        let shares = seeds.chunks(share).map(|seeds| scope.spawn(|| simulate_all(seeds)));
        let shares: Vec<_> = shares.collect();
        shares.into_iter().map(|share| share.join().expect("its seeds keep the rules")).sum()
    });
    // A storm in which nothing works, or nothing fails, shows nothing.
    let calls = sums.ok + sums.failed;
    assert!(sums.ok * 4 > calls && sums.failed * 100 > calls, "{sums:?}");
}

fn simulate_all(seeds: &[u64]) -> Outcomes {
    let simulate_one = |&seed: &u64| {
        let (trace, outcomes) = simulate(seed);
        check_goodbyes(seed, &trace);
        if seed % 10 == 0 {
            assert_same(seed, &trace, &simulate(seed).0);
        }
        outcomes
    };
    seeds.iter().map(simulate_one).sum()
}

/// How calls ended.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    ok: u64,
    failed: u64,
}

impl Sum for Outcomes {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let add = |a: Self, b: Self| Self { ok: a.ok + b.ok, failed: a.failed + b.failed };
        all.fold(Self::default(), add)
    }
}

fn simulate(seed: u64) -> (String, Outcomes) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let cluster = async {
        let mut cluster = Cluster::start(seed).await;
        cluster.storm().await;
        cluster.settle().await;
        cluster.check().await;
        cluster.end().await;
        let outcomes = cluster.outcomes.get();
        (cluster.network.trace(), outcomes)
    };
    LocalSet::new().block_on(&runtime, cluster)
}

struct Cluster {
    seed: u64,
    network: SimNetwork,
    random: Rc<RandomSource>,
    nodes: BTreeMap<&'static str, ServiceBroker>,
    /// How often a node of each id has started.
    generations: BTreeMap<&'static str, u64>,
    /// Brokers that stop in the background.
    ending: Vec<JoinHandle<()>>,
    work: RefCell<Vec<JoinHandle<()>>>,
    outcomes: Rc<Cell<Outcomes>>,
}

impl Cluster {
    async fn start(seed: u64) -> Self {
        let random = RandomSource::from_seed(seed);
        let count = 3 + random.below(3);
        let mut cluster = Self {
            seed,
            network: SimNetwork::new(seed),
            random: Rc::new(random),
            nodes: BTreeMap::new(),
            generations: BTreeMap::new(),
            ending: Vec::new(),
            work: RefCell::default(),
            outcomes: Rc::default(),
        };
        for id in &IDS[..count] {
            cluster.add(id).await;
        }
        cluster
    }

    async fn add(&mut self, id: &'static str) {
        let generation = self.generations.entry(id).or_default();
        *generation += 1;
        let options = json!({
            "nodeID": id,
            "heartbeatInterval": HEARTBEAT.as_secs(), "heartbeatTimeout": SILENCE.as_secs(),
            "registry": {"preferLocal": false},
            "tracking": {"enabled": true, "shutdownTimeout": 2000},
        });
        let broker = BrokerBuilder::new(Plugins::core())
            .options(BrokerOptions::from_value(options).unwrap())
            .seed(self.seed * 1000 + *generation)
            .transporter(self.network.transporter())
            .service(worker(&self.random))
            .service(Service::builder(format!("only-{id}")).action(Action::new("echo", echo)))
            .service(
                Service::builder(format!("generation-{id}-{generation}"))
                    .action(Action::new("echo", echo)),
            );
        // A node whose medium is away comes later.
        let broker = broker.build().unwrap();
        let start = broker.start();
        match timeout(Duration::from_secs(60), start).await {
            Ok(started) => started.unwrap(),
            Err(_) => panic!("seed {}: node {id} does not start", self.seed),
        }
        self.nodes.insert(id, broker);
    }

    /// Calls, events and streams, and something breaks now and then.
    async fn storm(&mut self) {
        for _ in 0..STEPS {
            sleep(self.ms(1, 120)).await;
            for _ in 0..1 + self.random.below(4) {
                self.something();
            }
            match self.random.below(40) {
                0..=2 => self.network.set_faults(self.faults()),
                3 => self.cut(),
                4 => self.network.heal(),
                5 => self.crash().await,
                6 => self.restart().await,
                7 => self.lose_medium(),
                _ => {}
            }
        }
    }

    fn faults(&self) -> Faults {
        let share = |most: usize| self.random.below(most + 1) as f64 / 100.0;
        let least = self.ms(0, 10);
        let faults = Faults::new().delay(least..least + self.ms(0, 80));
        let faults = faults.loss(share(15)).duplicates(share(20));
        if self.random.below(2) == 0 { faults.reorders() } else { faults }
    }

    fn cut(&self) {
        let ids: Vec<&str> = self.nodes.keys().copied().collect();
        let at = 1 + self.random.below(ids.len() - 1);
        self.network.partition(&[&ids[..at], &ids[at..]]);
    }

    fn lose_medium(&self) {
        let id = self.one();
        self.network.set_away(id, true);
        let (network, time) = (self.network.clone(), self.ms(100, 8000));
        self.work.borrow_mut().push(spawn_local(async move {
            sleep(time).await;
            network.set_away(id, false);
        }));
    }

    async fn crash(&mut self) {
        let id = self.one();
        self.network.set_away(id, false);
        self.network.crash(id);
        self.put_away(id);
        self.add(id).await;
    }

    async fn restart(&mut self) {
        let id = self.one();
        self.network.set_away(id, false);
        self.nodes[id].stop().await.unwrap();
        self.put_away(id);
        self.add(id).await;
    }

    fn put_away(&mut self, id: &str) {
        let broker = self.nodes.remove(id).unwrap();
        self.ending.push(spawn_local(async move {
            broker.stop().await.unwrap();
            assert_eq!(broker.pending_requests(), 0);
            assert_eq!(broker.running_tasks(), 0);
        }));
    }

    /// A call, an event or a stream, in a task of its own.
    fn something(&self) {
        let broker = self.nodes[self.one()].clone();
        let other = self.one();
        let limit = self.ms(50, 2000);
        let (random, outcomes) = (Rc::clone(&self.random), Rc::clone(&self.outcomes));
        let (kind, seed) = (random.below(10), self.seed);
        let task = spawn_local(async move {
            let started = Instant::now();
            let result = match kind {
                0..=3 => call(&broker, "work.slow", limit, random.below(1000) as u64).await,
                4..=5 => call(&broker, &format!("only-{other}.echo"), limit, 7).await,
                6 => upload(&broker, limit, random.below(30) as u64).await,
                7 => return download(&broker, limit, random.below(30) as u64).await,
                8 => broker.emit("storm.emitted", 1).await,
                _ => broker.broadcast("storm.broadcast", 1).await,
            };
            let took = started.elapsed();
            let late = kind < 7 && took > limit + TICK;
            assert!(!late, "seed {seed}: a call of kind {kind} took {took:?} of {limit:?}");
            let mut sums = outcomes.get();
            if result.is_ok() {
                sums.ok += 1
            } else {
                sums.failed += 1
            }
            outcomes.set(sums);
        });
        self.work.borrow_mut().push(task);
    }

    /// No faults, until all should know all.
    async fn settle(&mut self) {
        self.network.heal();
        for id in IDS {
            self.network.set_away(id, false);
        }
        for task in std::mem::take(&mut self.ending) {
            task.await.unwrap();
        }
        let work = self.work.take();
        for task in work {
            // Each ends by its own deadline.
            timeout(Duration::from_secs(60), task).await.expect("work that hangs").unwrap();
        }
        sleep(2 * SILENCE + 3 * HEARTBEAT).await;
        // What was abandoned is remembered for a while.
        sleep(Duration::from_secs(120)).await;
    }

    async fn check(&self) {
        let seed = self.seed;
        let alive: BTreeSet<_> = self.nodes.keys().copied().collect();
        for (id, broker) in &self.nodes {
            assert_eq!(broker.pending_requests(), 0, "seed {seed}: {id} waits for responses");
            assert_eq!(broker.incoming_streams(), 0, "seed {seed}: {id} waits for streams");
            for other in &alive {
                let only = call(broker, &format!("only-{other}.echo"), SILENCE, 1).await;
                assert!(only.is_ok(), "seed {seed}: {id} does not reach {other}: {only:?}");
                for generation in 1..=self.generations[other] {
                    let action = format!("generation-{other}-{generation}.echo");
                    let there = call(broker, &action, SILENCE, 1).await;
                    let last = generation == self.generations[other];
                    assert_eq!(there.is_ok(), last, "seed {seed}: {id} calls {action}: {there:?}");
                }
            }
        }
    }

    async fn end(&mut self) {
        for (id, broker) in std::mem::take(&mut self.nodes) {
            broker.stop().await.unwrap();
            assert_eq!(broker.running_tasks(), 0, "seed {}: {id}", self.seed);
        }
    }

    fn one(&self) -> &'static str {
        self.nodes.keys().nth(self.random.below(self.nodes.len())).unwrap()
    }

    fn ms(&self, least: usize, most: usize) -> Duration {
        Duration::from_millis((least + self.random.below(most - least + 1)) as u64)
    }
}

async fn call(broker: &ServiceBroker, action: &str, limit: Duration, n: u64) -> Result<()> {
    let answer: u64 = broker.call(action, n).timeout(limit).await?;
    assert_eq!(answer, n, "another call's answer");
    Ok(())
}

async fn upload(broker: &ServiceBroker, limit: Duration, count: u64) -> Result<()> {
    let items = ObjectStream::new(stream::iter((0..count).map(Ok::<_, Error>)));
    let sum: u64 = broker.call("work.sum", ()).stream(items).timeout(limit).await?;
    assert_eq!(sum, count * count.saturating_sub(1) / 2, "the stream arrived changed");
    Ok(())
}

/// What comes of a stream is its beginning, in order; it may break off.
async fn download(broker: &ServiceBroker, limit: Duration, count: u64) {
    let call = broker.call::<ObjectStream<u64>>("work.count", count).timeout(limit);
    let Ok(mut items) = call.await else { return };
    let read = async {
        let mut next = 0;
        while let Some(Ok(item)) = items.next().await {
            assert_eq!(item, next, "an item at the wrong place");
            next += 1;
        }
    };
    // A lost item is waited for.
    timeout(limit, read).await.ok();
}

async fn echo(Params(n): Params<u64>) -> Result<u64> {
    Ok(n)
}

async fn slow(Params(n): Params<u64>, State(random): State<Arc<RandomSource>>) -> Result<u64> {
    sleep(Duration::from_millis(random.below(400) as u64)).await;
    Ok(n)
}

async fn sum(mut items: ObjectStream<u64>) -> Result<u64> {
    let mut sum = 0;
    while let Some(item) = items.next().await {
        sum += item?;
    }
    Ok(sum)
}

async fn count(Params(n): Params<u64>) -> Result<ObjectStream<u64>> {
    Ok(ObjectStream::new(stream::iter((0..n).map(Ok::<_, Error>))))
}

async fn heard(_: Context) -> Result<()> {
    sleep(Duration::from_millis(5)).await;
    Ok(())
}

fn worker(random: &RandomSource) -> Service {
    Service::builder("work")
        .with_state(Arc::new(random.fork()))
        .action(Action::new("slow", slow))
        .action(Action::new("sum", sum))
        .action(Action::new("count", count))
        .event(Event::new("storm.*", heard))
        .build()
}

/// Nobody calls a node between its goodbye and its next word.
fn check_goodbyes(seed: u64, trace: &str) {
    let mut gone = BTreeSet::new();
    for line in trace.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, me, way, other, kind] = words[..] else { panic!("{line}") };
        match (way, kind) {
            ("<", "DISCONNECT") => drop(gone.insert((me, other))),
            ("<", "INFO") => drop(gone.remove(&(me, other))),
            (">", "REQ") => {
                assert!(!gone.contains(&(me, other)), "seed {seed}: after a goodbye: {line}");
            }
            _ => {}
        }
    }
}

fn assert_same(seed: u64, one: &str, other: &str) {
    let differs = one.lines().zip(other.lines()).enumerate().find(|(_, (a, b))| a != b);
    if let Some((line, (a, b))) = differs {
        panic!("seed {seed}: two runs differ in line {line}: '{a}' and '{b}'");
    }
    assert_eq!(one.len(), other.len(), "seed {seed}: one run is longer");
}
