//! Where the verification of certificates takes the time from: a function passed in, never the machine's clock directly.

use std::{fmt, sync::Arc, time::Duration};

use rustls::{pki_types::UnixTime, time_provider::TimeProvider};

use crate::model::order::UnixMillis;

/// A source of the present time, shared by every connection of one exchange or channel.
#[derive(Clone)]
pub struct TimeSource(Arc<dyn Fn() -> UnixMillis + Send + Sync>);

impl TimeSource {
    /// Takes the time from `now`, which is asked anew for each handshake and each recheck.
    pub fn new(now: impl Fn() -> UnixMillis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// A time that stands still.
    pub fn fixed(at: UnixMillis) -> Self {
        Self::new(move || at)
    }

    /// The present time.
    pub fn now(&self) -> UnixMillis {
        (self.0)()
    }
}

impl fmt::Debug for TimeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimeSource({})", self.now())
    }
}

impl TimeProvider for TimeSource {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.now()))
    }
}

/// The same instant, in the type that certificate verification takes.
pub(crate) fn unix_time(at: UnixMillis) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(at.millis()))
}
