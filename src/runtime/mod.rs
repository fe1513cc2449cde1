//! What runs plugins.

pub mod process;
pub mod template;
pub mod wasm;

use crate::error::{Error, ErrorCode, Result};
use crate::plugin::RuntimeLimits;

/// Longest name of a plugin's function, in bytes.
const MAX_FUNCTION_NAME: usize = 1024;

/// Refuses calls that no runtime makes.
fn check_arguments(function: &str, arguments: &[u8], limits: &RuntimeLimits) -> Result<()> {
    if function.is_empty() {
        return Err(Error::new(ErrorCode::ArgumentInvalid, "the name of the function is empty"));
    }
    if function.len() > MAX_FUNCTION_NAME {
        return Err(Error::new(
            ErrorCode::ArgumentTooLarge,
            format!("the name of the function has more than {MAX_FUNCTION_NAME} bytes"),
        ));
    }
    if arguments.len() > limits.argument_bytes {
        return Err(Error::new(
            ErrorCode::ArgumentTooLarge,
            format!("the arguments have {} bytes, the limit is {}", arguments.len(), limits.argument_bytes),
        ));
    }
    Ok(())
}
