//! The head of a qcow2 file, read by ourselves before any program that acts upon it opens the file.
//!
//! A qcow2 file can name other files: what it builds on, where its data is. A program that opens it follows those
//! names, with its own rights. So a file from outside is only taken if its head names nothing. Source: QEMU's
//! `docs/interop/qcow2.txt`.

use std::fmt;

/// How much of the file is read; the head and its extensions must be inside of it, as they must be in the first cluster.
pub const HEAD_BYTES: usize = 64 << 10;

const MAGIC: [u8; 4] = *b"QFI\xfb";
const BACKING_FORMAT: u32 = 0xe279_2aca;
const DATA_FILE: u32 = 0x4441_5441;
const ENCRYPTION: u32 = 0x0537_be77;
/// Dirty, corrupt, external data file, compression type, extended L2 entries: bits 0 to 4.
const KNOWN_FEATURES: u64 = 0b1_1111;
const LONGEST_EXTENSION_LIST: usize = 64;

/// What a head says about a file that can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// The size of the disk, bytes.
    pub virtual_size: u64,
    /// The unit of allocation, bytes.
    pub cluster_size: u64,
}

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not begin as qcow2 files do.
    NotQcow2,
    /// It ends within its head.
    Truncated,
    /// Another version than 2 and 3.
    Version(u32),
    /// It builds on another file.
    BackingFile,
    /// Its data is in another file.
    ExternalDataFile,
    /// It is encrypted.
    Encrypted,
    /// It was not closed, or says itself that it is broken.
    Damaged,
    /// It needs something that is not known here.
    UnknownFeature,
    /// A field that makes no sense, by its name.
    Nonsense(&'static str),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotQcow2 => f.write_str("it is not a qcow2 file"),
            Self::Truncated => f.write_str("it ends within its header"),
            Self::Version(version) => write!(f, "it has version {version} of the format; 2 and 3 are taken"),
            Self::BackingFile => f.write_str("it builds on another file (a backing file)"),
            Self::ExternalDataFile => f.write_str("its data is in another file"),
            Self::Encrypted => f.write_str("it is encrypted"),
            Self::Damaged => f.write_str("it was not closed, or is damaged"),
            Self::UnknownFeature => f.write_str("it uses a feature of the format that is not taken"),
            Self::Nonsense(field) => write!(f, "its header makes no sense ({field})"),
        }
    }
}

impl std::error::Error for Refused {}

/// Whether these are the first bytes of a qcow2 file.
pub fn is_qcow2(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}

/// Reads a head. `head` is the beginning of the file, up to [`HEAD_BYTES`]; `file_size` the size of the whole.
///
/// # Errors
/// When the file must not be taken.
pub fn parse(head: &[u8], file_size: u64) -> Result<Header, Refused> {
    let head = &head[..head.len().min(HEAD_BYTES)];
    if !is_qcow2(head) {
        return Err(Refused::NotQcow2);
    }
    let version = u32_at(head, 4)?;
    if !matches!(version, 2 | 3) {
        return Err(Refused::Version(version));
    }
    if u64_at(head, 8)? != 0 || u32_at(head, 16)? != 0 {
        return Err(Refused::BackingFile);
    }
    let cluster_bits = u32_at(head, 20)?;
    if !(9..=21).contains(&cluster_bits) {
        return Err(Refused::Nonsense("cluster_bits"));
    }
    let cluster_size = 1_u64 << cluster_bits;
    let virtual_size = u64_at(head, 24)?;
    if u32_at(head, 32)? != 0 {
        return Err(Refused::Encrypted);
    }
    let (l1_entries, l1_offset) = (u32_at(head, 36)?, u64_at(head, 40)?);
    let (refcount_offset, refcount_clusters) = (u64_at(head, 48)?, u32_at(head, 56)?);
    let snapshots = u32_at(head, 60)?;
    // One would be part of nothing that is copied, yet its tables are parsed by whoever opens the file.
    if snapshots != 0 || virtual_size == 0 {
        return Err(Refused::Nonsense(if snapshots != 0 {
            "nb_snapshots"
        } else {
            "size"
        }));
    }
    let length = if version == 2 {
        72
    } else {
        features(head, cluster_size)?
    };
    extensions(head, length, cluster_size)?;
    let table = |field, offset: u64, bytes: u64| {
        let end = offset.checked_add(bytes);
        let fits =
            offset.is_multiple_of(cluster_size) && offset != 0 && end.is_some_and(|end| end <= file_size);
        if fits {
            Ok(())
        } else {
            Err(Refused::Nonsense(field))
        }
    };
    table("l1_table", l1_offset, u64::from(l1_entries) * 8)?;
    table(
        "refcount_table",
        refcount_offset,
        u64::from(refcount_clusters) * cluster_size,
    )?;
    Ok(Header {
        version,
        virtual_size,
        cluster_size,
    })
}

