//! What cleaning takes away.

use std::sync::Arc;

use moleculer_core::cacher::DynCacher;

use super::{
    Bench, Need, Outcome, Row, ensure,
    entries::{get, set},
    told,
};

pub(super) const CASES: &[Row] = &[
    ("patterns::a_key_is_a_pattern", Need::Nothing, |bench| Box::pin(plain(bench))),
    ("patterns::one_star_takes_a_level", Need::Nothing, |bench| Box::pin(level(bench))),
    ("patterns::two_stars_take_everything_below", Need::Nothing, |bench| Box::pin(below(bench))),
    ("patterns::two_stars_alone_take_all", Need::Nothing, |bench| Box::pin(all(bench))),
    ("patterns::a_question_mark_takes_a_character", Need::Nothing, |bench| {
        Box::pin(character(bench))
    }),
    ("patterns::other_characters_mean_themselves", Need::Nothing, |bench| Box::pin(literal(bench))),
    ("patterns::several_take_what_fits_any", Need::Nothing, |bench| Box::pin(several(bench))),
];

const KEYS: &[&str] = &["posts.get:1", "posts.find", "posts2.get:1", "users.get:1", "posts"];

/// Cleans, and looks which keys are gone.
async fn check(bench: &Bench, keys: &[&str], patterns: &[&str], expected: &[&str]) -> Outcome {
    let cacher = bench.connect().await?;
    let gone = clean(&cacher, keys, patterns).await?;
    ensure!(gone == expected, "{patterns:?} has to take {expected:?}, but took {gone:?}");
    Ok(())
}

async fn clean<'a>(
    cacher: &Arc<dyn DynCacher>,
    keys: &[&'a str],
    patterns: &[&str],
) -> Outcome<Vec<&'a str>> {
    for key in keys {
        set(cacher, key, 1).await?;
    }
    told(cacher.clean_dyn(patterns).await)?;
    let mut gone = Vec::new();
    for key in keys {
        if get(cacher, key).await?.is_none() {
            gone.push(*key);
        }
    }
    Ok(gone)
}

async fn plain(bench: Bench) -> Outcome {
    check(&bench, KEYS, &["posts"], &["posts"]).await
}

async fn level(bench: Bench) -> Outcome {
    check(&bench, KEYS, &["posts.*"], &["posts.get:1", "posts.find"]).await?;
    check(&bench, &["ab", "abc", "b", "cab"], &["ab*"], &["ab", "abc"]).await
}

async fn below(bench: Bench) -> Outcome {
    let keys = [KEYS, &["posts.get:1.5|a.b", "users.get:posts.x"]].concat();
    check(&bench, &keys, &["posts.**"], &["posts.get:1", "posts.find", "posts.get:1.5|a.b"])
        .await?;
    check(&bench, &keys, &["**:1"], &["posts.get:1", "posts2.get:1", "users.get:1"]).await
}

async fn all(bench: Bench) -> Outcome {
    let neighbour = bench.connect_in(&bench.neighbour).await?;
    set(&neighbour, "posts.find", 1).await?;
    // More than a server looks through at a time.
    let many: Vec<String> = (0..1500).map(|index| format!("many.{index}.of.them")).collect();
    let keys: Vec<&str> = KEYS.iter().copied().chain(many.iter().map(String::as_str)).collect();
    let max = neighbour.capabilities().max.map_or(usize::MAX, |max| max as usize);
    check(&bench, &keys[..keys.len().min(max / 2)], &["**"], &keys[..keys.len().min(max / 2)])
        .await?;
    let stays = get(&neighbour, "posts.find").await?;
    ensure!(stays.is_some(), "cleaning took an entry of another namespace");
    Ok(())
}

async fn character(bench: Bench) -> Outcome {
    check(&bench, KEYS, &["posts?get:1"], &["posts.get:1"]).await?;
    check(&bench, KEYS, &["?????"], &["posts"]).await
}

async fn literal(bench: Bench) -> Outcome {
    let keys = ["a:[1|2]", "a:1", "a:[x", "a:\\", "a:\\*", "b:{1}", "b:1"];
    check(&bench, &keys, &["a:[1|2]"], &["a:[1|2]"]).await?;
    check(&bench, &keys, &["a:[*"], &["a:[1|2]", "a:[x"]).await?;
    check(&bench, &keys, &["a:\\*"], &["a:\\", "a:\\*"]).await?;
    check(&bench, &keys, &["b:{*"], &["b:{1}"]).await
}

async fn several(bench: Bench) -> Outcome {
    let patterns = ["users.**", "posts.find", "none*"];
    check(&bench, KEYS, &patterns, &["posts.find", "users.get:1"]).await?;
    check(&bench, KEYS, &[], &[]).await
}
