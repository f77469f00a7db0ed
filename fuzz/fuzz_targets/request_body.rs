//! Whatever bytes a stranger sends as the body of `replace_instance`: checked or refused, never a panic; and what
//! passed once passes again unchanged.
#![no_main]

use compute::instances::api::Instance;
use kernel::http::shape::Shape;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice(bytes) else { return };
    if let Ok(checked) = Shape::of::<Instance>(false).check(value) {
        assert_eq!(Shape::of::<Instance>(false).check(checked.clone()).as_ref(), Ok(&checked));
    }
});
