//! Users, invitations and figures that several files need.

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};
use identity::{
    accounts::{self, NewUser},
    schema::{organizations, users},
};
use kernel::{access::UserId, http::ApiError, store::Tx};
use serde_json::{Value, json};
use testkit::{Client, Server};

pub(crate) const PASSWORD: &str = "Newcomer-Pass-3";

/// A new user of no organization, logged in.
pub(crate) async fn newcomer(server: &Server, email: &str) -> (Client, UserId) {
    let hash = server
        .onet()
        .identity
        .passwords()
        .hash(PASSWORD.to_owned())
        .await
        .unwrap();
    let to = email.to_owned();
    let made = server.app.store().write("test", move |tx: &mut Tx<'_>| {
        let new = NewUser {
            email: to.clone(),
            password_hash: Some(hash.clone()),
            first_name: "Grace".to_owned(),
            last_name: String::new(),
            is_staff: false,
            language: identity::Language::En,
        };
        accounts::create_user(tx, new).map_err(|error| ApiError::refused(error.to_string()))
    });
    let user = made.await.unwrap();
    (server.log_in(email, PASSWORD).await.0, user)
}

/// `/v1/organizations/{o}` of the demo's first organization, with `rest` behind it.
pub(crate) fn organization(server: &Server, rest: &str) -> String {
    format!("/v1/organizations/{}{rest}", server.facts.owner.organization_id)
}

/// The secret of the newest invitation that an address got.
pub(crate) async fn secret(server: &Server, email: &str) -> String {
    let mail = server.mail_to(email).await;
    let links = mail.links();
    let link = links
        .iter()
        .find(|link| link.contains("/account/invitation?token="))
        .expect("a link");
    link.split_once("token=").unwrap().1.to_owned()
}

/// Invites an address into the demo's first organization.
pub(crate) async fn invite(server: &Server, email: &str, role: &str) -> Value {
    let body = json!({"email": email, "role": role});
    server
        .owner()
        .post(&organization(server, "/invitations"), &body)
        .await
        .expect(201)
        .body
}

/// How many audit records of this action the demo's first organization has.
pub(crate) async fn records(server: &Server, action: &str) -> i64 {
    let path = organization(server, &format!("/audit-logs?action={action}"));
    server.owner().get(&path).await.expect(200).body["count"]
        .as_i64()
        .unwrap()
}

/// Sets the quotas of users and projects.
pub(crate) async fn set_quotas(server: &Server, user_quota: i64, project_quota: i64) {
    let id = server.facts.owner.organization_id;
    let written = server.app.store().write("test", move |tx: &mut Tx<'_>| {
        diesel::update(organizations::table.find(id))
            .set((
                organizations::user_quota.eq(user_quota),
                organizations::project_quota.eq(project_quota),
            ))
            .execute(tx.conn())?;
        Ok::<_, ApiError>(())
    });
    written.await.unwrap();
}

/// Sets whether a user's address counts as verified.
pub(crate) async fn set_verified(server: &Server, user: UserId, verified: bool) {
    let written = server.app.store().write("test", move |tx: &mut Tx<'_>| {
        diesel::update(users::table.find(user))
            .set(users::email_verified.eq(verified))
            .execute(tx.conn())?;
        Ok::<_, ApiError>(())
    });
    written.await.unwrap();
}

/// The membership of a user in the demo's first organization.
pub(crate) async fn membership(server: &Server, user: UserId) -> Option<Value> {
    let list = server
        .owner()
        .get(&organization(server, "/members"))
        .await
        .expect(200)
        .body;
    let found = list
        .as_array()
        .unwrap()
        .iter()
        .find(|member| member["user"]["id"] == user.to_string());
    found.cloned()
}
