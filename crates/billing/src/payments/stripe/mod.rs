//! Payments through Stripe: a PaymentIntent for each payment, cards and accounts as PaymentMethods of a Customer.
//!
//! A charge has two parts. [`prepare`](Stripe::prepare) makes the intent, under the payment's id as idempotency key; no
//! money moves. Its name is recorded. Only then [`charge`](Stripe::charge) confirms it, after it has looked whether that
//! has been done: an intent can succeed once, so whatever crashes or is repeated, even after Stripe has forgotten the
//! key, nobody is charged twice.
//!
//! See <https://docs.stripe.com/payments/paymentintents/lifecycle> and `docs/decisions/0028-payments-in-two-parts.md`.

mod api;
pub(crate) mod webhook;

use kernel::{config, money::Amount};
use serde_json::Value;

use self::api::{Api, Fault, text};
use super::driver::{Attached, Charge, Charged, DriverError, Later, NewMethod, PaymentDriver};

/// The driver's name.
pub const NAME: &str = "stripe";

/// Currencies whose smallest unit is no hundredth (<https://docs.stripe.com/currencies>): onet counts in hundredths.
const OTHER_UNITS: [&str; 21] = [
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
    "XPF", "BHD", "JOD", "KWD", "OMR", "TND",
];

const BAD_TOKEN: &str = "The token is not one of the payment provider's.";

/// Stripe, with the operator's account.
pub struct Stripe {
    api: Api,
    /// Where a page of Stripe's sends the payer back if the payment does not say it.
    return_url: String,
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stripe")
    }
}

impl Stripe {
    /// The driver with these settings; payers come back to `return_url` unless the payment names another place.
    ///
    /// # Errors
    /// There is no key, or the currency is counted otherwise.
    pub fn new(settings: &config::Billing, return_url: String) -> Result<Self, String> {
        if settings.stripe.secret_key.expose().is_empty() {
            return Err("billing.stripe.secret_key is empty".to_owned());
        }
        if OTHER_UNITS.contains(&settings.currency.as_str()) {
            let currency = &settings.currency;
            return Err(format!(
                "billing.currency: {currency} can't be charged with Stripe"
            ));
        }
        Ok(Self {
            api: Api::new(&settings.stripe.url, settings.stripe.secret_key.clone()),
            return_url,
        })
    }

    async fn store_method(&self, method: NewMethod) -> Result<Attached, DriverError> {
        let NewMethod {
            organization,
            kind,
            token,
            known,
        } = method;
        let refused = || DriverError::Refused(BAD_TOKEN.to_owned());
        if !is_name(&token, "pm_") {
            return Err(refused());
        }
        let found = match self.api.get(&format!("payment_methods/{token}")).await {
            Ok(found) => found,
            Err(Fault::Refused(_)) => return Err(refused()),
            Err(fault) => return Err(fault.into()),
        };
        let (name, owner) = (text(&found["id"]), text(&found["customer"]));
        let customer = known
            .as_deref()
            .and_then(|known| Some(split(known)?.0.to_owned()));
        // A method of somebody else's is no token of this customer's browser.
        let is_free = owner.is_empty() || customer.as_ref() == Some(&owner);
        if !is_name(&name, "pm_") || found["type"] != kind.as_str() || !is_free {
            return Err(refused());
        }
        let customer = match customer {
            Some(customer) => customer,
            None => {
                let organization = organization.to_string();
                let form = [("metadata[organization]", organization.as_str())];
                let key = format!("customer-{organization}-{name}");
                text(&self.api.post("customers", &form, Some(&key)).await?["id"])
            }
        };
        if owner.is_empty() {
            let path = format!("payment_methods/{name}/attach");
            self.api.post(&path, &[("customer", &customer)], None).await?;
        }
        Ok(Attached {
            reference: format!("{customer}/{name}"),
            brand: found["card"]["brand"].as_str().map(str::to_owned),
            last4: found[kind.as_str()]["last4"].as_str().map(str::to_owned),
            expires: number(&found["card"]["exp_month"]).zip(number(&found["card"]["exp_year"])),
            paypal_email: found["paypal"]["payer_email"].as_str().map(str::to_owned),
        })
    }

