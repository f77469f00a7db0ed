//! Generations of the key that signs access tokens.
//!
//! The keys themselves are derived from the master secret, a label a generation; the table `signing_keys` says which
//! generations there are and until when their tokens hold. The first exists without a row. The newest one signs.

use std::time::Duration;

use diesel::{ExpressionMethods, Insertable, QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    errors::Error as JwtError,
    jwk::{Jwk, KeyAlgorithm, PublicKeyUse, ThumbprintHash},
};
use kernel::{
    store::{Conn, StoreError, Tx},
    time::Time,
};

use super::TYPE;
use crate::{schema::signing_keys, secrets::Secrets};

/// What comes before the seed in the PKCS #8 form of an Ed25519 key (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// The generation that exists without a row.
const FIRST: i64 = 1;
/// How long other nodes may go on signing with the former key before they learn of the new one, with room to spare.
const LAG: Duration = Duration::from_secs(60);

/// A row of `signing_keys`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = signing_keys)]
pub(crate) struct GenerationRow {
    pub(crate) generation: i64,
    pub(crate) created: Time,
    pub(crate) retired_at: Option<Time>,
}

/// All generations that have a row.
pub(crate) fn load(conn: &mut Conn) -> Result<Vec<GenerationRow>, StoreError> {
    let query = signing_keys::table
        .order(signing_keys::generation)
        .select(GenerationRow::as_select());
    Ok(query.load(conn)?)
}

/// Begins a new generation. Tokens of the earlier ones hold for `access_lifetime` more, or not at all any more.
/// Returns the new generation's number.
///
/// # Errors
/// The database refused.
pub(crate) fn rotate(
    tx: &mut Tx<'_>,
    access_lifetime: Duration,
    retire_old_now: bool,
) -> Result<i64, StoreError> {
    let now = tx.now();
    let rows = load(tx.conn())?;
    if rows.iter().all(|row| row.generation != FIRST) {
        insert(tx, FIRST)?;
    }
    let newest = rows.last().map_or(FIRST, |row| row.generation.max(FIRST));
    let end = if retire_old_now {
        now
    } else {
        now + access_lifetime + LAG
    };
    // A generation that was to end earlier still does.
    diesel::update(signing_keys::table.filter(signing_keys::retired_at.is_null()))
        .set(signing_keys::retired_at.eq(end))
        .execute(tx.conn())?;
    diesel::update(signing_keys::table.filter(signing_keys::retired_at.gt(end)))
        .set(signing_keys::retired_at.eq(end))
        .execute(tx.conn())?;
    insert(tx, newest + 1)?;
    Ok(newest + 1)
}

fn insert(tx: &mut Tx<'_>, generation: i64) -> Result<(), StoreError> {
    let row = GenerationRow {
        generation,
        created: tx.now(),
        retired_at: None,
    };
    diesel::insert_into(signing_keys::table)
        .values(&row)
        .execute(tx.conn())?;
    Ok(())
}

/// One generation, ready to check signatures with.
pub(super) struct Generation {
    pub(super) number: i64,
    retired_at: Option<Time>,
    pub(super) kid: String,
    pub(super) verifying: DecodingKey,
    pub(super) public: Jwk,
}

impl Generation {
    fn derive(secrets: &Secrets, number: i64, retired_at: Option<Time>) -> Result<Self, JwtError> {
        let mut public = Jwk::from_encoding_key(&private(secrets, number), Algorithm::EdDSA)?;
        let kid = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_algorithm = Some(KeyAlgorithm::EdDSA);
        Ok(Self {
            number,
            retired_at,
            kid,
            verifying: DecodingKey::from_jwk(&public)?,
            public,
        })
    }

    pub(super) fn holds(&self, now: Time) -> bool {
        self.retired_at.is_none_or(|end| end > now)
    }
}

fn private(secrets: &Secrets, number: i64) -> EncodingKey {
    EncodingKey::from_ed_der(&[&PKCS8_HEAD[..], &secrets.signing_seed(number)].concat())
}

/// The generations that this process knows.
pub(super) struct Ring {
    /// From old to new.
    generations: Vec<Generation>,
    pub(super) signing: EncodingKey,
    pub(super) header: Header,
}

impl Ring {
    /// Derives the keys of the generations with a row, and of the first.
    pub(super) fn derive(secrets: &Secrets, rows: &[GenerationRow]) -> Result<Self, JwtError> {
        let mut generations = Vec::new();
        if rows.iter().all(|row| row.generation != FIRST) {
            generations.push(Generation::derive(secrets, FIRST, None)?);
        }
        for row in rows {
            generations.push(Generation::derive(secrets, row.generation, row.retired_at)?);
        }
        generations.sort_by_key(|generation| generation.number);
        let newest = generations.last();
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = newest.map(|newest| newest.kid.clone());
        Ok(Self {
            signing: private(secrets, newest.map_or(FIRST, |newest| newest.number)),
            header,
            generations,
        })
    }

    pub(super) fn by_kid(&self, kid: &str) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.kid == kid)
    }

    /// Whether tokens of this generation hold at `now`.
    pub(super) fn holds(&self, number: i64, now: Time) -> bool {
        let generation = self
            .generations
            .iter()
            .find(|generation| generation.number == number);
        generation.is_some_and(|generation| generation.holds(now))
    }

    /// The public keys whose tokens hold at `now`, the newest first.
    pub(super) fn public_keys(&self, now: Time) -> Vec<&Jwk> {
        self.generations
            .iter()
            .rev()
            .filter(|generation| generation.holds(now))
            .map(|generation| &generation.public)
            .collect()
    }
}
