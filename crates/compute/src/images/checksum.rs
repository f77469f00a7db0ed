//! Checksums as publishers of images give them: SHA-256, or SHA-512 as Debian does.

use std::{fmt, io::Read, path::Path, str::FromStr};

use hypervisor::ImageId;
use sha2::{Digest, Sha256, Sha512};

/// What a file's checksum must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// By which hosts know images too.
    Sha256(ImageId),
    /// 128 lowercase hexadecimal digits.
    Sha512(String),
}

impl FromStr for Checksum {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim().to_ascii_lowercase();
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match (text.len(), is_hex) {
            (64, true) => ImageId::try_from(text).map(Self::Sha256).map_err(|_| WRONG),
            (128, true) => Ok(Self::Sha512(text)),
            _ => Err(WRONG),
        }
    }
}

const WRONG: &str = "Enter a SHA-256 or SHA-512 in hexadecimal digits (64 or 128).";

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(sum) => sum.fmt(f),
            Self::Sha512(sum) => sum.fmt(f),
        }
    }
}

impl Checksum {
    /// Whether the file has it. Reads all of it: not for an async thread.
    pub(super) fn is_of(&self, file: &Path) -> std::io::Result<bool> {
        Ok(match self {
            Self::Sha256(wanted) => sum::<Sha256>(file)? == wanted.as_str(),
            Self::Sha512(wanted) => sum::<Sha512>(file)? == *wanted,
        })
    }
}

fn sum<D: Digest>(file: &Path) -> std::io::Result<String> {
    let (mut file, mut sum) = (std::fs::File::open(file)?, D::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => sum.update(&buffer[..count]),
        }
    }
    Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_and_compared() {
        let folder = std::env::temp_dir().join(format!("onet-checksum-{}", std::process::id()));
        std::fs::write(&folder, "abc").unwrap();
        let of = |text: &str| text.parse::<Checksum>().unwrap().is_of(&folder).unwrap();
        // FIPS 180-4, the examples of both for "abc".
        let sha256 = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        let sha512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert!(of(sha256) && of(sha512));
        assert!(!of(&"0".repeat(64)) && !of(&"0".repeat(128)));
        std::fs::remove_file(&folder).unwrap();
        for wrong in ["", "abc", &"g".repeat(64), &"0".repeat(65), &"é".repeat(32)] {
            assert!(wrong.parse::<Checksum>().is_err(), "{wrong}");
        }
    }
}
