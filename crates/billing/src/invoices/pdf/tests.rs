use proptest::prelude::*;

use super::*;
use crate::invoices::{InvoiceId, InvoiceRow, LineId, Parties};

fn view(lines: usize, name: &str) -> InvoiceView {
    let amount = Amount::from_cents;
    let time = Time::parse("2026-11-24T12:00:00Z").unwrap();
    let parties = Parties {
        seller_name: "Seller SAS".to_owned(),
        customer_name: name.to_owned(),
        seller_note: name.to_owned(),
        ..Parties::default()
    };
    let line = LineRow {
        id: LineId::new(),
        invoice_id: InvoiceId::new(),
        position: 0,
        description: name.to_owned(),
        description_fr: name.to_owned(),
        service_type: "instance".to_owned(),
        service_id: None,
        resource_id: None,
        project_id: None,
        billing_cycle: None,
        period_start: Some(time),
        period_end: Some(time),
        quantity: amount(100),
        unit_price: amount(1_000),
        discount: Amount::ZERO,
        tax_rate: amount(2_000),
        tax: amount(200),
        total: amount(1_000),
    };
    let invoice = InvoiceRow {
        id: InvoiceId::new(),
        legacy_id: 1,
        organization_id: kernel::id::Id::new(),
        number: "INV-2026-000001".to_owned(),
        kind: InvoiceType::Order,
        status: InvoiceStatus::Unpaid,
        currency: "EUR".to_owned(),
        subtotal: amount(1_000),
        tax_total: amount(200),
        total: amount(1_200),
        credit_applied: Amount::ZERO,
        amount_paid: Amount::ZERO,
        credited: Amount::ZERO,
        order_id: None,
        credit_of: None,
        parties: kernel::json::JsonText::of(&parties),
        issued_at: time,
        due_at: time,
        payable_until: time,
        paid_at: None,
        stage: 0,
        wake_at: None,
        created: time,
        modified: time,
    };
    InvoiceView {
        invoice,
        lines: vec![line; lines],
        parties,
        taxes: vec![(amount(2_000), amount(1_000), amount(200))],
        credit_of: None,
    }
}

#[test]
fn the_same_invoice_is_the_same_bytes() {
    let view = view(3, "Zoë Łukasz Ωμέγα");
    assert_eq!(print(&view).unwrap(), print(&view).unwrap());
}

#[test]
fn more_different_characters_than_a_font_can_number_do_no_harm() {
    let everything: String = (' '..='\u{12000}').collect();
    print(&view(0, &everything)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_text_can_be_printed(name in "\\PC{0,300}", lines in 0_usize..60) {
        let printed = print(&view(lines, &name)).unwrap();
        prop_assert!(printed.starts_with(b"%PDF-1.7"));
    }
}
