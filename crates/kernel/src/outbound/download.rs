//! Files that customers name: streamed to a place of ours, bounded in size and time.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Call, Outbound, OutboundError, explain};

/// A file to be fetched.
#[derive(Clone, Debug)]
pub struct Download {
    /// An absolute https:// address (http:// where the settings allow it).
    pub url: String,
    /// How large the file may be, bytes.
    pub most_bytes: u64,
    /// Time for all of it.
    pub time: Duration,
}

/// Why a file could not be fetched. The words are for customers, but for those of [`DownloadError::Disk`].
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// There is no answer, or it ended early.
    #[error("{0}")]
    NoAnswer(#[from] OutboundError),
    /// The answer is no file.
    #[error("The server answered with status {0} instead of the file.")]
    Status(StatusCode),
    /// It has more bytes than are taken.
    #[error("The file is too large: {} MiB are taken.", .0 >> 20)]
    TooLarge(u64),
    /// It could not be written here.
    #[error("the file could not be written: {0}")]
    Disk(std::io::Error),
}

impl DownloadError {
    /// Whether another try may succeed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NoAnswer(error) => matches!(
                error,
                OutboundError::Unresolved
                    | OutboundError::Unreachable
                    | OutboundError::TimedOut
                    | OutboundError::Broken
                    | OutboundError::Unavailable
            ),
            Self::Status(status) => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge(_) => false,
            Self::Disk(_) => true,
        }
    }
}

impl Outbound {
    /// Fetches a file into `to` with the same guard as [`Outbound::send`], following redirects. `arrived` is told
    /// of every piece: the bytes so far, and how many there will be if the server has said so.
    ///
    /// # Errors
    /// It could not be fetched whole. What has been written until then is left to the caller.
    pub async fn download<W: AsyncWrite + Unpin>(
        &self,
        wanted: Download,
        to: &mut W,
        arrived: impl Fn(u64, Option<u64>),
    ) -> Result<u64, DownloadError> {
        let limit = wanted.time;
        tokio::time::timeout(limit, self.fetch(wanted, to, arrived))
            .await
            .unwrap_or(Err(DownloadError::NoAnswer(OutboundError::TimedOut)))
    }

    async fn fetch<W: AsyncWrite + Unpin>(
        &self,
        wanted: Download,
        to: &mut W,
        arrived: impl Fn(u64, Option<u64>),
    ) -> Result<u64, DownloadError> {
        let Download {
            url,
            most_bytes,
            time,
        } = wanted;
        let call = Call {
            redirects: super::MOST_REDIRECTS,
            time,
            ..Call::new(Method::GET, url)
        };
        let mut response = self.follow(call).await?;
        if response.status() != StatusCode::OK {
            return Err(DownloadError::Status(response.status()));
        }
        let announced = response.content_length();
        if announced.is_some_and(|length| length > most_bytes) {
            return Err(DownloadError::TooLarge(most_bytes));
        }
        let mut size = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
            size += chunk.len() as u64;
            if size > most_bytes {
                return Err(DownloadError::TooLarge(most_bytes));
            }
            to.write_all(&chunk).await.map_err(DownloadError::Disk)?;
            arrived(size, announced);
        }
        to.flush().await.map_err(DownloadError::Disk)?;
        Ok(size)
    }
}
