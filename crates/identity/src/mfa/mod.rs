//! Second factors: authenticator app, codes by mail, passkeys, recovery codes; and the devices that are spared them.

mod rows;

pub(crate) use self::rows::{Factors, TrustedDevice, forget_trusted_devices, is_trusted, use_trusted_device};
