//! Values that need no allocation: [`Scalar`].

use std::any::Any;

use serde::de::DeserializeOwned;

use super::{
    Repr,
    take::{convert, take_as},
};
use crate::{Date, Object, Value, format::DecodeError};

/// What is too small for an allocation. No member is smaller than a word: the
/// tag is then one too, and the whole moves in whole registers.
#[derive(Clone, Copy)]
pub(super) enum Scalar {
    Null,
    False,
    True,
    Int(i64),
    UInt(u64),
    Float(f64),
    Date(Date),
    EmptyObject,
}

/// Takes the value out if it needs no allocation.
pub(super) fn small<T: 'static>(slot: &mut Option<T>) -> Option<Repr> {
    macro_rules! scalars {
        ($($ty:ty)*) => {$(
            if let Some(value) = take_as::<T, $ty>(slot) {
                return small_value(&value.into());
            }
        )*};
    }
    scalars!(bool i64 i32 u32 u64 f64);
    if take_as::<T, ()>(slot).is_some() {
        return Some(Repr::Nothing);
    }
    let small = small_value((slot as &dyn Any).downcast_ref::<Option<Value>>()?.as_ref()?)?;
    *slot = None;
    Some(small)
}

fn small_value(value: &Value) -> Option<Repr> {
    Some(Repr::Scalar(match value {
        Value::Undefined => return Some(Repr::Nothing),
        Value::Null => Scalar::Null,
        Value::Bool(false) => Scalar::False,
        Value::Bool(true) => Scalar::True,
        Value::Int(n) => Scalar::Int(*n),
        Value::UInt(n) => Scalar::UInt(*n),
        Value::Float(n) => Scalar::Float(*n),
        Value::Date(date) => Scalar::Date(*date),
        _ => return None,
    }))
}

impl Scalar {
    #[inline]
    pub(super) fn take<T: DeserializeOwned + 'static>(self) -> Result<T, DecodeError> {
        let same = match self {
            Self::Int(n) => take_as(&mut Some(n)),
            Self::Float(n) => take_as(&mut Some(n)),
            Self::False | Self::True => take_as(&mut Some(matches!(self, Self::True))),
            _ => None,
        };
        same.map_or_else(|| convert(self.into()), Ok)
    }
}

impl From<Scalar> for Value {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Null => Self::Null,
            Scalar::False => Self::Bool(false),
            Scalar::True => Self::Bool(true),
            Scalar::Int(n) => Self::Int(n),
            Scalar::UInt(n) => Self::UInt(n),
            Scalar::Float(n) => Self::Float(n),
            Scalar::Date(date) => Self::Date(date),
            Scalar::EmptyObject => Self::Object(Object::new()),
        }
    }
}
