//! Images that operators add, without a customer's request and its limits.

use diesel::{ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, RunQueryDsl};
use kernel::{
    App,
    audit::{AuditStatus, Changes, Origin},
    http::{ApiError, ApiResult},
    id::Id,
    store::{Conn, StoreError, Tx},
};

pub use super::import::Source;
use super::{
    Checksum, ImageStore, Watch,
    files::{self, Recorded},
    import::{self, Wanted},
    rows::{self, FileStatus, ImageFileRow},
};
use crate::{
    catalogue::{
        api::{Image, ImageId, Visibility},
        rows::{ImageRow, bump_version},
    },
    schema::{image_files, images},
};

/// The largest file and disk that are taken at all, bytes.
const LARGEST: u64 = 1 << 43;

/// An image, as an operator describes it. Of one that is there already only the file is taken: the catalogue's file
/// says what it is.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// The operator's name for it: of the same slug there is one.
    pub slug: String,
    /// Shown to customers; the slug for a new image without it.
    pub name: Option<String>,
    /// Needed for a new image.
    pub os_name: Option<String>,
    /// 12, 24.04.
    pub os_version: Option<String>,
    /// `x86_64`, `aarch64`.
    pub os_architecture: Option<String>,
    /// What an instance's memory must be at least.
    pub min_ram_mb: Option<i64>,
    /// Whether customers see it.
    pub public: bool,
}

/// An image of the operator's in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its slug.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Whether it is on offer.
    pub is_active: bool,
    /// Whether customers see it.
    pub is_public: bool,
    /// Where its file stands; none: it has none.
    pub status: Option<FileStatus>,
    /// Its checksum.
    pub digest: Option<String>,
    /// The size of the disk in it, bytes.
    pub virtual_size_bytes: Option<i64>,
}

/// Brings a file and makes it an image's: a new one, or the one of this slug, which has the new file from then on.
/// Instances go on with the file that they were made from.
///
/// # Errors
/// The description lacks something, or the file can't be brought; the image is then as before.
pub async fn import(
    app: &App,
    store: &dyn ImageStore,
    new: NewImage,
    source: Source,
    checksum: Option<Checksum>,
    watch: &Watch,
) -> Result<ImageId, String> {
    let text = |error: ApiError| error.to_string();
    // Refused before anything is fetched.
    let check = new.clone();
    let checked = app
        .store()
        .read("find_image", move |conn| find(conn, &check).map(drop));
    checked.await.map_err(text)?;
    let url = match &source {
        Source::Url(url) => Some(url.clone()),
        Source::File(_) => None,
    };
    let wanted = Wanted {
        source,
        checksum,
        largest_file: LARGEST,
        largest_disk: LARGEST,
        min_ram_mb: new.min_ram_mb.unwrap_or(0),
    };
    let brought = import::bring(app, store, wanted, watch).await;
    let (file, size) = brought.map_err(|error| format!("{} ({})", error.message, error.detail))?;
    let keep = move |tx: &mut Tx<'_>| {
        let origin = Origin::system("onetd images import");
        let (id, is_new) = describe(tx, &new, url.clone(), &origin)?;
        // One that was taken off offer stays so.
        match files::record(tx, id, &file, Some(size), is_new, &origin)? {
            Recorded::Yes | Recorded::Unwanted => Ok(id),
            Recorded::BeingRemoved => Err(ApiError::unavailable(
                "The same file is being removed at this moment: try again.",
            )),
        }
    };
    app.store().write("import_image", keep).await.map_err(text)
}

/// All images of the operator's, by slug.
///
/// # Errors
/// The database refused.
pub fn list(conn: &mut Conn) -> Result<Vec<Listed>, StoreError> {
    let all: Vec<ImageRow> = images::table
        .filter(images::organization_id.is_null())
        .order((images::slug, images::id))
        .load(conn)?;
    let files: Vec<ImageFileRow> = image_files::table
        .inner_join(images::table.on(images::id.eq(image_files::image_id)))
        .filter(images::organization_id.is_null())
        .select(<ImageFileRow as diesel::SelectableHelper<_>>::as_select())
        .load(conn)?;
    let listed = all.into_iter().map(|image| {
        let file = files.iter().find(|file| file.image_id == image.id);
        Listed {
            slug: image.slug,
            name: image.name,
            is_active: image.is_active,
            is_public: image.visibility == Visibility::Public,
            status: file.map(|file| file.status),
            digest: file.and_then(|file| file.digest.clone()),
            virtual_size_bytes: file.and_then(|file| file.virtual_size_bytes),
        }
    });
    Ok(listed.collect())
}

/// The operator's image of this slug, or none, if enough is told for a new one.
fn find(conn: &mut Conn, new: &NewImage) -> ApiResult<Option<ImageRow>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if new.slug.is_empty() || new.slug.len() > 50 || !new.slug.bytes().all(is_plain) {
        return Err(ApiError::refused("A slug has 1 to 50 letters, digits, - and _."));
    }
    let known: Option<ImageRow> = images::table
        .filter(images::organization_id.is_null())
        .filter(images::slug.eq(&new.slug))
        .order((images::created.desc(), images::id.desc()))
        .first(conn)
        .optional()?;
    if known.is_none() && new.os_name.is_none() {
        return Err(ApiError::refused(
            "There is no image of this slug: a new one needs the name of its operating system (--os-name).",
        ));
    }
    Ok(known)
}

/// The image's row, made now if it is new, and that of its file.
fn describe(
    tx: &mut Tx<'_>,
    new: &NewImage,
    url: Option<String>,
    origin: &Origin,
) -> ApiResult<(Id<Image>, bool)> {
    bump_version(tx)?;
    let now = tx.now();
    let known = find(tx.conn(), new)?;
    let id = known.as_ref().map_or_else(Id::new, |image| image.id);
    if known.is_none() {
        let image = ImageRow {
            id,
            organization_id: None,
            name: new.name.clone().unwrap_or_else(|| new.slug.clone()),
            slug: new.slug.clone(),
            description: String::new(),
            visibility: if new.public {
                Visibility::Public
            } else {
                Visibility::Private
            },
            os_name: new.os_name.clone().unwrap_or_default(),
            os_version: new.os_version.clone().unwrap_or_default(),
            os_architecture: new.os_architecture.clone().unwrap_or_else(|| "x86_64".to_owned()),
            language: "en".to_owned(),
            is_active: false,
            is_featured: false,
            is_windows: false,
            requires_license_addon: false,
            min_disk_gb: 0,
            min_ram_mb: new.min_ram_mb.unwrap_or(0),
            created: now,
            modified: now,
        };
        rows::insert(tx, &image)?;
        let event = files::event(
            &image,
            "image.created",
            "created",
            Changes::default(),
            AuditStatus::Success,
        );
        tx.audit(origin, None, None, &event)?;
    }
    let file = rows::file(tx.conn(), id)?;
    if let Some(mut file) = file {
        file.source_url = url;
        rows::save_file(tx, &mut file)?;
    } else {
        let file = ImageFileRow {
            source_url: url,
            ..ImageFileRow::expected(id, None, now)
        };
        rows::insert_file(tx, &file)?;
    }
    Ok((id, known.is_none()))
}
