//! The messages that the host sends: net/rpc's headers, and the arguments and answers of GoatFlow's services.
//!
//! Their types have the numbers that they have in the reference's host. A type is described once per stream and
//! direction, in front of its first value.

use std::collections::BTreeMap;

use super::gob::{
    BOOL, BYTES, Description, FieldWriter, Form, INTERFACE, TEXT, UINT, end_message, put_text, put_uint, start_value,
};

const REQUEST: Description =
    Description { id: 64, name: "Request", form: Form::Struct(&[("ServiceMethod", TEXT), ("Seq", UINT)]) };

const INIT_REQUEST: Description = Description {
    id: 65,
    name: "InitRequest",
    form: Form::Struct(&[("Config", TEXT_BY_TEXT.id), ("HostAPIID", UINT)]),
};

const TEXT_BY_TEXT: Description = Description { id: 66, name: "map[string]string", form: Form::Map(TEXT, TEXT) };

/// Plugins that were built before calls had tokens pass over the field.
const CALL_REQUEST: Description = Description {
    id: 67,
    name: "CallRequest",
    form: Form::Struct(&[("Function", TEXT), ("Args", BYTES), ("CallToken", TEXT)]),
};

const RESPONSE: Description = Description {
    id: 68,
    name: "Response",
    form: Form::Struct(&[("ServiceMethod", TEXT), ("Seq", UINT), ("Error", TEXT)]),
};

const HOST_RESPONSE: Description =
    Description { id: 69, name: "HostAPIResponse", form: Form::Struct(&[("Result", BYTES), ("Error", TEXT)]) };

/// What stands where an answer would, when there is none.
const NO_ANSWER: Description = Description { id: 70, name: "", form: Form::Struct(&[]) };

/// The argument of a call.
#[derive(Debug)]
pub enum Argument {
    /// An empty interface.
    Nil,
    /// `true`.
    True,
    /// A text.
    Text(&'static str),
    /// What a plugin learns when it starts.
    Init {
        /// Settings.
        config: BTreeMap<String, String>,
        /// What it dials for the host API.
        host_api: u32,
    },
    /// The settings alone, which is what plugins took that could not yet call the host.
    Settings(BTreeMap<String, String>),
    /// A call of one of a plugin's functions.
    Call {
        /// Name of the function.
        function: String,
        /// Arguments, JSON.
        arguments: Vec<u8>,
        /// What the plugin sends along with host calls that it makes for this one.
        token: String,
    },
}

/// Writes one direction of a stream.
#[derive(Debug, Default)]
pub struct Writer {
    /// Bit for each type that the other side knows.
    described: u128,
}

impl Writer {
    /// A call.
    pub fn request(&mut self, method: &str, sequence: u64, argument: &Argument, out: &mut Vec<u8>) {
        let mut body = self.start_struct(&REQUEST, out);
        let mut fields = FieldWriter::default();
        fields.bytes(&mut body, 0, method.as_bytes());
        fields.uint(&mut body, 1, sequence);
        end_struct(out, body);
        self.argument(argument, out);
    }

    /// The answer of a host call.
    pub fn answer(&mut self, method: &str, sequence: u64, answer: Result<&[u8], &str>, out: &mut Vec<u8>) {
        self.response(method, sequence, "", out);
        let mut body = self.start_struct(&HOST_RESPONSE, out);
        let mut fields = FieldWriter::default();
        fields.bytes(&mut body, 0, answer.unwrap_or_default());
        fields.bytes(&mut body, 1, answer.err().unwrap_or_default().as_bytes());
        end_struct(out, body);
    }

    /// The answer of a call that can't be made.
    pub fn refusal(&mut self, method: &str, sequence: u64, reason: &str, out: &mut Vec<u8>) {
        self.response(method, sequence, reason, out);
        let body = self.start_struct(&NO_ANSWER, out);
        end_struct(out, body);
    }

    fn response(&mut self, method: &str, sequence: u64, error: &str, out: &mut Vec<u8>) {
        let mut body = self.start_struct(&RESPONSE, out);
        let mut fields = FieldWriter::default();
        fields.bytes(&mut body, 0, method.as_bytes());
        fields.uint(&mut body, 1, sequence);
        fields.bytes(&mut body, 2, error.as_bytes());
        end_struct(out, body);
    }

    fn argument(&mut self, argument: &Argument, out: &mut Vec<u8>) {
        match argument {
            Argument::Nil => end_message(out, &[start_value(INTERFACE), vec![0]].concat()),
            Argument::True => end_message(out, &[start_value(BOOL), vec![1]].concat()),
            Argument::Text(text) => {
                let mut body = start_value(TEXT);
                put_text(&mut body, text.as_bytes());
                end_message(out, &body);
            }
            Argument::Init { config, host_api } => {
                let mut body = self.start_struct(&INIT_REQUEST, out);
                self.describe(&TEXT_BY_TEXT, out);
                let mut fields = FieldWriter::default();
                if !config.is_empty() {
                    fields.skip_to(&mut body, 0);
                    put_texts(&mut body, config);
                }
                fields.uint(&mut body, 1, u64::from(*host_api));
                end_struct(out, body);
            }
            Argument::Settings(config) => {
                self.describe(&TEXT_BY_TEXT, out);
                // What is no struct has a zero in front.
                let mut body = [start_value(TEXT_BY_TEXT.id), vec![0]].concat();
                put_texts(&mut body, config);
                end_message(out, &body);
            }
            Argument::Call { function, arguments, token } => {
                let mut body = self.start_struct(&CALL_REQUEST, out);
                let mut fields = FieldWriter::default();
                fields.bytes(&mut body, 0, function.as_bytes());
                fields.bytes(&mut body, 1, arguments);
                fields.bytes(&mut body, 2, token.as_bytes());
                end_struct(out, body);
            }
        }
    }

    fn start_struct(&mut self, of: &Description, out: &mut Vec<u8>) -> Vec<u8> {
        self.describe(of, out);
        start_value(of.id)
    }

    fn describe(&mut self, of: &Description, out: &mut Vec<u8>) {
        let bit = 1 << of.id;
        if self.described & bit == 0 {
            self.described |= bit;
            of.write(out);
        }
    }
}

fn put_texts(body: &mut Vec<u8>, texts: &BTreeMap<String, String>) {
    put_uint(body, texts.len() as u64);
    for text in texts.iter().flat_map(|(key, value)| [key, value]) {
        put_text(body, text.as_bytes());
    }
}

fn end_struct(out: &mut Vec<u8>, mut body: Vec<u8>) {
    body.push(0);
    end_message(out, &body);
}

/// Types by number, for a test: no number twice.
#[cfg(test)]
pub const NUMBERS: [super::gob::TypeId; 7] =
    [REQUEST.id, INIT_REQUEST.id, TEXT_BY_TEXT.id, CALL_REQUEST.id, RESPONSE.id, HOST_RESPONSE.id, NO_ANSWER.id];
