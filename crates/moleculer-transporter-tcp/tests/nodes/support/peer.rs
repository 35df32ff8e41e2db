//! A peer made of bare sockets: sees and says exactly what is on the wire.

use std::{net::SocketAddr, time::Duration};

use bytes::BytesMut;
use moleculer_core::protocol::{
    PacketKind,
    tcp::{Frame, FrameDecoder, put_frame},
};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::DEADLINE;

/// A node of another implementation.
pub(crate) struct Peer {
    pub(crate) id: String,
    pub(crate) listener: TcpListener,
    pub(crate) port: u16,
}

/// A socket that the node under test opened.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    buffer: BytesMut,
}

impl Peer {
    pub(crate) fn new(id: &str) -> Self {
        // Unlike a listener of the library it gets a port that is not reserved.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(128).unwrap();
        socket.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(socket.into()).unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { id: id.to_owned(), listener, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("tcp://127.0.0.1:{}/{}", self.port, self.id)
    }

    pub(crate) async fn accept(&self) -> Accepted {
        let accepted = timeout(DEADLINE, self.listener.accept()).await;
        let (stream, _) = accepted.expect("the node does not connect").unwrap();
        Accepted { stream, buffer: BytesMut::new() }
    }

    /// Connects to the node and says HELLO, nothing else.
    pub(crate) async fn connect(&self, port: u16) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let hello = json!({"host": "127.0.0.1", "port": self.port});
        self.send(&mut stream, PacketKind::GossipHello, hello).await;
        stream
    }

    /// Connects to the node and tells of the service `<id>` with the action `echo`.
    pub(crate) async fn join(&self, port: u16, seq: u64) -> TcpStream {
        let mut stream = self.connect(port).await;
        self.send(&mut stream, PacketKind::GossipResponse, self.news(seq)).await;
        stream
    }

    pub(crate) fn news(&self, seq: u64) -> Value {
        let action = format!("{}.echo", self.id);
        let info = json!({
            "seq": seq, "instanceID": "i-1", "ipList": ["127.0.0.1"], "hostname": "127.0.0.1",
            "port": self.port,
            "services": [{"name": self.id, "actions": {(action.clone()): {"name": action}}}],
        });
        json!({"online": {(self.id.clone()): [info, 1, 5]}})
    }

    /// Sends a packet; `ver` and `sender` are added unless they are there.
    pub(crate) async fn send(&self, stream: &mut TcpStream, kind: PacketKind, mut packet: Value) {
        let members = packet.as_object_mut().unwrap();
        members.entry("ver").or_insert("5".into());
        members.entry("sender").or_insert(self.id.as_str().into());
        let mut frame = BytesMut::new();
        put_frame(kind, packet.to_string().as_bytes(), &mut frame).unwrap();
        stream.write_all(&frame).await.unwrap();
    }

    /// Answers a request with its params.
    pub(crate) async fn answer(&self, stream: &mut TcpStream, request: &Value) {
        let response = json!({
            "id": request["id"], "success": true, "data": request["params"], "meta": {},
        });
        self.send(stream, PacketKind::Response, response).await;
    }
}

impl Accepted {
    /// The next packet; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(PacketKind, Value)> {
        loop {
            match FrameDecoder::default().decode(&mut self.buffer).unwrap() {
                Some(Frame::Packet { kind, body }) => {
                    return Some((kind, serde_json::from_slice(&body).unwrap()));
                }
                Some(Frame::Unknown(id)) => panic!("the node sends frames of type {id}"),
                None => {}
            }
            let read = timeout(DEADLINE, self.stream.read_buf(&mut self.buffer)).await;
            if read.expect("the node is silent").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next packet, which must be of this kind.
    pub(crate) async fn expect(&mut self, kind: PacketKind) -> Value {
        match self.next().await {
            Some((found, packet)) if found == kind => packet,
            other => panic!("expected {kind}, not {other:?}"),
        }
    }

    /// The next packet of this kind; others are passed over.
    pub(crate) async fn until(&mut self, kind: PacketKind) -> Value {
        loop {
            match self.next().await {
                Some((found, packet)) if found == kind => return packet,
                Some(_) => {}
                None => panic!("the connection ended before a {kind}"),
            }
        }
    }

    /// Waits until the node closes the connection.
    pub(crate) async fn ends(&mut self) {
        while self.next().await.is_some() {}
    }
}

/// Whether the node wrote nothing on a socket that it accepted.
pub(crate) async fn is_silent(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    timeout(Duration::from_millis(50), stream.read(&mut byte)).await.is_err()
}
