//! What is different in the two databases: the connections, and the SQL types that are stored in two ways.
//!
//! | SQL type | PostgreSQL | SQLite |
//! |---|---|---|
//! | [`Uuid`] | `uuid` | blob of 16 bytes |
//! | [`Moment`] | `timestamptz` | integer, microseconds since 1970 |
//!
//! JSON is text on both ([`JsonText`]), money a big integer ([`Amount`]).
#![allow(
    missing_docs,
    reason = "the derive of the multi-connection writes items without documentation"
)]

use diesel::{
    connection::SimpleConnection,
    deserialize::{self, FromSql},
    pg::{Pg, PgConnection, PgValue, data_types::PgTimestamp},
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{BigInt, Binary, SqlType, Text, Timestamptz},
    sqlite::{Sqlite, SqliteConnection, SqliteValue},
};

use crate::{id::Id, json::JsonText, money::Amount, time::Time};

/// Diesel's connection to one of the two; [`Conn`](super::Conn) is what is used.
#[derive(diesel::MultiConnection)]
pub enum Native {
    /// PostgreSQL.
    Postgres(PgConnection),
    /// SQLite.
    Sqlite(SqliteConnection),
}

/// SQL type of [`Id`].
#[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
#[diesel(postgres_type(name = "uuid"), sqlite_type(name = "Binary"))]
pub struct Uuid;

/// SQL type of [`Time`].
#[derive(Debug, Clone, Copy, Default, QueryId, SqlType)]
#[diesel(postgres_type(name = "timestamptz"), sqlite_type(name = "Long"))]
pub struct Moment;

/// Microseconds from 1970-01-01 (ours) to 2000-01-01 (PostgreSQL's epoch).
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

impl diesel::sql_types::HasSqlType<Uuid> for MultiBackend {
    fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
        Self::lookup_sql_type::<Uuid>(lookup)
    }
}

impl diesel::sql_types::HasSqlType<Moment> for MultiBackend {
    fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
        Self::lookup_sql_type::<Moment>(lookup)
    }
}

impl<K: 'static> ToSql<Uuid, Pg> for Id<K> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        std::io::Write::write_all(out, self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl<K: 'static> ToSql<Uuid, Sqlite> for Id<K> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.as_bytes().as_slice());
        Ok(IsNull::No)
    }
}

impl<K: 'static> FromSql<Uuid, Pg> for Id<K> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::from_uuid(uuid::Uuid::from_slice(value.as_bytes())?))
    }
}

impl<K: 'static> FromSql<Uuid, Sqlite> for Id<K> {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(value)?;
        Ok(Self::from_uuid(uuid::Uuid::from_slice(&bytes)?))
    }
}

impl ToSql<Moment, Pg> for Time {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<Timestamptz, Pg>::to_sql(&PgTimestamp(self.0 - POSTGRES_EPOCH), &mut out.reborrow())
    }
}

impl ToSql<Moment, Sqlite> for Time {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0);
        Ok(IsNull::No)
    }
}

impl FromSql<Moment, Pg> for Time {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let PgTimestamp(micros) = FromSql::<Timestamptz, Pg>::from_sql(value)?;
        Ok(Self(micros + POSTGRES_EPOCH))
    }
}

impl FromSql<Moment, Sqlite> for Time {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        <i64 as FromSql<BigInt, Sqlite>>::from_sql(value).map(Self)
    }
}

impl ToSql<BigInt, Pg> for Amount {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<BigInt, Pg>::to_sql(&self.0, out)
    }
}

impl ToSql<BigInt, Sqlite> for Amount {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        ToSql::<BigInt, Sqlite>::to_sql(&self.0, out)
    }
}

impl<B: diesel::backend::Backend> FromSql<BigInt, B> for Amount
where
    i64: FromSql<BigInt, B>,
{
    fn from_sql(value: B::RawValue<'_>) -> deserialize::Result<Self> {
        i64::from_sql(value).map(Self)
    }
}

impl ToSql<Text, Pg> for JsonText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<Text, Pg>::to_sql(self.0.as_str(), out)
    }
}

impl ToSql<Text, Sqlite> for JsonText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        ToSql::<Text, Sqlite>::to_sql(self.0.as_str(), out)
    }
}

impl<B: diesel::backend::Backend> FromSql<Text, B> for JsonText
where
    String: FromSql<Text, B>,
{
    fn from_sql(value: B::RawValue<'_>) -> deserialize::Result<Self> {
        String::from_sql(value).map(Self)
    }
}