/// The fields that version 3 added; returns the length of the header.
fn features(head: &[u8], cluster_size: u64) -> Result<usize, Refused> {
    let incompatible = u64_at(head, 72)?;
    if incompatible & 0b11 != 0 {
        return Err(Refused::Damaged);
    }
    if incompatible & 0b100 != 0 {
        return Err(Refused::ExternalDataFile);
    }
    if incompatible & !KNOWN_FEATURES != 0 {
        return Err(Refused::UnknownFeature);
    }
    if u32_at(head, 96)? > 6 {
        return Err(Refused::Nonsense("refcount_order"));
    }
    let length = u32_at(head, 100)?;
    if length < 104 || length % 8 != 0 || u64::from(length) > cluster_size {
        return Err(Refused::Nonsense("header_length"));
    }
    if length > 104 && byte_at(head, 104)? > 1 {
        return Err(Refused::UnknownFeature);
    }
    usize::try_from(length).map_err(|_| Refused::Nonsense("header_length"))
}

/// The list behind the header: it ends with a type of 0, and all of it is in the first cluster.
fn extensions(head: &[u8], start: usize, cluster_size: u64) -> Result<(), Refused> {
    let end = usize::try_from(cluster_size)
        .unwrap_or(usize::MAX)
        .min(HEAD_BYTES);
    let mut at = start;
    for _ in 0..LONGEST_EXTENSION_LIST {
        // A version 2 file may leave the list out, when its header fills the cluster.
        if at + 8 > end {
            return Ok(());
        }
        let kind = u32_at(head, at)?;
        let length = usize::try_from(u32_at(head, at + 4)?).map_err(|_| Refused::Nonsense("extension"))?;
        match kind {
            0 => return Ok(()),
            BACKING_FORMAT => return Err(Refused::BackingFile),
            DATA_FILE => return Err(Refused::ExternalDataFile),
            ENCRYPTION => return Err(Refused::Encrypted),
            _ => {}
        }
        at = length
            .checked_next_multiple_of(8)
            .and_then(|padded| padded.checked_add(at + 8))
            .filter(|next| *next <= end)
            .ok_or(Refused::Nonsense("extension"))?;
    }
    Err(Refused::Nonsense("extension"))
}

