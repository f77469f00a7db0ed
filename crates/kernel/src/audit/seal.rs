//! Keyed hashes: of a record, of a link between two, of a chain's ends.
//!
//! A record is hashed field by field, each with its length, as it is stored: times as microseconds, JSON as the very
//! text. Both databases give back exactly what was written, so both give the same hash.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{AuditRecord, AuditRow, chain::Chain};
use crate::{id::Id, time::Time};

/// The key of the audit log's hashes, derived from the master secret (label `audit/1`): who can write the database but
/// does not know it can't make a record, or a chain, that passes.
#[derive(Clone, Copy)]
pub struct SealKey([u8; 32]);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(…)")
    }
}

impl SealKey {
    /// Takes a key that was derived for this purpose alone.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// A record's hash.
    pub(super) fn record(&self, row: &AuditRow) -> String {
        // Without `..`: a new column does not compile until it is decided how it is hashed.
        let AuditRow {
            id,
            organization_id,
            project_id,
            actor_type,
            actor_id,
            actor_name,
            actor_email,
            action,
            resource_type,
            resource_id,
            resource_name,
            status,
            description,
            changes,
            ip_address,
            user_agent,
            request_id,
            created,
            seal: _,
        } = row;
        let mut fields = Fields::new(self, "record/1");
        fields.id(Some(*id));
        fields.id(*organization_id);
        fields.id(*project_id);
        fields.text(Some(actor_type.as_str()));
        fields.id(*actor_id);
        fields.text(Some(actor_name));
        fields.text(actor_email.as_deref());
        fields.text(Some(action));
        fields.text(Some(resource_type));
        fields.id(*resource_id);
        fields.text(Some(resource_name));
        fields.text(Some(status.as_str()));
        fields.text(Some(description));
        fields.text(Some(changes.as_str()));
        fields.text(ip_address.as_deref());
        fields.text(Some(user_agent));
        fields.id(*request_id);
        fields.number(created.micros());
        fields.hash()
    }

    /// The hash of the link that puts a record at a place of its chain. `content` is the record's hash.
    pub(super) fn link(
        &self,
        chain: Id<Chain>,
        sequence: i64,
        previous: &str,
        record: Id<AuditRecord>,
        content: &str,
        is_sound: bool,
    ) -> String {
        let mut fields = Fields::new(self, "link/1");
        fields.id(Some(chain));
        fields.number(sequence);
        fields.text(Some(previous));
        fields.id(Some(record));
        fields.text(Some(content));
        fields.number(i64::from(is_sound));
        fields.hash()
    }

    /// The seal of a chain's ends.
    pub(super) fn ends(
        &self,
        chain: Id<Chain>,
        end: (i64, &str),
        anchor: (i64, &str),
        last_created: Time,
    ) -> String {
        let mut fields = Fields::new(self, "ends/1");
        fields.id(Some(chain));
        for (sequence, hash) in [end, anchor] {
            fields.number(sequence);
            fields.text(Some(hash));
        }
        fields.number(last_created.micros());
        fields.hash()
    }
}

/// What is hashed, field after field, so that no two lists of fields give the same bytes.
struct Fields(Hmac<Sha256>);

impl Fields {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn new(key: &SealKey, label: &str) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("a key of any length");
        let mut fields = Self(mac);
        fields.text(Some(label));
        fields
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else {
            return self.0.update(&[0]);
        };
        self.0.update(&[1]);
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, text: Option<&str>) {
        self.bytes(text.map(str::as_bytes));
    }

    fn id<K>(&mut self, id: Option<Id<K>>) {
        let uuid = id.map(Id::uuid);
        self.bytes(uuid.as_ref().map(|uuid| uuid.as_bytes().as_slice()));
    }

    fn number(&mut self, number: i64) {
        self.bytes(Some(&number.to_be_bytes()));
    }

    fn hash(self) -> String {
        use std::fmt::Write as _;
        let digest = self.0.finalize().into_bytes();
        digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::ActorType, audit::AuditStatus, json::JsonText};

    fn row() -> AuditRow {
        AuditRow {
            id: Id::from_uuid(uuid::Uuid::from_u128(7)),
            organization_id: None,
            project_id: None,
            actor_type: ActorType::System,
            actor_id: None,
            actor_name: "a".to_owned(),
            actor_email: None,
            action: "b".to_owned(),
            resource_type: "c".to_owned(),
            resource_id: None,
            resource_name: "d".to_owned(),
            status: AuditStatus::Success,
            description: String::new(),
            changes: JsonText::of(&serde_json::json!({})),
            ip_address: None,
            user_agent: String::new(),
            request_id: None,
            created: Time::from_micros(1),
            seal: String::new(),
        }
    }

    #[test]
    fn a_records_hash_is_the_same_for_ever() {
        // Made once and written down: records in databases were hashed like this.
        let key = SealKey::new([1; 32]);
        assert_eq!(
            key.record(&row()),
            "cbf81d19f38650735bc6705921c0e227bffdd17f271e78ab2eb18cac4895905f"
        );
    }

    #[test]
    fn every_field_and_the_key_count() {
        let key = SealKey::new([1; 32]);
        let hash = key.record(&row());
        let changed: [fn(&mut AuditRow); 8] = [
            |row| row.actor_name = String::new(),
            |row| row.actor_email = Some(String::new()),
            |row| row.resource_id = Some(Id::from_uuid(uuid::Uuid::nil())),
            |row| row.status = AuditStatus::Failure,
            |row| row.created = Time::from_micros(2),
            |row| row.changes = JsonText::of(&serde_json::json!({"a": 1})),
            |row| row.user_agent = "x".to_owned(),
            // What moves from one field to the next is another record.
            |row| {
                row.actor_name = String::new();
                row.action = "ab".to_owned();
            },
        ];
        for change in changed {
            let mut row = row();
            change(&mut row);
            assert_ne!(key.record(&row), hash);
        }
        assert_ne!(SealKey::new([2; 32]).record(&row()), hash);
        let mut sealed = row();
        sealed.seal = hash.clone();
        assert_eq!(key.record(&sealed), hash);
    }
}
