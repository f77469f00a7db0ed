//! Whatever bytes a stranger uploads as an image.
#![no_main]

use hypervisor::images::header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (size, bytes) = input;
    let mut file = b"QFI\xfb".to_vec();
    file.extend_from_slice(bytes);
    if header::parse(&file, size).is_ok() {
        // No backing file, no encryption, no external data file.
        assert_eq!(file[8..20], [0; 12]);
        assert_eq!(file[32..36], [0; 4]);
        assert!(file[4..8] == [0, 0, 0, 2] || file[79] & 0b111 == 0);
    }
});
