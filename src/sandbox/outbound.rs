//! HTTP requests and e-mails, changed into what was checked.

use std::net::IpAddr;
use std::sync::Arc;

use url::{Position, Url};

use super::live::LivePolicy;
use crate::error::Result;
use crate::host::{HttpRequest, HttpTarget, Mail};
use crate::policy::{CheckedUrl, Policy, check_headers};

/// A URL that passed, together with the rules that its redirects are held against.
#[derive(Debug)]
struct Target {
    checked: CheckedUrl,
    live: Arc<LivePolicy>,
}

impl HttpTarget for Target {
    fn url(&self) -> &Url {
        self.checked.url()
    }

    fn method(&self) -> &'static str {
        self.checked.method()
    }

    fn port(&self) -> u16 {
        self.checked.port()
    }

    fn check_addresses(&self, addresses: &[IpAddr]) -> Result<()> {
        self.checked.check_addresses(addresses)
    }

    fn redirected(&self, method: &str, location: &str) -> Result<Arc<dyn HttpTarget>> {
        let in_force = self.live.snapshot();
        let checked = self.checked.check_redirect(&in_force.policy, method, location)?;
        Ok(Arc::new(Self { checked, live: Arc::clone(&self.live) }))
    }
}

/// Lets an HTTP request pass under `policy`; its redirects are checked under the rules of `live` at their time.
pub(super) fn admit_http(policy: &Policy, live: &Arc<LivePolicy>, request: &mut HttpRequest) -> Result<()> {
    let checked = policy.check_url(&request.method, &request.url)?;
    check_headers(checked.url().as_str(), &request.headers)?;
    request.method = checked.method().to_owned();
    request.url = checked.url()[..Position::AfterQuery].to_owned();
    request.target = Some(Arc::new(Target { checked, live: Arc::clone(live) }));
    Ok(())
}

/// Lets an e-mail pass.
pub(super) fn admit_mail(policy: &Policy, mail: &mut Mail) -> Result<()> {
    mail.to = policy.checked_mail(&mail.to, &mail.subject, &mail.body)?;
    Ok(())
}
