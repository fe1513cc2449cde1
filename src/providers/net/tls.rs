//! Whom encrypted connections trust.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::error::{Error, ErrorCode, Result};

/// TLS that trusts what the operating system trusts, and the certificates in `ca_file` besides. The cryptography is given
/// explicitly: a library sets no default for its process.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable().with_source(error))?;
    let roots = ca_file.map(read_certificates).transpose()?.unwrap_or_default();
    let verifier = Verifier::new_with_extra_roots(roots.clone(), Arc::clone(&provider));
    let config = match verifier {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
        // A machine without any certificates of its own; the file alone is trusted.
        Err(_) if !roots.is_empty() => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(roots);
            builder.with_root_certificates(store)
        }
        Err(error) => return Err(unusable().with_source(error)),
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = || {
        let context = format!("`ca_file` {} can't be read as certificates in PEM", path.display());
        Error::new(ErrorCode::ArgumentConfig, context)
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unreadable().with_source(error))?;
    let certificates = found.collect::<std::result::Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| unreadable().with_source(error))?;
    if certificates.is_empty() {
        return Err(unreadable());
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| unreadable().with_source(error))?;
    }
    Ok(certificates)
}

fn unusable() -> Error {
    Error::new(ErrorCode::HostTls, "no certificates to trust are found on this machine (name some in `ca_file`)")
}
