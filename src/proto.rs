//! Generated gRPC messages and services of native plugins; see `proto/`.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated code; its documentation is in the .proto files"
)]

/// What plugin and host say to each other.
pub mod plugin {
    tonic::include_proto!("goatflow.plugin.v1");
}

/// go-plugin's own services.
pub mod goplugin {
    tonic::include_proto!("plugin");
}

/// gRPC's health service.
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}
