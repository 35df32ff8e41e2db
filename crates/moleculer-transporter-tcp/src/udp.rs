//! Announcements by UDP, which bring nodes together that know nothing of
//! each other.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use if_addrs::{IfAddr, Ifv4Addr};
use moleculer_core::protocol::tcp::Announcement;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::UdpSocket, time::sleep};

use crate::{Broadcast, TcpConfig};

/// Longer datagrams are no announcements.
const LONGEST: usize = 2048;
/// Time after which the first announcement is repeated, since it may be lost.
const REPEAT: Duration = Duration::from_millis(750);
/// Pause after receiving failed.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket and where announcements go from it.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: UdpSocket,
    destinations: Vec<SocketAddr>,
}

/// Opens one socket for each interface, and one for broadcasts. What fails is
/// logged: a node can do without.
pub(crate) fn open(config: &TcpConfig) -> Vec<Channel> {
    let interfaces = interfaces();
    let mut channels = Vec::new();
    if let Some(group) = config.udp_multicast {
        let addresses = match config.udp_bind_address {
            Some(address) => vec![address],
            None => interfaces.iter().map(|interface| interface.ip).collect(),
        };
        for address in addresses {
            keep(multicast(config, group, address), address, &mut channels);
        }
    }
    let destinations = match &config.udp_broadcast {
        Broadcast::Off => return channels,
        Broadcast::Interfaces => interfaces.iter().filter_map(|one| one.broadcast).collect(),
        Broadcast::To(addresses) => addresses.clone(),
    };
    let address = config.udp_bind_address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    keep(broadcast(config, &destinations, address), address, &mut channels);
    channels
}

fn keep(opened: io::Result<Channel>, address: Ipv4Addr, channels: &mut Vec<Channel>) {
    match opened {
        Ok(channel) => channels.push(channel),
        Err(error) => tracing::warn!(%address, %error, "no UDP discovery on this interface"),
    }
}

fn interfaces() -> Vec<Ifv4Addr> {
    let all = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot list the network interfaces");
        Vec::new()
    });
    let v4 = all.into_iter().filter_map(|interface| match interface.addr {
        IfAddr::V4(address) => Some(address),
        IfAddr::V6(_) => None,
    });
    v4.collect()
}

