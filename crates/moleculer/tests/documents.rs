//! What the documents of this crate say is so.

use std::collections::BTreeSet;

use moleculer::{BrokerOptions, Object, Value};

/// Every option stands in `docs/configuration.md`, with its variable and its
/// default, and nothing else does.
#[test]
fn the_reference_of_options_is_complete() {
    let document = include_str!("../../../docs/configuration.md");
    let options = document.split_once("## Options").expect("its part").1;
    let (options, others) = options.split_once("## Taken with a warning").expect("two parts");
    let (ignored, unsupported) = others.split_once("## Not supported yet").expect("three parts");
    let mut known = BTreeSet::new();
    leaves(&BrokerOptions::keys(), "", &mut known);
    let mut missing = Vec::new();
    for (key, default) in &known {
        let is_in = |part: &str| part.contains(&format!("`{key}`"));
        let variable = key.replace('.', "_").to_uppercase();
        let row = format!("| `{key}` | `{variable}` | {default} |");
        if !options.contains(&row) && !is_in(ignored) && !is_in(unsupported) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "docs/configuration.md lacks\n{}", missing.join("\n"));

    let rows = options.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let keys: BTreeSet<_> = known.iter().map(|(key, _)| key.as_str()).collect();
    let stale: Vec<_> = rows.filter(|row| !keys.contains(row)).collect();
    assert!(stale.is_empty(), "docs/configuration.md has besides {stale:?}");
}

/// The paths of all keys that are no sections, and their defaults.
fn leaves(keys: &Object, section: &str, found: &mut BTreeSet<(String, String)>) {
    for (key, value) in keys.iter() {
        let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
        match value {
            Value::Object(inner) if !inner.is_empty() => leaves(inner, &path, found),
            Value::Null => drop(found.insert((path, "-".to_owned()))),
            default => {
                let default = serde_json::to_string(default).expect("it is data");
                found.insert((path, format!("`{default}`")));
            }
        }
    }
}

/// Glob imports stay harmless while there are few names.
#[test]
fn the_prelude_has_fewer_than_twenty_names() {
    let source = include_str!("../src/lib.rs");
    let prelude = source.split_once("pub mod prelude {").expect("there is one").1;
    let prelude = prelude.split_once("\n}").expect("it ends").0;
    let names: Vec<_> = prelude
        .split("pub use ")
        .skip(1)
        .filter_map(|import| import.split_once(';'))
        .flat_map(|(import, _)| {
            let names = import.rsplit("::").next().unwrap_or_default();
            names.trim_matches(['{', '}']).split(',').map(str::trim).collect::<Vec<_>>()
        })
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.contains(&"ServiceBroker") && names.contains(&"service"), "{names:?}");
    assert!(names.len() < 20, "{names:?}");
    assert!(!names.iter().any(|name| name.contains('*')), "{names:?}");
}
