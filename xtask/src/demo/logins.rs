//! Who may log in to the demo: what `onetd demo` printed, completed by what only a running server can give.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// The key of the second customer, who has an organization of their own and nothing to do with the first.
const STRANGER: &str = "stranger";

/// Two customers with their ids, keys and tokens.
#[derive(Debug)]
pub(crate) struct Logins {
    customer: Map<String, Value>,
    stranger: Map<String, Value>,
}

impl Logins {
    /// Reads the object that `onetd demo` prints.
    pub(crate) fn parse(printed: &str) -> Result<Self> {
        let mut customer: Map<String, Value> =
            serde_json::from_str(printed.trim()).context("`onetd demo` did not print one JSON object")?;
        let Some(Value::Object(stranger)) = customer.remove(STRANGER) else {
            anyhow::bail!("`onetd demo` printed no object `{STRANGER}`");
        };
        let logins = Self { customer, stranger };
        for key in [
            "email",
            "password",
            "api_key",
            "organization_id",
            "project_id",
            "instance_id",
        ] {
            logins.customer(key)?;
            logins.stranger(key)?;
        }
        Ok(logins)
    }

    /// One of the customer's fields.
    pub(crate) fn customer(&self, key: &str) -> Result<&str> {
        text(&self.customer, key).with_context(|| format!("`onetd demo` printed no `{key}`"))
    }

    /// One of the stranger's fields.
    pub(crate) fn stranger(&self, key: &str) -> Result<&str> {
        text(&self.stranger, key).with_context(|| format!("`onetd demo` printed no `{STRANGER}.{key}`"))
    }

    /// Adds what the running server gave.
    pub(crate) fn complete(&mut self, base_url: &str, customer_token: String, stranger_token: String) {
        for (login, token) in [
            (&mut self.customer, customer_token),
            (&mut self.stranger, stranger_token),
        ] {
            login.insert("base_url".to_owned(), base_url.into());
            login.insert("access_token".to_owned(), token.into());
        }
    }

    /// Writes everything to a file that only its owner may read. The file appears whole: programs that wait for it
    /// may read it at once.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let mut all = self.customer.clone();
        all.insert(STRANGER.to_owned(), Value::Object(self.stranger.clone()));
        let text = format!("{:#}\n", Value::Object(all));
        let unfinished = path.with_extension("json.new");
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&unfinished, path)
        };
        write().with_context(|| format!("can't write {}", path.display()))
    }
}

fn text<'a>(login: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    login.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    fn printed() -> Value {
        let login = json!({
            "email": "a@example.org", "password": "p", "api_key": "k",
            "organization_id": "o", "project_id": "p", "instance_id": "i",
        });
        let mut printed = login.clone();
        printed["stranger"] = login;
        printed
    }

    #[test]
    fn a_missing_field_is_named() {
        let mut printed = printed();
        printed["stranger"]["api_key"].take();
        let error = Logins::parse(&printed.to_string()).unwrap_err().to_string();
        assert!(error.contains("stranger.api_key"), "{error}");
        assert!(Logins::parse("loading…").is_err());
    }

    #[test]
    fn the_file_is_whole_and_private() {
        let path = std::env::temp_dir().join(format!("onet-xtask-logins-{}.json", std::process::id()));
        let mut logins = Logins::parse(&printed().to_string()).unwrap();
        logins.complete("http://127.0.0.1:1", "one".to_owned(), "two".to_owned());
        logins.save(&path).unwrap();
        let saved: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::remove_file(&path).unwrap();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            (&saved["access_token"], &saved["stranger"]["access_token"]),
            (&json!("one"), &json!("two"))
        );
        assert_eq!(
            (&saved["base_url"], &saved["instance_id"]),
            (&json!("http://127.0.0.1:1"), &json!("i"))
        );
    }
}
