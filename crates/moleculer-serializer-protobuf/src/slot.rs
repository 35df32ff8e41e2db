//! The fields of a message by their numbers.

use bytes::Bytes;

use crate::message::Client;

/// A message whose fields are known by their numbers.
pub(crate) trait Slots {
    /// The field of that number, for reading.
    fn slot(&self, number: u8) -> Option<Slot<'_>>;

    /// The field of that number, for writing.
    fn slot_mut(&mut self, number: u8) -> Option<SlotMut<'_>>;
}

macro_rules! slots {
    ($message:ident { $($number:literal: $field:ident),+ }) => {
        impl crate::slot::Slots for $message {
            fn slot(&self, number: u8) -> Option<crate::slot::Slot<'_>> {
                match number {
                    $($number => Some((&self.$field).into()),)+
                    _ => None,
                }
            }

            fn slot_mut(&mut self, number: u8) -> Option<crate::slot::SlotMut<'_>> {
                match number {
                    $($number => Some((&mut self.$field).into()),)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use slots;

macro_rules! types {
    ($($variant:ident($ty:ty))+) => {
        /// A field as it is declared, shared.
        pub(crate) enum Slot<'a> {
            $($variant(&'a $ty),)+
        }

        /// A field as it is declared, to be set.
        pub(crate) enum SlotMut<'a> {
            $($variant(&'a mut $ty),)+
        }

        $(
            impl<'a> From<&'a $ty> for Slot<'a> {
                fn from(slot: &'a $ty) -> Self {
                    Self::$variant(slot)
                }
            }

            impl<'a> From<&'a mut $ty> for SlotMut<'a> {
                fn from(slot: &'a mut $ty) -> Self {
                    Self::$variant(slot)
                }
            }
        )+
    };
}
types! {
    Flag(Option<bool>)
    Int(Option<i32>)
    Long(Option<i64>)
    Double(Option<f64>)
    Bytes(Option<Bytes>)
    List(Vec<Bytes>)
    Client(Option<Client>)
}
