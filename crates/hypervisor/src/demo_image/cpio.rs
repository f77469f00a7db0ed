//! An archive in the kernel's format for initial file systems ("newc": `Documentation/driver-api/early-userspace/
//! buffer-format.rst` of Linux).

/// Files and folders, in order; a folder comes before what is in it.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const DEVICE: u32 = 0o020_600;

impl Archive {
    pub(super) fn folder(&mut self, name: &str) {
        self.entry(name, FOLDER, (0, 0), &[]);
    }

    pub(super) fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, PROGRAM, (0, 0), content);
    }

    /// A character device, for messages from before `/dev` is mounted.
    pub(super) fn device(&mut self, name: &str, number: (u32, u32)) {
        self.entry(name, DEVICE, number, &[]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        // inode, mode, uid, gid, links, time, size, device of the file system (2), device (2), name size, checksum
        let fields = [
            self.inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name_size, 0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_begins_at_a_multiple_of_four() {
        let mut archive = Archive::default();
        archive.folder("bin");
        archive.program("bin/abc", b"12345");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let at = bytes
            .windows(6)
            .enumerate()
            .filter(|(_, six)| six == b"070701")
            .map(|(at, _)| at);
        let at: Vec<usize> = at.collect();
        assert_eq!(at.len(), 3);
        assert!(at.iter().all(|at| at % 4 == 0), "{at:?}");
        // Head 110, name 8, content 5: each rounded up.
        assert_eq!(at[2] - at[1], 120 + 8);
    }
}
