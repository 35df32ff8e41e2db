//! What serializers may carry or not.

use bytes::Bytes;
use moleculer_protocol::{BigInt, Date, Extended, Value};

/// What a serializer may carry beyond what all of them must.
///
/// All carry null, flags, integers up to 2^53, floats, text, lists and objects,
/// wherever a packet has a value. The suite fails when something
/// declared gets lost, and when something arrives that is not declared: the
/// list is what users can rely on.
///
/// A kind of value that is not carried must be refused, or become another
/// value that no further node changes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Extra {
    /// Packets are objects of the value format, so that members may come in
    /// any order, be missing or be unknown. Schemas have none of this.
    Members,
    /// The members that only discoverers store: `seq` and `instanceID` of a
    /// heartbeat, `port` of a node's info.
    DiscovererMembers,
    /// A packet cut between two fields is a shorter packet. A weakness, and
    /// that of Protocol Buffers; others refuse any truncated packet.
    OpenEnd,
    /// Params, results and event data that are binary as a whole.
    WholeBytes,
    /// They reach the handler as `Bytes` without a copy; text formats have to
    /// decode them.
    SharedBytes,
    /// Binary data inside values.
    Bytes,
    /// Integers of 64 bits, apart from floats and big integers.
    WideInt,
    /// `undefined` as an element of a list.
    Undefined,
    /// The sign of -0.
    NegativeZero,
    /// Infinities and NaN.
    NonFinite,
    /// Points in time.
    Date,
    /// JavaScript's invalid date.
    InvalidDate,
    /// Integers of any size.
    BigInt,
    /// Typed arrays apart from plain binary data.
    TypedArray,
    /// Maps, whose keys need not be text.
    Map,
    /// Sets.
    Set,
    /// Regular expressions.
    RegExp,
}

impl Extra {
    /// The kinds of values.
    pub const VALUES: [Self; 13] = [
        Self::WideInt,
        Self::WholeBytes,
        Self::Bytes,
        Self::Undefined,
        Self::NegativeZero,
        Self::NonFinite,
        Self::Date,
        Self::InvalidDate,
        Self::BigInt,
        Self::TypedArray,
        Self::Map,
        Self::Set,
        Self::RegExp,
    ];

    /// Values of this kind; none for what is about packets.
    pub(crate) fn samples(self) -> Vec<Value> {
        let bytes = |len: u8| Bytes::from((0..len).map(|n| n ^ 0x80).collect::<Vec<_>>());
        match self {
            Self::Members | Self::DiscovererMembers | Self::OpenEnd | Self::SharedBytes => vec![],
            Self::WideInt => {
                let signed = [i64::MAX, i64::MIN, (1 << 53) + 1].map(Value::from);
                [&signed[..], &[u64::MAX.into()]].concat()
            }
            Self::WholeBytes | Self::Bytes => vec![bytes(0).into(), bytes(255).into()],
            Self::Undefined => vec![Value::Undefined],
            Self::NegativeZero => vec![(-0.0).into()],
            Self::NonFinite => [f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(Value::from).into(),
            Self::Date => [0.0, 1.0, -1.0, 1_700_000_000_123.0, 8.64e15, -8.64e15]
                .map(|ms| Value::Date(Date(ms)))
                .into(),
            Self::InvalidDate => vec![Value::Date(Date(f64::NAN))],
            Self::BigInt => ["0", "-1", "12345678901234567890123", "-98765432109876543210"]
                .into_iter()
                .filter_map(BigInt::parse)
                .map(|n| Extended::BigInt(n).into())
                .collect(),
            Self::TypedArray => [(64, 3), (69, 4), (79, 8), (86, 0)]
                .map(|(tag, len)| Extended::TypedArray { tag, bytes: bytes(len) }.into())
                .into(),
            Self::Map => vec![
                Extended::Map(vec![]).into(),
                Extended::Map(vec![
                    (1.into(), Value::Null),
                    ("a".into(), 2.into()),
                    (true.into(), Extended::Map(vec![]).into()),
                ])
                .into(),
            ],
            Self::Set => vec![
                Extended::Set(vec![]).into(),
                Extended::Set(vec![1.into(), "1".into(), Value::Null]).into(),
            ],
            Self::RegExp => [("a/b\\d+", "gi"), ("", "")]
                .map(|(source, flags)| {
                    let (source, flags) = (source.to_owned(), flags.to_owned());
                    Extended::RegExp { source, flags }.into()
                })
                .into(),
        }
    }
}
