//! What this library sends, as gob: the host's side needs no more than a few structs.

use super::{BOOL, BYTES, INTERFACE, TEXT, TypeId};

/// A type that is described to the other side before the first value of it.
#[derive(Debug)]
pub struct Description {
    /// Number of the type.
    pub id: TypeId,
    /// Name of the type; Go ignores it.
    pub name: &'static str,
    /// What it is made of.
    pub form: Form,
}

/// What a described type is made of.
#[derive(Debug)]
pub enum Form {
    /// Fields by name and type.
    Struct(&'static [(&'static str, TypeId)]),
    /// Types of keys and values.
    Map(TypeId, TypeId),
}

impl Description {
    /// Appends the description as a message.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        put_int(&mut body, -self.id);
        match self.form {
            Form::Struct(fields) => {
                put_uint(&mut body, 3);
                self.write_common(&mut body);
                if !fields.is_empty() {
                    put_uint(&mut body, 1);
                    put_uint(&mut body, fields.len() as u64);
                }
                for (name, of) in fields {
                    put_uint(&mut body, 1);
                    put_text(&mut body, name.as_bytes());
                    put_uint(&mut body, 1);
                    put_int(&mut body, *of);
                    put_uint(&mut body, 0);
                }
            }
            Form::Map(key, value) => {
                put_uint(&mut body, 4);
                self.write_common(&mut body);
                for of in [key, value] {
                    put_uint(&mut body, 1);
                    put_int(&mut body, of);
                }
            }
        }
        body.extend([0, 0]);
        end_message(out, &body);
    }

    /// Name and number, in front of every description.
    fn write_common(&self, body: &mut Vec<u8>) {
        put_uint(body, 1);
        let mut fields = FieldWriter::default();
        fields.bytes(body, 0, self.name.as_bytes());
        fields.skip_to(body, 1);
        put_int(body, self.id);
        put_uint(body, 0);
    }
}

/// Writes the fields of a struct; a field that is zero is left out.
#[derive(Debug, Default)]
pub struct FieldWriter {
    next: u64,
}

impl FieldWriter {
    /// Starts the field at `position`, which must be behind those before it.
    pub fn skip_to(&mut self, body: &mut Vec<u8>, position: u64) {
        put_uint(body, (position + 1).saturating_sub(self.next));
        self.next = position + 1;
    }

    /// Text or bytes.
    pub fn bytes(&mut self, body: &mut Vec<u8>, position: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.skip_to(body, position);
            put_text(body, bytes);
        }
    }

    /// An unsigned number.
    pub fn uint(&mut self, body: &mut Vec<u8>, position: u64, number: u64) {
        if number != 0 {
            self.skip_to(body, position);
            put_uint(body, number);
        }
    }
}

/// Starts a value: the number of its type, and what stands in front of one that is no struct.
pub fn start_value(id: TypeId) -> Vec<u8> {
    let mut body = Vec::new();
    put_int(&mut body, id);
    if [BOOL, BYTES, TEXT, INTERFACE].contains(&id) {
        body.push(0);
    }
    body
}

/// Appends a message with its length in front.
pub fn end_message(out: &mut Vec<u8>, body: &[u8]) {
    out.reserve(body.len() + 9);
    put_text(out, body);
}

/// Appends bytes with their number in front.
pub fn put_text(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends an unsigned number: small ones as they are, others behind the number of their bytes.
pub fn put_uint(out: &mut Vec<u8>, number: u64) {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    match digits {
        [] => out.push(0),
        [digit] if *digit < 0x80 => out.push(*digit),
        _ => {
            out.push(u8::try_from(digits.len()).unwrap_or_default().wrapping_neg());
            out.extend_from_slice(digits);
        }
    }
}

/// Appends a signed number.
fn put_int(out: &mut Vec<u8>, number: i64) {
    let shifted = if number < 0 { (!number) << 1 | 1 } else { number << 1 };
    put_uint(out, shifted.cast_unsigned());
}
