//! Replays what is known: the golden vectors, whole and damaged, and the
//! inputs that once broke something.

use std::{fs, path::Path};

use decoders::Target;

#[test]
fn vectors_whole_and_damaged() {
    for target in Target::all() {
        let seeds = target.seeds();
        assert!(seeds.len() >= 3, "{} has only {} seeds", target.name, seeds.len());
        for seed in seeds {
            target.check(&seed);
            for at in (0..seed.len()).step_by(1 + seed.len() / 64) {
                target.check(&seed[..at]);
                let mut damaged = seed.clone();
                damaged[at] ^= 0x41;
                target.check(&damaged);
            }
        }
    }
}

#[test]
fn inputs_that_once_broke_something() {
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("inputs");
    for entry in fs::read_dir(inputs).expect("inputs") {
        let folder = entry.expect("a folder").path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name");
        let target = Target::find(name).unwrap_or_else(|| panic!("no target is called {name}"));
        for entry in fs::read_dir(&folder).expect(name) {
            let file = entry.expect("a file").path();
            println!("{}", file.display());
            target.check(&fs::read(&file).expect("readable"));
        }
    }
}
