//! Values as a stream gives them.

use std::sync::Arc;

use super::super::{Wired, broken};

/// A value of any type; names are those of the sender.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value: an empty interface, or what was passed over.
    Null,
    /// `bool`.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A number with a fraction.
    Float(f64),
    /// A complex number.
    Complex(f64, f64),
    /// `[]byte`, or what only its type's own code can read.
    Bytes(Vec<u8>),
    /// `string`; what is not UTF-8 in it was replaced.
    Text(String),
    /// Array or slice.
    List(Vec<Self>),
    /// Map, in the order of the sender.
    Map(Vec<(Self, Self)>),
    /// Struct: the fields that are not zero.
    Struct(Vec<(Arc<str>, Self)>),
}

impl Value {
    /// Takes a field out of a struct; nothing when it is zero.
    pub fn take(&mut self, name: &str) -> Wired<Option<Self>> {
        let Self::Struct(fields) = self else {
            return broken(format!("{} came where a struct with the field {name} belongs", self.kind()));
        };
        let found = fields.iter_mut().find(|(field, _)| &**field == name);
        Ok(found.map(|(_, value)| std::mem::replace(value, Self::Null)))
    }

    /// Takes a field that holds text.
    pub fn take_text(&mut self, name: &str) -> Wired<String> {
        match self.take(name)? {
            None => Ok(String::new()),
            Some(Self::Text(text)) => Ok(text),
            Some(other) => broken(format!("the field {name} holds {} and not text", other.kind())),
        }
    }

    /// Takes a field that holds bytes.
    pub fn take_bytes(&mut self, name: &str) -> Wired<Vec<u8>> {
        match self.take(name)? {
            None => Ok(Vec::new()),
            Some(Self::Bytes(bytes)) => Ok(bytes),
            Some(other) => broken(format!("the field {name} holds {} and not bytes", other.kind())),
        }
    }

    /// Takes a field that holds an unsigned number.
    pub fn take_uint(&mut self, name: &str) -> Wired<u64> {
        match self.take(name)? {
            None => Ok(0),
            Some(Self::Uint(number)) => Ok(number),
            Some(other) => broken(format!("the field {name} holds {} and not an unsigned number", other.kind())),
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "a signed number",
            Self::Uint(_) => "an unsigned number",
            Self::Float(_) => "a number with a fraction",
            Self::Complex(..) => "a complex number",
            Self::Bytes(_) => "bytes",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Struct(_) => "a struct",
        }
    }
}
