//! Why a machine could not be made to do what was asked.

use std::{borrow::Cow, error::Error, fmt};

/// A failure of the hypervisor: whether trying again can help, what a customer may read, and what an operator must know.
#[derive(Debug)]
pub struct HypervisorError {
    passing: bool,
    public: Cow<'static, str>,
    operator: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What every call of a driver returns.
pub type Result<T, E = HypervisorError> = std::result::Result<T, E>;

impl HypervisorError {
    /// A failure that may be over later: a host under load, a guest that did not react, a full disk.
    pub fn passing(public: impl Into<Cow<'static, str>>, operator: impl Into<String>) -> Self {
        Self {
            passing: true,
            public: public.into(),
            operator: operator.into(),
            source: None,
        }
    }

    /// A failure that the same call will always meet: a disk that would have to shrink, an image that is refused.
    pub fn last(public: impl Into<Cow<'static, str>>, operator: impl Into<String>) -> Self {
        Self {
            passing: false,
            ..Self::passing(public, operator)
        }
    }

    /// The host failed at `what`, which says nothing to a customer.
    pub(crate) fn host(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::passing("The host could not carry this out.", what).because(source)
    }

    /// The call needs a machine that is powered off.
    pub(crate) fn must_be_stopped(what: &str) -> Self {
        Self::last(
            "The instance must be stopped first.",
            format!("{what} was asked of a running machine"),
        )
    }

    /// The call needs a machine that runs.
    pub(crate) fn must_run(what: &str) -> Self {
        Self::last(
            "The instance must be running.",
            format!("{what} was asked of a machine that is powered off"),
        )
    }

    /// Adds what lies below.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the same call may succeed later.
    pub fn is_passing(&self) -> bool {
        self.passing
    }

    /// What a customer may read. It names nothing of the host.
    pub fn public(&self) -> &str {
        &self.public
    }
}

/// The operator's text: the log's, never an answer's.
impl fmt::Display for HypervisorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.operator)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for HypervisorError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().and_then(|source| source.source())
    }
}
