//! The least that two nodes do for a remote call: Moleculer's frames and JSON packets over one TCP connection, params
//! and results never looked into, what is ready written in one system call.

use std::{
    borrow::Cow,
    collections::HashMap,
    hint::black_box,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
};

use crate::{
    measure::Result,
    payload::{Page, Small},
};

const HEADER: usize = 6;
const EVENT: u8 = 1;
const REQUEST: u8 = 2;
const RESPONSE: u8 = 3;
/// The action that tells how many events came.
const COUNT: &str = "echo.count";
const BUFFER: usize = 256 * 1024;
const REFILL_BELOW: usize = 64 * 1024;

/// What a node does to params: nothing, or read them into their type and write them again.
pub(crate) type Handler = fn(&RawValue) -> Result<Cow<'_, RawValue>>;

/// Leaves the JSON as it is.
pub(crate) fn raw(params: &RawValue) -> Result<Cow<'_, RawValue>> {
    Ok(Cow::Borrowed(params))
}

/// Reads params into their type and writes them again, as a typed handler needs it.
pub(crate) fn typed(params: &RawValue) -> Result<Cow<'_, RawValue>> {
    let small = params.get().len() < 100;
    Ok(Cow::Owned(if small { rewrite::<Small>(params)? } else { rewrite::<Page>(params)? }))
}

fn rewrite<'a, T: Deserialize<'a> + Serialize>(params: &'a RawValue) -> Result<Box<RawValue>> {
    Ok(to_raw_value(&serde_json::from_str::<T>(params.get())?)?)
}

/// Answers each request with its own params, for the first connection that comes in.
pub(crate) async fn serve(listener: TcpListener, handler: Handler) -> Result<()> {
    let (mut stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let (mut input, mut output) =
        (BytesMut::with_capacity(BUFFER), BytesMut::with_capacity(BUFFER));
    let mut events = 0;
    while stream.read_buf(&mut input).await? > 0 {
        while let Some((kind, frame)) = next_frame(&mut input)? {
            if kind == EVENT {
                read_event(&frame, handler)?;
                events += 1;
            } else {
                answer(&frame, handler, events, &mut output)?;
            }
        }
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        if input.capacity() < REFILL_BELOW {
            input.reserve(BUFFER);
        }
    }
    Ok(())
}

/// The calling node.
pub(crate) struct Client {
    frames: mpsc::UnboundedSender<BytesMut>,
    pending: Arc<Pending>,
    next_id: AtomicU64,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let (frames, queue) = mpsc::unbounded_channel();
        let pending = Arc::new(Pending::default());
        tokio::spawn(write_frames(queue, writer));
        tokio::spawn(read_responses(reader, Arc::clone(&pending)));
        Ok(Self { frames, pending, next_id: AtomicU64::new(1) })
    }

    pub(crate) async fn call(&self, action: &str, params: &RawValue) -> Result<Box<RawValue>> {
        let id = uuid(self.next_id.fetch_add(1, Relaxed));
        let mut frame = BytesMut::with_capacity(512);
        put_frame(&mut frame, REQUEST, &Request::new(&id, action, params))?;
        let response = self.pending.insert(id);
        self.frames.send(frame)?;
        Ok(response.await?)
    }

    pub(crate) fn emit(&self, event: &str, data: &RawValue) -> Result<()> {
        let id = uuid(self.next_id.fetch_add(1, Relaxed));
        let mut frame = BytesMut::with_capacity(512);
        put_frame(&mut frame, EVENT, &Event::new(&id, event, data))?;
        Ok(self.frames.send(frame)?)
    }

    /// How many events have arrived.
    pub(crate) async fn count(&self) -> Result<u64> {
        Ok(serde_json::from_str(self.call(COUNT, RawValue::NULL).await?.get())?)
    }
}

#[derive(Default)]
struct Pending(Mutex<HashMap<String, oneshot::Sender<Box<RawValue>>>>);

