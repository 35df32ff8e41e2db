//! The part of a visitor that hands plain values on to another one.

/// The methods of a `Visitor` whose values hold no further ones: each calls
/// that of the field `$inner`.
macro_rules! forward_visits {
    ($inner:tt) => {
        $crate::visits::forward_visits! { $inner:
            visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64)
            visit_i128(i128) visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64)
            visit_u128(u128) visit_f32(f32) visit_f64(f64) visit_char(char) visit_str(&str)
            visit_string(String) visit_borrowed_str(&'de str) visit_bytes(&[u8])
            visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
        }

        fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
            self.$inner.visit_none()
        }
        fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
            self.$inner.visit_unit()
        }
    };
    ($inner:tt: $($method:ident($ty:ty))*) => {$(
        fn $method<E: serde::de::Error>(self, v: $ty) -> Result<V::Value, E> {
            self.$inner.$method(v)
        }
    )*};
}
pub(crate) use forward_visits;
