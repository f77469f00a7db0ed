//! Invoices as PDF, read by poppler's pdftotext.

use std::process::Command;

use billing::{invoices::Portion, operators, services::Cycle};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use identity::schema::organizations;
use kernel::access::Role;
use serde_json::{Value, json};
use testkit::{Server, on_both};

use super::{Shop, TURN, amount};

/// The file as it came.
struct Download {
    bytes: Vec<u8>,
    etag: String,
    disposition: String,
}

impl Download {
    async fn of(server: &Server, path: &str) -> Self {
        let request = reqwest::Client::new().get(format!("{}{path}", server.base));
        let answer = request
            .bearer_auth(&server.facts.owner.api_key)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/pdf");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let (etag, disposition) = (header("etag"), header("content-disposition"));
        Self {
            bytes: answer.bytes().await.unwrap().to_vec(),
            etag,
            disposition,
        }
    }

    /// Its text as a reader sees it, white space made single. `ONET_TEST_KEEP_PDF` names a folder in which the file is
    /// kept, to be looked at.
    fn text(&self, name: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("invoice.pdf");
        std::fs::write(&file, &self.bytes).unwrap();
        if let Some(kept) = std::env::var_os("ONET_TEST_KEEP_PDF") {
            std::fs::write(
                std::path::Path::new(&kept).join(format!("{name}.pdf")),
                &self.bytes,
            )
            .unwrap();
        }
        let read = Command::new("pdftotext")
            .arg("-layout")
            .arg(&file)
            .arg("-")
            .output();
        let read = read.expect("pdftotext: install poppler-utils");
        assert!(
            read.status.success() && read.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&read.stderr)
        );
        let text = String::from_utf8(read.stdout).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ")
    }
}

fn contains(text: &str, facts: &[&str]) {
    for fact in facts {
        assert!(text.contains(fact), "`{fact}` is not in: {text}");
    }
}

/// What an organization says of itself.
struct Customer {
    company: &'static str,
    country: &'static str,
    vat_number: &'static str,
}

async fn is(shop: &Shop, server: &Server, customer: Customer) {
    let organization = shop.organization;
    let write = shop.write(server, move |tx, _| {
        diesel::update(organizations::table.find(organization))
            .set((
                organizations::company_name.eq(customer.company),
                organizations::address_1.eq("12 Example Street"),
                organizations::address_2.eq("Staircase B"),
                organizations::city.eq("Exampleton"),
                organizations::state.eq(""),
                organizations::postcode.eq("12345"),
                organizations::country.eq(customer.country),
                organizations::vat_number.eq(customer.vat_number),
            ))
            .execute(tx.conn())?;
        Ok(())
    });
    write.await.unwrap();
}

fn path(shop: &Shop, invoice: &Value) -> String {
    shop.path(&format!("/invoices/{}/pdf", invoice["id"].as_str().unwrap()))
}

fn seller(config: &mut kernel::config::Config) {
    config.billing.seller_name = "Onet Cloud SAS".to_owned();
    config.billing.seller_address = vec![
        "1 rue de l'Exemple".to_owned(),
        "75001 Paris".to_owned(),
        "France".to_owned(),
    ];
    config.billing.seller_country = "FR".to_owned();
    config.billing.seller_vat_number = "FR40303265045".to_owned();
    config.billing.invoice_note =
        "IBAN FR76 3000 6000 0112 3456 7890 189\nLate payment: 40 € and three times the legal rate."
            .to_owned();
    config.billing.payment_driver = "sandbox".to_owned();
}