/// Hands a value on to whichever database is behind the connection.
macro_rules! multi_to_sql {
    ($([$($generics:tt)*] $type:ty as $sql:ty),+ $(,)?) => { $(
        impl<$($generics)*> ToSql<$sql, MultiBackend> for $type {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, MultiBackend>) -> serialize::Result {
                out.set_value((<$sql>::default(), self));
                Ok(IsNull::No)
            }
        }
    )+ };
}

multi_to_sql!([K: 'static] Id<K> as Uuid, [] Time as Moment, [] Amount as BigInt, [] JsonText as Text);

impl<K: 'static> FromSql<Uuid, MultiBackend> for Id<K> {
    fn from_sql(value: MultiRawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, Uuid>()
    }
}

impl FromSql<Moment, MultiBackend> for Time {
    fn from_sql(value: MultiRawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, Moment>()
    }
}

/// Stores a unit-only enum by its words in a text column, on both databases.
///
/// The enum must offer `fn as_str(&self) -> &'static str` and `fn from_word(&str) -> Option<Self>`; see
/// [`words!`](crate::words).
#[macro_export]
macro_rules! text_column {
    ($type:ty) => {
        impl<B: ::diesel::backend::Backend> ::diesel::deserialize::FromSql<::diesel::sql_types::Text, B>
            for $type
        where
            String: ::diesel::deserialize::FromSql<::diesel::sql_types::Text, B>,
        {
            fn from_sql(value: B::RawValue<'_>) -> ::diesel::deserialize::Result<Self> {
                let word = String::from_sql(value)?;
                Self::from_word(&word).ok_or_else(|| format!("`{word}` is no {}", stringify!($type)).into())
            }
        }

        impl<B: ::diesel::backend::Backend> ::diesel::serialize::ToSql<::diesel::sql_types::Text, B> for $type
        where
            str: ::diesel::serialize::ToSql<::diesel::sql_types::Text, B>,
        {
            fn to_sql<'b>(
                &'b self,
                out: &mut ::diesel::serialize::Output<'b, '_, B>,
            ) -> ::diesel::serialize::Result {
                <str as ::diesel::serialize::ToSql<::diesel::sql_types::Text, B>>::to_sql(self.as_str(), out)
            }
        }
    };
}

/// An enum of words: the API's, the document's and the database's in one declaration.
///
/// ```ignore
/// kernel::words! {
///     /// Billing status.
///     pub enum Status { Pending = "pending", Active = "active" }
/// }
/// ```
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:tt),+ $(,)? }) => {
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash,
            ::serde::Serialize, ::serde::Deserialize, ::utoipa::ToSchema,
            ::diesel::expression::AsExpression, ::diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = ::diesel::sql_types::Text)]
        $(#[$meta])*
        $vis enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, in the documented order.
            #[allow(dead_code, reason = "not every enum needs its list")]
            $vis const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word of the API.
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value that a word means.
            $vis fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        $crate::text_column!($name);
    };
}

/// A query whose rows are locked until the transaction ends: see [`lock`].
#[derive(Debug, Clone, Copy)]
pub struct Locked<Q> {
    query: Q,
    /// The table whose rows are locked, where the query joins others.
    table: &'static str,
}

/// Locks the rows of `table` that `query` finds (`FOR UPDATE OF table`) on PostgreSQL.
///
/// On SQLite, where a write transaction has the database to itself, it is the query alone.
pub const fn lock<Q>(table: &'static str, query: Q) -> Locked<Q> {
    Locked { query, table }
}

impl<Q: QueryFragment<MultiBackend>> QueryFragment<MultiBackend> for Locked<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, MultiBackend>) -> diesel::QueryResult<()> {
        self.query.walk_ast(out.reborrow())?;
        if matches!(out.backend(), MultiBackend::Postgres(_)) {
            out.push_sql(" FOR UPDATE OF ");
            out.push_identifier(self.table)?;
        }
        Ok(())
    }
}

impl<Q: QueryId> QueryId for Locked<Q> {
    type QueryId = Locked<Q::QueryId>;
    const HAS_STATIC_QUERY_ID: bool = Q::HAS_STATIC_QUERY_ID;
}

impl<Q: Query> Query for Locked<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> diesel::RunQueryDsl<super::Conn> for Locked<Q> {}
