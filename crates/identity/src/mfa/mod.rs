//! Second factors: authenticator app, codes by mail, passkeys, recovery codes; and the devices that are spared them.

mod rows;

pub(crate) use self::rows::{Factors, TrustedDevice, use_trusted_device};
