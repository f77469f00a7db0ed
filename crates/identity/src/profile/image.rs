//! Pictures made anew: whatever was uploaded, what is kept is an image that onet has encoded itself.
//!
//! A picture is told by its content, its size is looked at before anything is unpacked (a small file can hold a huge
//! image), and nothing of the file but the pixels survives: no place where it was taken, no script, no second file hidden
//! behind the first (ASVS 5.0, V5.2).

use std::{io::Cursor, sync::Arc};

use bytes::Bytes;
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, codecs::webp::WebPEncoder,
    imageops::FilterType,
};
use kernel::http::{ApiError, ApiResult, Faults};
use tokio::sync::Semaphore;

use super::api::Picture;

/// What is kept is at most so wide and high.
const SIDE: u32 = 512;
/// What is unpacked is at most so wide and high, and has at most so many pixels.
const LONGEST_SIDE: u32 = 8192;
const MOST_PIXELS: u64 = 24_000_000;
/// Memory that a decoder may take: the greatest image with 8 bytes a pixel.
const MOST_MEMORY: u64 = 8 * MOST_PIXELS;
/// Pictures that are worked on at once, and that wait.
const AT_ONCE: usize = 2;
const WAITING: usize = 16;

/// What a picture is kept as.
pub(super) const MEDIA_TYPE: &str = "image/webp";

/// Works on a few pictures at a time, so that they don't take all processors and memory.
pub(crate) struct Workshop {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for Workshop {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Workshop {
    /// The picture in `file`, upright, no larger than it is shown, and as [`MEDIA_TYPE`].
    ///
    /// # Errors
    /// 400 if it is no picture or too large; 503 if too many wait already.
    pub(super) async fn make(&self, file: Bytes) -> ApiResult<Vec<u8>> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| ApiError::unavailable("Too many pictures are being worked on; try again."))?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(ApiError::internal)?;
        let made = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            make(&file)
        });
        match made.await {
            Ok(made) => made,
            Err(error) => {
                // A decoder that gave up on what it was fed.
                tracing::warn!(%error, "a picture could not be worked on");
                Err(no_picture())
            }
        }
    }
}

fn refused(message: impl Into<String>) -> ApiError {
    Faults::one(<Picture as kernel::http::Part>::FIELD, message).into()
}

fn no_picture() -> ApiError {
    refused("Upload a valid image. The file you uploaded was either not an image or a corrupted image.")
}

fn make(file: &[u8]) -> ApiResult<Vec<u8>> {
    let reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .map_err(|_| no_picture())?;
    let known = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP];
    if !reader.format().is_some_and(|format| known.contains(&format)) {
        return Err(refused("Upload a PNG, JPEG or WebP image."));
    }
    let mut decoder = reader.into_decoder().map_err(|_| no_picture())?;
    let (width, height) = decoder.dimensions();
    if width.max(height) > LONGEST_SIDE || u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(refused(format!(
            "The image is too large: {LONGEST_SIDE} pixels a side and {} million in all at most.",
            MOST_PIXELS / 1_000_000
        )));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    decoder.set_limits(limits).map_err(|_| no_picture())?;
    // How the camera was held stands in what is about to be dropped.
    let orientation = decoder.orientation().map_err(|_| no_picture())?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|_| no_picture())?;
    picture.apply_orientation(orientation);
    if picture.width().max(picture.height()) > SIDE {
        picture = picture.resize(SIDE, SIDE, FilterType::Triangle);
    }
    encode(&picture).map_err(ApiError::internal)
}

fn encode(picture: &DynamicImage) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    let encoder = WebPEncoder::new_lossless(&mut bytes);
    if picture.color().has_alpha() {
        picture.to_rgba8().write_with_encoder(encoder)?;
    } else {
        picture.to_rgb8().write_with_encoder(encoder)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use image::{ImageBuffer, Rgba, RgbaImage};

    use super::*;

    fn picture(width: u32, height: u32) -> RgbaImage {
        ImageBuffer::from_fn(width, height, |x, y| {
            Rgba([(x % 256) as u8, (y % 256) as u8, 7, if x == 0 { 0 } else { 255 }])
        })
    }

    fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let picture = DynamicImage::from(picture(width, height));
        let picture = if format == ImageFormat::Jpeg {
            picture.to_rgb8().into()
        } else {
            picture
        };
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn size(file: &[u8]) -> (u32, u32) {
        let picture = image::load_from_memory_with_format(file, ImageFormat::WebP).unwrap();
        (picture.width(), picture.height())
    }

    #[test]
    fn pictures_are_made_smaller_and_never_larger() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            assert_eq!(size(&make(&file(40, 30, format)).unwrap()), (40, 30));
            assert_eq!(size(&make(&file(1024, 600, format)).unwrap()), (512, 300));
        }
        assert_eq!(size(&make(&file(4, 2000, ImageFormat::Png)).unwrap()), (1, 512));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let mut cut = file(40, 30, ImageFormat::Png);
        cut.truncate(60);
        let gif = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;".to_vec();
        let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>".to_vec();
        for bytes in [
            Vec::new(),
            b"hello".to_vec(),
            cut,
            gif,
            svg,
            b"\x89PNG\r\n\x1a\n".to_vec(),
        ] {
            assert_eq!(make(&bytes).unwrap_err().status(), 400);
        }
    }

    /// A PNG's head that promises an image of this size, as a decompression bomb does.
    fn promise(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = file(2, 2, ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// The check value of PNG's chunks.
    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
            })
        };
        !bytes.iter().fold(u32::MAX, step)
    }

    #[test]
    fn bombs_are_refused_before_they_are_unpacked() {
        for (width, height) in [(60_000, 60_000), (8193, 1), (8000, 8000)] {
            let error = make(&promise(width, height)).unwrap_err();
            assert!(
                error.to_string().contains("too large"),
                "{width}x{height}: {error}"
            );
        }
        // A width that no decoder takes is refused before anybody looks at what it would cost.
        assert!(make(&promise(u32::MAX >> 1, 2)).is_err());
        // The size is fine, the content is not there.
        let error = make(&promise(4000, 4000)).unwrap_err();
        assert!(error.to_string().contains("valid image"), "{error}");
    }

    #[test]
    fn nothing_but_the_pixels_survives() {
        // A JPEG with an Exif block: turned by 90 degrees, and a place in words.
        let plain = file(40, 20, ImageFormat::Jpeg);
        let exif = [
            b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".as_slice(),
            b"SECRET-PLACE",
        ]
        .concat();
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        let turned = [
            &plain[..2],
            &[0xff, 0xe1],
            &length,
            &exif,
            &plain[2..],
            b"<script>",
        ]
        .concat();
        let made = make(&turned).unwrap();
        assert_eq!(size(&made), (20, 40), "it stands upright");
        for secret in [b"SECRET-PLACE".as_slice(), b"Exif", b"<script>"] {
            assert!(!made.windows(secret.len()).any(|part| part == secret));
        }
    }
}
