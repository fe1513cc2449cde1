//! The types that a stream describes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Wired, broken};
use super::reader::Reader;
use super::{FIRST_DESCRIBED, TypeId};

/// Types that one stream may describe; the largest registration of a known plugin needs about twenty.
const MAX_TYPES: usize = 256;

/// Fields that all types of a stream may have together.
const MAX_FIELDS: usize = 4096;

/// Longest name of a field, in bytes.
const MAX_FIELD_NAME: usize = 256;

/// What a type is made of.
#[derive(Debug, Clone)]
pub enum Form {
    /// Fields, each left out when it is zero.
    Struct(Arc<[Field]>),
    /// Keys and values.
    Map(TypeId, TypeId),
    /// Any number of elements.
    Slice(TypeId),
    /// As many elements as the type says.
    Array(TypeId, i64),
    /// Bytes whose meaning only the type's own code knows.
    Opaque,
}

/// One field of a struct.
#[derive(Debug)]
pub struct Field {
    /// What it is matched by.
    pub name: Arc<str>,
    /// Its type, which may be described later.
    pub of: TypeId,
}

/// All types of a stream.
#[derive(Debug, Default)]
pub struct Types {
    described: BTreeMap<TypeId, Form>,
    fields: usize,
}

impl Types {
    /// What the type is made of.
    pub fn form(&self, id: TypeId) -> Wired<Form> {
        match self.described.get(&id) {
            Some(form) => Ok(form.clone()),
            None => broken(format!("a gob value has the type {id}, which was not described")),
        }
    }

    /// Reads the description of a type.
    pub fn describe(&mut self, id: TypeId, reader: &mut Reader<'_>) -> Wired<()> {
        if id < FIRST_DESCRIBED || self.described.contains_key(&id) {
            return broken(format!("the gob type {id} is described a second time"));
        }
        if self.described.len() >= MAX_TYPES {
            return broken(format!("more than {MAX_TYPES} gob types are described"));
        }
        let mut form = None;
        let mut budget = MAX_FIELDS - self.fields;
        for_each_field(reader, |number, reader| {
            if form.is_some() {
                return broken(format!("the gob type {id} is several things at once"));
            }
            form = Some(read_form(number, reader, &mut budget)?);
            Ok(())
        })?;
        let Some(form) = form else { return broken(format!("the gob type {id} is nothing")) };
        self.fields = MAX_FIELDS - budget;
        self.described.insert(id, form);
        Ok(())
    }
}

/// Calls `read` for each field that a struct has, with the field's position.
pub fn for_each_field<'a>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(usize, &mut Reader<'a>) -> Wired<()>,
) -> Wired<()> {
    let mut next = 0_usize;
    loop {
        let delta = reader.uint()?;
        if delta == 0 {
            return Ok(());
        }
        let position = usize::try_from(delta).ok().and_then(|delta| next.checked_add(delta - 1));
        let Some(position) = position.filter(|position| *position < MAX_FIELDS) else {
            return broken(format!("a gob value has a field {delta} places behind the one before"));
        };
        read(position, reader)?;
        next = position + 1;
    }
}

/// The alternatives of gob's `wireType`, in its order.
fn read_form(number: usize, reader: &mut Reader<'_>, budget: &mut usize) -> Wired<Form> {
    match number {
        0 => {
            let [element, length] = read_numbers(reader)?;
            Ok(Form::Array(element, length))
        }
        1 => Ok(Form::Slice(read_numbers::<1>(reader)?[0])),
        2 => read_struct(reader, budget),
        3 => {
            let [key, value] = read_numbers(reader)?;
            Ok(Form::Map(key, value))
        }
        4..=6 => {
            read_numbers::<0>(reader)?;
            Ok(Form::Opaque)
        }
        _ => broken("a gob type is of an unknown kind"),
    }
}

/// A description whose fields behind the common part are numbers.
fn read_numbers<const COUNT: usize>(reader: &mut Reader<'_>) -> Wired<[i64; COUNT]> {
    let mut numbers = [0; COUNT];
    for_each_field(reader, |position, reader| match position.checked_sub(1) {
        None => read_common(reader),
        Some(position) => match numbers.get_mut(position) {
            Some(number) => {
                *number = reader.int()?;
                Ok(())
            }
            None => broken("the description of a gob type has an unknown field"),
        },
    })?;
    Ok(numbers)
}

/// Name and number; the number was said before, and types are not matched by name.
fn read_common(reader: &mut Reader<'_>) -> Wired<()> {
    for_each_field(reader, |position, reader| match position {
        0 => reader.bytes().map(drop),
        1 => reader.int().map(drop),
        _ => broken("the description of a gob type has an unknown field"),
    })
}

fn read_struct(reader: &mut Reader<'_>, budget: &mut usize) -> Wired<Form> {
    let mut fields = Vec::new();
    for_each_field(reader, |position, reader| match position {
        0 => read_common(reader),
        1 => {
            let count = reader.count(1)?;
            if count > *budget {
                return broken(format!("the gob types have more than {MAX_FIELDS} fields"));
            }
            *budget -= count;
            fields = (0..count).map(|_| read_field(reader)).collect::<Wired<_>>()?;
            Ok(())
        }
        _ => broken("the description of a gob type has an unknown field"),
    })?;
    Ok(Form::Struct(fields.into()))
}

fn read_field(reader: &mut Reader<'_>) -> Wired<Field> {
    let (mut name, mut of) = (Arc::from(""), 0);
    for_each_field(reader, |position, reader| match position {
        0 => {
            let bytes = reader.bytes()?;
            if bytes.len() > MAX_FIELD_NAME {
                return broken(format!("a gob field's name has {} bytes", bytes.len()));
            }
            name = String::from_utf8_lossy(bytes).into();
            Ok(())
        }
        1 => {
            of = reader.int()?;
            Ok(())
        }
        _ => broken("the description of a gob field has an unknown field"),
    })?;
    Ok(Field { name, of })
}
