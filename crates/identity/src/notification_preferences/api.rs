//! What goes over the wire.

use kernel::{http::Body, language::Language, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::notifications::Category;

kernel::words! {
    /// How often optional mails are sent
    pub(crate) enum Digest {
        /// Immediate
        Immediate = "immediate",
        /// Daily
        Daily = "daily",
        /// Weekly
        Weekly = "weekly",
    }
}

/// What a user wants to be told.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationPreferences {
    /// Language of mails and console: the profile's.
    #[schema(read_only, value_type = String)]
    pub(super) language: Language,
    /// Master switch of optional mails.
    pub(super) email_enabled: bool,
    pub(super) digest: Digest,
    pub(super) preferences: Vec<NotificationPreference>,
    #[schema(read_only)]
    pub(super) modified: Time,
}

/// How the user is told of one kind of event.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationPreference {
    /// Event slug, e.g. `instance.suspended`.
    #[schema(read_only, max_length = 100)]
    pub(super) event: &'static str,
    #[schema(read_only)]
    pub(super) category: Category,
    #[schema(read_only, max_length = 255)]
    pub(super) name: &'static str,
    #[schema(read_only)]
    pub(super) description: &'static str,
    pub(super) email: bool,
    pub(super) in_app: bool,
    /// Cannot be switched off (security and billing duties).
    #[schema(read_only)]
    pub(super) is_mandatory: bool,
}

/// The bodies of both writes: what PUT lacks goes back to its default, what PATCH lacks stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(super) struct NotificationPreferencesUpdate {
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    pub(super) email_enabled: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Digest, required = false)]
    pub(super) digest: Option<Digest>,
    #[serde(default)]
    #[schema(required = false, max_items = 200)]
    pub(super) preferences: Vec<NotificationPreferenceUpdate>,
}

/// The wish for one kind of event; what it lacks is not changed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(super) struct NotificationPreferenceUpdate {
    #[schema(max_length = 100)]
    pub(super) event: String,
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    pub(super) email: Option<bool>,
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    pub(super) in_app: Option<bool>,
}

impl Body for NotificationPreferencesUpdate {
    type Wire = Self;
}
