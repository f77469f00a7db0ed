//! What an organization's owners may write: pure.

use kernel::{audit::Changes, http::Faults};

use super::{api::Wanted, rows::OrganizationRow};

/// Longest text of a field of the address.
const LONGEST: usize = 255;
/// Longest address of a logo.
const LONGEST_URL: usize = 2048;

/// The row with what is wanted, and what changes.
///
/// # Errors
/// Every faulty field.
pub(super) fn replace(row: &OrganizationRow, wanted: &Wanted) -> Result<(OrganizationRow, Changes), Faults> {
    let Wanted {
        name,
        organization_type,
        logo,
        company_name,
        address_1,
        address_2,
        city,
        state,
        postcode,
        country,
        phone,
        vat_number,
    } = wanted;
    let mut new = row.clone();
    let mut faults = Faults::default();
    let mut changes = Changes::default();
    if let Some(wanted) = organization_type {
        changes.note("organization_type", &row.organization_type, wanted);
        new.organization_type = *wanted;
    }
    if let Some(logo) = logo {
        let is_link = ["https://", "http://"]
            .iter()
            .any(|scheme| logo.starts_with(scheme));
        faults.check("logo", logo.is_empty() || is_link, "Enter a valid URL.");
    }
    let texts = [
        ("name", name, &mut new.name, LONGEST),
        ("logo", logo, &mut new.logo, LONGEST_URL),
        ("company_name", company_name, &mut new.company_name, LONGEST),
        ("address_1", address_1, &mut new.address_1, LONGEST),
        ("address_2", address_2, &mut new.address_2, LONGEST),
        ("city", city, &mut new.city, LONGEST),
        ("state", state, &mut new.state, LONGEST),
        ("postcode", postcode, &mut new.postcode, LONGEST),
        ("country", country, &mut new.country, LONGEST),
        ("phone", phone, &mut new.phone, LONGEST),
        ("vat_number", vat_number, &mut new.vat_number, LONGEST),
    ];
    for (field, wanted, value, longest) in texts {
        let Some(wanted) = wanted else { continue };
        faults.check(
            field,
            wanted.chars().count() <= longest,
            format!("Ensure this field has no more than {longest} characters."),
        );
        changes.note(field, value, wanted);
        value.clone_from(wanted);
    }
    faults.into_result()?;
    Ok((new, changes))
}
