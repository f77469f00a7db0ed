//! The authorization matrix, made from the document: every operation with every kind of wrong credential.

use std::collections::HashMap;

use identity::credentials::Scope;
use kernel::access::Role;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Client, Server, on_both};

/// What the document says of an operation's credentials.
struct Operation {
    id: String,
    method: Method,
    path: String,
    role: Option<Role>,
    scope: Option<String>,
    public: bool,
    logins_only: bool,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            // An empty alternative: a credential may be shown and need not be.
            let secured = operation["security"].as_array().is_some_and(|list| {
                list.iter().any(|way| way["BearerAuth"].is_array()) && !list.contains(&json!({}))
            });
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                role: operation["x-minimum-role"].as_str().and_then(Role::from_word),
                scope: operation["x-scope"].as_str().map(str::to_owned),
                public: !secured,
                logins_only: operation["x-credentials"] == json!(["jwt"]),
            });
        }
    }
    operations
}

impl Operation {
    fn is_scoped(&self) -> bool {
        self.path.contains("{organization_id}")
    }

    fn is_in_project(&self) -> bool {
        self.path.contains("{project_id}")
    }

    /// Whether a project token may call it at all, given the scope.
    fn is_for_tokens(&self) -> bool {
        self.is_in_project() && !self.logins_only
    }

    /// The path with the ids of an organization and project, and some id of no resource of theirs.
    fn path(&self, organization: &str, project: &str) -> String {
        let path = self
            .path
            .replace("{organization_id}", organization)
            .replace("{project_id}", project);
        let mut filled = String::new();
        for part in path.split('/').skip(1) {
            filled.push('/');
            filled.push_str(if part.starts_with('{') {
                "018f0000-0000-7000-8000-00000000dead"
            } else {
                part
            });
        }
        filled
    }

    async fn call(&self, client: &Client, path: &str) -> u16 {
        let body = (self.method != Method::GET && self.method != Method::DELETE).then(|| "{}".to_owned());
        client.send(self.method.clone(), path, &[], body).await.status
    }
}

/// An API key of the owner's with only these scopes.
async fn key_with(server: &Server, scopes: &[&str]) -> Client {
    let (login, _) = server
        .log_in(&server.facts.owner.email, &server.facts.owner.password)
        .await;
    let made = login
        .post("/v1/auth/api-keys", &json!({"name": "narrow", "scopes": scopes}))
        .await
        .expect(201);
    server.client(made.body["key"].as_str().unwrap())
}

/// A project token of the owner's with only these scopes.
async fn token_with(server: &Server, login: &Client, scopes: &[&str]) -> Client {
    let wanted = json!({"name": "narrow", "scopes": scopes});
    let made = login.post(&server.project("/tokens"), &wanted).await.expect(201);
    server.client(made.body["token"].as_str().unwrap())
}

/// An expired key, an expired project token, and a revoked one.
async fn ended_ones(server: &Server, login: &Client) -> (Client, Client, Client) {
    let all = json!(Scope::ALL);
    let of_projects: Vec<Scope> = Scope::ALL
        .iter()
        .filter(|scope| scope.is_of_project())
        .copied()
        .collect();
    let end = (server.clock.now() + std::time::Duration::from_secs(30)).to_string();
    let key = json!({"name": "short", "scopes": all, "expires_at": end});
    let key = login.post("/v1/auth/api-keys", &key).await.expect(201).body;
    let tokens = server.project("/tokens");
    let short = json!({"name": "short", "scopes": of_projects, "expires_at": end});
    let short = login.post(&tokens, &short).await.expect(201).body;
    let gone = login
        .post(&tokens, &json!({"name": "gone", "scopes": of_projects}))
        .await
        .expect(201)
        .body;
    login
        .delete(&format!("{tokens}/{}", gone["id"].as_str().unwrap()))
        .await
        .expect(204);
    server.clock.advance(std::time::Duration::from_secs(31));
    let client = |secret: &Value| server.client(secret.as_str().unwrap());
    (
        client(&key["key"]),
        client(&short["token"]),
        client(&gone["token"]),
    )
}

