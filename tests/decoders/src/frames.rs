//! Frames of the TCP transporter.

use bytes::BytesMut;
use moleculer_protocol::{
    PacketKind,
    tcp::{Frame, FrameDecoder, FrameError, put_frame},
};

use crate::{
    Target,
    memory::bounded,
    vectors::{hex, read, text},
};

pub(crate) fn target() -> Target {
    Target::new("frames", check, seeds)
}

/// The first byte is the limit in steps of 16 bytes, the second one makes the
/// chunks; the rest is the stream.
fn check(input: &[u8]) {
    let [limit, chunk, stream @ ..] = input else { return };
    let limit = 16 * usize::from(*limit);
    let whole = split(limit, [stream]);
    let chunks = stream.chunks(1 + usize::from(*chunk));
    assert_eq!(whole, split(limit, chunks), "chunks of {}", 1 + chunk);
    assert_written_alike(&whole.0, stream);
}

/// The frames, how the stream ended, and the bytes left.
type Split = (Vec<Frame>, Result<(), FrameError>, Vec<u8>);

fn split<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Split {
    let decoder = FrameDecoder::new(limit);
    let (mut buffer, mut frames, mut end) = (BytesMut::new(), Vec::new(), Ok(()));
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while end.is_ok() {
            match bounded(buffer.len(), || decoder.decode(&mut buffer)) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => end = Err(error),
            }
        }
    }
    (frames, end, buffer.to_vec())
}

/// As far as all frames are of known types.
fn assert_written_alike(frames: &[Frame], stream: &[u8]) {
    let mut written = BytesMut::new();
    for frame in frames {
        let Frame::Packet { kind, body } = frame else { break };
        put_frame(*kind, body, &mut written).expect("what was read can be written");
    }
    assert_eq!(written, stream[..written.len()]);
}

/// The recorded frames one by one, all together, and in pairs of damaged ones.
fn seeds() -> Vec<Vec<u8>> {
    let mut streams = Vec::new();
    for version in ["0.14", "0.15"] {
        let file = read(&format!("{version}/tcp.json"));
        let frames = file.get("frames").and_then(|frames| frames.as_array()).expect("frames");
        let frames = frames.iter().map(|frame| frame.as_object().expect("a frame"));
        streams.extend(frames.map(|frame| hex(text(frame, "hex")).to_vec()));
    }
    let mut small = BytesMut::new();
    for kind in [PacketKind::Ping, PacketKind::Pong, PacketKind::Event] {
        put_frame(kind, b"{}", &mut small).expect("a frame");
    }
    let unknown = b"\x01\0\0\0\x08\x09{}";
    streams.push([&small[..], unknown, &small[..], b"\0"].concat());
    streams.into_iter().map(|stream| [&[255, 6], &stream[..]].concat()).collect()
}
