//! Whatever bytes a stranger sends as a query string.
#![no_main]

use kernel::http::{Query, contains_pattern};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut query = Query::read(text);
    if let Some(search) = query.text("search") {
        let pattern = contains_pattern(&search);
        assert!(pattern.starts_with('%') && pattern.ends_with('%'));
    }
    query.id::<()>("id");
    query.time("created_after");
    query.flag("is_active");
    query.ordering(&[("name", ())]);
    let _ = query.check();
});
