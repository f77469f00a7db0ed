//! What operators do to organizations.

use kernel::{audit::Origin, store::Tx, time::Clock};

use super::{runtime, settings};
use crate::{cli::Places, server::Onet};

/// Brings a deleted organization back.
pub(crate) fn restore(places: &Places, id: &str) -> Result<(), String> {
    let id: kernel::access::OrganizationId = id.parse().map_err(|_| format!("`{id}` is no UUID"))?;
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        let work = move |tx: &mut Tx<'_>| {
            identity::organizations::restore(tx, id, &Origin::system("onetd restore-organization"))
        };
        let name = onet
            .app
            .store()
            .write("restore_organization", work)
            .await
            .map_err(|error| error.to_string())?;
        println!("Brought back {name} ({id}).");
        Ok(())
    })
}