fn bytes_at<const N: usize>(head: &[u8], at: usize) -> Result<[u8; N], Refused> {
    head.get(at..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .ok_or(Refused::Truncated)
}

fn byte_at(head: &[u8], at: usize) -> Result<u8, Refused> {
    bytes_at::<1>(head, at).map(|[byte]| byte)
}

fn u32_at(head: &[u8], at: usize) -> Result<u32, Refused> {
    bytes_at(head, at).map(u32::from_be_bytes)
}

fn u64_at(head: &[u8], at: usize) -> Result<u64, Refused> {
    bytes_at(head, at).map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE_SIZE: u64 = 10 << 16;

    /// A head as `qemu-img create -f qcow2` writes it.
    fn plain() -> Vec<u8> {
        let mut head = vec![0; 512];
        head[..4].copy_from_slice(&MAGIC);
        put32(&mut head, 4, 3);
        put32(&mut head, 20, 16);
        put64(&mut head, 24, 1 << 30);
        put32(&mut head, 36, 2);
        put64(&mut head, 40, 3 << 16);
        put64(&mut head, 48, 1 << 16);
        put32(&mut head, 56, 1);
        put32(&mut head, 96, 4);
        put32(&mut head, 100, 112);
        // The table of feature names.
        put32(&mut head, 112, 0x6803_f857);
        put32(&mut head, 116, 48);
        head
    }

    fn put32(head: &mut [u8], at: usize, value: u32) {
        head[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    fn put64(head: &mut [u8], at: usize, value: u64) {
        head[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }

    fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<Header, Refused> {
        let mut head = plain();
        change(&mut head);
        parse(&head, FILE_SIZE)
    }

    #[test]
    fn a_plain_file_is_taken() {
        let expected = Header {
            version: 3,
            virtual_size: 1 << 30,
            cluster_size: 1 << 16,
        };
        assert_eq!(changed(|_| {}), Ok(expected));
    }

    #[test]
    fn whatever_names_another_file_is_refused() {
        assert_eq!(changed(|h| put64(h, 8, 400)), Err(Refused::BackingFile));
        assert_eq!(changed(|h| put32(h, 16, 9)), Err(Refused::BackingFile));
        assert_eq!(
            changed(|h| put32(h, 112, BACKING_FORMAT)),
            Err(Refused::BackingFile)
        );
        assert_eq!(changed(|h| put64(h, 72, 4)), Err(Refused::ExternalDataFile));
        assert_eq!(
            changed(|h| put32(h, 112, DATA_FILE)),
            Err(Refused::ExternalDataFile)
        );
        // Behind another extension as well.
        assert_eq!(
            changed(|h| put32(h, 168, DATA_FILE)),
            Err(Refused::ExternalDataFile)
        );
    }

    #[test]
    fn encryption_damage_and_novelties_are_refused() {
        assert_eq!(changed(|h| put32(h, 32, 2)), Err(Refused::Encrypted));
        assert_eq!(changed(|h| put32(h, 112, ENCRYPTION)), Err(Refused::Encrypted));
        assert_eq!(changed(|h| put64(h, 72, 1)), Err(Refused::Damaged));
        assert_eq!(changed(|h| put64(h, 72, 2)), Err(Refused::Damaged));
        assert_eq!(changed(|h| put64(h, 72, 1 << 5)), Err(Refused::UnknownFeature));
        assert_eq!(changed(|h| h[104] = 2), Err(Refused::UnknownFeature));
        assert_eq!(changed(|h| put32(h, 4, 1)), Err(Refused::Version(1)));
    }

    #[test]
    fn tables_outside_of_the_file_are_refused() {
        assert_eq!(
            changed(|h| put64(h, 40, FILE_SIZE)),
            Err(Refused::Nonsense("l1_table"))
        );
        assert_eq!(
            changed(|h| put32(h, 36, u32::MAX)),
            Err(Refused::Nonsense("l1_table"))
        );
        assert_eq!(
            changed(|h| put64(h, 48, u64::MAX << 16)),
            Err(Refused::Nonsense("refcount_table"))
        );
        assert_eq!(
            changed(|h| put32(h, 116, u32::MAX)),
            Err(Refused::Nonsense("extension"))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_taken(bytes in proptest::collection::vec(any::<u8>(), 0..600), size: u64) {
            let _ = parse(&bytes, size);
            let mut file = MAGIC.to_vec();
            file.extend(bytes);
            let _ = parse(&file, size);
        }

        #[test]
        fn what_is_taken_names_no_other_file(at in 4_usize..512, byte: u8) {
            let mut head = plain();
            head[at] = byte;
            if parse(&head, FILE_SIZE).is_ok() {
                prop_assert_eq!(&head[8..20], &[0; 12]);
                prop_assert_eq!(&head[32..36], &[0; 4]);
                prop_assert_eq!(head[79] & 0b111, 0);
            }
        }

        #[test]
        fn a_head_that_ends_early_is_refused(length in 0_usize..120) {
            prop_assert!(parse(&plain()[..length], FILE_SIZE).is_err());
        }
    }
}
