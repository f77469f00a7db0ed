//! How settings are stored. Every finder takes the organization.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    access::Organization,
    id::Id,
    json::JsonText,
    money::Amount,
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::rules::Settings;
use crate::schema::notification_settings;

/// The settings of an organization, and when they were last changed, if ever.
pub(in crate::notifications) fn find(
    conn: &mut Conn,
    organization: Id<Organization>,
) -> Result<(Settings, Option<Time>), StoreError> {
    type Row = (bool, JsonText, JsonText, Option<Amount>, Time);
    let query = notification_settings::table.find(organization).select((
        notification_settings::email_enabled,
        notification_settings::recipients,
        notification_settings::switched_off,
        notification_settings::low_balance_threshold,
        notification_settings::modified,
    ));
    let found: Option<Row> = query.first(conn).optional()?;
    let Some((email_enabled, recipients, switched_off, low_balance_threshold, modified)) = found else {
        return Ok((Settings::default(), None));
    };
    let settings = Settings {
        email_enabled,
        recipients: recipients.read().unwrap_or_default(),
        switched_off: switched_off.read().unwrap_or_default(),
        low_balance_threshold,
    };
    Ok((settings, Some(modified)))
}

/// Writes the settings of an organization that is locked.
pub(super) fn save(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    settings: &Settings,
    modified: Time,
    is_new: bool,
) -> Result<(), StoreError> {
    let values = (
        notification_settings::email_enabled.eq(settings.email_enabled),
        notification_settings::recipients.eq(JsonText::of(&settings.recipients)),
        notification_settings::switched_off.eq(JsonText::of(&settings.switched_off)),
        notification_settings::low_balance_threshold.eq(settings.low_balance_threshold),
        notification_settings::modified.eq(modified),
    );
    if is_new {
        diesel::insert_into(notification_settings::table)
            .values((notification_settings::organization_id.eq(organization), values))
            .execute(tx.conn())?;
    } else {
        diesel::update(notification_settings::table.find(organization))
            .set(values)
            .execute(tx.conn())?;
    }
    Ok(())
}

/// The credit balance below which an organization wants to be warned.
///
/// # Errors
/// The database refused.
pub fn low_balance_threshold(
    conn: &mut Conn,
    organization: Id<Organization>,
) -> Result<Option<Amount>, StoreError> {
    Ok(find(conn, organization)?.0.low_balance_threshold)
}
