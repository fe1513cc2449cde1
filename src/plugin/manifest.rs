//! `plugin.yaml` or `manifest.json`: what an author writes beside the code. Unknown keys are ignored, as plugins expect.

use serde::Deserialize;
use serde_json::Value;

use super::name::check_name;
use crate::error::{Error, ErrorCode, Result};

/// Longest manifest that is read, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 256 * 1024;

/// How a plugin's code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    /// A WebAssembly module inside the host's process.
    Wasm,
    /// A native program in a process of its own.
    Process,
    /// Files only, no code.
    Template,
}

impl RuntimeKind {
    /// Name in manifests and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Process => "grpc",
            Self::Template => "template",
        }
    }
}

/// A manifest that was read and checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Name of the plugin.
    pub name: String,
    /// Version as the author writes it.
    #[serde(deserialize_with = "null_is_default")]
    pub version: String,
    /// Runtime as written: `wasm`, `grpc` or `template`; empty when absent.
    #[serde(deserialize_with = "null_is_default")]
    pub runtime: String,
    /// File name of the native program.
    #[serde(deserialize_with = "null_is_default")]
    pub binary: String,
    /// File name of the module.
    #[serde(deserialize_with = "null_is_default")]
    pub wasm: String,
    /// What the plugin does.
    #[serde(deserialize_with = "null_is_default")]
    pub description: String,
    /// Who wrote it.
    #[serde(deserialize_with = "null_is_default")]
    pub author: String,
    /// Licence of the plugin.
    #[serde(deserialize_with = "null_is_default")]
    pub license: String,
    /// Where to find more about it.
    #[serde(deserialize_with = "null_is_default")]
    pub homepage: String,
    /// What the author asks for, as written; the policy layer reads it.
    #[serde(deserialize_with = "crate::json::unique_value")]
    pub resources: Value,
}

fn null_is_default<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

impl Manifest {
    /// Reads `plugin.yaml`.
    pub fn from_yaml(text: &[u8]) -> Result<Self> {
        check_size(text)?;
        let manifest: Self = serde_norway::from_slice(text)
            .map_err(|error| invalid("the manifest is not the YAML that is expected").with_source(error))?;
        manifest.checked()
    }

    /// Reads `manifest.json`.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        check_size(text)?;
        let manifest: Self = serde_json::from_slice(text)
            .map_err(|error| invalid("the manifest is not the JSON that is expected").with_source(error))?;
        manifest.checked()
    }

    /// Runtime the plugin wants; `None` when the manifest leaves it open.
    pub fn runtime_kind(&self) -> Result<Option<RuntimeKind>> {
        match self.runtime.to_ascii_lowercase().as_str() {
            "" => Ok(None),
            "wasm" => Ok(Some(RuntimeKind::Wasm)),
            "grpc" => Ok(Some(RuntimeKind::Process)),
            "template" => Ok(Some(RuntimeKind::Template)),
            _ => Err(invalid(&format!(
                "unsupported runtime `{}` in the manifest (write `wasm`, `grpc` or `template`)",
                super::name::shorten(&self.runtime, 40)
            ))),
        }
    }

    fn checked(self) -> Result<Self> {
        if self.name.is_empty() {
            return Err(invalid("the manifest has no `name`"));
        }
        check_name(&self.name)?;
        self.runtime_kind()?;
        Ok(self)
    }
}

fn check_size(text: &[u8]) -> Result<()> {
    if text.len() > MAX_MANIFEST_BYTES {
        return Err(invalid(&format!("the manifest is larger than {MAX_MANIFEST_BYTES} bytes")));
    }
    Ok(())
}

fn invalid(context: &str) -> Error {
    Error::new(ErrorCode::PackageManifestInvalid, context.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_shapes_that_existing_manifests_have() {
        let manifest = Manifest::from_yaml(
            b"name: stats\nversion: 1.0\nruntime: wasm\nsidecars: [x]\nresources:\n  memory_mb: 16\n  permissions:\n    - {type: db, access: read, scope: [ticket]}\n",
        )
        .unwrap();
        assert_eq!(manifest.version, "1.0");
        assert_eq!(manifest.runtime_kind().unwrap(), Some(RuntimeKind::Wasm));
        assert_eq!(manifest.resources["memory_mb"], 16);
        assert_eq!(manifest.resources["permissions"][0]["scope"][0], "ticket");
    }

    #[test]
    fn json_with_name_and_version_is_enough() {
        let manifest = Manifest::from_json(br#"{"name":"x","version":"2","author":null}"#).unwrap();
        assert_eq!((manifest.version.as_str(), manifest.runtime_kind().unwrap()), ("2", None));
    }

    #[test]
    fn refuses_what_it_can_not_use() {
        for text in
            ["", "- a", "name: ''", "version: '1'", "name: x\nruntime: docker", "name: [x]", "name: x\n\tversion: 1"]
        {
            assert_eq!(
                Manifest::from_yaml(text.as_bytes()).unwrap_err().code(),
                ErrorCode::PackageManifestInvalid,
                "{text:?}"
            );
        }
        assert_eq!(Manifest::from_yaml(b"name: ../x").unwrap_err().code(), ErrorCode::PackageNameInvalid);
    }

    #[test]
    fn aliases_can_not_blow_a_manifest_up() {
        let mut text = String::from("name: x\na0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..30 {
            let alias = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(",")));
        }
        text.push_str("resources: *a29\n");
        assert_eq!(Manifest::from_yaml(text.as_bytes()).unwrap_err().code(), ErrorCode::PackageManifestInvalid);
    }
}
