//! What an additional address costs.

use kernel::{App, money::Amount};

/// The price of one more address of an instance for a month.
pub(super) fn price_of_additional_address(app: &App) -> Amount {
    app.config().compute.additional_address_price
}