    async fn forget_method(&self, reference: &str) -> Result<(), DriverError> {
        let Some((_, method)) = split(reference) else {
            return Ok(());
        };
        let path = format!("payment_methods/{method}/detach");
        match self.api.post(&path, &[], None).await {
            // Refused: it is detached already.
            Ok(_) | Err(Fault::Refused(_)) => Ok(()),
            Err(fault) => Err(fault.into()),
        }
    }

    async fn make_intent(&self, charge: &Charge) -> Result<Option<String>, DriverError> {
        let (customer, method) = split(&charge.method).ok_or_else(gone)?;
        let payment = charge.payment.to_string();
        let organization = charge.organization.to_string();
        let (amount, currency) = (cents(charge.amount).to_string(), charge.currency.to_lowercase());
        let form = [
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("customer", customer),
            ("payment_method", method),
            ("payment_method_types[]", charge.kind.as_str()),
            ("description", &charge.description),
            ("metadata[payment]", &payment),
            ("metadata[organization]", &organization),
        ];
        let made = self.api.post("payment_intents", &form, Some(&payment)).await?;
        Ok(Some(text(&made["id"])))
    }

    async fn intent(&self, name: &str) -> Result<Value, Fault> {
        self.api.get(&format!("payment_intents/{name}")).await
    }

    /// Confirms the payment if that has not been done, and tells what has become of it.
    async fn confirm(&self, charge: &Charge) -> Result<Charged, DriverError> {
        let name = charge.reference.as_deref().ok_or_else(gone)?;
        let mut intent = self.intent(name).await?;
        let mut refused = None;
        if intent["status"] == "requires_confirmation" {
            let form: &[(&str, &str)] = if charge.payer_is_here {
                &[("return_url", self.return_url(charge))]
            } else {
                &[("off_session", "true")]
            };
            refused = self.send_confirmation(name, form).await?;
            intent = self.intent(name).await?;
        }
        // The bank wants to hear it from the payer, who is not here: the intent is confirmed anew for them to do so.
        if intent["last_payment_error"]["code"] == "authentication_required"
            && intent["status"] == "requires_payment_method"
        {
            let (_, method) = split(&charge.method).ok_or_else(gone)?;
            let form = [
                ("payment_method", method),
                ("return_url", self.return_url(charge)),
            ];
            refused = self.send_confirmation(name, &form).await?;
            intent = self.intent(name).await?;
        }
        Ok(match outcome(&intent) {
            Some(outcome) => outcome,
            // It could not even be tried: the method is gone, or not fit for this.
            None => Charged::Declined {
                reason: refused.unwrap_or_else(|| "The payment could not be made.".to_owned()),
            },
        })
    }

    /// What was refused is told by the intent, too, unless the request itself was bad: then here.
    async fn send_confirmation(
        &self,
        name: &str,
        form: &[(&str, &str)],
    ) -> Result<Option<String>, DriverError> {
        let path = format!("payment_intents/{name}/confirm");
        match self.api.post(&path, form, None).await {
            Ok(_) => Ok(None),
            Err(Fault::Refused(refusal)) => Ok(Some(refusal.for_payer())),
            Err(fault) => Err(fault.into()),
        }
    }

    fn return_url<'a>(&'a self, charge: &'a Charge) -> &'a str {
        charge.return_url.as_deref().unwrap_or(&self.return_url)
    }

    async fn cancel(&self, name: &str) -> Result<Charged, DriverError> {
        match self
            .api
            .post(&format!("payment_intents/{name}/cancel"), &[], None)
            .await
        {
            // Refused: it has come to an end meanwhile, or is just being paid.
            Ok(_) | Err(Fault::Refused(_)) => {}
            Err(fault) => return Err(fault.into()),
        }
        let intent = self.intent(name).await?;
        Ok(outcome(&intent).unwrap_or_else(|| Charged::Pending {
            reference: name.to_owned(),
        }))
    }
}

