//! Go's `encoding/gob`: a stream of messages that describes its types before it uses them.
//!
//! A message is a length and a body. A body that starts with a negative type number describes the type of that number;
//! another one is a value of the type that it starts with. Numbers up to 15 are Go's basic types; all others are what the
//! sender makes of them, differently in every process.

mod decoder;
mod encoder;
mod framer;
mod reader;
mod types;
mod value;

pub use decoder::{Decoder, Wanted};
pub use encoder::{Description, FieldWriter, Form, end_message, put_text, put_uint, start_value};
pub use framer::{Frame, Framer};
pub use value::Value;

/// Number that gob gives to a type.
pub type TypeId = i64;

/// Type number of `bool`.
pub const BOOL: TypeId = 1;
/// Type number of `int`.
pub const INT: TypeId = 2;
/// Type number of `uint`.
pub const UINT: TypeId = 3;
/// Type number of `float64`.
pub const FLOAT: TypeId = 4;
/// Type number of `[]byte`.
pub const BYTES: TypeId = 5;
/// Type number of `string`.
pub const TEXT: TypeId = 6;
/// Type number of `complex128`.
pub const COMPLEX: TypeId = 7;
/// Type number of an interface.
pub const INTERFACE: TypeId = 8;
/// The first number of a type that a sender describes.
pub const FIRST_DESCRIBED: TypeId = 64;