impl Pending {
    fn insert(&self, id: String) -> oneshot::Receiver<Box<RawValue>> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        receiver
    }

    fn complete(&self, id: &str, data: &RawValue) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(sender) = sender {
            // A caller that went away does not want its answer.
            sender.send(data.to_owned()).ok();
        }
    }

    fn fail_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

async fn write_frames(
    mut queue: mpsc::UnboundedReceiver<BytesMut>,
    mut writer: OwnedWriteHalf,
) -> io::Result<()> {
    let mut batch = BytesMut::new();
    while let Some(frame) = queue.recv().await {
        if queue.is_empty() {
            writer.write_all(&frame).await?;
            continue;
        }
        batch.extend_from_slice(&frame);
        while batch.len() < BUFFER
            && let Ok(frame) = queue.try_recv()
        {
            batch.extend_from_slice(&frame);
        }
        writer.write_all(&batch).await?;
        batch.clear();
    }
    Ok(())
}

/// Completes waiting calls until the connection ends; those still waiting then fail.
async fn read_responses(mut reader: OwnedReadHalf, pending: Arc<Pending>) {
    let mut input = BytesMut::with_capacity(BUFFER);
    while reader.read_buf(&mut input).await.is_ok_and(|read| read > 0) {
        if complete_buffered(&mut input, &pending).is_err() {
            break;
        }
        if input.capacity() < REFILL_BELOW {
            input.reserve(BUFFER);
        }
    }
    pending.fail_all();
}

fn complete_buffered(input: &mut BytesMut, pending: &Pending) -> Result<()> {
    while let Some((_, frame)) = next_frame(input)? {
        let response: Response<'_> = serde_json::from_slice(&frame)?;
        pending.complete(response.id, response.data);
    }
    Ok(())
}

/// Reads an event as its listener needs it.
pub(crate) fn read_event(packet: &[u8], handler: Handler) -> Result<()> {
    let event: Event<'_> = serde_json::from_slice(packet)?;
    black_box(handler(event.data)?);
    Ok(())
}

fn answer(frame: &[u8], handler: Handler, events: u64, output: &mut BytesMut) -> Result<()> {
    let request: Request<'_> = serde_json::from_slice(frame)?;
    let data = match request.action {
        COUNT => Cow::Owned(to_raw_value(&events)?),
        _ => handler(request.params)?,
    };
    let response = Response {
        ver: request.ver,
        sender: "srv",
        id: request.id,
        success: true,
        data: &data,
        meta: request.meta,
        stream: false,
    };
    put_frame(output, RESPONSE, &response)
}

/// Appends a frame: checksum, length of the whole frame, packet type, JSON.
fn put_frame(output: &mut BytesMut, kind: u8, packet: &impl Serialize) -> Result<()> {
    let start = output.len();
    output.put_bytes(0, HEADER);
    serde_json::to_writer((&mut *output).writer(), packet)?;
    let len = u32::try_from(output.len() - start)?.to_be_bytes();
    output[start] = len.iter().fold(kind, |checksum, byte| checksum ^ byte);
    output[start + 1..start + 5].copy_from_slice(&len);
    output[start + 5] = kind;
    Ok(())
}

/// Takes the packet type and the body of the first frame, once all of it is there.
fn next_frame(input: &mut BytesMut) -> Result<Option<(u8, Bytes)>> {
    let Some(header) = input.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let [checksum, len @ .., kind] = *header;
    if len.iter().fold(kind, |checksum, byte| checksum ^ byte) != checksum {
        return Err("a frame has a wrong checksum".into());
    }
    let len = u32::from_be_bytes(len) as usize;
    if len < HEADER {
        return Err("a frame is shorter than its header".into());
    }
    if input.len() < len {
        return Ok(None);
    }
    let mut frame = input.split_to(len).freeze();
    frame.advance(HEADER);
    Ok(Some((kind, frame)))
}

/// An id of the length and look of a UUID, without the cost of randomness.
pub(crate) fn uuid(n: u64) -> String {
    format!("{:08x}-7f0a-4aa2-b734-{n:012x}", (n as u32).wrapping_mul(2_654_435_761))
}

