//! The tables of images and of the files behind them. What organizations see is found by their id.

use std::{collections::HashSet, time::Duration};

use diesel::{
    AsChangeset, ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods, OptionalExtension,
    QueryDsl, Queryable, RunQueryDsl, Selectable, SelectableHelper,
};
use kernel::{
    access::{Organization, Project},
    id::Id,
    store::{Conn, StoreError, Tx, lock},
    time::Time,
    words,
};

use crate::{
    catalogue::{
        api::Image,
        rows::{ImageRow, bump_version},
    },
    instances::api::InstanceStatus,
    schema::{image_files, image_leftovers, images, instances},
};

words! {
    /// Where an image's file stands
    pub enum FileStatus {
        /// Pending
        Pending = "pending",
        /// Importing
        Importing = "importing",
        /// Available
        Available = "available",
        /// Failed
        Failed = "failed",
        /// Deleted
        Deleted = "deleted",
    }
}

impl FileStatus {
    /// Whether a task is on its way.
    pub const fn is_coming(self) -> bool {
        matches!(self, Self::Pending | Self::Importing)
    }
}

/// A row of `image_files`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = image_files, primary_key(image_id), treat_none_as_null = true)]
#[expect(missing_docs, reason = "the migrations document columns")]
pub struct ImageFileRow {
    pub image_id: Id<Image>,
    pub project_id: Option<Id<Project>>,
    pub status: FileStatus,
    pub digest: Option<String>,
    pub size_bytes: Option<i64>,
    pub virtual_size_bytes: Option<i64>,
    pub source_url: Option<String>,
    pub expected_checksum: Option<String>,
    pub error: Option<String>,
    pub progress: i64,
    pub created: Time,
    pub modified: Time,
}

impl ImageFileRow {
    /// A file that is to come.
    pub(super) fn expected(image: Id<Image>, project: Option<Id<Project>>, now: Time) -> Self {
        Self {
            image_id: image,
            project_id: project,
            status: FileStatus::Pending,
            digest: None,
            size_bytes: None,
            virtual_size_bytes: None,
            source_url: None,
            expected_checksum: None,
            error: None,
            progress: 0,
            created: now,
            modified: now,
        }
    }
}

/// The name by which hosts know an image's file (SHA-256, hexadecimal), once it is there.
///
/// # Errors
/// The database refused.
pub fn digest_of(conn: &mut Conn, image: Id<Image>) -> Result<Option<String>, StoreError> {
    let digest: Option<Option<String>> = image_files::table
        .find(image)
        .filter(image_files::status.eq(FileStatus::Available))
        .select(image_files::digest)
        .first(conn)
        .optional()?;
    Ok(digest.flatten())
}

/// Images that were deleted: for instances made from them only.
pub(crate) fn deleted(conn: &mut Conn) -> Result<HashSet<Id<Image>>, StoreError> {
    let ids: Vec<Id<Image>> = image_files::table
        .filter(image_files::status.eq(FileStatus::Deleted))
        .select(image_files::image_id)
        .load(conn)?;
    Ok(ids.into_iter().collect())
}

