//! Cachers that break one rule each, and the case that says so.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use moleculer_core::{
    Error, Payload, Result,
    cacher::{
        CacheOptions, Cached, Cacher, CacherCapabilities, CacherHost, DynCacher, KeyLock, matches,
    },
};
use tokio::time::{Instant, sleep};

use super::{Bench, Subject, cases, run_case};

/// What is wrong with a cacher.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    Nothing,
    ChangesValues,
    KeepsTheFirst,
    NeverExpires,
    ListsTheExpired,
    CountsNoTime,
    ReadsDamaged,
    TrimsKeys,
    DeletesByPrefix,
    DropsTheUsed,
    MixesNamespaces,
    ForgetsUnderLoad,
    LeavesATask,
    PatternsAreKeys,
    StarsStopAtDots,
    NoStars,
    CleansNeighbours,
    NoQuestionMarks,
    BackslashEscapes,
    FirstPatternOnly,
    NoLocks,
    LocksInReverse,
    TrialsWait,
    KeepsWhatWaits,
    LocksOfItsOwn,
    LocksForEver,
}

use Defect::*;

/// A sound store that many share, but for its defect.
#[derive(Debug, Default)]
struct World {
    entries: BTreeMap<(String, String), (Payload, Option<Instant>, u64)>,
    /// Who holds a lock, and until when; then those who wait.
    locks: HashMap<String, (Vec<u64>, Option<Instant>)>,
    clock: u64,
}

type Shared = Arc<Mutex<World>>;

#[derive(Debug)]
struct Broken {
    world: Shared,
    own: Shared,
    defect: Defect,
    max: Option<u64>,
    options: CacheOptions,
    host: Mutex<Option<CacherHost>>,
}

fn open(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().expect("nobody panics with it")
}

impl Broken {
    fn at(&self, key: &str) -> Result<(String, String)> {
        let host = self.host.lock().expect("nobody panics with it");
        let host = host.as_ref().ok_or_else(|| Error::internal("closed"))?;
        let namespace = if self.defect == MixesNamespaces { "" } else { host.namespace() };
        let key = if self.defect == TrimsKeys { key.trim() } else { key };
        Ok((namespace.to_owned(), key.to_owned()))
    }

    fn read(&self, key: &str) -> Result<Option<(Payload, Option<Instant>)>> {
        let at = self.at(key)?;
        let mut world = open(&self.world);
        world.clock += 1;
        let clock = world.clock;
        let Some((value, end, used)) = world.entries.get_mut(&at) else {
            return Ok(None);
        };
        if self.defect != DropsTheUsed {
            *used = clock;
        }
        let over = end.is_some_and(|end| end <= Instant::now()) && self.defect != NeverExpires;
        let damaged = *value == Payload::new("damaged") && self.defect != ReadsDamaged;
        Ok((!over && !damaged).then(|| (value.clone(), *end)))
    }

    fn lock_table(&self) -> &Shared {
        if self.defect == LocksOfItsOwn { &self.own } else { &self.world }
    }

    fn give_back(&self, key: String, ticket: u64) -> KeyLock {
        let table = self.lock_table().clone();
        KeyLock::new(move || leave(&table, &key, ticket))
    }
}

fn leave(table: &Shared, key: &str, ticket: u64) {
    let mut world = open(table);
    if let Some((queue, end)) = world.locks.get_mut(key) {
        if queue.first() == Some(&ticket) {
            *end = None;
        }
        queue.retain(|other| *other != ticket);
    }
}

/// Takes a place in the queue, and gives it back when it is dropped.
struct Ticket<'a>(&'a Shared, String, u64);

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        leave(self.0, &self.1, self.2);
    }
}

