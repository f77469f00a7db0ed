//! The mails of organizations: written in the transaction of what they tell, sent after its commit.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    access::Role,
    http::ApiResult,
    language::Language,
    mail::{Letter, wording},
    store::{StoreError, Tx},
};
use serde_json::{Value, json};

use crate::{
    Identity, letters,
    notification_preferences::wants_mail,
    notifications::{Event, events},
    organizations::OrganizationRow,
    people::PersonRow,
    schema::users,
    users::email_key,
};

/// Tells a member their new role.
pub(crate) fn role_changed(
    identity: &Identity,
    tx: &mut Tx<'_>,
    to: &PersonRow,
    organization: &OrganizationRow,
    role: Role,
) -> ApiResult<()> {
    let values = json!({
        "organization": organization.name,
        "role": wording::role(role, to.language),
    });
    post(
        identity,
        tx,
        to,
        &events::ROLE_CHANGED,
        letters::ROLE_CHANGED,
        values,
    )
}

/// Tells somebody that they are no member any more.
pub(crate) fn member_removed(
    identity: &Identity,
    tx: &mut Tx<'_>,
    to: &PersonRow,
    organization: &OrganizationRow,
) -> ApiResult<()> {
    let values = json!({ "organization": organization.name });
    post(
        identity,
        tx,
        to,
        &events::MEMBER_REMOVED,
        letters::MEMBER_REMOVED,
        values,
    )
}

/// Tells the inviter that somebody has joined.
pub(crate) fn invitation_accepted(
    identity: &Identity,
    tx: &mut Tx<'_>,
    to: &PersonRow,
    organization: &OrganizationRow,
    member: &PersonRow,
    role: Role,
) -> ApiResult<()> {
    let values = json!({
        "member": member.name(),
        "organization": organization.name,
        "role": wording::role(role, to.language),
    });
    post(
        identity,
        tx,
        to,
        &events::MEMBER_JOINED,
        letters::INVITATION_ACCEPTED,
        values,
    )
}

/// What an invitation's mail says.
pub(crate) struct Invitation<'a> {
    /// The invited address.
    pub(crate) email: &'a str,
    /// The offered role.
    pub(crate) role: Role,
    /// The inviter's note.
    pub(crate) message: &'a str,
    /// Who invites.
    pub(crate) inviter: Option<&'a PersonRow>,
    /// The link's secret.
    pub(crate) secret: &'a str,
    /// For how long the link works.
    pub(crate) days: u64,
}

/// Invites an address: in its user's language, if it has one, otherwise in the inviter's.
pub(crate) fn invitation(
    identity: &Identity,
    tx: &mut Tx<'_>,
    organization: &OrganizationRow,
    invitation: &Invitation<'_>,
) -> ApiResult<()> {
    let Invitation {
        email,
        role,
        message,
        inviter,
        secret,
        days,
    } = *invitation;
    let known: Option<(String, Language)> = users::table
        .filter(users::email_key.eq(email_key(email)))
        .select((users::first_name, users::language))
        .first(tx.conn())
        .optional()?;
    let (name, language) = known.unwrap_or_else(|| {
        let language = inviter.map_or(Language::En, |inviter| inviter.language);
        (String::new(), language)
    });
    let letter = Letter {
        to: email.to_owned(),
        language,
        template: letters::INVITATION,
        values: json!({
            "name": name,
            "organization": organization.name,
            "inviter": inviter.map_or_else(|| organization.name.clone(), PersonRow::name),
            "role": wording::role(role, language),
            "message": message,
            "url": identity.account_url(&format!("invitation?token={secret}")),
            "days": days,
        }),
    };
    Ok(identity.mailer().post(tx, &letter).map(drop)?)
}

/// Posts a letter to a user about whom or for whom it is, unless they don't want to be mailed of the event.
fn post(
    identity: &Identity,
    tx: &mut Tx<'_>,
    to: &PersonRow,
    event: &Event,
    template: &'static str,
    mut values: Value,
) -> ApiResult<()> {
    if !wants_mail(tx.conn(), identity.events(), to.id, event.slug)? {
        return Ok(());
    }
    values["name"] = to.first_name.as_str().into();
    let letter = Letter {
        to: to.email.clone(),
        language: to.language,
        template,
        values,
    };
    let posted: Result<_, StoreError> = identity.mailer().post(tx, &letter);
    Ok(posted.map(drop)?)
}
