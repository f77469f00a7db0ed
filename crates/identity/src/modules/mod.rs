//! Modules: product areas that an organization has switched on or off.
//!
//! What a module is off for answers 403, decided in one place: `kernel::access` compares the area of an operation's
//! scope with [`Module::closed`], which comes with the query that finds caller and membership.

mod api;
mod list;
mod rows;
mod switch;

use kernel::json::JsonText;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{projects::ResourceCounts, state::Area};

kernel::words! {
    /// A product area.
    #[derive(PartialOrd, Ord)]
    pub enum Module {
        /// Compute
        Compute = "compute",
        /// Domains
        Domains = "domains",
        /// Web hosting
        WebHosting = "web_hosting",
    }
}

kernel::permissions! {
    /// See which modules are switched on.
    ModulesRead = "organizations.modules.read", Viewer, "organizations:read";
    /// Switch modules on and off.
    ModulesUpdate = "organizations.modules.update", Owner, "organizations:write";
}

pub(crate) fn routes() -> OpenApiRouter<Area> {
    OpenApiRouter::new()
        .routes(routes!(list::list_organization_modules))
        .routes(routes!(switch::enable_organization_module))
        .routes(routes!(switch::disable_organization_module))
}

impl Module {
    /// The areas of scopes (`compute` of `compute:write`) whose operations belong to the module.
    const fn areas(self) -> &'static [&'static str] {
        match self {
            Self::Compute => &["compute"],
            Self::Domains => &["domains", "dns"],
            Self::WebHosting => &["web_hosting"],
        }
    }

    /// The modules of `organizations.modules`; a list that can't be read has none.
    pub(crate) fn read(modules: &JsonText) -> Vec<Self> {
        let words: Vec<&str> = modules.read().unwrap_or_default();
        words.into_iter().filter_map(Self::from_word).collect()
    }

    /// `organizations.modules` for these modules: in the documented order, each once.
    pub(crate) fn write(modules: &[Self]) -> JsonText {
        let ordered = Self::ALL.iter().filter(|module| modules.contains(module));
        JsonText::of(&ordered.map(|module| module.as_str()).collect::<Vec<_>>())
    }

    /// The areas that are closed for an organization with these modules.
    pub(crate) fn closed(modules: &JsonText) -> Vec<&'static str> {
        let open = Self::read(modules);
        let off = Self::ALL.iter().filter(|module| !open.contains(module));
        off.flat_map(|module| module.areas()).copied().collect()
    }

    /// How many of these resources are the module's.
    pub(crate) const fn share(self, counts: &ResourceCounts) -> i64 {
        let ResourceCounts {
            instances,
            volumes,
            snapshots,
            vpcs,
            firewalls,
            uptime_monitors,
            domains,
            dns_zones,
            hosting_accounts,
        } = *counts;
        match self {
            Self::Compute => instances + volumes + snapshots + vpcs + firewalls + uptime_monitors,
            Self::Domains => domains + dns_zones,
            Self::WebHosting => hosting_accounts,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Compute => "Compute",
            Self::Domains => "Domains",
            Self::WebHosting => "Web hosting",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::Compute => "Instances, networks and what belongs to them.",
            Self::Domains => "Domain names and DNS zones.",
            Self::WebHosting => "Hosting accounts.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_modules_that_are_off_are_closed() {
        assert_eq!(
            Module::closed(&JsonText::of(&["compute"])),
            ["domains", "dns", "web_hosting"]
        );
        assert!(Module::closed(&Module::write(Module::ALL)).is_empty());
        assert_eq!(Module::closed(&JsonText::of("nonsense")).len(), 4);
    }

    #[test]
    fn modules_are_written_in_order_and_once() {
        let twice = [Module::WebHosting, Module::Compute, Module::Compute];
        assert_eq!(Module::write(&twice), JsonText::of(&["compute", "web_hosting"]));
    }
}