impl Cacher for Broken {
    fn name(&self) -> &'static str {
        "Broken"
    }
    fn capabilities(&self) -> CacherCapabilities {
        let shared = CacherCapabilities::shared();
        self.max.map_or(shared, |max| shared.with_max(max))
    }
    fn options(&self) -> &CacheOptions {
        &self.options
    }
    async fn connect(&self, host: CacherHost) -> Result<()> {
        if self.defect == LeavesATask {
            host.spawn(std::future::pending());
        }
        *self.host.lock().expect("nobody panics with it") = Some(host);
        Ok(())
    }
    fn connected(&self) -> bool {
        self.host.lock().expect("nobody panics with it").is_some()
    }
    async fn get(&self, key: &str) -> Result<Option<Payload>> {
        tokio::task::yield_now().await;
        Ok(self.read(key)?.map(|(value, _)| value))
    }
    async fn get_with_ttl(&self, key: &str) -> Result<Option<Cached>> {
        Ok(self.read(key)?.map(|(value, end)| {
            let left = end.map(|end| end.duration_since(Instant::now()));
            Cached::new(value, left.filter(|_| self.defect != CountsNoTime))
        }))
    }
    async fn set(&self, key: &str, value: Payload, ttl: Option<Duration>) -> Result<()> {
        let at = self.at(key)?;
        let mut world = open(&self.world);
        world.clock += 1;
        let clock = world.clock;
        if self.defect == KeepsTheFirst && world.entries.contains_key(&at) {
            return Ok(());
        }
        let falsy = self.defect == ChangesValues && value == Payload::new(false);
        let value = if falsy { Payload::null() } else { value };
        if self.defect == ForgetsUnderLoad && world.entries.len() > 20 {
            world.entries.clear();
        }
        world.entries.insert(at, (value, ttl.map(|ttl| Instant::now() + ttl), clock));
        while self.max.is_some_and(|max| world.entries.len() as u64 > max) {
            let oldest = world.entries.iter().min_by_key(|(_, (_, _, used))| *used);
            let oldest = oldest.map(|(at, _)| at.clone()).expect("there are some");
            world.entries.remove(&oldest);
        }
        Ok(())
    }
    async fn del(&self, keys: &[&str]) -> Result<()> {
        for key in keys {
            let at = self.at(key)?;
            let prefix = self.defect == DeletesByPrefix;
            let goes = |other: &(String, String)| {
                *other == at || prefix && other.0 == at.0 && other.1.starts_with(&at.1)
            };
            open(&self.world).entries.retain(|other, _| !goes(other));
        }
        Ok(())
    }
    async fn clean(&self, patterns: &[&str]) -> Result<()> {
        let here = self.at("")?.0;
        let few = if self.defect == FirstPatternOnly { 1 } else { patterns.len() };
        let fits = |key: &str| {
            patterns.iter().take(few).any(|pattern| match self.defect {
                PatternsAreKeys => key.starts_with(pattern),
                StarsStopAtDots => matches(key, &pattern.replace("**", "*")),
                NoStars => key == *pattern || pattern.contains("**") && matches(key, pattern),
                NoQuestionMarks => !pattern.contains('?') && matches(key, pattern),
                BackslashEscapes => matches(key, &pattern.replace('\\', "")),
                _ => matches(key, pattern),
            })
        };
        let neighbours = self.defect == CleansNeighbours;
        let goes = |at: &(String, String)| {
            fits(&at.1) && (at.0 == here || neighbours && at.0.starts_with("suite-"))
        };
        open(&self.world).entries.retain(|at, _| !goes(at));
        Ok(())
    }
    async fn keys(&self) -> Result<Vec<String>> {
        let here = self.at("")?.0;
        let world = open(&self.world);
        let live = world.entries.iter().filter(|((namespace, _), (_, end, _))| {
            *namespace == here
                && (self.defect == ListsTheExpired || end.is_none_or(|end| end > Instant::now()))
        });
        Ok(live.map(|((_, key), _)| key.clone()).collect())
    }
    async fn lock(&self, key: &str, ttl: Duration) -> Result<KeyLock> {
        let (key, table) = (format!("{:?}", self.at(key)?), self.lock_table());
        if self.defect == NoLocks {
            return Ok(KeyLock::new(|| ()));
        }
        let ticket = {
            let mut world = open(table);
            world.clock += 1;
            let ticket = world.clock;
            let (queue, _) = world.locks.entry(key.clone()).or_default();
            let at = if self.defect == LocksInReverse { queue.len().min(1) } else { queue.len() };
            queue.insert(at, ticket);
            ticket
        };
        let place = Ticket(table, key.clone(), ticket);
        loop {
            {
                let mut world = open(table);
                let (queue, end) = world.locks.get_mut(&key).expect("we wait for it");
                if end.is_some_and(|end| end <= Instant::now()) && self.defect != LocksForEver {
                    queue.remove(0);
                    *end = None;
                }
                if queue.first() == Some(&ticket) {
                    *end = Some(Instant::now() + ttl);
                    break;
                }
            }
            if self.defect == KeepsWhatWaits {
                std::mem::forget(Ticket(table, key.clone(), ticket));
                std::mem::forget(place);
                sleep(Duration::from_secs(3600)).await;
                return Err(Error::internal("nobody waits so long"));
            }
            sleep(Duration::from_millis(1)).await;
        }
        std::mem::forget(place);
        Ok(self.give_back(key, ticket))
    }
    async fn try_lock(&self, key: &str, ttl: Duration) -> Result<Option<KeyLock>> {
        let name = format!("{:?}", self.at(key)?);
        let taken = open(self.lock_table()).locks.get(&name).is_some_and(|(q, _)| !q.is_empty());
        if taken && self.defect != TrialsWait {
            return Ok(None);
        }
        self.lock(key, ttl).await.map(Some)
    }
    async fn close(&self) -> Result<()> {
        *self.host.lock().expect("nobody panics with it") = None;
        Ok(())
    }
}

