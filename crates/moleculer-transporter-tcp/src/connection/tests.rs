use std::sync::Arc;

use bytes::BytesMut;
use moleculer_core::protocol::{
    PacketKind,
    tcp::{Frame as Received, FrameDecoder},
};
use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinHandle};

use super::{batch::ROOM, *};

fn frame(kind: PacketKind, body: impl Into<Bytes>) -> Frame {
    Frame::new(kind, body.into(), usize::MAX).unwrap()
}

fn event(body: impl Into<Bytes>) -> Frame {
    frame(PacketKind::Event, body)
}

fn connection() -> Arc<Connection> {
    let hello = frame(PacketKind::GossipHello, "hello");
    Arc::new(Connection::new("there:1".into(), &hello, CancellationToken::new()))
}

/// An open connection whose buffers are small, and its other end.
async fn open() -> (Arc<Connection>, JoinHandle<()>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    SockRef::from(&stream).set_send_buffer_size(4096).unwrap();
    let connection = connection();
    let serve = Arc::clone(&connection);
    let task = tokio::spawn(async move {
        let end = serve.run(std::future::ready(Ok(stream))).await;
        serve.finish(&end);
    });
    let (mut peer, _) = listener.accept().await.unwrap();
    assert_eq!(bodies(&mut peer, 1).await, ["hello"]);
    (connection, task, peer)
}

async fn bodies(stream: &mut TcpStream, count: usize) -> Vec<Bytes> {
    let (mut found, mut buffer) = (Vec::new(), BytesMut::new());
    while found.len() < count {
        match FrameDecoder::default().decode(&mut buffer).unwrap() {
            Some(Received::Packet { body, .. }) => found.push(body),
            Some(other) => panic!("{other:?}"),
            None => assert!(stream.read_buf(&mut buffer).await.unwrap() > 0),
        }
    }
    assert!(buffer.is_empty());
    found
}

#[tokio::test]
async fn what_the_socket_does_not_take_is_written_later_and_first() {
    let (connection, _task, mut peer) = open().await;
    // Until the socket takes only a part of one: alone, and with others
    // behind it, that are small, large, and small again.
    for size in [1, 100, 5000, 100_000, 1_000_000] {
        let sent: Vec<Bytes> = (0..5_u8)
            .map(|n| vec![n; if n % 2 == 0 { size } else { size % 1000 }].into())
            .collect();
        for body in &sent {
            connection.try_send(event(body.clone())).unwrap();
        }
        assert_eq!(bodies(&mut peer, sent.len()).await, sent);
    }
}

#[tokio::test]
async fn before_it_is_open_packets_wait_in_their_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connection = connection();
    let Err(SendError::Full(body)) = connection.try_send(event("early")) else {
        panic!("nothing is sent before the connection is open");
    };
    assert_eq!(body, "early");
    let sends: Vec<_> = ["1", "2", "3"]
        .map(|body| {
            let connection = Arc::clone(&connection);
            tokio::spawn(async move { connection.send(event(body)).await.is_ok() })
        })
        .into();
    tokio::task::yield_now().await;
    let connect = async { Ok(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()) };
    let check = async {
        for sent in sends {
            assert!(sent.await.unwrap());
        }
        let (mut peer, _) = listener.accept().await.unwrap();
        assert_eq!(bodies(&mut peer, 4).await, ["hello", "1", "2", "3"]);
        connection.close();
        peer
    };
    let (end, _peer) = tokio::join!(connection.run(connect), check);
    assert!(matches!(end, End::Closed), "{end:?}");
}

#[tokio::test]
async fn who_waits_for_a_connection_that_fails_gets_its_error() {
    let connection = connection();
    let end = connection.run(std::future::ready(Err(Error::internal("refused"))));
    let (sent, ()) = tokio::join!(connection.send(event("x")), async {
        let end = end.await;
        connection.finish(&end);
    });
    let Err(SendError::Failed(error)) = sent else { panic!("{sent:?}") };
    assert_eq!(error.message(), "refused");
    let later = connection.send(event("x")).await;
    assert!(matches!(later, Err(SendError::Failed(_))), "{later:?}");
}

#[tokio::test]
async fn a_full_queue_makes_wait_and_its_end_lets_go() {
    let (connection, task, peer) = open().await;
    let large = Bytes::from(vec![0; 100_000]);
    let mut queued = 0;
    while connection.try_send(event(large.clone())).is_ok() {
        queued += 1;
    }
    assert!((ROOM / 98 - 1..60).contains(&queued), "{queued} packets of 98 KiB");
    let (last, waiting) = (Arc::clone(&connection), event("last"));
    let last = tokio::spawn(async move { last.send(waiting).await });
    tokio::task::yield_now().await;
    drop(peer);
    task.await.unwrap();
    let gone = last.await.unwrap();
    assert!(matches!(gone, Err(SendError::Gone(_)) | Ok(())), "{gone:?}");
    let refused = connection.try_send(event("later"));
    assert!(matches!(refused, Err(SendError::Gone(_))), "{refused:?}");
}

#[tokio::test]
async fn gossip_is_no_use_of_a_connection() {
    let (connection, _task, mut peer) = open().await;
    let opened = connection.last_used().unwrap();
    connection.try_send(frame(PacketKind::GossipRequest, "{}")).unwrap();
    bodies(&mut peer, 1).await;
    assert_eq!(connection.last_used().unwrap(), opened);
    connection.try_send(event("{}")).unwrap();
    bodies(&mut peer, 1).await;
    assert!(connection.last_used().unwrap() > opened);
}
