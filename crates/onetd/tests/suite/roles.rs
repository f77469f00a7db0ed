//! Roles and permissions as data: complete, and the same in code, document and docs.

use std::{collections::BTreeMap, path::Path};

use kernel::access::Role;
use serde_json::{Value, json};
use testkit::on_both;

use crate::people::organization;

/// The permissions that the document names, and whether all operations that ask for one lie in a project.
fn of_document(document: &Value) -> BTreeMap<String, (String, bool)> {
    let mut named: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for operation in item
            .as_object()
            .into_iter()
            .flatten()
            .map(|(_, operation)| operation)
        {
            let Some(name) = operation["x-permission"].as_str() else {
                continue;
            };
            let in_project = path.contains("{project_id}");
            let scope = operation["x-scope"].as_str().unwrap_or_default().to_owned();
            let entry = named.entry(name.to_owned()).or_insert((scope.clone(), false));
            entry.1 |= in_project;
            assert_eq!(entry.0, scope, "{name}");
        }
    }
    named
}

on_both! {
    async fn every_permission_of_the_document_is_listed(server: Server) {
        let listed = server.owner().get(&organization(&server, "/permissions")).await.expect(200).body;
        let listed: Vec<(String, bool)> = listed.as_array().unwrap().iter()
            .map(|one| (one["code"].as_str().unwrap().to_owned(), one["scope"] == "project")).collect();
        let named: Vec<(String, bool)> = of_document(&server.document).into_iter().map(|(name, (_, in_project))| (name, in_project)).collect();
        assert_eq!(listed, named);
    }

    async fn roles_hold_more_from_guest_to_owner(server: Server) {
        let (guest, _) = server.member(Role::Guest).await;
        let roles = guest.get(&organization(&server, "/roles")).await.expect(200).body;
        let slugs: Vec<&str> = roles.as_array().unwrap().iter().map(|role| role["slug"].as_str().unwrap()).collect();
        assert_eq!(slugs, ["owner", "editor", "viewer", "guest"]);
        let counts: Vec<usize> = roles.as_array().unwrap().iter().map(|role| role["permissions"].as_array().unwrap().len()).collect();
        assert!(counts.is_sorted_by(|more, less| more > less), "{counts:?}");
        assert!(roles.as_array().unwrap().iter().all(|role| role["is_assignable"] == false));
        let own = server.owner().get(&organization(&server, "/roles")).await.expect(200).body;
        assert!(own.as_array().unwrap().iter().all(|role| role["is_assignable"] == true));
        let in_project = server.owner().get(&server.project("/roles")).await.expect(200).body;
        assert_eq!(in_project.as_array().unwrap().len(), 3);
        assert!(in_project[0]["permissions"].as_array().unwrap().contains(&json!("projects.members.update")));
        assert!(!in_project[0]["permissions"].as_array().unwrap().contains(&json!("organizations.delete")));
    }
}

/// The table in the docs; `ONET_UPDATE_DOCS=1` writes it.
#[test]
fn the_table_in_the_docs_is_up_to_date() {
    const BEGIN: &str = "<!-- permissions: made by the test suite with ONET_UPDATE_DOCS=1 -->\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/roles-and-permissions.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once(BEGIN).expect("the mark");
    let wanted = format!("{head}{BEGIN}{}", onetd::server::Onet::permissions().table());
    #[expect(
        clippy::disallowed_methods,
        reason = "for whoever changes permissions, and no setting"
    )]
    if std::env::var("ONET_UPDATE_DOCS").is_ok() {
        std::fs::write(&file, &wanted).unwrap();
        return;
    }
    assert!(
        text == wanted,
        "run `ONET_UPDATE_DOCS=1 cargo test -p onetd --test suite the_table_in_the_docs`"
    );
}
