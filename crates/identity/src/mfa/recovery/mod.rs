//! Recovery codes: ten codes on paper for the day the phone is gone. Each works once.

pub(super) mod regenerate;
pub(super) mod status;

use diesel::{ExpressionMethods, Insertable, QueryDsl, RunQueryDsl};
use kernel::{
    access::{Credential, User},
    audit::Origin,
    id::Id,
    store::{Conn, StoreError, Tx},
    time::Time,
};
use rand::RngExt;
use serde_json::json;

use crate::{
    Identity, letters,
    schema::recovery_codes,
    secrets::Secrets,
    security::{self, Incident, SecurityEvent},
    users::UserRow,
};

/// Codes that are made at once.
const CODES: usize = 10;
/// Letters and digits that nobody mistakes for each other: no `0`, `1`, `i`, `l`, `o`.
const ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";
/// Letters of a code: 49 bits.
const LENGTH: usize = 10;
/// It is written in two groups of five.
const GROUP: usize = 5;

#[derive(Insertable)]
#[diesel(table_name = recovery_codes)]
struct CodeRow {
    code_hash: String,
    user_id: Id<User>,
    created: Time,
}

/// Makes new codes and voids the former ones. They can't be had again.
///
/// # Errors
/// The database refused.
pub(super) fn renew(tx: &mut Tx<'_>, identity: &Identity, user: Id<User>) -> Result<Vec<String>, StoreError> {
    forget(tx, user)?;
    let mut codes: Vec<String> = Vec::with_capacity(CODES);
    while codes.len() < CODES {
        let code = new_code();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let now = tx.now();
    for code in &codes {
        let row = CodeRow {
            code_hash: hash(identity.secrets(), user, &canonical(code)),
            user_id: user,
            created: now,
        };
        diesel::insert_into(recovery_codes::table)
            .values(&row)
            .execute(tx.conn())?;
    }
    Ok(codes)
}

/// Voids all codes of a user.
///
/// # Errors
/// The database refused.
pub(super) fn forget(tx: &mut Tx<'_>, user: Id<User>) -> Result<(), StoreError> {
    diesel::delete(recovery_codes::table.filter(recovery_codes::user_id.eq(user))).execute(tx.conn())?;
    Ok(())
}

/// Uses a code up, and tells the user. Of many that try the same one, one is told `true`.
///
/// # Errors
/// The database refused.
pub(super) fn accept(
    tx: &mut Tx<'_>,
    identity: &Identity,
    origin: &Origin,
    user: &UserRow,
    code: &str,
    session: Option<Id<Credential>>,
) -> Result<bool, StoreError> {
    let code = canonical(code);
    if code.len() != LENGTH {
        return Ok(false);
    }
    let unused = recovery_codes::table
        .filter(recovery_codes::code_hash.eq(hash(identity.secrets(), user.id, &code)))
        .filter(recovery_codes::user_id.eq(user.id))
        .filter(recovery_codes::used_at.is_null());
    let used = diesel::update(unused)
        .set(recovery_codes::used_at.eq(tx.now()))
        .execute(tx.conn())?;
    if used != 1 {
        return Ok(false);
    }
    let left = count(tx.conn(), user.id)?.left;
    let incident = Incident {
        user,
        event: SecurityEvent::RecoveryCodeUsed,
        description: "Recovery code used",
        session,
        metadata: json!({ "left": left }),
        letter: Some((letters::RECOVERY_CODE_USED, json!({ "left": left }))),
    };
    security::record(tx, identity, origin, &incident)?;
    Ok(true)
}

/// How many codes a user has.
struct Count {
    total: usize,
    left: usize,
    generated_at: Option<Time>,
}

fn count(conn: &mut Conn, user: Id<User>) -> Result<Count, StoreError> {
    let query = recovery_codes::table
        .filter(recovery_codes::user_id.eq(user))
        .select((recovery_codes::created, recovery_codes::used_at));
    let codes: Vec<(Time, Option<Time>)> = query.load(conn)?;
    Ok(Count {
        total: codes.len(),
        left: codes.iter().filter(|(_, used)| used.is_none()).count(),
        generated_at: codes.iter().map(|(created, _)| *created).max(),
    })
}

/// From the thread's generator, a CSPRNG seeded by the operating system.
fn new_code() -> String {
    let mut random = rand::rng();
    let mut code = String::with_capacity(LENGTH + 1);
    for place in 0..LENGTH {
        if place == GROUP {
            code.push('-');
        }
        code.push(char::from(ALPHABET[random.random_range(0..ALPHABET.len())]));
    }
    code
}

/// A code as it is compared: without blanks and dashes, in lower case.
fn canonical(code: &str) -> String {
    code.chars()
        .filter(|letter| !letter.is_whitespace() && !matches!(letter, '-' | '‐' | '–' | '—'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether a text has the form of a recovery code: other codes are six digits.
pub(super) fn is_code(text: &str) -> bool {
    canonical(text).len() == LENGTH
}

/// Hashed with the user's id: equal codes of two users look different, and one can't be tried on another.
///
/// A keyed hash, whose key is not in the database: without it 49 bits can't be guessed from there.
fn hash(secrets: &Secrets, user: Id<User>, canonical: &str) -> String {
    secrets.hash_token(&format!("recovery/{user}/{canonical}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_easy_to_type() {
        let codes: HashSet<String> = std::iter::repeat_with(new_code).take(1000).collect();
        assert_eq!(codes.len(), 1000);
        for code in codes {
            let (first, second) = code.split_once('-').unwrap();
            assert_eq!((first.len(), second.len()), (5, 5));
            assert!(!code.contains(['0', '1', 'i', 'l', 'o']), "{code}");
            assert!(is_code(&code) && is_code(&code.to_uppercase()), "{code}");
        }
    }

    #[test]
    fn every_letter_is_used() {
        let letters: HashSet<char> = std::iter::repeat_with(new_code)
            .take(1000)
            .flat_map(|code| code.chars().collect::<Vec<_>>())
            .collect();
        assert_eq!(letters.len(), ALPHABET.len() + 1);
    }

    #[test]
    fn typing_habits_do_not_matter() {
        for typed in [
            "abcde-fgh23",
            "ABCDE-FGH23",
            " abcde fgh23 ",
            "abcdefgh23",
            "ab cd-e—fg\th23",
        ] {
            assert_eq!(canonical(typed), "abcdefgh23", "{typed}");
        }
        for other in ["", "123456", "abcde-fgh2", "abcde-fgh234", "ábcde-fgh23"] {
            assert!(!is_code(other), "{other}");
        }
    }

    #[test]
    fn equal_codes_of_two_users_look_different() {
        let secrets = Secrets::derive(&kernel::secrets::MasterSecret::from_bytes(
            b"0123456789abcdef0123456789abcdef",
        ));
        let (one, other) = (Id::new(), Id::new());
        assert_eq!(
            hash(&secrets, one, "abcdefgh23"),
            hash(&secrets, one, "abcdefgh23")
        );
        assert_ne!(
            hash(&secrets, one, "abcdefgh23"),
            hash(&secrets, other, "abcdefgh23")
        );
    }
}
