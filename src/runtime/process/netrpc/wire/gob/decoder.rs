//! Messages into values.
//!
//! Every element of a value takes at least one byte of its message, so that the work is bounded by the message's length;
//! what is kept is bounded by a number of values, because a value takes more room than the byte it came from.

use std::collections::BTreeSet;

use super::super::{Wired, broken};
use super::encoder::put_text;
use super::reader::Reader;
use super::types::{Field, Form, Types, for_each_field};
use super::value::Value;
use super::{BOOL, BYTES, COMPLEX, FLOAT, INT, INTERFACE, TEXT, TypeId, UINT};

/// Values in values, from the outside in; a type that contains itself reaches it.
const MAX_DEPTH: u32 = 32;

/// Values that are kept of one message.
const MAX_VALUES: u32 = 64 * 1024;

/// Longest name of a type in an interface, in bytes.
const MAX_TYPE_NAME: usize = 1024;

/// What of a message is kept.
#[derive(Debug, Clone, Copy)]
pub enum Wanted {
    /// All of it.
    All,
    /// Of a struct these fields; anything else as it is.
    Fields(&'static [&'static str]),
    /// Nothing: it is checked and passed over.
    Nothing,
}

/// Messages that one value may be spread over, and their bytes: it is read anew with each of them.
const MAX_PARTS: u32 = 16;
const MAX_PART_BYTES: usize = 1024 * 1024;

/// One direction of a stream: the types that it described so far.
#[derive(Debug, Default)]
pub struct Decoder {
    types: Types,
    /// A value whose message ended behind a type that was described inside of it; the next message goes on with it.
    part: Option<Part>,
}

#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    count: u32,
    /// Types that were described inside of the value.
    inner: BTreeSet<TypeId>,
}

impl Decoder {
    /// Reads a message; nothing when it described a type, or when the next message is needed as well.
    pub fn message(&mut self, body: &[u8], wanted: Wanted) -> Wired<Option<Value>> {
        match self.part.take() {
            None => self.read(body, wanted, Part::default()),
            Some(mut part) => {
                // With its length, which stands before the content of an interface in any case.
                put_text(&mut part.bytes, body);
                let bytes = std::mem::take(&mut part.bytes);
                self.read(&bytes, wanted, part)
            }
        }
    }

    fn read(&mut self, body: &[u8], wanted: Wanted, part: Part) -> Wired<Option<Value>> {
        let mut reader = Reader::new(body);
        let id = reader.int()?;
        let mut value = None;
        if id < 0 {
            self.types.describe(id.checked_neg().unwrap_or_default(), &mut reader)?;
        } else {
            let inner = part.inner;
            let mut values = Values { types: &mut self.types, left: MAX_VALUES, inner, is_cut: false };
            match values.outermost(id, &mut reader, wanted) {
                Err(_) if values.is_cut && part.count < MAX_PARTS && body.len() <= MAX_PART_BYTES => {
                    self.part = Some(Part { bytes: body.to_vec(), count: part.count + 1, inner: values.inner });
                    return Ok(None);
                }
                outcome => value = Some(outcome?),
            }
        }
        match reader.len() {
            0 => Ok(value),
            length => broken(format!("{length} bytes stand behind a gob value")),
        }
    }
}

struct Values<'t> {
    types: &'t mut Types,
    left: u32,
    inner: BTreeSet<TypeId>,
    /// The message ended where the next one may go on.
    is_cut: bool,
}