impl PaymentDriver for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attach(&self, method: NewMethod) -> Later<'_, Attached> {
        Box::pin(self.store_method(method))
    }

    fn detach<'a>(&'a self, reference: &'a str) -> Later<'a, ()> {
        Box::pin(self.forget_method(reference))
    }

    fn prepare<'a>(&'a self, charge: &'a Charge) -> Later<'a, Option<String>> {
        Box::pin(self.make_intent(charge))
    }

    fn charge<'a>(&'a self, charge: &'a Charge) -> Later<'a, Charged> {
        Box::pin(self.confirm(charge))
    }

    fn abandon<'a>(&'a self, reference: &'a str) -> Later<'a, Charged> {
        Box::pin(self.cancel(reference))
    }
}

/// What has become of an intent; `None` while it is still to be confirmed.
fn outcome(intent: &Value) -> Option<Charged> {
    let reference = text(&intent["id"]);
    Some(match intent["status"].as_str().unwrap_or_default() {
        "succeeded" => Charged::Succeeded { reference },
        "requires_action" => match intent["next_action"]["redirect_to_url"]["url"].as_str() {
            Some(url) => Charged::RequiresAction {
                reference,
                redirect_url: url.to_owned(),
            },
            None => Charged::Pending { reference },
        },
        "requires_payment_method" => {
            let reason = text(&intent["last_payment_error"]["message"]);
            let reason = if reason.is_empty() {
                "The payment was declined.".to_owned()
            } else {
                reason
            };
            Charged::Declined { reason }
        }
        "canceled" => Charged::Declined {
            reason: "The payment was not confirmed in time.".to_owned(),
        },
        "requires_confirmation" => return None,
        // `processing`, and whatever a later version adds: it is asked again.
        _ => Charged::Pending { reference },
    })
}

fn gone() -> DriverError {
    DriverError::Refused("This payment method can't be charged any more.".to_owned())
}

/// Customer and method of a stored reference.
fn split(reference: &str) -> Option<(&str, &str)> {
    reference
        .split_once('/')
        .filter(|(customer, method)| is_name(customer, "cus_") && is_name(method, "pm_"))
}

/// Whether this can be a name that Stripe gives, and nothing that would lead to another path.
fn is_name(text: &str, prefix: &str) -> bool {
    text.len() <= 255
        && text.strip_prefix(prefix).is_some_and(|rest| {
            !rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
}

fn number(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|number| i32::try_from(number).ok())
}

/// Charges are whole hundredths.
const fn cents(amount: Amount) -> i64 {
    amount.ten_thousandths() / 100
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        assert!(is_name("pm_1Abc_d", "pm_"));
        for bad in ["pm_", "pm_a/../x", "pm_a?b", "cus_a", "", "pm_ä"] {
            assert!(!is_name(bad, "pm_"), "{bad}");
        }
        assert_eq!(split("cus_1/pm_2"), Some(("cus_1", "pm_2")));
        assert_eq!(split("cus_1/pm_2/x"), None);
    }

    #[test]
    fn an_intent_tells_what_became_of_it() {
        let of = |status: &str| outcome(&json!({"id": "pi_1", "status": status}));
        let reference = || "pi_1".to_owned();
        assert_eq!(
            of("succeeded"),
            Some(Charged::Succeeded {
                reference: reference()
            })
        );
        assert_eq!(
            of("processing"),
            Some(Charged::Pending {
                reference: reference()
            })
        );
        assert_eq!(of("requires_confirmation"), None);
        assert!(matches!(of("canceled"), Some(Charged::Declined { .. })));
        let declined = json!({"id": "pi_1", "status": "requires_payment_method",
            "last_payment_error": {"code": "card_declined", "message": "Your card was declined."}});
        let reason = "Your card was declined.".to_owned();
        assert_eq!(outcome(&declined), Some(Charged::Declined { reason }));
    }
}
