//! `upload_profile_picture`, `delete_profile_picture`, and the pictures themselves at `/media/pictures/{id}`.
//!
//! A picture is public for whoever knows its id, which can't be guessed: mails and other members show it. A new picture
//! gets a new id, so that one never changes and may be kept for ever.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, RunQueryDsl};
use http::{HeaderName, HeaderValue, header};
use kernel::{
    access::{Authenticated, User as UserKind},
    audit::{Changes, Origin},
    http::{Answer, ApiError, ApiResult, Change, NoBody, PathId, Upload},
    id::{Any, Id},
    store::{StoreError, Tx},
};

use super::{
    api::{Picture, PictureUpload},
    change::{event, lock_user},
    image::MEDIA_TYPE,
};
use crate::{
    Identity,
    auth::refusals::{Reading, Writing},
    auth::{User, view},
    login_only,
    schema::{user_pictures, users},
    state::Area,
    users::UserRow,
};

/// [Profile] Upload the profile picture
///
/// Stores a picture for the profile: PNG, JPEG or WebP by its content. It is encoded anew, at most 512 pixels wide and
/// high; what the file says besides the image (place, camera) is dropped.
#[utoipa::path(
    post,
    path = "/v1/auth/profile/picture",
    operation_id = "upload_profile_picture",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    request_body(content = PictureUpload, content_type = "multipart/form-data"),
    responses((status = 200, body = User, description = "Picture stored"), Writing),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn upload_profile_picture(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, identity, .. }): State<Area>,
    change: Change<Upload<Picture>>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let picture = identity.workshop().make(change.body()?.file.clone()).await?;
    let picture = BASE64_STANDARD.encode(picture);
    let id = Id::<Any>::from_uuid(uuid::Uuid::new_v4());
    let origin = Origin::caller(&caller, &request);
    let owner = caller.user;
    change
        .run(&app, &caller, "upload_profile_picture", move |tx, change| {
            let mut row = lock_user(tx, owner)?;
            change.check_version(row.modified.micros())?;
            take_away(tx, owner)?;
            diesel::insert_into(user_pictures::table)
                .values((
                    user_pictures::id.eq(id),
                    user_pictures::user_id.eq(owner),
                    user_pictures::media_type.eq(MEDIA_TYPE),
                    user_pictures::data.eq(&picture),
                    user_pictures::created.eq(tx.now()),
                ))
                .execute(tx.conn())?;
            show(tx, &mut row, Some(id))?;
            tx.audit(
                &origin,
                None,
                None,
                &event(&row, "Profile picture set", Changes::default()),
            )?;
            let version = row.modified.micros();
            Ok(Answer::ok(view::user(tx.conn(), &identity, row)?, version))
        })
        .await
}

/// [Profile] Remove the profile picture
///
/// Removes the picture; its address names nothing from now on.
#[utoipa::path(
    delete,
    path = "/v1/auth/profile/picture",
    operation_id = "delete_profile_picture",
    tag = "Authentication",
    security(("BearerAuth" = [])),
    responses((status = 204, description = "Picture removed"), Reading),
    extensions(("x-credentials" = json!(["jwt"])))
)]
pub(super) async fn delete_profile_picture(
    Authenticated { caller, request }: Authenticated,
    State(Area { app, .. }): State<Area>,
    change: Change<NoBody>,
) -> ApiResult<Response> {
    login_only(&caller)?;
    let origin = Origin::caller(&caller, &request);
    let owner = caller.user;
    change
        .run(&app, &caller, "delete_profile_picture", move |tx, change| {
            let mut row = lock_user(tx, owner)?;
            change.check_version(row.modified.micros())?;
            if row.picture_id.is_some() {
                take_away(tx, owner)?;
                show(tx, &mut row, None)?;
                let event = event(&row, "Profile picture removed", Changes::default());
                tx.audit(&origin, None, None, &event)?;
            }
            Ok::<_, ApiError>(Answer::empty())
        })
        .await
}

fn take_away(tx: &mut Tx<'_>, user: Id<UserKind>) -> Result<(), StoreError> {
    let theirs = user_pictures::table.filter(user_pictures::user_id.eq(user));
    diesel::delete(theirs).execute(tx.conn())?;
    Ok(())
}

fn show(tx: &mut Tx<'_>, row: &mut UserRow, picture: Option<Id<Any>>) -> Result<(), StoreError> {
    row.picture_id = picture;
    row.modified = tx.now();
    diesel::update(users::table.find(row.id))
        .set((
            users::picture_id.eq(row.picture_id),
            users::modified.eq(row.modified),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Beside the API's document: addresses are found in answers.
pub(crate) fn pages() -> Router<Identity> {
    Router::new().route("/media/pictures/{id}", get(picture))
}

async fn picture(PathId(id): PathId<Any>, State(identity): State<Identity>) -> ApiResult<Response> {
    let found: Option<(String, String)> = identity
        .store()
        .read("picture", move |conn| {
            let row = user_pictures::table
                .find(id)
                .select((user_pictures::media_type, user_pictures::data));
            Ok::<_, StoreError>(row.first(conn).optional()?)
        })
        .await?;
    let (media_type, data) = found.ok_or_else(ApiError::not_found)?;
    let bytes = BASE64_STANDARD.decode(data).map_err(ApiError::internal)?;
    let text = |text: &str| HeaderValue::from_str(text).map_err(ApiError::internal);
    let headers: [(HeaderName, HeaderValue); 6] = [
        (header::CONTENT_TYPE, text(&media_type)?),
        (header::ETAG, text(&format!("\"{id}\""))?),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        ),
        // Never anything but a picture, whatever a browser makes of its content.
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox"),
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("cross-origin"),
        ),
    ];
    Ok((headers, bytes).into_response())
}
