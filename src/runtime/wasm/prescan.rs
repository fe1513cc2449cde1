//! Refuses modules that would be too dear to compile, before they are compiled: compile time is not covered by any
//! deadline inside the compiler (8-21 s were measured for a 2.7 MB module with 900,000 nested blocks).

use wasmparser::{FunctionBody, Operator, Parser, Payload};

use crate::error::{Error, ErrorCode, Result};

/// What a module may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanLimits {
    /// Bytes of the module.
    pub module_bytes: usize,
    /// Functions it defines.
    pub functions: u32,
    /// Bytes of one function's body.
    pub body_bytes: usize,
    /// Blocks inside each other in one function.
    pub nesting: u32,
    /// Local variables of one function.
    pub locals: u32,
    /// Imports; exports.
    pub imports_and_exports: u32,
    /// Data segments. Go's linker emits tens of thousands.
    pub data_segments: u32,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self {
            module_bytes: 16 * 1024 * 1024,
            functions: 50_000,
            body_bytes: 1024 * 1024,
            nesting: 2_000,
            locals: 50_000,
            imports_and_exports: 1_000,
            data_segments: 100_000,
        }
    }
}

/// Checks `module` against `limits`. What is malformed is left to the validator, except where the scan can't go on.
pub(super) fn scan(module: &[u8], limits: &ScanLimits) -> Result<()> {
    at_most("bytes", module.len(), limits.module_bytes)?;
    if !Parser::is_core_wasm(module) {
        return Err(Error::new(
            ErrorCode::PackageModuleInvalid,
            "the file is not a WebAssembly core module (components and text files are not accepted)",
        ));
    }
    for payload in Parser::new(0).parse_all(module) {
        scan_payload(payload.map_err(malformed)?, limits)?;
    }
    Ok(())
}

fn scan_payload(payload: Payload<'_>, limits: &ScanLimits) -> Result<()> {
    match payload {
        Payload::FunctionSection(section) => at_most("functions", section.count(), limits.functions),
        Payload::ImportSection(section) => at_most("imports", section.count(), limits.imports_and_exports),
        Payload::ExportSection(section) => at_most("exports", section.count(), limits.imports_and_exports),
        Payload::DataSection(section) => at_most("data segments", section.count(), limits.data_segments),
        Payload::ElementSection(section) => at_most("element segments", section.count(), limits.data_segments),
        Payload::GlobalSection(section) => at_most("globals", section.count(), limits.functions),
        Payload::TypeSection(section) => at_most("types", section.count(), limits.functions),
        Payload::TableSection(section) => at_most("tables", section.count(), 100_u32),
        Payload::CodeSectionEntry(body) => scan_body(&body, limits),
        _ => Ok(()),
    }
}

fn scan_body(body: &FunctionBody<'_>, limits: &ScanLimits) -> Result<()> {
    at_most("bytes in one function", body.range().len(), limits.body_bytes)?;
    let mut locals = 0_u32;
    for group in body.get_locals_reader().map_err(malformed)? {
        let (count, _) = group.map_err(malformed)?;
        locals = locals.saturating_add(count);
        at_most("local variables in one function", locals, limits.locals)?;
    }
    let mut nesting = 0_u32;
    for operator in body.get_operators_reader().map_err(malformed)? {
        match operator.map_err(malformed)? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                nesting += 1;
                at_most("nested blocks in one function", nesting, limits.nesting)?;
            }
            Operator::End => nesting = nesting.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn at_most<N: PartialOrd + std::fmt::Display>(what: &str, count: N, limit: N) -> Result<()> {
    if count <= limit {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::PackageModuleLimits,
        format!("the module has {count} {what}, the limit is {limit} (the host may raise `limits.module`)"),
    ))
}

fn malformed(error: wasmparser::BinaryReaderError) -> Error {
    Error::new(ErrorCode::PackageModuleInvalid, "the module is malformed").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_wat(text: &str, limits: &ScanLimits) -> Option<(ErrorCode, String)> {
        let error = scan(&wat::parse_str(text).unwrap(), limits).err()?;
        Some((error.code(), error.to_string()))
    }

    #[test]
    fn each_limit_is_named_when_it_is_exceeded() {
        let tight = ScanLimits { functions: 1, nesting: 1, locals: 1, imports_and_exports: 1, ..ScanLimits::default() };
        for (text, what) in [
            ("(module (func) (func))", "2 functions"),
            ("(module (func block block end end))", "2 nested blocks"),
            ("(module (func (local i32 i64)))", "2 local variables"),
            (r#"(module (func (export "a")) (export "b" (func 0)))"#, "2 exports"),
        ] {
            let (code, message) = scan_wat(text, &tight).unwrap();
            assert_eq!(code, ErrorCode::PackageModuleLimits, "{text}");
            assert!(message.contains(what), "{message}");
        }
        assert_eq!(scan_wat("(module (func block end block end))", &tight), None);
    }

    #[test]
    fn what_is_no_module_is_refused_with_the_reason() {
        for bytes in [&b""[..], b"\0asm", b"(module)", b"\0asm\x0d\0\x01\0", b"\0asm\x01\0\0\0\x01"] {
            let error = scan(bytes, &ScanLimits::default()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::PackageModuleInvalid, "{bytes:?}");
        }
    }
}
