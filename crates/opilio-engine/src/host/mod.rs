//! The host actor: a thin shell around [`opilio_core::host::HostState`].

mod actor;
mod rules;

pub(crate) use actor::HostActor;
