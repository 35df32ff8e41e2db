//! The table of features in the facade's README, from its Cargo.toml.

use std::{fs, io, path::PathBuf};

use crate::process::root;

const BEGIN: &str = "<!-- features: written by `cargo xtask features` -->";
const END: &str = "<!-- end of features -->";

/// Rewrites the table, or with `check` says whether it would change.
///
/// # Errors
///
/// What is wrong, in words.
pub(crate) fn run(check: bool) -> Result<String, String> {
    let manifest = read(&path("Cargo.toml"))?;
    let readme = read(&path("README.md"))?;
    let updated = insert(&readme, &table(&features(&manifest)?))?;
    if updated == readme {
        return Ok("the table of features is up to date".to_owned());
    }
    if check {
        return Err("the table of features in crates/moleculer/README.md is stale; \
                    run `cargo xtask features`"
            .to_owned());
    }
    fs::write(path("README.md"), updated).map_err(|error| error.to_string())?;
    Ok("the table of features is written".to_owned())
}

fn path(file: &str) -> PathBuf {
    root().join("crates/moleculer").join(file)
}

fn read(path: &PathBuf) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error: io::Error| format!("{}: {error}", path.display()))
}

#[derive(Debug, PartialEq)]
struct Feature {
    name: String,
    default: bool,
    adds: String,
}

/// The features but for `default`, each with the comment above it.
fn features(manifest: &str) -> Result<Vec<Feature>, String> {
    let section = manifest.split_once("\n[features]\n").ok_or("there is no [features]")?.1;
    let section = section.split("\n[").next().unwrap_or_default();
    let mut defaults = "";
    let mut features: Vec<Feature> = Vec::new();
    let mut comment = None;
    for line in section.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            comment = Some(text.to_owned());
        } else if let Some(list) = line.strip_prefix("default = ") {
            defaults = list;
        } else if let Some((name, _)) = line.split_once(" = ") {
            let adds = comment.take();
            let adds = adds.ok_or_else(|| format!("the feature `{name}` has no comment"))?;
            features.push(Feature { name: name.to_owned(), default: false, adds });
        }
    }
    for feature in &mut features {
        feature.default = defaults.contains(&format!("\"{}\"", feature.name));
    }
    Ok(features)
}

fn table(features: &[Feature]) -> String {
    let rows = features.iter().map(|feature| {
        let default = if feature.default { "yes" } else { "no" };
        format!("| `{}` | {default} | {} |\n", feature.name, feature.adds)
    });
    ["| feature | default | what it adds |\n| --- | --- | --- |\n".to_owned()]
        .into_iter()
        .chain(rows)
        .collect()
}

fn insert(readme: &str, table: &str) -> Result<String, String> {
    let parts = readme.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) =
        parts.ok_or_else(|| format!("README.md needs the lines `{BEGIN}` and `{END}`"))?;
    Ok(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[package]\n\n[features]\ndefault = [\"a\"]\n# adds a\na = []\n\
                            # all\nfull = [\n    \"a\",\n]\n\n[dependencies]\nb = \"1\"\n";

    #[test]
    fn the_table_follows_the_manifest() {
        let table = table(&features(MANIFEST).expect("valid"));
        assert!(table.ends_with("| `a` | yes | adds a |\n| `full` | no | all |\n"), "{table}");
        let readme = format!("top\n{BEGIN}\nold\n{END}\nbottom\n");
        let updated = insert(&readme, &table).expect("it has the lines");
        assert_eq!(updated, format!("top\n{BEGIN}\n\n{table}\n{END}\nbottom\n"));
        assert_eq!(insert(&updated, &table), Ok(updated));
    }

    #[test]
    fn what_is_missing_is_said() {
        let bare = "\n[features]\na = []\n";
        assert_eq!(features(bare), Err("the feature `a` has no comment".to_owned()));
        assert!(features("").is_err());
        assert!(insert("no lines", "").is_err());
    }

    #[test]
    fn the_readme_is_up_to_date() {
        run(true).expect("it is");
    }
}
