//! Prints the names of the targets, and writes the seeds of each into a
//! folder of its name in the folder given as argument.
#![allow(clippy::print_stdout, reason = "the names go to whoever started this program")]

use std::{env, error::Error, fs, path::PathBuf};

use decoders::Target;

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = env::args_os().nth(1).ok_or("usage: decoders <folder>")?.into();
    for target in Target::all() {
        let folder = folder.join(&target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in target.seeds().iter().enumerate() {
            fs::write(folder.join(number.to_string()), seed)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
