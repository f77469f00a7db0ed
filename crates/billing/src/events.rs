//! What billing tells: data that identity's registry of events is made of.

use identity::notifications::{Category, Event, Switch};

use crate::letters;

/// An invoice has been issued.
pub(crate) const INVOICE_CREATED: Event = Event::mandatory(
    "invoice.created",
    Category::Billing,
    "New invoice",
    "There is a new invoice.",
)
.told(
    Some(Switch::Billing),
    "Nouvelle facture",
    "Invoice {number} over {total} {currency} was issued to {organization}; due on {due_date}.",
    "La facture {number} de {total} {currency} a été émise pour {organization} ; échéance : {due_date}.",
)
.by_letter(letters::INVOICE_ISSUED);
/// An invoice is paid in full.
pub(crate) const INVOICE_PAID: Event = Event::optional(
    "invoice.paid",
    Category::Billing,
    "Invoice paid",
    "An invoice was paid.",
)
.told(
    Some(Switch::Billing),
    "Facture payée",
    "Invoice {number} of {organization} over {total} {currency} is paid.",
    "La facture {number} de {organization} de {total} {currency} est payée.",
)
.by_letter(letters::PAYMENT_RECEIVED);
/// An invoice is due soon.
pub(crate) const INVOICE_DUE_SOON: Event = Event::mandatory(
    "invoice.due_soon",
    Category::Billing,
    "Invoice due soon",
    "An invoice must be paid in the next days.",
)
.told(
    Some(Switch::Renewals),
    "Facture bientôt exigible",
    "{amount_due} {currency} of invoice {number} of {organization} are due on {due_date}.",
    "{amount_due} {currency} de la facture {number} de {organization} sont à payer avant le {due_date}.",
)
.by_letter(letters::REMINDER);
/// An invoice was not paid in time.
pub(crate) const INVOICE_OVERDUE: Event = Event::mandatory(
    "invoice.overdue",
    Category::Billing,
    "Invoice overdue",
    "An invoice was not paid in time.",
)
.told(
    Some(Switch::Billing),
    "Facture impayée",
    "{amount_due} {currency} of invoice {number} of {organization} were due on {due_date}.",
    "{amount_due} {currency} de la facture {number} de {organization} étaient à payer avant le {due_date}.",
)
.by_letter(letters::OVERDUE);
/// An open invoice was cancelled.
pub(crate) const INVOICE_CANCELLED: Event = Event::optional(
    "invoice.cancelled",
    Category::Billing,
    "Invoice cancelled",
    "An open invoice was cancelled: nothing has to be paid for it.",
)
.told(
    Some(Switch::Billing),
    "Facture annulée",
    "Invoice {number} of {organization} is cancelled.",
    "La facture {number} de {organization} est annulée.",
)
.by_letter(letters::INVOICE_CANCELLED);
/// A credit note has been issued.
pub(crate) const INVOICE_REFUNDED: Event = Event::optional(
    "invoice.refunded",
    Category::Billing,
    "Invoice refunded",
    "What was paid was given back as credit, with a credit note.",
)
.told(
    Some(Switch::Billing),
    "Avoir émis",
    "{total} {currency} were given back to {organization} as credit, with credit note {number}.",
    "{total} {currency} ont été recrédités à {organization}, avoir {number}.",
)
.by_letter(letters::REFUNDED);
/// A payment method could not be charged.
pub(crate) const PAYMENT_FAILED: Event = Event::mandatory(
    "payment.failed",
    Category::Billing,
    "Payment failed",
    "A payment was refused.",
)
.told(
    Some(Switch::Billing),
    "Paiement refusé",
    "Invoice {number} of {organization} could not be charged; {amount_due} {currency} are still to be paid.",
    "La facture {number} de {organization} n’a pas pu être débitée ; {amount_due} {currency} restent à payer.",
)
.by_letter(letters::PAYMENT_FAILED);
/// A service was suspended for an unpaid invoice.
pub(crate) const SERVICE_SUSPENDED: Event = Event::mandatory(
    "service.suspended",
    Category::Billing,
    "Service suspended",
    "A service was suspended, since its invoice was not paid.",
)
.told(
    Some(Switch::Billing),
    "Service suspendu",
    "A service of {organization} is suspended: invoice {number} is not paid.",
    "Un service de {organization} est suspendu : la facture {number} est impayée.",
)
.by_letter(letters::SUSPENDED);
/// A service was terminated for an unpaid invoice.
pub(crate) const SERVICE_TERMINATED: Event = Event::mandatory(
    "service.terminated",
    Category::Billing,
    "Service terminated",
    "A service was terminated with its data, since its invoice was not paid.",
)
.told(
    Some(Switch::Billing),
    "Service résilié",
    "A service of {organization} was terminated: invoice {number} was not paid.",
    "Un service de {organization} a été résilié : la facture {number} est restée impayée.",
)
.by_letter(letters::TERMINATED);
/// The credit balance fell below what the organization has set.
pub(crate) const CREDIT_LOW: Event = Event::optional(
    "credit.low",
    Category::Billing,
    "Low credit",
    "The credit balance fell below the threshold of the notification settings.",
)
.told(
    Some(Switch::Billing),
    "Crédit faible",
    "The credit of {organization} is down to {balance} {currency}, below {threshold} {currency}.",
    "Le crédit de {organization} est tombé à {balance} {currency}, sous le seuil de {threshold} {currency}.",
);

/// The events of the area.
pub const EVENTS: &[Event] = &[
    INVOICE_CREATED,
    INVOICE_PAID,
    INVOICE_DUE_SOON,
    INVOICE_OVERDUE,
    INVOICE_CANCELLED,
    INVOICE_REFUNDED,
    PAYMENT_FAILED,
    SERVICE_SUSPENDED,
    SERVICE_TERMINATED,
    CREDIT_LOW,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_letter_is_an_events() {
        let told: BTreeSet<&str> = EVENTS
            .iter()
            .filter_map(|event| event.news.and_then(|news| news.letter))
            .collect();
        let written: BTreeSet<&str> = letters::all().iter().map(|letter| letter.name).collect();
        assert_eq!(told, written);
    }
}
