//! Why a console session ends, and what its client is told.

use axum::extract::ws::{CloseFrame, close_code};
use kernel::words;

use super::api::ConsoleStatus;

words! {
    /// Why a session ended
    pub(crate) enum Ending {
        /// Its client went away.
        Left = "left",
        /// Somebody closed it.
        Closed = "closed",
        /// Its time is over.
        Expired = "expired",
        /// Nothing was said for too long.
        Idle = "idle",
        /// Whoever opened it may not look any more.
        Rights = "rights",
        /// The machine does not run any more.
        Machine = "machine",
        /// Another session took the serial line.
        TakenOver = "taken_over",
        /// The node that serves it stops.
        Stopping = "stopping",
        /// The client sent what is none of its business.
        Refused = "refused",
        /// The client does not take what it is sent, or does not answer.
        Stalled = "stalled",
        /// The host, or the database, can't be reached.
        Failed = "failed",
    }
}

impl Ending {
    /// The status that the session has from then on.
    pub(super) const fn status(self) -> ConsoleStatus {
        match self {
            Self::Expired => ConsoleStatus::Expired,
            _ => ConsoleStatus::Closed,
        }
    }

    /// For humans: the client's close reason (at most 123 bytes, RFC 6455) and the audit record.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Left => "The client left.",
            Self::Closed => "The session was closed.",
            Self::Expired => "The session's time is over.",
            Self::Idle => "Nothing happened for too long.",
            Self::Rights => "You may not use this console any more.",
            Self::Machine => "The machine stopped, or was started anew.",
            Self::TakenOver => "Another session uses the serial line now.",
            Self::Stopping => "The server restarts.",
            Self::Refused => "The message was refused.",
            Self::Stalled => "The client does not answer.",
            Self::Failed => "The machine can't be reached.",
        }
    }

    /// The close frame. Codes from 4000 on are ours: `docs/consoles.md` lists them.
    pub(super) fn frame(self) -> CloseFrame {
        let code = match self {
            Self::Left => close_code::NORMAL,
            Self::Stopping => close_code::AWAY,
            Self::Refused => close_code::SIZE,
            Self::Failed => close_code::ERROR,
            Self::Closed => 4000,
            Self::Rights => 4003,
            Self::Expired | Self::Idle | Self::Stalled => 4008,
            Self::TakenOver => 4009,
            Self::Machine => 4010,
        };
        CloseFrame {
            code,
            reason: self.text().into(),
        }
    }
}
