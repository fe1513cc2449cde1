//! Connections of the providers: every wait of them ends with the call they belong to.

pub mod places;
pub mod resolve;
pub mod stream;
pub mod tls;
pub mod watch;

pub use places::Places;
pub use resolve::{Resolver, SystemResolver};
pub use stream::Stream;
pub use watch::Watch;