fn subject(defect: Defect, max: Option<u64>) -> Arc<Subject> {
    let world = Shared::default();
    let damaged = world.clone();
    let subject = Subject::new(move || {
        Arc::new(Broken {
            world: world.clone(),
            own: Shared::default(),
            defect,
            max,
            options: CacheOptions::default(),
            host: Mutex::default(),
        }) as Arc<dyn DynCacher>
    });
    Arc::new(subject.with_damage(move |namespace, key| {
        let entry = (Payload::new("damaged"), None, 0);
        open(&damaged).entries.insert((namespace, key), entry);
        Box::pin(std::future::ready(()))
    }))
}

fn outcome(defect: Defect, name: &str) -> Result<(), String> {
    let max = name.ends_with("make_room").then_some(10);
    let case = cases().into_iter().find(|(rule, ..)| *rule == name);
    run_case(&subject(defect, max), case.expect("a case of this name").2)
}

/// A case, a cacher that breaks its rule, and what the case says of it.
const TABLE: &[(&str, Defect, &str)] = &[
    ("entries::what_is_set_is_found", ChangesValues, "set false, found Some(null)"),
    ("entries::a_later_one_replaces_an_earlier", KeepsTheFirst, "found"),
    ("entries::they_expire", NeverExpires, "after the end"),
    ("entries::they_expire", ListsTheExpired, "lists one after its end"),
    ("entries::what_is_left_of_their_time_is_known", CountsNoTime, "there is None left"),
    ("entries::unreadable_ones_are_missing", ReadsDamaged, "damaged bytes were read"),
    ("entries::keys_are_any_text", TrimsKeys, "instead of"),
    ("entries::deleted_ones_are_gone", DeletesByPrefix, "'ab': found None"),
    ("entries::the_least_recently_used_make_room", DropsTheUsed, "that was used had to go"),
    ("entries::others_see_those_of_a_shared_store", MixesNamespaces, "another namespace"),
    ("entries::many_at_the_same_time", ForgetsUnderLoad, "found None"),
    ("entries::nothing_runs_after_the_close", LeavesATask, "in vain for the end of all tasks"),
    ("patterns::a_key_is_a_pattern", PatternsAreKeys, "has to take"),
    ("patterns::one_star_takes_a_level", NoStars, "has to take"),
    ("patterns::two_stars_take_everything_below", StarsStopAtDots, "has to take"),
    ("patterns::two_stars_alone_take_all", CleansNeighbours, "another namespace"),
    ("patterns::a_question_mark_takes_a_character", NoQuestionMarks, "has to take"),
    ("patterns::other_characters_mean_themselves", BackslashEscapes, "has to take"),
    ("patterns::several_take_what_fits_any", FirstPatternOnly, "has to take"),
    ("locks::one_holds_it_at_a_time", NoLocks, "others hold the lock as well"),
    ("locks::they_are_given_in_order", LocksInReverse, "got it in the order"),
    ("locks::a_trial_does_not_wait", TrialsWait, "a trial waited"),
    ("locks::who_gives_up_leaves_nothing", KeepsWhatWaits, "cannot be had"),
    ("locks::all_of_a_shared_store_have_one", LocksOfItsOwn, "gets the lock as well"),
    ("locks::those_of_the_dead_end", LocksForEver, "never ends"),
];

#[test]
fn each_case_finds_who_breaks_its_rule() {
    let runs = TABLE.iter().map(|&(case, defect, message)| {
        std::thread::spawn(move || {
            let error = outcome(defect, case).expect_err(case);
            assert!(error.contains(message), "{case} says {error}");
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.join().expect("the case finds it");
    }
    for (case, ..) in cases() {
        assert!(TABLE.iter().any(|(tested, ..)| *tested == case), "{case} has never failed");
    }
}

#[test]
fn a_sound_one_passes_all() {
    let runs = cases().into_iter().map(|(case, ..)| {
        std::thread::spawn(move || assert_eq!(outcome(Nothing, case), Ok(()), "{case}"))
    });
    for run in runs.collect::<Vec<_>>() {
        run.join().expect("the case passes");
    }
}

#[test]
fn each_case_has_a_namespace_of_its_own() {
    let subject = subject(Nothing, None);
    assert_ne!(Bench::new(&subject).namespace, Bench::new(&subject).namespace);
}