on_both! {
    async fn an_invoice_says_all_that_it_must(server: Server, |config| { seller(config); }) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let client = server.owner();
        is(&shop, &server, Customer { company: "Muster & Söhne GmbH", country: "FR", vat_number: "" }).await;
        client.patch(&shop.path("/settings"), &json!({"purchase_order_reference": "PO-4711"})).await.expect(200);
        shop.credit(&server, "5").await;
        let mut hosting = shop.item(Cycle::Annually, "1234.5");
        hosting.description = "Hosting € plan".to_owned();
        let order = shop.order(vec![shop.item(Cycle::Monthly, "10"), hosting]);
        let placed = shop.place(&server, order).await.unwrap();
        let number = placed.invoice.unwrap().number;
        let invoice = client.get(&shop.path("/invoices")).await.expect(200).body["results"][0].clone();
        assert_eq!(invoice["total"], "1493.40");
        let first = Download::of(&server, &path(&shop, &invoice)).await;
        assert_eq!(first.disposition, format!("attachment; filename=\"{number}.pdf\""));
        let text = first.text("invoice");
        contains(&text, &["Invoice", &number, "Onet Cloud SAS", "1 rue de l'Exemple", "75001 Paris", "VAT number FR40303265045",
            "Muster & Söhne GmbH", "12 Example Street", "Staircase B", "12345 Exampleton", "France", "PO-4711", "VPS S", "Hosting € plan",
            "€10.00 20% €10.00", "€1,234.50 20% €1,234.50", "Total excluding VAT €1,244.50", "VAT 20% of €1,244.50 €248.90",
            "Total including VAT €1,493.40", "Paid from credit -€5.00", "Amount due €1,488.40", "Due date", "Payable until",
            "IBAN FR76 3000 6000 0112 3456 7890 189", "Late payment: 40 €", "Page 1 of 1"]);
        assert!(!text.contains("Discount") && !text.contains("Paid on"), "{text}");

        let again = Download::of(&server, &path(&shop, &invoice)).await;
        assert_eq!((&again.bytes, &again.etag), (&first.bytes, &first.etag));
        let known = client.send(reqwest::Method::GET, &path(&shop, &invoice), &[("if-none-match", &first.etag)], None).await;
        assert_eq!(known.status, 304);

        // Who moves or renames later does not change it; who pays does.
        is(&shop, &server, Customer { company: "Another", country: "DE", vat_number: "DE136695976" }).await;
        assert_eq!(Download::of(&server, &path(&shop, &invoice)).await.bytes, first.bytes);
        // Credit that comes in pays what is open.
        shop.credit(&server, "2000").await;
        let paid = Download::of(&server, &path(&shop, &invoice)).await;
        assert_ne!(paid.etag, first.etag);
        contains(&paid.text("paid"), &["Paid on", "Paid from credit -€1,493.40", "Amount due €0.00"]);
    }

    async fn a_credit_note_and_a_reverse_charge_in_french(server: Server, |config| { seller(config); }) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let client = server.owner();
        is(&shop, &server, Customer { company: "Muster & Söhne GmbH", country: "DE", vat_number: "DE136695976" }).await;
        client.patch(&shop.path("/settings"), &json!({"invoice_language": "fr"})).await.expect(200);
        shop.credit(&server, "2000").await;
        let placed = shop.place(&server, shop.order(vec![shop.item(Cycle::OneTime, "1234.5")])).await.unwrap();
        let number = placed.invoice.unwrap().number;
        let of = number.clone();
        shop.write(&server, move |tx, billing| operators::credit_note(tx, billing, &of, Portion::Net(amount("34.5")), "Geste")).await.unwrap();
        let list = client.get(&shop.path("/invoices")).await.expect(200).body;
        let (note, invoice) = (&list["results"][0], &list["results"][1]);
        let text = Download::of(&server, &path(&shop, invoice)).await.text("reverse-charge");
        contains(&text, &["Facture", &number, "FACTURÉ À", "N° de TVA DE136695976", "Allemagne", "1 1 234,50 €", "Total HT 1 234,50 €",
            "TVA 0 % sur 1 234,50 € 0,00 €", "Total TTC 1 234,50 €", "Reste à payer 0,00 €", "Payée le",
            "Autoliquidation : TVA due par le preneur (article 196 de la directive 2006/112/CE)."]);
        let text = Download::of(&server, &path(&shop, note)).await.text("credit-note");
        contains(&text, &["Avoir", note["number"].as_str().unwrap(), "Facture d'origine", &number, "Total TTC -34,50 €", "Autoliquidation",
            "Ce montant a été ajouté au crédit du compte."]);
        assert!(!text.contains("Reste à payer") && !text.contains("échéance"), "{text}");
    }

    async fn many_lines_and_names_of_any_script(server: Server, |config| { seller(config); }) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        let client = server.owner();
        is(&shop, &server, Customer { company: "Łódź Ελλάδα Україна 株式会社 🚀", country: "CH", vat_number: "" }).await;
        let items = (1..=120).map(|place| {
            let mut item = shop.item(Cycle::Monthly, "1");
            item.description = format!("Machine number {place} of a long list, with a name so long that it does not fit on one line of the table");
            item
        });
        shop.place(&server, shop.order(items.collect())).await.unwrap();
        let invoice = client.get(&shop.path("/invoices")).await.expect(200).body["results"][0].clone();
        let text = Download::of(&server, &path(&shop, &invoice)).await.text("many");
        let places: Vec<String> = (1..=120).map(|place| format!("Machine number {place} of")).collect();
        contains(&text, &places.iter().map(String::as_str).collect::<Vec<_>>());
        let pages = text.matches("Net amount").count();
        assert!(pages > 3, "{pages}");
        for page in 1..=pages {
            contains(&text, &[&format!("Page {page} of {pages}")]);
        }
        // What the typeface lacks can still be copied and searched.
        contains(&text, &["Łódź Ελλάδα Україна 株式会社 🚀", "the customer is established outside of the European Union", "Amount due €120.00"]);
    }

    async fn only_owners_of_it_see_it(server: Server) {
        let _turn = TURN.read().await;
        let shop = Shop::open(&server);
        shop.place(&server, shop.order(vec![shop.item(Cycle::Monthly, "10")])).await.unwrap();
        let invoice = server.owner().get(&shop.path("/invoices")).await.expect(200).body["results"][0].clone();
        let (editor, _) = server.member(Role::Editor).await;
        editor.get(&path(&shop, &invoice)).await.expect(403);
        server.stranger().get(&path(&shop, &invoice)).await.expect(404);
        server.owner().get(&shop.path(&format!("/invoices/{}/pdf", uuid::Uuid::now_v7()))).await.expect(404);
        // Without a seller's name, and without tax.
        let text = Download::of(&server, &path(&shop, &invoice)).await.text("bare");
        contains(&text, &["Amount due €10.00"]);
    }
}
