//! What is allowed, without I/O, clock or randomness.

use kernel::{
    audit::Changes,
    http::{ApiError, Faults},
    id::Id,
};
use serde_json::Value;

use super::{
    api::{BillingCycle, Wanted},
    rows::InstanceRow,
    tags,
};
use crate::{
    catalogue::{
        api::{InstanceSize, PriceCycle},
        prices::price_of,
    },
    vpcs::{api::VpcKind, rows::VpcRow},
};

/// What an id in a request turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// Not sent.
    Absent,
    /// The instance's own.
    Own,
    /// Another that exists and that the caller may know of.
    Other,
    /// None that the caller may know of.
    Unknown,
}

/// The VPC that a request asks for.
#[derive(Clone, Debug)]
pub(super) enum VpcChoice {
    /// As it is: not sent, or the instance's own.
    Keep,
    /// Another VPC that the project may use.
    Use(VpcRow),
    /// None that the caller may know of.
    Unknown(Id<VpcKind>),
}

/// What the request's ids mean.
#[derive(Debug)]
pub(super) struct References<'a> {
    pub(super) size: &'a InstanceSize,
    pub(super) size_id: Reference,
    pub(super) location_id: Reference,
    pub(super) image_id: Reference,
    pub(super) vpc: VpcChoice,
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum Change {
    /// Nothing: the instance is as the client wants it.
    Unchanged,
    /// A new row; the version counted up, `modified` left to the caller, who has the clock.
    Made {
        row: Box<InstanceRow>,
        changes: Changes,
        /// The VPC to leave and the one to join.
        vpc: Option<Box<(Id<VpcKind>, VpcRow)>>,
    },
}

/// Decides what changing `instance`'s metadata to `wanted` means.
///
/// Hardware can't change here: another size, location or image is refused with the operation that can.
///
/// # Errors
/// 400: all faulty fields at once; or the instance's state forbids it.
pub(super) fn replace(
    instance: &InstanceRow,
    wanted: &Wanted,
    refs: &References<'_>,
) -> Result<Change, ApiError> {
    check_fields(instance, wanted, refs)?;
    if instance.status.is_over() {
        return Err(ApiError::refused(format!(
            "A {} instance can't be changed.",
            instance.status.as_str()
        )));
    }
    Ok(difference(instance, wanted, &refs.vpc))
}

fn check_fields(instance: &InstanceRow, wanted: &Wanted, refs: &References<'_>) -> Result<(), Faults> {
    let mut faults = Faults::default();
    let fixed = [
        (
            "size_id",
            refs.size_id,
            wanted.size_id.map(Id::uuid),
            "The size can't be changed here: use resize_instance.",
        ),
        (
            "location_id",
            refs.location_id,
            wanted.location_id.map(Id::uuid),
            "An instance can't move to another location: create one there.",
        ),
        (
            "image_id",
            refs.image_id,
            wanted.image_id.map(Id::uuid),
            "The image can't be changed here: use reinstall_instance.",
        ),
    ];
    for (field, reference, id, instead) in fixed {
        match reference {
            Reference::Absent | Reference::Own => {}
            Reference::Other => faults.add(field, instead),
            Reference::Unknown => faults.add(field, no_such(id.unwrap_or_default())),
        }
    }
    if let Some(hostname) = &wanted.hostname {
        faults.check(
            "hostname",
            is_hostname(hostname),
            "Enter a valid host name (RFC 1123).",
        );
    }
    match &refs.vpc {
        VpcChoice::Keep => {}
        VpcChoice::Unknown(id) => faults.add("vpc_id", no_such(id.uuid())),
        VpcChoice::Use(vpc) if vpc.location_id != instance.location_id => {
            faults.add("vpc_id", "This VPC is in another location than the instance.");
        }
        VpcChoice::Use(vpc) => faults.check("vpc_id", vpc.is_active, "This VPC is not active."),
    }
    if let Some(cycle) = wanted
        .billing_cycle
        .filter(|cycle| *cycle != instance.billing_cycle)
    {
        let message = format!(
            "This size has no active price for the billing cycle \"{}\".",
            cycle.as_str()
        );
        faults.check("billing_cycle", has_price(refs.size, cycle), message);
    }
    if let Some(fault) = wanted.tags.as_ref().and_then(tags::fault) {
        faults.add("tags", fault);
    }
    faults.into_result()
}

fn no_such(id: uuid::Uuid) -> String {
    format!("Invalid pk \"{id}\" - object does not exist.")
}

/// Whether a size can be billed so.
fn has_price(size: &InstanceSize, cycle: BillingCycle) -> bool {
    PriceCycle::of(cycle).is_some_and(|cycle| price_of(size, cycle).is_some())
}

/// RFC 1123, section 2.1: labels of 1 to 63 letters, digits and hyphens, no hyphen at an end; 255 in all.
pub(crate) fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 255 && text.split('.').all(label)
}

fn difference(instance: &InstanceRow, wanted: &Wanted, vpc: &VpcChoice) -> Change {
    let mut row = Box::new(instance.clone());
    let mut changes = Changes::default();
    set(&mut changes, "name", &mut row.name, wanted.name.as_ref());
    set(
        &mut changes,
        "hostname",
        &mut row.hostname,
        wanted.hostname.as_ref(),
    );
    set(
        &mut changes,
        "description",
        &mut row.description,
        wanted.description.as_ref(),
    );
    set(&mut changes, "os_name", &mut row.os_name, wanted.os_name.as_ref());
    set(
        &mut changes,
        "billing_cycle",
        &mut row.billing_cycle,
        wanted.billing_cycle.as_ref(),
    );
    if let Some(tags) = wanted.tags.as_ref().filter(|tags| !tags::same(tags, &row.tags)) {
        let value = |tags: &kernel::json::JsonText| tags.read::<Value>().unwrap_or_default();
        changes.note("tags", &value(&row.tags), &value(tags));
        row.tags = tags.clone();
    }
    let vpc = match vpc {
        VpcChoice::Use(vpc) if vpc.id != instance.vpc_id => {
            changes.note("vpc_id", &instance.vpc_id, &vpc.id);
            row.vpc_id = vpc.id;
            Some(Box::new((instance.vpc_id, vpc.clone())))
        }
        VpcChoice::Use(_) | VpcChoice::Keep | VpcChoice::Unknown(_) => None,
    };
    if changes.is_empty() {
        return Change::Unchanged;
    }
    row.search = InstanceRow::search_text(&row.name, &row.hostname);
    row.version += 1;
    Change::Made { row, changes, vpc }
}

fn set<T: Clone + PartialEq + serde::Serialize>(
    changes: &mut Changes,
    field: &str,
    old: &mut T,
    new: Option<&T>,
) {
    if let Some(new) = new.filter(|new| *new != old) {
        changes.note(field, old, new);
        *old = new.clone();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn host_names_are_labels() {
        for good in [
            "a",
            "web-1.example.com",
            "0.1",
            "A-b.C",
            &"a".repeat(63),
            "xn--bcher-kva.ch",
        ] {
            assert!(is_hostname(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "-a",
            "a-",
            "a..b",
            "a_b",
            "bücher.ch",
            "a b",
            &"a".repeat(64),
        ] {
            assert!(!is_hostname(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_as_a_host_name_is_ascii_without_surprises(text in "[a-zA-Z0-9.-]{0,70}|.{0,20}") {
            if is_hostname(&text) {
                prop_assert!(text.is_ascii() && !text.contains("..") && !text.contains(' ') && !text.is_empty());
            }
        }
    }
}
