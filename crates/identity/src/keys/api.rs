//! What both kinds of keys have in common on the wire.

use std::{borrow::Cow, marker::PhantomData};

use axum::response::Response;
use kernel::{
    access::Credential,
    http::{self, ApiResult, Body},
    id::Id,
    json::present,
    time::Time,
};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use crate::credentials::Scope;

/// What a client wants of a key: the fields that it sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Edits {
    pub(crate) name: Option<String>,
    pub(crate) scopes: Option<Vec<Scope>>,
    pub(crate) allowed_ips: Option<Vec<String>>,
    /// Absent; null (never ends); a time.
    #[serde(deserialize_with = "present")]
    pub(crate) expires_at: Option<Option<Time>>,
}

/// The body of both rotations.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = APIKeyRotate)]
pub(crate) struct Rotate {
    /// Time the old secret keeps working; 0 ends it at once.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 604_800, default = 0, required = false, value_type = isize)]
    pub(crate) grace_period_seconds: u64,
    /// When the new secret ends: as before if left out, never if null.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Time>, required = false)]
    pub(crate) expires_at: Option<Option<Time>>,
}

impl Body for Rotate {
    type Wire = Self;
}

/// How a key looks on the wire.
pub(crate) trait Shown: Serialize + ToSchema + Send + 'static {
    /// The field that holds the secret.
    const SECRET: &'static str;
    /// What the schema with the secret is called.
    const CREATED: &'static str;
    /// What that field's documentation says.
    const MEANING: &'static str;
}

/// A key with its secret: the only answers that hold it are those that made it.
#[derive(Debug)]
pub(crate) struct Created<T> {
    about: T,
}

impl<T: Shown> Created<T> {
    /// The answer with its secret left empty, as it may be stored; see [`reveal`].
    pub(crate) const fn unrevealed(about: T) -> Self {
        Self { about }
    }
}

impl<T: Shown> Serialize for Created<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(&self.about).map_err(serde::ser::Error::custom)?;
        value[T::SECRET] = "".into();
        value.serialize(serializer)
    }
}

/// The fields of a key and one more, in one object.
impl<T: Shown> PartialSchema for Created<T> {
    fn schema() -> RefOr<Schema> {
        let mut schema = T::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let secret = ObjectBuilder::new()
                .schema_type(Type::String)
                .read_only(true)
                .description(Some(T::MEANING));
            object.description = Some("The only answer that holds the secret.".to_owned());
            object.properties.insert(T::SECRET.to_owned(), secret.into());
            object.required.push(T::SECRET.to_owned());
        }
        schema
    }
}

impl<T: Shown> ToSchema for Created<T> {
    fn name() -> Cow<'static, str> {
        T::CREATED.into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

/// Puts a secret into the answer, which was kept for its Idempotency-Key without: no secret is stored in the clear.
#[derive(Debug)]
pub(crate) struct Reveal<T> {
    /// The key that the secret belongs to.
    id: Id<Credential>,
    /// What the secret begins with.
    prefix: String,
    secret: String,
    shown: PhantomData<fn() -> T>,
}

impl<T: Shown> Reveal<T> {
    pub(crate) const fn new(id: Id<Credential>, prefix: String, secret: String) -> Self {
        Self {
            id,
            prefix,
            secret,
            shown: PhantomData,
        }
    }

    /// The answer with the secret, if it is the answer to this request: a repeated one is that to an earlier request,
    /// whose secret nobody has any more.
    pub(crate) async fn into(self, answer: Response) -> ApiResult<Response> {
        http::reveal(answer, |created| {
            if created["id"] == self.id.to_string() && created["prefix"] == self.prefix {
                created[T::SECRET] = self.secret.into();
            }
        })
        .await
    }
}
