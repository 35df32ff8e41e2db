//! A broken cable, as a TCP proxy: [`Relay`].

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// Bytes that are passed on at a time.
const CHUNK: usize = 16 * 1024;

/// Stands between a node and a server, or another node, and is as unreliable
/// as it is told.
///
/// It runs in the runtime where it was started, until it is dropped.
///
/// ```
/// use moleculer_testkit::relay::Relay;
/// # async fn test(server: std::net::SocketAddr) -> std::io::Result<()> {
/// let relay = Relay::start(server).await?;
/// // Nodes connect to `relay.address()`.
/// relay.freeze();
/// // Now they hear nothing, but their connections live.
/// relay.open();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    way: watch::Sender<Way>,
    connections: watch::Receiver<usize>,
    // Aborts the tasks with it.
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Way {
    state: State,
    delay: Duration,
    /// Bytes in a second.
    speed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    Frozen,
    Cut,
}

impl Relay {
    /// Listens on a free port of this machine and passes on to `target`.
    ///
    /// # Errors
    ///
    /// When the system gives no port.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let start = Way { state: State::Open, delay: Duration::ZERO, speed: None };
        let (way, seen) = watch::channel(start);
        let (count, connections) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, seen, count));
        Ok(Self { address, way, connections, _tasks: tasks })
    }

    /// Where to connect to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of connections that pass through it.
    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Passes everything on, as at the beginning.
    pub fn open(&self) {
        self.change(|way| *way = Way { state: State::Open, delay: Duration::ZERO, speed: None });
    }

    /// Passes nothing on; connections stay, as if the cable were out.
    pub fn freeze(&self) {
        self.change(|way| way.state = State::Frozen);
    }

    /// Breaks all connections, and each new one.
    pub fn cut(&self) {
        self.change(|way| way.state = State::Cut);
    }

    /// Holds each piece back for this time.
    pub fn delay(&self, delay: Duration) {
        self.change(|way| way.delay = delay);
    }

    /// Passes on as many bytes in a second, for each direction of a connection.
    pub fn slow(&self, bytes_per_second: u64) {
        self.change(|way| way.speed = Some(bytes_per_second.max(1)));
    }

    fn change(&self, change: impl FnOnce(&mut Way)) {
        self.way.send_modify(change);
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    way: watch::Receiver<Way>,
    count: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => count.send_modify(|count| *count -= 1),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    count.send_modify(|count| *count += 1);
                    connections.spawn(connect(stream, target, way.clone()));
                }
                // For want of descriptors.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
        }
    }
}

async fn connect(stream: TcpStream, target: SocketAddr, mut way: watch::Receiver<Way>) {
    if let Err(Broken) = passable(&mut way).await {
        return;
    }
    // A target that is away looks as a connection that ends at once.
    let Ok(there) = TcpStream::connect(target).await else { return };
    for stream in [&stream, &there] {
        stream.set_nodelay(true).ok();
    }
    let ((from, to), (back_from, back_to)) = (stream.into_split(), there.into_split());
    let forth = pump(from, back_to, way.clone());
    let back = pump(back_from, to, way);
    // Each end is passed on by itself; what is broken is so for both.
    drop(tokio::try_join!(forth, back));
}

/// The connection must not go on.
struct Broken;

/// Waits while nothing may pass.
async fn passable(way: &mut watch::Receiver<Way>) -> Result<Way, Broken> {
    let open = way.wait_for(|way| way.state != State::Frozen).await.map_err(|_| Broken)?;
    if open.state == State::Cut { Err(Broken) } else { Ok(*open) }
}

async fn cut(way: &mut watch::Receiver<Way>) -> Broken {
    // Without a relay there is no way either.
    way.wait_for(|way| way.state == State::Cut).await.ok();
    Broken
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut way: watch::Receiver<Way>,
) -> Result<(), Broken> {
    let mut breaks = way.clone();
    let pump = async {
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = from.read(&mut buffer).await.map_err(|_| Broken)?;
            let arrived = Instant::now();
            let now = passable(&mut way).await?;
            if let Some(speed) = now.speed {
                sleep(Duration::from_secs_f64(read as f64 / speed as f64)).await;
            }
            sleep_until(arrived + now.delay).await;
            passable(&mut way).await?;
            if read == 0 {
                to.shutdown().await.map_err(|_| Broken)?;
                return Ok(());
            }
            to.write_all(&buffer[..read]).await.map_err(|_| Broken)?;
        }
    };
    tokio::select! {
        biased;
        broken = cut(&mut breaks) => Err(broken),
        pumped = pump => pumped,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// Gives every byte back.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        address
    }

    async fn round(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
        stream.write_all(bytes).await?;
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back).await?;
        Ok(back)
    }

    #[tokio::test]
    async fn it_freezes_slows_and_cuts() {
        let relay = Relay::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(relay.address()).await.unwrap();
        let large: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        assert_eq!(round(&mut stream, b"hello").await.unwrap(), b"hello");

        relay.freeze();
        let short = Duration::from_millis(50);
        assert!(timeout(short, round(&mut stream, b"frozen")).await.is_err());
        relay.open();
        let mut late = [0; 6];
        stream.read_exact(&mut late).await.unwrap();
        assert_eq!(&late, b"frozen");

        relay.delay(short);
        let started = Instant::now();
        assert_eq!(round(&mut stream, b"later").await.unwrap(), b"later");
        assert!(started.elapsed() >= 2 * short, "{:?}", started.elapsed());
        relay.open();

        relay.slow(500_000);
        let started = Instant::now();
        let (mut reader, mut writer) = stream.split();
        let mut back = vec![0; large.len()];
        let write = writer.write_all(&large);
        tokio::try_join!(write, reader.read_exact(&mut back)).unwrap();
        assert_eq!(back, large);
        assert!(started.elapsed() >= Duration::from_millis(150), "{:?}", started.elapsed());

        relay.cut();
        assert!(round(&mut stream, b"lost").await.is_err());
        let mut next = TcpStream::connect(relay.address()).await.unwrap();
        assert!(round(&mut next, b"lost").await.is_err());
        relay.open();
        let mut next = TcpStream::connect(relay.address()).await.unwrap();
        assert_eq!(round(&mut next, b"back").await.unwrap(), b"back");
        assert_eq!(relay.connections(), 1);
    }
}
