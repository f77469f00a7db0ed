//! What a `User-Agent` tells about the device behind a request, for people: never for a decision.

use woothee::parser::Parser;

/// Beginnings of what programs call themselves.
const PROGRAMS: [&str; 12] = [
    "curl/",
    "wget/",
    "onet/",
    "python",
    "go-http-client",
    "okhttp",
    "java/",
    "node",
    "axios",
    "terraform",
    "postmanruntime",
    "httpie",
];

kernel::words! {
    /// Kind of device
    pub enum DeviceType {
        /// Desktop
        Desktop = "desktop",
        /// Mobile
        Mobile = "mobile",
        /// Tablet
        Tablet = "tablet",
        /// Cli
        Cli = "cli",
        /// Unknown
        Unknown = "unknown",
    }
}

/// A device, as far as it can be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) device_type: DeviceType,
    /// Name and major version, or the program's name; empty if unknown.
    pub(crate) browser: String,
    /// Empty if unknown.
    pub(crate) operating_system: String,
}

impl Device {
    /// Reads a `User-Agent`.
    pub(crate) fn of(user_agent: &str) -> Self {
        let lower = user_agent.to_ascii_lowercase();
        if PROGRAMS.iter().any(|program| lower.starts_with(program)) {
            let name: String = user_agent
                .split(|letter: char| letter == '/' || letter.is_whitespace())
                .next()
                .unwrap_or_default()
                .chars()
                .take(100)
                .collect();
            return Self {
                device_type: DeviceType::Cli,
                browser: name,
                operating_system: String::new(),
            };
        }
        let Some(found) = Parser::new().parse(user_agent) else {
            return Self {
                device_type: DeviceType::Unknown,
                browser: String::new(),
                operating_system: String::new(),
            };
        };
        let known = |text: &str| {
            if text == "UNKNOWN" {
                String::new()
            } else {
                text.to_owned()
            }
        };
        let is_tablet = lower.contains("ipad")
            || lower.contains("tablet")
            || (lower.contains("android") && !lower.contains("mobile"));
        let device_type = match found.category {
            _ if is_tablet => DeviceType::Tablet,
            "pc" => DeviceType::Desktop,
            "smartphone" | "mobilephone" => DeviceType::Mobile,
            _ => DeviceType::Unknown,
        };
        let major = found.version.split('.').next().unwrap_or_default();
        let browser = format!("{} {}", known(found.name), known(major))
            .trim()
            .to_owned();
        Self {
            device_type,
            browser,
            operating_system: known(found.os),
        }
    }

    /// `Firefox 132, Linux`, or a dash.
    pub(crate) fn spoken(&self) -> String {
        let parts: Vec<&str> = [self.browser.as_str(), self.operating_system.as_str()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        if parts.is_empty() {
            "—".to_owned()
        } else {
            parts.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_devices_are_told_apart() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";
        let firefox = Device::of(firefox);
        assert_eq!(
            (firefox.device_type, firefox.browser.as_str()),
            (DeviceType::Desktop, "Firefox 132")
        );
        assert_eq!(firefox.spoken(), "Firefox 132, Linux");
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1";
        assert_eq!(Device::of(iphone).device_type, DeviceType::Mobile);
        let ipad = "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                    Version/16.0 Mobile/15E148 Safari/604.1";
        assert_eq!(Device::of(ipad).device_type, DeviceType::Tablet);
        let curl = Device::of("curl/8.5.0");
        assert_eq!(
            (curl.device_type, curl.browser.as_str()),
            (DeviceType::Cli, "curl")
        );
        assert_eq!(Device::of("").spoken(), "—");
        Device::of(&"é".repeat(10_000));
    }
}