on_both! {
    async fn every_operation_says_who_may_call_it(server: Server) {
        for operation in operations(&server.document) {
            let id = &operation.id;
            if operation.is_scoped() {
                assert!(operation.role.is_some() && operation.scope.is_some() && !operation.public,
                    "{id} lacks x-minimum-role or x-scope, without which the matrix can't judge it");
            }
        }
    }

    async fn every_route_is_in_the_document(server: Server) {
        // A method that the document does not name on a path is refused with the ones that it does.
        for operation in operations(&server.document) {
            let path = operation.path("a", "b");
            let answer = server.owner().send(Method::OPTIONS, &path, &[], None).await;
            assert_eq!(answer.status, 405, "{}: {}", operation.id, answer.text);
            let mut allowed: Vec<&str> = answer.header("allow").split(',').filter(|method| *method != "HEAD").collect();
            let item = server.document["paths"][&operation.path].as_object().unwrap();
            let mut documented: Vec<String> = item.keys().map(|method| method.to_uppercase()).collect();
            allowed.sort_unstable();
            documented.sort_unstable();
            assert_eq!(allowed, documented, "{}", operation.path);
        }
    }

    async fn without_a_valid_credential_nothing_opens(server: Server) {
        let owner = &server.facts.owner;
        let (organization, project) = (owner.organization_id.to_string(), owner.project_id.to_string());
        let (login, tokens) = server.log_in(&owner.email, &owner.password).await;
        let revoked = key_with(&server, &["compute:write"]).await;
        let keys = login.get("/v1/auth/api-keys").await.expect(200).body;
        let narrow = keys.as_array().unwrap().iter().find(|key| key["name"] == "narrow").unwrap();
        login.delete(&format!("/v1/auth/api-keys/{}", narrow["id"].as_str().unwrap())).await.expect(204);
        let (expired, expired_token, revoked_token) = ended_ones(&server, &login).await;
        let tampered = {
            let token = tokens["access"].as_str().unwrap();
            let (head, signature) = token.rsplit_once('.').unwrap();
            let flipped: String = signature.chars().rev().collect();
            format!("{head}.{flipped}")
        };
        let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJ4In0.";
        let bad = [
            ("nothing", server.anonymous()),
            ("garbage", server.client("garbage")),
            ("a key that never was", server.client("sk-onetsolutions-0000000000000000000000000000000000000000")),
            ("a revoked key", revoked),
            ("an expired key", expired),
            ("an expired project token", expired_token),
            ("a revoked project token", revoked_token),
            ("a tampered token", server.client(&tampered)),
            ("an unsigned token", server.client(unsigned)),
            ("a refresh token", server.client(tokens["refresh"].as_str().unwrap())),
        ];
        for operation in operations(&server.document).iter().filter(|operation| !operation.public) {
            let path = operation.path(&organization, &project);
            for (what, client) in &bad {
                assert_eq!(operation.call(client, &path).await, 401, "{} with {what}", operation.id);
            }
        }
        let answer = server.anonymous().get("/v1/organizations").await.expect(401);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.body, json!({"detail": "Authentication credentials were not provided."}));
        server.clock.advance(std::time::Duration::from_mins(16));
        for operation in operations(&server.document).iter().filter(|operation| !operation.public) {
            let path = operation.path(&organization, &project);
            assert_eq!(operation.call(&login, &path).await, 401, "{} with an expired token", operation.id);
        }
    }

    async fn strangers_learn_nothing(server: Server) {
        let owner = &server.facts.owner;
        let (organization, project) = (owner.organization_id.to_string(), owner.project_id.to_string());
        let nowhere = "018f0000-0000-7000-8000-00000000beef";
        let theirs = &server.facts.stranger;
        for operation in operations(&server.document).iter().filter(|operation| operation.is_scoped()) {
            let stranger = server.stranger();
            let hidden = operation.call(&stranger, &operation.path(&organization, &project)).await;
            let absent = operation.call(&stranger, &operation.path(nowhere, nowhere)).await;
            assert_eq!((hidden, absent), (404, 404), "{}", operation.id);
            if operation.is_in_project() {
                // The stranger's own organization, but the owner's project.
                let crossed = operation.path(&theirs.organization_id.to_string(), &project);
                assert_eq!(operation.call(&stranger, &crossed).await, 404, "{} across organizations", operation.id);
                let (guest, _) = server.member(Role::Guest).await;
                let outside = operation.call(&guest, &operation.path(&organization, &project)).await;
                assert_eq!(outside, 404, "{} for a guest outside the project", operation.id);
            }
        }
    }

    async fn lesser_roles_and_narrower_scopes_are_refused(server: Server) {
        let owner = &server.facts.owner;
        let (organization, project) = (owner.organization_id.to_string(), owner.project_id.to_string());
        let (viewer, _) = server.member(Role::Viewer).await;
        let (editor, _) = server.member(Role::Editor).await;
        let (guest, _) = server.member(Role::Guest).await;
        // Where a key is refused whatever its owner may, only a login shows that it is the role that counts.
        let (viewer_login, _) = server.member_login(Role::Viewer).await;
        let (editor_login, _) = server.member_login(Role::Editor).await;
        let (guest_login, _) = server.member_login(Role::Guest).await;
        // A scope that no operation of an organization asks for.
        let elsewhere = key_with(&server, &["account:read"]).await;
        // One an area: an account has so many keys at most.
        let mut readers: HashMap<String, Client> = HashMap::new();
        for operation in operations(&server.document).iter().filter(|operation| operation.is_scoped()) {
            let path = operation.path(&organization, &project);
            let least = operation.role.unwrap();
            let clients = if operation.logins_only {
                [(Role::Guest, &guest_login), (Role::Viewer, &viewer_login), (Role::Editor, &editor_login)]
            } else {
                [(Role::Guest, &guest), (Role::Viewer, &viewer), (Role::Editor, &editor)]
            };
            for (role, client) in clients {
                // A guest sees no project without being put into it.
                if role < least && !(role == Role::Guest && operation.is_in_project()) {
                    assert_eq!(operation.call(client, &path).await, 403, "{} as {}", operation.id, role.as_str());
                }
            }
            assert_eq!(operation.call(&elsewhere, &path).await, 403, "{} with another scope", operation.id);
            let scope = operation.scope.as_deref().unwrap();
            if let Some(area) = scope.strip_suffix(":write") {
                if !readers.contains_key(area) {
                    let reading = key_with(&server, &[&format!("{area}:read")]).await;
                    readers.insert(area.to_owned(), reading);
                }
                assert_eq!(operation.call(&readers[area], &path).await, 403, "{} with a reading key", operation.id);
            }
        }
        for operation in operations(&server.document).iter().filter(|operation| operation.logins_only) {
            let path = operation.path(&organization, &project);
            assert_eq!(operation.call(&server.owner(), &path).await, 403, "{} with an API key", operation.id);
        }
    }

    async fn the_right_credential_opens(server: Server) {
        let owner = &server.facts.owner;
        let (organization, project) = (owner.organization_id.to_string(), owner.project_id.to_string());
        let (login, _) = server.log_in(&owner.email, &owner.password).await;
        // 415: an upload takes no JSON. 429: a test of notifications may not follow another at once; no other limit is in
        // the way here.
        let right = [200, 201, 202, 204, 400, 404, 409, 415, 429];
        // Which would end the session, or keep its user from opening another.
        let barring = ["logout", "enable_email_mfa"];
        let mut keys: HashMap<String, Client> = HashMap::new();
        for operation in operations(&server.document).iter().filter(|operation| !operation.public) {
            // The id is nobody's, the body empty: 404, 400 and 409 come after the authorization.
            if barring.contains(&operation.id.as_str()) {
                continue;
            }
            let status = operation.call(&login, &operation.path(&organization, &project)).await;
            assert!(right.contains(&status), "{}: {status}", operation.id);
            if operation.is_scoped() && !operation.logins_only {
                let scope = operation.scope.clone().unwrap();
                if !keys.contains_key(&scope) {
                    let key = key_with(&server, &[scope.as_str()]).await;
                    keys.insert(scope.clone(), key);
                }
                let status = operation.call(&keys[&scope], &operation.path(&organization, &project)).await;
                assert!(right.contains(&status), "{} with a key of its scope: {status}", operation.id);
            }
        }
    }

    async fn project_tokens_stay_in_their_project(server: Server) {
        let owner = &server.facts.owner;
        let theirs = &server.facts.stranger;
        let (organization, project) = (owner.organization_id.to_string(), owner.project_id.to_string());
        let login = server.owner_login().await;
        let list = login.get(&format!("/v1/organizations/{organization}/projects")).await.expect(200).body;
        let other = list.as_array().unwrap().iter().find(|other| other["id"] != project.as_str()).unwrap();
        let of_projects: Vec<&str> = Scope::ALL.iter().filter(|scope| scope.is_of_project()).map(|scope| scope.as_str()).collect();
        let token = token_with(&server, &login, &of_projects).await;
        let unrelated = token_with(&server, &login, &["dns:read"]).await;
        for operation in operations(&server.document).iter().filter(|operation| !operation.public) {
            let id = &operation.id;
            let own = operation.path(&organization, &project);
            if operation.logins_only {
                assert_eq!(operation.call(&token, &own).await, 403, "{id}");
                continue;
            }
            if !operation.is_scoped() {
                continue;
            }
            let foreign = operation.path(&theirs.organization_id.to_string(), &theirs.project_id.to_string());
            assert_eq!(operation.call(&token, &foreign).await, 404, "{id} of another organization");
            let scope = operation.scope.as_deref().unwrap();
            if operation.is_for_tokens() {
                let crossed = operation.path(&organization, other["id"].as_str().unwrap());
                assert_eq!(operation.call(&token, &crossed).await, 404, "{id} of another project");
                let status = operation.call(&token, &own).await;
                if of_projects.contains(&scope) {
                    assert!([200, 201, 202, 204, 400, 404].contains(&status), "{id}: {status}");
                } else {
                    assert_eq!(status, 403, "{id} without its scope");
                }
                if !scope.starts_with("dns:") {
                    assert_eq!(operation.call(&unrelated, &own).await, 403, "{id} with another scope");
                }
            } else if operation.role.unwrap() > Role::Guest {
                assert_eq!(operation.call(&token, &own).await, 403, "{id} of the organization");
            }
        }
    }

    async fn a_changed_role_counts_at_once(server: Server) {
        use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
        use identity::schema::memberships;
        let (member, user) = server.member(Role::Viewer).await;
        member.patch(&server.instance(), &json!({"name": "x"})).await.expect(403);
        let role = |role: Option<Role>| {
            server.app.store().write("test", move |tx| {
                let target = memberships::table.filter(memberships::user_id.eq(user));
                match role {
                    Some(role) => diesel::update(target).set(memberships::role.eq(role)).execute(tx.conn())?,
                    None => diesel::delete(target).execute(tx.conn())?,
                };
                Ok::<_, kernel::http::ApiError>(())
            })
        };
        role(Some(Role::Editor)).await.unwrap();
        member.patch(&server.instance(), &json!({"name": "x"})).await.expect(200);
        role(None).await.unwrap();
        member.get(&server.instance()).await.expect(404);
    }

    async fn legacy_ids_name_organizations_and_projects(server: Server) {
        let client = server.owner();
        let organizations = client.get("/v1/organizations").await.expect(200).body;
        let legacy = organizations[0]["legacy_id"].as_i64().unwrap();
        let instance = client.get(&server.instance()).await.expect(200).body;
        let path = format!("/v1/organizations/{legacy}/projects/{}/compute/instances/{}",
            server.facts.owner.project_id, server.facts.owner.instance_id);
        assert_eq!(client.get(&path).await.expect(200).body, instance);
        for nonsense in ["0", "-1", "99999999999999999999999", "%00", "a%2Fb", "%FF", "1e3"] {
            client.get(&format!("/v1/organizations/{nonsense}/projects")).await.expect(404);
        }
    }
}