#[derive(Deserialize, Serialize)]
struct Request<'a> {
    ver: &'a str,
    sender: &'a str,
    id: &'a str,
    action: &'a str,
    #[serde(borrow)]
    params: &'a RawValue,
    #[serde(borrow)]
    meta: HashMap<&'a str, &'a RawValue>,
    timeout: Option<u64>,
    level: u32,
    tracing: Option<bool>,
    #[serde(rename = "parentID")]
    parent_id: Option<&'a str>,
    #[serde(rename = "requestID")]
    request_id: &'a str,
    caller: Option<&'a str>,
    stream: bool,
}

impl<'a> Request<'a> {
    fn new(id: &'a str, action: &'a str, params: &'a RawValue) -> Self {
        Self {
            ver: "5",
            sender: "cli",
            id,
            action,
            params,
            meta: HashMap::new(),
            timeout: Some(0),
            level: 1,
            tracing: None,
            parent_id: None,
            request_id: id,
            caller: None,
            stream: false,
        }
    }
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Event<'a> {
    ver: &'a str,
    sender: &'a str,
    id: &'a str,
    event: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
    groups: Vec<&'a str>,
    broadcast: bool,
    #[serde(borrow)]
    meta: HashMap<&'a str, &'a RawValue>,
    level: u32,
    tracing: Option<bool>,
    #[serde(rename = "parentID")]
    parent_id: Option<&'a str>,
    #[serde(rename = "requestID")]
    request_id: &'a str,
    caller: Option<&'a str>,
    #[serde(rename = "needAck")]
    need_ack: Option<bool>,
}

impl<'a> Event<'a> {
    pub(crate) fn new(id: &'a str, event: &'a str, data: &'a RawValue) -> Self {
        Self {
            ver: "5",
            sender: "cli",
            id,
            event,
            data,
            groups: vec!["echo"],
            broadcast: false,
            meta: HashMap::new(),
            level: 1,
            tracing: None,
            parent_id: None,
            request_id: id,
            caller: None,
            need_ack: None,
        }
    }
}

#[derive(Deserialize, Serialize)]
struct Response<'a> {
    ver: &'a str,
    sender: &'a str,
    id: &'a str,
    success: bool,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    meta: HashMap<&'a str, &'a RawValue>,
    stream: bool,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::payload::Size;

    #[tokio::test]
    async fn calls_return_their_params_and_events_count() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(serve(listener, raw));
        let client = Client::connect(port).await.unwrap();
        for size in Size::ALL {
            let params = RawValue::from_string(size.json().unwrap()).unwrap();
            assert_eq!(client.call("echo.reply", &params).await.unwrap().get(), params.get());
        }
        assert_eq!(client.count().await.unwrap(), 0);
        for _ in 0..3 {
            client.emit("echo.event", RawValue::NULL).unwrap();
        }
        assert_eq!(client.count().await.unwrap(), 3);
        server.abort();
        let params = RawValue::from_string("1".to_owned()).unwrap();
        let orphan = timeout(Duration::from_secs(10), client.call("echo.reply", &params)).await;
        assert!(orphan.is_ok_and(|answer| answer.is_err()));
    }

    #[test]
    fn frames_are_found_in_pieces_and_checked() {
        let mut whole = BytesMut::new();
        put_frame(&mut whole, RESPONSE, &"first").unwrap();
        put_frame(&mut whole, RESPONSE, &"second").unwrap();
        let mut input = BytesMut::new();
        let mut bodies = Vec::new();
        for byte in &whole {
            input.put_u8(*byte);
            bodies.extend(next_frame(&mut input).unwrap().map(|(_, body)| body));
        }
        assert_eq!(bodies, [&b"\"first\""[..], b"\"second\""]);
        whole[4] ^= 1;
        assert!(next_frame(&mut whole).unwrap_err().to_string().contains("checksum"));
    }
}
