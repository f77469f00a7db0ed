//! The files behind images.
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{id::Id, store::{Conn, StoreError}};

use crate::{catalogue::api::Image, schema::image_files};

/// The digest of an image's file, when it is available.
///
/// # Errors
/// The database refused.
pub fn digest_of(conn: &mut Conn, image: Id<Image>) -> Result<Option<String>, StoreError> {
    let found: Option<Option<String>> = image_files::table
        .find(image)
        .filter(image_files::status.eq("available"))
        .select(image_files::digest)
        .first(conn)
        .optional()?;
    Ok(found.flatten())
}
