//! An invoice with all that a printed one needs.

use kernel::{
    access::Organization,
    id::Id,
    money::Amount,
    store::{Conn, StoreError},
};

use super::rows::{self, InvoiceId, InvoiceRow, LineRow, Parties};

/// An invoice or credit note, its lines, both parties, and the taxes by rate.
#[derive(Clone, Debug)]
pub struct InvoiceView {
    /// Number, type, status, sums and dates.
    pub invoice: InvoiceRow,
    /// The lines in order; descriptions in English and French.
    pub lines: Vec<LineRow>,
    /// Seller, customer, language, purchase order and tax treatment (with [`notice`](crate::tax::Treatment::notice), which
    /// an invoice must carry), as they were at issue.
    pub parties: Parties,
    /// Tax rate in percent, what is taxed at it, and the tax.
    pub taxes: Vec<(Amount, Amount, Amount)>,
    /// The number of the invoice that a credit note takes back.
    pub credit_of: Option<String>,
}

impl InvoiceView {
    /// The invoice `id` of an organization.
    ///
    /// # Errors
    /// The database refused.
    pub fn find(
        conn: &mut Conn,
        organization: Id<Organization>,
        id: InvoiceId,
    ) -> Result<Option<Self>, StoreError> {
        let Some(invoice) = rows::find(conn, organization, id)? else {
            return Ok(None);
        };
        let lines = rows::lines_of(conn, &[id])?;
        let credit_of = match invoice.credit_of {
            Some(of) => rows::find(conn, organization, of)?.map(|of| of.number),
            None => None,
        };
        let mut taxes: Vec<(Amount, Amount, Amount)> = Vec::new();
        for line in &lines {
            match taxes.iter_mut().find(|(rate, ..)| *rate == line.tax_rate) {
                Some((_, net, tax)) => {
                    *net += line.total;
                    *tax += line.tax;
                }
                None => taxes.push((line.tax_rate, line.total, line.tax)),
            }
        }
        Ok(Some(Self {
            parties: invoice.parties(),
            invoice,
            lines,
            taxes,
            credit_of,
        }))
    }
}
