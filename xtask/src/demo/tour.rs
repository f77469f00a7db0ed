//! The main job, seen from outside: a customer changes an instance, and every trace of it is there.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::client::{Client, results, text};
use super::logins::Logins;
use crate::interrupt;
use crate::screen::{Screen, field};

const TASK_LIMIT: Duration = Duration::from_secs(60);
const TASK_POLL: Duration = Duration::from_millis(200);

/// The fields of an instance that the tour changes, or that say what it is.
const INSTANCE: &[&str] = &[
    "name",
    "hostname",
    "status",
    "size.name",
    "location.name",
    "vpc.name",
    "tags",
];

/// Goes through all stations and returns the logins with their tokens; stops at the first thing that is not as it
/// should be.
pub(crate) fn perform(client: &Client, mut logins: Logins, screen: Screen) -> Result<Logins> {
    screen.heading("Log in");
    let credentials = json!({"email": logins.customer("email")?, "password": logins.customer("password")?});
    let session = client
        .show(screen, "POST", LOGIN, Some(&credentials))?
        .expect(200)?;
    screen.fields(&session, &["user.name", "token_type", "expires_in", "access"]);
    let token = text(&session, "access")?.to_owned();
    let stranger_token = log_in_stranger(client, &logins)?;
    let client = &client.with_token(&token);

    let instances = instances_path(&logins)?;
    screen.heading("List the instances of the project");
    let page = client
        .show(screen, "GET", &format!("{instances}?page_size=5"), None)?
        .expect(200)?;
    screen.fields(&page, &["count"]);
    screen.rows(
        results(&page)?,
        &[
            "name",
            "hostname",
            "status",
            "size.name",
            "location.name",
            "vpc.name",
        ],
    );

    screen.heading("Read one of them");
    let path = format!("{instances}/{}", logins.customer("instance_id")?);
    let before = client.show(screen, "GET", &path, None)?.expect(200)?;
    screen.fields(&before, INSTANCE);

    screen.heading("Choose another network in the same location");
    let vpcs = client.show(
        screen,
        "GET",
        &format!("{}/vpcs?page_size=100", compute_path(&logins)?),
        None,
    )?;
    let vpcs = vpcs.expect(200)?;
    screen.rows(results(&vpcs)?, &["name", "cidr_block", "location.name"]);
    let vpc = other_vpc(&before, results(&vpcs)?)?;

    screen.heading("Change its name, host name, tags and network");
    let wanted = changed(&before, vpc)?;
    let answer = client.show(screen, "PUT", &path, Some(&wanted))?.expect(200)?;
    screen.fields(&answer, INSTANCE);
    check_change(&wanted, &answer).context("the answer to PUT does not show the change")?;

    screen.heading("Read it back");
    let after = client.show(screen, "GET", &path, None)?.expect(200)?;
    screen.fields(&after, INSTANCE);
    check_change(&wanted, &after).context("the change is not there")?;

    screen.heading("Wait until the network has followed");
    wait_for_tasks(client, &logins, screen)?;

    screen.heading("Find it in the audit log");
    show_audit(client, &logins, screen)?;

    screen.heading("Be refused: another size is for resizing, not for replacing");
    let mut refused = wanted;
    refused["size_id"] = other_size(client, &logins, &before)?.into();
    let reply = client.show(screen, "PUT", &path, Some(&refused))?;
    screen.fields(&reply.body, &["detail", "size_id"]);
    check_refusal(&reply.expect(400)?)?;
    let unchanged = client.call("GET", &path, None)?.expect(200)?;
    ensure!(
        unchanged["modified"] == after["modified"],
        "a refused request has changed the instance"
    );

    logins.complete(client.base_url(), token, stranger_token);
    Ok(logins)
}

/// Where the customer's instances are.
pub(crate) fn instances_path(logins: &Logins) -> Result<String> {
    Ok(format!("{}/instances", compute_path(logins)?))
}

const LOGIN: &str = "/v1/auth/login";

fn organization_path(logins: &Logins) -> Result<String> {
    Ok(format!(
        "/v1/organizations/{}",
        logins.customer("organization_id")?
    ))
}

pub(crate) fn compute_path(logins: &Logins) -> Result<String> {
    Ok(format!(
        "{}/projects/{}/compute",
        organization_path(logins)?,
        logins.customer("project_id")?
    ))
}

/// The second customer logs in without a word: they are there for whoever wants to try what strangers can see.
fn log_in_stranger(client: &Client, logins: &Logins) -> Result<String> {
    let credentials = json!({"email": logins.stranger("email")?, "password": logins.stranger("password")?});
    let session = client
        .call("POST", LOGIN, Some(&credentials))?
        .expect(200)
        .context("the stranger can't log in")?;
    Ok(text(&session, "access")?.to_owned())
}

fn other_vpc<'a>(instance: &Value, vpcs: &'a [Value]) -> Result<&'a str> {
    let (present, location) = (text(instance, "vpc.id")?, text(instance, "location.id")?);
    let fits = |vpc: &&Value| {
        let at = |path| field(vpc, path).and_then(Value::as_str);
        at("id") != Some(present) && at("location.id") == Some(location)
    };
    let vpc = vpcs
        .iter()
        .find(fits)
        .context("the demo data has no second VPC in the instance's location")?;
    text(vpc, "id")
}

