//! The requests of the storms, made from what the API itself lists.

use std::{io::Write, net::SocketAddr, rc::Rc};

use anyhow::{Result, bail};
use rand::RngExt;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{client::Connection, onetd::Facts};

/// Projects and instances of the owner.
#[derive(Debug)]
pub(crate) struct Tenant {
    facts: Facts,
    pub(crate) projects: Vec<String>,
    /// Those that can be changed.
    pub(crate) instances: Vec<Instance>,
}

/// What a PUT needs to know of an instance.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: String,
    /// Index of the project.
    project: usize,
    /// The body of a PUT that changes nothing, behind the name.
    rest: Rc<str>,
}

#[derive(Deserialize)]
struct Page<T> {
    next: Option<String>,
    results: Vec<T>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    status: String,
    os_name: String,
    size: Named,
    location: Named,
    image: Named,
}

impl Tenant {
    /// Reads all projects and, if `with_instances`, all instances over the API.
    pub(crate) async fn read(address: SocketAddr, facts: &Facts, with_instances: bool) -> Result<Self> {
        let mut connection = Connection::open(address).await?;
        let mut tenant = Self {
            facts: facts.clone(),
            projects: Vec::new(),
            instances: Vec::new(),
        };
        let path = format!("/v1/organizations/{}/projects", facts.organization_id);
        let projects: Vec<Named> = serde_json::from_slice(tenant.read_path(&mut connection, &path).await?)?;
        tenant.projects = projects.into_iter().map(|project| project.id).collect();
        if with_instances {
            let mut bodies = std::collections::HashMap::new();
            for project in 0..tenant.projects.len() {
                let path = tenant.instances_path(project);
                let listed: Vec<Listed> = tenant.pages(&mut connection, &path).await?;
                for instance in listed {
                    if matches!(instance.status.as_str(), "cancelled" | "terminated") {
                        continue;
                    }
                    let rest = format!(
                        r#"","size_id":"{}","location_id":"{}","image_id":"{}","os_name":"{}"}}"#,
                        instance.size.id, instance.location.id, instance.image.id, instance.os_name
                    );
                    let rest = bodies
                        .entry(rest)
                        .or_insert_with_key(|rest| Rc::from(rest.as_str()));
                    tenant.instances.push(Instance {
                        id: instance.id,
                        project,
                        rest: Rc::clone(rest),
                    });
                }
            }
        }
        Ok(tenant)
    }

    async fn pages<T: DeserializeOwned>(&self, connection: &mut Connection, path: &str) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for number in 1.. {
            let path = format!("{path}?page_size=100&page={number}");
            let page: Page<T> = serde_json::from_slice(self.read_path(connection, &path).await?)?;
            all.extend(page.results);
            if page.next.is_none() {
                break;
            }
        }
        Ok(all)
    }

    async fn read_path<'c>(&self, connection: &'c mut Connection, path: &str) -> Result<&'c [u8]> {
        let mut request = Vec::new();
        self.head(&mut request, "GET", path);
        request.extend_from_slice(b"\r\n");
        let status = connection.send(&request).await?;
        if status != 200 {
            bail!("{path}: {status}: {}", String::from_utf8_lossy(connection.body()));
        }
        Ok(connection.body())
    }

    fn instances_path(&self, project: usize) -> String {
        let organization = &self.facts.organization_id;
        format!(
            "/v1/organizations/{organization}/projects/{}/compute/instances",
            self.projects[project]
        )
    }

    fn head(&self, request: &mut Vec<u8>, method: &str, path: &str) {
        let key = &self.facts.api_key;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nAccept: */*\r\n"
        );
        request.extend_from_slice(head.as_bytes());
    }

    /// A random instance.
    pub(crate) fn any(&self) -> &Instance {
        &self.instances[rand::rng().random_range(0..self.instances.len())]
    }

    /// The id of an instance's project.
    pub(crate) fn project_of(&self, instance: &Instance) -> &str {
        &self.projects[instance.project]
    }

    /// Writes a GET of an instance.
    pub(crate) fn get(&self, request: &mut Vec<u8>, instance: &Instance) {
        self.head(
            request,
            "GET",
            &format!("{}/{}", self.instances_path(instance.project), instance.id),
        );
        request.extend_from_slice(b"\r\n");
    }

    /// Writes a PUT that gives an instance the name.
    pub(crate) fn put(&self, request: &mut Vec<u8>, instance: &Instance, name: &str) {
        self.head(
            request,
            "PUT",
            &format!("{}/{}", self.instances_path(instance.project), instance.id),
        );
        let body = format!("{{\"name\":\"{name}{}", instance.rest);
        let length = body.len();
        // Writing into memory does not fail.
        let _ = write!(
            request,
            "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
    }

    /// Writes a GET of the first hundred instances of a random project.
    pub(crate) fn list(&self, request: &mut Vec<u8>) {
        let project = rand::rng().random_range(0..self.projects.len());
        self.head(
            request,
            "GET",
            &format!("{}?page_size=100", self.instances_path(project)),
        );
        request.extend_from_slice(b"\r\n");
    }

    /// Keeps the instances of one image.
    pub(crate) fn keep_of_image(&mut self, image: &str) {
        self.instances.retain(|instance| instance.rest.contains(image));
    }

    /// Writes a request with a body about what `rest` names below the first project's `compute`.
    pub(crate) fn post(&self, request: &mut Vec<u8>, rest: &str, body: &str) {
        self.head(request, "POST", &format!("{}{rest}", self.compute()));
        let length = body.len();
        let _ = write!(
            request,
            "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
    }

    /// Writes a DELETE of what `rest` names below the first project's `compute`.
    pub(crate) fn delete(&self, request: &mut Vec<u8>, rest: &str) {
        self.head(request, "DELETE", &format!("{}{rest}", self.compute()));
        request.extend_from_slice(b"\r\n");
    }

    /// Reads what `rest` names below the first project's `compute`.
    pub(crate) async fn read_compute<T: DeserializeOwned>(
        &self,
        connection: &mut Connection,
        rest: &str,
    ) -> Result<T> {
        let path = format!("{}{rest}", self.compute());
        Ok(serde_json::from_slice(self.read_path(connection, &path).await?)?)
    }

    fn compute(&self) -> String {
        let path = self.instances_path(0);
        path.trim_end_matches("/instances").to_owned()
    }

    /// Writes a login with the owner's password.
    pub(crate) fn login(&self, request: &mut Vec<u8>) {
        let body =
            serde_json::json!({ "email": self.facts.email, "password": self.facts.password }).to_string();
        let length = body.len();
        let _ = write!(
            request,
            "POST /v1/auth/login HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
    }
}