fn multicast(config: &TcpConfig, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<Channel> {
    let socket = bind(config, Ipv4Addr::UNSPECIFIED)?;
    socket.set_multicast_if_v4(&interface)?;
    socket.join_multicast_v4(&group, &interface)?;
    socket.set_multicast_ttl_v4(config.udp_multicast_ttl.into())?;
    channel(socket, config, &[group])
}

fn broadcast(config: &TcpConfig, to: &[Ipv4Addr], address: Ipv4Addr) -> io::Result<Channel> {
    let socket = bind(config, address)?;
    socket.set_broadcast(true)?;
    channel(socket, config, to)
}

fn bind(config: &TcpConfig, address: Ipv4Addr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    if config.udp_reuse_addr {
        socket.set_reuse_address(true)?;
        // On Linux the other way of sharing would shut JavaScript nodes out.
        #[cfg(all(unix, not(target_os = "linux")))]
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((address, config.udp_port)).into())?;
    Ok(socket)
}

fn channel(socket: Socket, config: &TcpConfig, to: &[Ipv4Addr]) -> io::Result<Channel> {
    Ok(Channel {
        socket: UdpSocket::from_std(socket.into())?,
        destinations: to.iter().map(|&ip| (ip, config.udp_port).into()).collect(),
    })
}

/// Announces this node over all channels: at once, soon again, then with each
/// period.
pub(crate) async fn announce(channels: Vec<Arc<Channel>>, text: String, config: Arc<TcpConfig>) {
    let mut sent = 0;
    loop {
        for channel in &channels {
            channel.send(text.as_bytes()).await;
        }
        sent += 1;
        if sent == config.udp_max_discovery {
            return;
        }
        sleep(if sent == 1 { REPEAT.min(*config.udp_period) } else { *config.udp_period }).await;
    }
}

/// Calls `found` with each announcement and the address it came from.
pub(crate) async fn receive(channel: Arc<Channel>, found: impl Fn(Announcement, IpAddr)) {
    let mut datagram = [0; LONGEST];
    loop {
        match channel.socket.recv_from(&mut datagram).await {
            Ok((len, from)) => match Announcement::parse(&datagram[..len]) {
                Ok(announcement) => found(announcement, from.ip()),
                Err(error) => tracing::debug!(%from, %error, "a datagram is ignored"),
            },
            Err(error) => {
                tracing::debug!(%error, "cannot receive datagrams");
                sleep(PAUSE).await;
            }
        }
    }
}

impl Channel {
    async fn send(&self, datagram: &[u8]) {
        for destination in &self.destinations {
            if let Err(error) = self.socket.send_to(datagram, destination).await {
                tracing::debug!(%destination, %error, "cannot announce this node");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use moleculer_core::Seconds;

    use super::*;

    const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

    /// Announcements on the loopback interface only, on a port that is free
    /// for other sockets of this test.
    fn config(taken: &Socket) -> TcpConfig {
        let port = taken.local_addr().unwrap().as_socket().unwrap().port();
        TcpConfig { udp_port: port, udp_bind_address: Some(LOOPBACK), ..TcpConfig::default() }
    }

    fn shared_port() -> Socket {
        bind(&TcpConfig { udp_port: 0, ..TcpConfig::default() }, LOOPBACK).unwrap()
    }

    #[tokio::test]
    async fn options_of_the_sockets() {
        let port = shared_port();
        let mut config = config(&port);
        config.udp_multicast_ttl = 3;
        let channels = open(&config);
        assert_eq!(channels.len(), 1, "the other interfaces are left out");
        assert_eq!(channels[0].socket.multicast_ttl_v4().unwrap(), 3);
        let group = (Ipv4Addr::new(239, 0, 0, 0), config.udp_port).into();
        assert_eq!(channels[0].destinations, [group]);

        config.udp_bind_address = None;
        let here = interfaces().iter().filter(|one| one.ip.is_loopback()).count();
        assert!(open(&config).len() >= here.max(1), "one for each interface");

        config.udp_reuse_addr = false;
        assert!(open(&config).is_empty(), "the port is in use");
    }

    #[tokio::test]
    async fn destinations_of_broadcasts() {
        let port = shared_port();
        let mut config = TcpConfig { udp_multicast: None, ..config(&port) };
        assert!(open(&config).is_empty());
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 255), Ipv4Addr::new(10, 0, 1, 255));
        config.udp_broadcast = Broadcast::To(vec![a, b]);
        let channels = open(&config);
        assert!(channels[0].socket.broadcast().unwrap());
        let to = |ip| SocketAddr::from((ip, config.udp_port));
        assert_eq!(channels[0].destinations, [to(a), to(b)]);
        assert_eq!(channels[0].socket.local_addr().unwrap(), to(LOOPBACK));

        config.udp_broadcast = Broadcast::Interfaces;
        let all: Vec<_> = interfaces().iter().filter_map(|one| one.broadcast).map(to).collect();
        let config = TcpConfig { udp_broadcast: Broadcast::Interfaces, ..config };
        assert_eq!(open(&config)[0].destinations, all);
    }

    #[tokio::test]
    async fn announcements_stop_after_the_last() {
        let port = shared_port();
        let config = TcpConfig {
            udp_multicast: None,
            udp_broadcast: Broadcast::To(vec![LOOPBACK]),
            udp_period: Seconds(Duration::from_millis(1)),
            udp_max_discovery: 3,
            // The socket with the narrower address gets the datagrams.
            udp_bind_address: None,
            ..config(&port)
        };
        let channels = open(&config).into_iter().map(Arc::new).collect();
        let listener = UdpSocket::from_std(port.into()).unwrap();
        announce(channels, "dev|a|1".to_owned(), Arc::new(config)).await;
        let mut datagram = [0; 16];
        for _ in 0..3 {
            let len = listener.recv(&mut datagram).await.unwrap();
            assert_eq!(&datagram[..len], b"dev|a|1");
        }
        assert!(listener.try_recv(&mut datagram).is_err(), "a fourth one");
    }
}
