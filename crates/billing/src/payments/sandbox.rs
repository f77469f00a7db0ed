//! A provider for trials and tests: no money moves, and what happens is decided by the token.

use super::driver::{Attached, Charge, Charged, DriverError, Later, NewMethod, PaymentDriver};
use crate::payment_methods::MethodType;

/// Accepts tokens that begin with `tok_`: `tok_declined…` is declined at each charge, `tok_action…` asks the customer to
/// confirm, `tok_pending…` waits for a report, `tok_refused…` can't be stored; all others are charged at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sandbox;

impl PaymentDriver for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn attach(&self, method: NewMethod) -> Later<'_, Attached> {
        Box::pin(async move {
            if !method.token.starts_with("tok_") || method.token.starts_with("tok_refused") {
                return Err(DriverError::Refused(
                    "The token is not one of the payment provider's.".to_owned(),
                ));
            }
            let mut attached = Attached {
                reference: method.token,
                ..Attached::default()
            };
            match method.kind {
                MethodType::Card => {
                    attached.brand = Some("visa".to_owned());
                    attached.last4 = Some("4242".to_owned());
                    let year = if attached.reference.contains("expired") {
                        2020
                    } else {
                        2099
                    };
                    attached.expires = Some((12, year));
                }
                MethodType::Paypal => attached.paypal_email = Some("payer@example.com".to_owned()),
                MethodType::SepaDebit => attached.last4 = Some("3000".to_owned()),
            }
            Ok(attached)
        })
    }

    fn detach<'a>(&'a self, _reference: &'a str) -> Later<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn prepare<'a>(&'a self, charge: &'a Charge) -> Later<'a, Option<String>> {
        Box::pin(async move { Ok(Some(reference(charge))) })
    }

    fn charge<'a>(&'a self, charge: &'a Charge) -> Later<'a, Charged> {
        Box::pin(async move {
            let reference = reference(charge);
            let outcome = match charge.method.as_str() {
                token if token.starts_with("tok_declined") => Charged::Declined {
                    reason: "The card was declined.".to_owned(),
                },
                token if token.starts_with("tok_action") => Charged::RequiresAction {
                    redirect_url: format!("https://payments.example/confirm/{reference}"),
                    reference,
                },
                token if token.starts_with("tok_pending") => Charged::Pending { reference },
                _ => Charged::Succeeded { reference },
            };
            Ok(outcome)
        })
    }

    fn abandon<'a>(&'a self, _reference: &'a str) -> Later<'a, Charged> {
        Box::pin(async {
            Ok(Charged::Declined {
                reason: "The payment was not confirmed in time.".to_owned(),
            })
        })
    }
}

fn reference(charge: &Charge) -> String {
    format!("sandbox_{}", charge.payment)
}
