//! The mails that this area sends: their names, and what each of them takes.
//!
//! `name` is the recipient's name for the greeting and may be empty. Notices about an account's security say when
//! (`time`), from where (`address`) and with what (`device`) it happened; an empty one is left out.

use kernel::{
    mail::{Letter, wording},
    store::{StoreError, Tx},
};
use serde_json::Value;

use crate::{Identity, users::UserRow};

kernel::letters! {
    /// Confirms the address of a new account.
    VERIFY_EMAIL = "verify_email" { "name": "Ada", "url": "https://console.example.org/verify?token=abc", "code": "123456" }
    /// Somebody tried to register an address that has an account.
    ACCOUNT_EXISTS = "account_exists" { "name": "Ada", "login_url": "https://console.example.org/login" }
    /// The address is confirmed.
    WELCOME = "welcome" { "name": "Ada", "login_url": "https://console.example.org/login" }
    /// A code to log in with.
    LOGIN_CODE = "login_code" { "name": "Ada", "code": "123456", "minutes": 10, "device": "Firefox on Linux", "address": "203.0.113.9" }
    /// A link to log in with.
    LOGIN_LINK = "login_link" { "name": "Ada", "url": "https://console.example.org/login?token=abc", "minutes": 10, "device": "Firefox on Linux", "address": "203.0.113.9" }
    /// The second factor by mail.
    MFA_CODE = "mfa_code" { "name": "Ada", "code": "123456", "minutes": 10 }
    /// A link to choose a new password.
    RESET_PASSWORD = "reset_password" { "name": "Ada", "url": "https://console.example.org/reset?token=abc", "minutes": 30 }
    /// The password was changed by its owner.
    PASSWORD_CHANGED = "password_changed" { "name": "Ada", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// The password was replaced after a reset.
    PASSWORD_RESET_DONE = "password_reset_done" { "name": "Ada", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// To the new address: confirms it.
    EMAIL_CHANGE_CONFIRM = "email_change_confirm" { "name": "Ada", "url": "https://console.example.org/email?token=abc", "code": "123456", "new_email": "ada@example.org" }
    /// To the old address: a change was asked for. The new address is masked (`kernel::mail::wording::masked`).
    EMAIL_CHANGE_NOTICE = "email_change_notice" { "name": "Ada", "new_email": "a•••@example.org", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// To the old address: it was changed.
    EMAIL_CHANGED = "email_changed" { "name": "Ada", "new_email": "a•••@example.org", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// A login from a device that was not seen before.
    NEW_DEVICE = "new_device" { "name": "Ada", "browser": "Firefox", "system": "Linux", "address": "203.0.113.9", "time": "1 August 2026, 14:05 UTC" }
    /// Two-factor authentication is on.
    MFA_ENABLED = "mfa_enabled" { "name": "Ada", "method": "TOTP", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// Two-factor authentication is off.
    MFA_DISABLED = "mfa_disabled" { "name": "Ada", "method": "TOTP", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// There are new recovery codes.
    RECOVERY_CODES_REGENERATED = "recovery_codes_regenerated" { "name": "Ada", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// A recovery code was used.
    RECOVERY_CODE_USED = "recovery_code_used" { "name": "Ada", "left": 7, "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// A passkey was added.
    PASSKEY_ADDED = "passkey_added" { "name": "Ada", "passkey": "Laptop", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// A passkey was removed.
    PASSKEY_REMOVED = "passkey_removed" { "name": "Ada", "passkey": "Laptop", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// There is a new API key.
    API_KEY_CREATED = "api_key_created" { "name": "Ada", "key": "deploy", "prefix": "sk-onetsolutions-abcdefg", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// An API key was replaced.
    API_KEY_ROTATED = "api_key_rotated" { "name": "Ada", "key": "deploy", "prefix": "sk-onetsolutions-abcdefg", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// An API key was revoked, or whoever held it ended it.
    API_KEY_REVOKED = "api_key_revoked" { "name": "Ada", "key": "deploy", "prefix": "sk-onetsolutions-abcdefg", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// There is a new project token.
    PROJECT_TOKEN_CREATED = "project_token_created" { "name": "Ada", "token": "ci", "project": "Website", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// An account elsewhere can be used to log in.
    OAUTH_LINKED = "oauth_linked" { "name": "Ada", "provider": "GitHub", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// An account elsewhere can't be used any more.
    OAUTH_UNLINKED = "oauth_unlinked" { "name": "Ada", "provider": "GitHub", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// Too many failed logins.
    ACCOUNT_LOCKED = "account_locked" { "name": "Ada", "minutes": 15, "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// The account will be deleted.
    ACCOUNT_DELETION_SCHEDULED = "account_deletion_scheduled" { "name": "Ada", "date": "31 August 2026", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// The account will not be deleted.
    ACCOUNT_RESTORED = "account_restored" { "name": "Ada", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// The account is deleted.
    ACCOUNT_DELETED = "account_deleted" { "name": "Ada" }
    /// A session was ended, since a token came back that had been replaced.
    REFRESH_REUSE = "refresh_reuse" { "name": "Ada", "time": "1 August 2026, 14:05 UTC", "address": "203.0.113.9", "device": "Firefox on Linux" }
    /// Somebody is asked to join an organization. `role` as `kernel::mail::wording::role` says it.
    INVITATION = "invitation" { "name": "", "organization": "Analytical Engines", "inviter": "Charles", "role": "editor", "message": "Welcome aboard", "url": "https://console.example.org/join?token=abc", "days": 7 }
    /// To who invited: it was accepted.
    INVITATION_ACCEPTED = "invitation_accepted" { "name": "Charles", "member": "Ada", "organization": "Analytical Engines", "role": "editor" }
    /// A member has another role.
    ROLE_CHANGED = "role_changed" { "name": "Ada", "organization": "Analytical Engines", "role": "owner" }
    /// A member was removed.
    MEMBER_REMOVED = "member_removed" { "name": "Ada", "organization": "Analytical Engines" }
    /// Something has happened in an organization: an event that has no letter of its own.
    NOTICE = "notice" { "name": "Ada", "organization": "Analytical Engines", "event": "Member joined", "sentence": "Grace has joined Analytical Engines as editor.", "time": "1 August 2026, 14:05 UTC" }
    /// The same has happened many times. `more` is how many of them are not quoted.
    NOTICE_DIGEST = "notice_digest" { "name": "Ada", "organization": "Analytical Engines", "event": "Member joined", "count": 30, "first": "1 August 2026, 14:05 UTC", "last": "1 August 2026, 14:19 UTC", "sentences": "Grace has joined Analytical Engines as editor.", "more": 29 }
    /// Somebody tries whether notifications arrive.
    NOTICE_TEST = "notice_test" { "name": "Ada", "organization": "Analytical Engines", "time": "1 August 2026, 14:05 UTC" }
}

/// Posts a mail to a user, in their language, with their name among its values. A notice that says neither when nor from
/// where is about now, and leaves the rest out.
///
/// # Errors
/// The database refused.
pub(crate) fn post(
    tx: &mut Tx<'_>,
    identity: &Identity,
    user: &UserRow,
    template: &'static str,
    mut values: Value,
) -> Result<(), StoreError> {
    values["name"] = user.first_name.as_str().into();
    if let Some(values) = values.as_object_mut() {
        values
            .entry("time")
            .or_insert_with(|| wording::moment(tx.now(), user.language).into());
        for fact in ["address", "device"] {
            values.entry(fact).or_insert_with(|| "".into());
        }
    }
    let letter = Letter {
        to: user.email.clone(),
        language: user.language,
        template,
        values,
    };
    identity.mailer().post(tx, &letter).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use kernel::{
        config::Config,
        language::Language,
        mail::{Letter, Mailer, Template},
        secrets::MasterSecret,
    };

    use super::*;

    fn mailer() -> Mailer {
        let config = Config::load(None, Path::new("onet-data")).unwrap();
        let sealer = MasterSecret::from_bytes(b"0123456789abcdef0123456789abcdef").sealer();
        Mailer::new(&config, sealer, &[all()]).unwrap()
    }

    fn letter(template: &Template, language: Language) -> Letter {
        Letter {
            to: "ada@example.org".to_owned(),
            language,
            template: template.name,
            values: (template.sample)(),
        }
    }

    #[test]
    fn every_letter_says_all_that_it_is_given() {
        let mailer = mailer();
        for template in all() {
            for language in Language::ALL {
                let mail = mailer
                    .render(&letter(template, *language))
                    .unwrap_or_else(|fault| panic!("{} ({}): {fault}", template.name, language.as_str()));
                let said = format!("{}\n{}", mail.subject, mail.text);
                for (name, value) in (template.sample)().as_object().unwrap() {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    assert!(
                        said.contains(&value),
                        "{} ({}): {name}",
                        template.name,
                        language.as_str()
                    );
                }
                assert!(!said.contains("{{") && !said.contains("]("), "{said}");
                assert!(mail.html.ends_with("</html>\n"));
            }
        }
    }

    #[test]
    fn every_value_is_asked_for() {
        let mailer = mailer();
        for template in all() {
            for name in (template.sample)().as_object().unwrap().keys() {
                let mut letter = letter(template, Language::Fr);
                letter.values.as_object_mut().unwrap().shift_remove(name);
                assert!(mailer.render(&letter).is_err(), "{}: {name}", template.name);
            }
        }
    }

    #[test]
    fn every_file_is_a_letter() {
        let declared: BTreeSet<String> = all()
            .iter()
            .map(|template| format!("{}.txt", template.name))
            .collect();
        for language in Language::ALL {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("letters")
                .join(language.as_str());
            let files: BTreeSet<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            assert_eq!(files, declared, "{}", language.as_str());
        }
    }

    #[test]
    fn nobody_needs_a_name() {
        let mailer = mailer();
        for template in all() {
            let mut letter = letter(template, Language::En);
            letter.values["name"] = "".into();
            let mail = mailer.render(&letter).unwrap();
            assert!(mail.text.starts_with("Hello,\n"), "{}", template.name);
        }
    }
}
