//! What operators change by hand: credit, payments, credit notes, limits; and the check of the books.

use billing::{
    invoices::Portion,
    ledger,
    operators::{self, Quota},
};
use clap::{Subcommand, ValueEnum};
use kernel::{http::ApiResult, money::Amount, store::Tx, time::Clock};

use super::{Outcome, runtime, settings};
use crate::{cli::Places, server::Onet};

fn amount(text: &str) -> Result<Amount, String> {
    Amount::parse(text).ok_or_else(|| format!("`{text}` is no amount such as 12.50"))
}

/// What is changed. Organizations are named by UUID or number, invoices by their number.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Action {
    /// Give an organization credit, or take some away with a negative amount.
    AddCredit {
        organization: String,
        #[arg(value_parser = amount, allow_hyphen_values = true)]
        amount: Amount,
        /// Shown to the customer.
        #[arg(long, default_value = "Credit from support")]
        reason: String,
    },
    /// Record that an invoice was paid outside of onet.
    MarkPaid {
        invoice: String,
        /// What the money came with, such as a bank statement's line: the same is not recorded twice.
        #[arg(long)]
        reference: String,
        /// What came in; all that is due when left out.
        #[arg(long, value_parser = amount)]
        amount: Option<Amount>,
    },
    /// Take back a paid invoice, or a part of it, as credit.
    CreditNote {
        invoice: String,
        /// So much without tax; all that is left when left out.
        #[arg(long, value_parser = amount)]
        amount: Option<Amount>,
        /// Shown to the customer.
        #[arg(long)]
        reason: String,
    },
    /// Set how much an organization may have.
    SetQuota {
        organization: String,
        kind: QuotaKind,
        limit: u32,
    },
    /// Set an organization's support plan.
    SetSupportPlan {
        organization: String,
        /// basic, advanced or business
        plan: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum QuotaKind {
    Users,
    Projects,
    Instances,
    Domains,
}

/// What is done with the books.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Books {
    /// Compare balances, entries, invoices and payments of all organizations with each other.
    Verify,
}

pub(crate) fn act(places: &Places, action: Action) -> Outcome {
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        let billing = onet.billing.clone();
        let work = move |tx: &mut Tx<'_>| perform(tx, &billing, &action);
        let done = onet.app.store().write("operator", work).await;
        println!("{}", done.map_err(|error| error.to_string())?);
        Ok(())
    })
}

fn perform(tx: &mut Tx<'_>, billing: &billing::Billing, action: &Action) -> ApiResult<String> {
    match action {
        Action::AddCredit {
            organization,
            amount,
            reason,
        } => {
            let organization = operators::organization(tx, organization)?;
            let left = operators::add_credit(tx, billing, organization, *amount, reason)?;
            Ok(format!("The credit is now {}.", left.fixed::<2>()))
        }
        Action::MarkPaid {
            invoice,
            reference,
            amount,
        } => {
            let invoice = operators::mark_paid(tx, billing, invoice, *amount, reference)?;
            let due = invoice.amount_due();
            Ok(format!(
                "Invoice {} is {}, {} due.",
                invoice.number,
                invoice.status.as_str(),
                due.fixed::<2>()
            ))
        }
        Action::CreditNote {
            invoice,
            amount,
            reason,
        } => {
            let portion = amount.map_or(Portion::Whole, Portion::Net);
            let note = operators::credit_note(tx, billing, invoice, portion, reason)?;
            Ok(format!(
                "Credit note {} over {}.",
                note.number,
                (-note.total).fixed::<2>()
            ))
        }
        Action::SetQuota {
            organization,
            kind,
            limit,
        } => {
            let quota = match kind {
                QuotaKind::Users => Quota::Users,
                QuotaKind::Projects => Quota::Projects,
                QuotaKind::Instances => Quota::Instances,
                QuotaKind::Domains => Quota::Domains,
            };
            let organization = operators::organization(tx, organization)?;
            operators::set_quota(tx, organization, quota, *limit)?;
            Ok(format!("The limit is now {limit}."))
        }
        Action::SetSupportPlan { organization, plan } => {
            let organization = operators::organization(tx, organization)?;
            operators::set_support_plan(tx, organization, plan)?;
            Ok(format!("The support plan is now {plan}."))
        }
    }
}

pub(crate) fn books(places: &Places, Books::Verify: &Books) -> Outcome {
    let config = settings(places)?;
    runtime()?.block_on(async {
        let onet = Onet::open(config, Clock::default())?;
        let (mut after, mut faults) = (None, 0_usize);
        loop {
            let read = onet
                .app
                .store()
                .read("ledger_verify", move |conn| ledger::verify(conn, after))
                .await;
            let (found, next) = read.map_err(|error| error.to_string())?;
            for fault in &found {
                println!("{fault}");
            }
            faults += found.len();
            after = next;
            if after.is_none() {
                break;
            }
        }
        if faults > 0 {
            return Err(format!("{faults} rules don't hold"));
        }
        println!("The books are right.");
        Ok(())
    })
}
