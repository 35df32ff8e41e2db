//! Compressed bytes out and in.

use std::fmt;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use serde::Deserialize;

/// How packets are compressed; all nodes have to agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Method {
    /// Deflate in the format of zlib, with its checksum.
    #[default]
    Deflate,
    /// Deflate alone: a few bytes less, and no checksum.
    DeflateRaw,
    /// Deflate in the format of gzip.
    Gzip,
}

/// Why bytes cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// They are not what the method makes.
    Invalid,
    /// The end is missing.
    Truncated,
    /// There is more behind the end.
    Trailing,
    /// They stand for more bytes than allowed.
    TooLarge,
}

/// Size of the largest window, as a power of two; what everyone uses.
const WINDOW: u8 = 15;

/// Least room for what comes next.
const STEP: usize = 1024;

impl Method {
    /// Appends `bytes` to `out`, compressed.
    pub(crate) fn compress(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        let level = flate2::Compression::default();
        let mut deflate = match self {
            Self::Deflate => Compress::new(level, true),
            Self::DeflateRaw => Compress::new(level, false),
            Self::Gzip => Compress::new_gzip(level, WINDOW),
        };
        loop {
            let rest = &bytes[position(deflate.total_in(), bytes)..];
            let status = deflate.compress_vec(rest, out, FlushCompress::Finish);
            match status.map_err(|_| Broken::Invalid)? {
                Status::StreamEnd => return Ok(()),
                Status::Ok | Status::BufError => out.reserve((out.len() / 2).max(STEP)),
            }
        }
    }

    /// What `bytes` stand for, if that is `max` bytes at most. No more than
    /// that is ever made of them.
    pub(crate) fn decompress(self, bytes: &[u8], max: usize) -> Result<Vec<u8>, Broken> {
        let mut inflate = match self {
            Self::Deflate => Decompress::new(true),
            Self::DeflateRaw => Decompress::new(false),
            Self::Gzip => Decompress::new_gzip(WINDOW),
        };
        let mut out = Vec::new();
        loop {
            make_room(&mut out, bytes.len(), max);
            let before = (inflate.total_in(), inflate.total_out());
            let rest = &bytes[position(before.0, bytes)..];
            let status = inflate.decompress_vec(rest, &mut out, FlushDecompress::None);
            let ended = status.map_err(|_| Broken::Invalid)? == Status::StreamEnd;
            if out.len() > max {
                return Err(Broken::TooLarge);
            }
            if ended {
                let whole = position(inflate.total_in(), bytes) == bytes.len();
                return if whole { Ok(out) } else { Err(Broken::Trailing) };
            }
            if before == (inflate.total_in(), inflate.total_out()) {
                return Err(Broken::Truncated);
            }
        }
    }
}

/// One byte above the limit tells that there is more.
fn make_room(out: &mut Vec<u8>, compressed: usize, max: usize) {
    if out.len() == out.capacity() {
        let wanted = out.len().max(compressed.saturating_mul(2)).max(STEP);
        out.reserve_exact(wanted.min(max.saturating_add(1) - out.len()));
    }
}

/// How far the codec has read. It counts in 64 bits, but never beyond `bytes`.
fn position(total_in: u64, bytes: &[u8]) -> usize {
    usize::try_from(total_in).map_or(bytes.len(), |read| read.min(bytes.len()))
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "it is not in the format of this method",
            Self::Truncated => "its end is missing",
            Self::Trailing => "there is more behind its end",
            Self::TooLarge => "it is larger than `maxSize`",
        })
    }
}
