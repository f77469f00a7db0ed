//! The consoles that this node serves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::api::SessionId;

/// How long the last words to clients may take when the node stops.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The open consoles of this node. Clones share them.
#[derive(Clone, Debug)]
pub struct Consoles(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Arc<Semaphore>,
    most: u32,
    bells: Mutex<HashMap<SessionId, Arc<Notify>>>,
}

/// A place that a console holds as long as it is open.
#[derive(Debug)]
pub(super) struct Place {
    consoles: Consoles,
    id: SessionId,
    bell: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

impl Consoles {
    /// At most so many at once.
    pub fn new(most: usize) -> Self {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        Self(Arc::new(Inner {
            places: Arc::new(Semaphore::new(most as usize)),
            most,
            bells: Mutex::default(),
        }))
    }

    fn bells(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Notify>>> {
        self.0.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more, if there is one left.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.places).try_acquire_owned().ok()
    }

    /// Gives a place to a session whose token was used: from now on it can be rung.
    pub(super) fn enter(&self, id: SessionId, permit: OwnedSemaphorePermit) -> Place {
        let bell = Arc::new(Notify::new());
        self.bells().insert(id, Arc::clone(&bell));
        Place {
            consoles: self.clone(),
            id,
            bell,
            _permit: permit,
        }
    }

    /// Tells a session, if this node serves it, to look now whether it may go on.
    pub(super) fn ring(&self, id: SessionId) {
        if let Some(bell) = self.bells().get(&id) {
            bell.notify_one();
        }
    }

    /// Ends all, once the node has said that it stops, and waits a moment for their last words.
    pub async fn end_all(&self) {
        for bell in self.bells().values() {
            bell.notify_one();
        }
        let all = self.0.places.acquire_many(self.0.most);
        if tokio::time::timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("some consoles were still open when the server stopped");
        }
    }
}

impl Place {
    /// Waits until somebody rings.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.consoles.bells().remove(&self.id);
    }
}