/// The file of an image.
pub(super) fn file(conn: &mut Conn, image: Id<Image>) -> Result<Option<ImageFileRow>, StoreError> {
    let query = image_files::table.find(image).select(ImageFileRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// An image that an organization may know of (its own, or a public one) with its file, locked.
pub(super) fn find_locked(
    tx: &mut Tx<'_>,
    organization: Id<Organization>,
    id: Id<Image>,
) -> Result<Option<(ImageRow, Option<ImageFileRow>)>, StoreError> {
    let query = images::table.filter(images::id.eq(id));
    let row: Option<ImageRow> = lock("images", query).get_result(tx.conn()).optional()?;
    let Some(row) = row else { return Ok(None) };
    let is_known = match row.organization_id {
        Some(owner) => owner == organization,
        None => row.visibility == crate::catalogue::api::Visibility::Public,
    };
    let file = file(tx.conn(), id)?;
    let is_deleted = file
        .as_ref()
        .is_some_and(|file| file.status == FileStatus::Deleted);
    Ok((is_known && !is_deleted).then_some((row, file)))
}

/// The slugs of an organization's images that are there.
pub(super) fn slugs(
    conn: &mut Conn,
    organization: Id<Organization>,
) -> Result<Vec<(Id<Image>, String)>, StoreError> {
    let query = images::table
        .left_join(image_files::table.on(image_files::image_id.eq(images::id)))
        .filter(images::organization_id.eq(organization))
        .select((images::id, images::slug, image_files::status.nullable()));
    let rows: Vec<(Id<Image>, String, Option<FileStatus>)> = query.load(conn)?;
    Ok(rows
        .into_iter()
        .filter(|(.., status)| *status != Some(FileStatus::Deleted))
        .map(|(id, slug, _)| (id, slug))
        .collect())
}

/// How many instances are being made from an image right now.
pub(super) fn count_being_made(conn: &mut Conn, image: Id<Image>) -> Result<i64, StoreError> {
    Ok(instances::table
        .filter(instances::image_id.eq(image))
        .filter(instances::status.eq_any([InstanceStatus::Pending, InstanceStatus::Provisioning]))
        .count()
        .get_result(conn)?)
}

pub(super) fn insert(tx: &mut Tx<'_>, row: &ImageRow) -> Result<(), StoreError> {
    diesel::insert_into(images::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

/// Writes what of an image can change, and counts it as changed.
pub(super) fn update(tx: &mut Tx<'_>, row: &mut ImageRow) -> Result<(), StoreError> {
    row.modified = tx.now().max(row.modified + Duration::from_micros(1));
    diesel::update(images::table.find(row.id))
        .set((
            images::name.eq(&row.name),
            images::slug.eq(&row.slug),
            images::description.eq(&row.description),
            images::is_active.eq(row.is_active),
            images::min_disk_gb.eq(row.min_disk_gb),
            images::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    bump_version(tx)
}

pub(super) fn insert_file(tx: &mut Tx<'_>, row: &ImageFileRow) -> Result<(), StoreError> {
    diesel::insert_into(image_files::table)
        .values(row)
        .execute(tx.conn())?;
    Ok(())
}

pub(super) fn save_file(tx: &mut Tx<'_>, row: &mut ImageFileRow) -> Result<(), StoreError> {
    row.modified = tx.now();
    diesel::update(image_files::table.find(row.image_id))
        .set(&*row)
        .execute(tx.conn())?;
    Ok(())
}

/// Notes that a task has begun, or how far it is.
pub(super) fn set_progress(tx: &mut Tx<'_>, image: Id<Image>, percent: u8) -> Result<(), StoreError> {
    let coming = image_files::table
        .find(image)
        .filter(image_files::status.eq_any([FileStatus::Pending, FileStatus::Importing]));
    diesel::update(coming)
        .set((
            image_files::status.eq(FileStatus::Importing),
            image_files::progress.eq(i64::from(percent)),
            image_files::modified.eq(tx.now()),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Whether an image that is there has this file.
pub(super) fn is_needed(conn: &mut Conn, digest: &str) -> Result<bool, StoreError> {
    let needed: i64 = image_files::table
        .filter(image_files::digest.eq(digest))
        .filter(image_files::status.eq(FileStatus::Available))
        .count()
        .get_result(conn)?;
    Ok(needed > 0)
}

/// A file that no image may need any more. Call [`bump_version`] before: it is the lock.
pub(super) fn leave(tx: &mut Tx<'_>, digest: &str) -> Result<(), StoreError> {
    let known: i64 = image_leftovers::table
        .find(digest)
        .count()
        .get_result(tx.conn())?;
    if known == 0 {
        let row = (
            image_leftovers::digest.eq(digest),
            image_leftovers::being_removed.eq(false),
            image_leftovers::created.eq(tx.now()),
        );
        diesel::insert_into(image_leftovers::table)
            .values(row)
            .execute(tx.conn())?;
    }
    Ok(())
}