/// The body of the change: four new values, and what must stay as it is.
fn changed(instance: &Value, vpc: &str) -> Result<Value> {
    Ok(json!({
        "name": format!("{} (renamed)", text(instance, "name")?),
        "hostname": "renamed.example.net",
        "os_name": text(instance, "os_name")?,
        "size_id": text(instance, "size.id")?,
        "location_id": text(instance, "location.id")?,
        "image_id": text(instance, "image.id")?,
        "vpc_id": vpc,
        "tags": {"environment": "demo", "team": "storefront"},
    }))
}

fn check_change(wanted: &Value, instance: &Value) -> Result<()> {
    for (sent, seen) in [
        ("name", "name"),
        ("hostname", "hostname"),
        ("tags", "tags"),
        ("vpc_id", "vpc.id"),
    ] {
        let found = field(instance, seen).unwrap_or(&Value::Null);
        ensure!(
            *found == wanted[sent],
            "`{seen}` is {found}, not {}",
            wanted[sent]
        );
    }
    Ok(())
}

/// Shows the answer that ends the waiting, not those before it.
fn wait_for_tasks(client: &Client, logins: &Logins, screen: Screen) -> Result<()> {
    let path = format!(
        "{}/tasks?instance_id={}",
        compute_path(logins)?,
        logins.customer("instance_id")?
    );
    screen.sent("GET", &path, None);
    let begun = Instant::now();
    loop {
        interrupt::check()?;
        let reply = client.call("GET", &path, None)?;
        let (status, reason, took) = (reply.status, reply.reason, reply.took);
        let page = reply.expect(200)?;
        let tasks = results(&page)?;
        let newest = tasks.first().context("the change has made no task")?;
        let finished = tasks
            .iter()
            .all(|task| !matches!(task["status"].as_str(), Some("pending" | "running")));
        let late = begun.elapsed() > TASK_LIMIT;
        if finished || late {
            screen.received(status, reason, took);
            screen.rows(tasks, &["task_type", "status", "completed_at"]);
            ensure!(
                !late,
                "the tasks of the instance are not finished after {} s",
                TASK_LIMIT.as_secs()
            );
            ensure!(
                newest["status"] == "completed",
                "the newest task has ended as {}",
                newest["status"]
            );
            screen.aside(&format!(
                "      finished {:.1} s after it was first asked for",
                begun.elapsed().as_secs_f64()
            ));
            return Ok(());
        }
        thread::sleep(TASK_POLL);
    }
}

fn show_audit(client: &Client, logins: &Logins, screen: Screen) -> Result<()> {
    let id = logins.customer("instance_id")?;
    let path = format!("{}/audit-logs?resource_id={id}", organization_path(logins)?);
    let page = client.show(screen, "GET", &path, None)?.expect(200)?;
    // Newest first. What workers did since then is recorded as well; the change is what the customer did.
    let ours =
        |record: &&Value| record["resource_id"] == id && field(record, "actor.type") == Some(&json!("user"));
    let record = results(&page)?
        .iter()
        .find(ours)
        .context("the audit log has no record of the change")?;
    screen.fields(
        record,
        &[
            "action",
            "status",
            "actor.name",
            "resource_name",
            "ip_address",
            "created",
        ],
    );
    for (name, change) in record["changes"].as_object().into_iter().flatten() {
        screen.line(&format!("      {name}: {change}"));
    }
    Ok(())
}

fn other_size(client: &Client, logins: &Logins, instance: &Value) -> Result<String> {
    let page = client
        .call("GET", &format!("{}/sizes", compute_path(logins)?), None)?
        .expect(200)?;
    let own = text(instance, "size.id")?;
    let mut ids = results(&page)?.iter().filter_map(|size| size["id"].as_str());
    Ok(ids
        .find(|id| *id != own)
        .context("the demo data has no second size")?
        .to_owned())
}

fn check_refusal(body: &Value) -> Result<()> {
    if body.get("size_id").is_none() {
        bail!("the refusal does not name `size_id`: {body}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> Value {
        json!({
            "name": "web", "hostname": "web.example.net", "os_name": "Debian", "tags": {},
            "size": {"id": "s"}, "location": {"id": "l"}, "image": {"id": "i"}, "vpc": {"id": "v1"},
        })
    }

    #[test]
    fn the_other_network_is_in_the_same_location() {
        let vpc = |id: &str, location: &str| json!({"id": id, "location": {"id": location}});
        let vpcs = [vpc("v1", "l"), vpc("v2", "elsewhere"), vpc("v3", "l")];
        assert_eq!(other_vpc(&instance(), &vpcs).unwrap(), "v3");
        assert!(other_vpc(&instance(), &vpcs[..2]).is_err());
    }

    #[test]
    fn a_change_that_is_missing_is_named() {
        let wanted = changed(&instance(), "v3").unwrap();
        assert_eq!(
            (&wanted["size_id"], &wanted["vpc_id"]),
            (&json!("s"), &json!("v3"))
        );
        let mut now = instance();
        for key in ["name", "hostname", "tags"] {
            now[key] = wanted[key].clone();
        }
        let error = check_change(&wanted, &now).unwrap_err().to_string();
        assert!(error.contains("`vpc.id` is \"v1\", not \"v3\""), "{error}");
        now["vpc"]["id"] = "v3".into();
        check_change(&wanted, &now).unwrap();
    }
}
