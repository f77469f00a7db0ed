//! Devices on which the second factor is skipped for a while, because it was given there.

pub(super) mod delete;
pub(super) mod list;
mod rows;

pub(crate) use self::rows::{TrustedDevice, forget_trusted_devices, is_trusted, use_trusted_device};
pub(super) use self::rows::{TrustedDeviceId, trust};