impl Values<'_> {
    fn outermost(&mut self, id: TypeId, reader: &mut Reader<'_>, wanted: Wanted) -> Wired<Value> {
        if id >= super::FIRST_DESCRIBED
            && let Form::Struct(fields) = self.types.form(id)?
        {
            return self.structure(&fields, reader, 1, wanted);
        }
        // A value that is no struct is dressed as the only field of one.
        if reader.uint()? != 0 {
            return broken("a gob value that is no struct has fields");
        }
        self.value(id, reader, 1, !matches!(wanted, Wanted::Nothing))
    }

    fn value(&mut self, id: TypeId, reader: &mut Reader<'_>, depth: u32, is_kept: bool) -> Wired<Value> {
        if depth > MAX_DEPTH {
            return broken(format!("a gob value nests more than {MAX_DEPTH} deep"));
        }
        if is_kept {
            self.left = match self.left.checked_sub(1) {
                Some(left) => left,
                None => return broken(format!("a gob message has more than {MAX_VALUES} values")),
            };
        }
        match id {
            BOOL => Ok(Value::Bool(reader.uint()? != 0)),
            INT => Ok(Value::Int(reader.int()?)),
            UINT => Ok(Value::Uint(reader.uint()?)),
            FLOAT => Ok(Value::Float(reader.float()?)),
            COMPLEX => Ok(Value::Complex(reader.float()?, reader.float()?)),
            BYTES => opaque(reader, is_kept),
            TEXT => {
                let bytes = reader.bytes()?;
                Ok(if is_kept { Value::Text(String::from_utf8_lossy(bytes).into_owned()) } else { Value::Null })
            }
            INTERFACE => self.interface(reader),
            _ => self.described(id, reader, depth, is_kept),
        }
    }

    fn described(&mut self, id: TypeId, reader: &mut Reader<'_>, depth: u32, is_kept: bool) -> Wired<Value> {
        match self.types.form(id)? {
            Form::Struct(fields) => {
                let wanted = if is_kept { Wanted::All } else { Wanted::Nothing };
                self.structure(&fields, reader, depth + 1, wanted)
            }
            Form::Map(key, value) => self.map((key, value), reader, depth + 1, is_kept),
            Form::Slice(element) => {
                let count = reader.count(1)?;
                self.list(element, count, reader, depth + 1, is_kept)
            }
            Form::Array(element, length) => {
                let count = reader.count(1)?;
                if i64::try_from(count) != Ok(length) {
                    return broken(format!("a gob array of {length} elements has {count}"));
                }
                self.list(element, count, reader, depth + 1, is_kept)
            }
            Form::Opaque => opaque(reader, is_kept),
        }
    }

    fn structure(&mut self, fields: &[Field], reader: &mut Reader<'_>, depth: u32, wanted: Wanted) -> Wired<Value> {
        let mut kept = Vec::new();
        for_each_field(reader, |position, reader| {
            let Some(field) = fields.get(position) else {
                return broken(format!("a gob struct of {} fields has a field {}", fields.len(), position + 1));
            };
            let is_kept = match wanted {
                Wanted::All => true,
                Wanted::Fields(names) => names.contains(&&*field.name),
                Wanted::Nothing => false,
            };
            let value = self.value(field.of, reader, depth, is_kept)?;
            if is_kept {
                kept.push((field.name.clone(), value));
            }
            Ok(())
        })?;
        Ok(if matches!(wanted, Wanted::Nothing) { Value::Null } else { Value::Struct(kept) })
    }

    fn list(
        &mut self,
        element: TypeId,
        count: usize,
        reader: &mut Reader<'_>,
        depth: u32,
        is_kept: bool,
    ) -> Wired<Value> {
        let mut kept = Vec::new();
        for _ in 0..count {
            let value = self.value(element, reader, depth, is_kept)?;
            if is_kept {
                kept.push(value);
            }
        }
        Ok(if is_kept { Value::List(kept) } else { Value::Null })
    }

    fn map(
        &mut self,
        (key, value): (TypeId, TypeId),
        reader: &mut Reader<'_>,
        depth: u32,
        is_kept: bool,
    ) -> Wired<Value> {
        let count = reader.count(2)?;
        let mut kept = Vec::new();
        for _ in 0..count {
            let pair = (self.value(key, reader, depth, is_kept)?, self.value(value, reader, depth, is_kept)?);
            if is_kept {
                kept.push(pair);
            }
        }
        Ok(if is_kept { Value::Map(kept) } else { Value::Null })
    }

    /// What an interface holds is passed over, but types that are described on the way count from then on.
    fn interface(&mut self, reader: &mut Reader<'_>) -> Wired<Value> {
        let name = reader.bytes()?;
        if name.is_empty() {
            return Ok(Value::Null);
        }
        if name.len() > MAX_TYPE_NAME {
            return broken(format!("the name of a gob type has {} bytes", name.len()));
        }
        loop {
            let id = reader.int()?;
            if id >= 0 {
                break;
            }
            let id = id.checked_neg().unwrap_or_default();
            if self.inner.insert(id) {
                self.types.describe(id, reader)?;
            } else {
                Types::default().describe(id, reader)?;
            }
            self.is_cut = reader.len() == 0;
            reader.uint()?;
        }
        reader.bytes()?;
        Ok(Value::Null)
    }
}

fn opaque(reader: &mut Reader<'_>, is_kept: bool) -> Wired<Value> {
    let bytes = reader.bytes()?;
    Ok(if is_kept { Value::Bytes(bytes.to_vec()) } else { Value::Null })
}
