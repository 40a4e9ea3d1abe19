//! Keeps what an exchange trusts up to date while it runs: reloads its files and renews a development revocation list.
//!
//! Together with the recheck of live connections this bounds how long a revoked certificate still works: 5 s.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use crate::identity::{
    development::DevelopmentAuthority,
    fault::Fault,
    trust::{Reload, Trust},
};

/// How often the files are looked at; leaves more than half of the 5 s to the rechecks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The upkeep of one exchange's trust.
#[derive(Debug)]
pub struct Upkeep {
    trust: Arc<Trust>,
    authority: Option<DevelopmentAuthority>,
    // What was said last, so that a fault that stays is not said every two seconds.
    said: Option<Fault>,
}

impl Upkeep {
    /// Looks after `trust`, and after the revocation list of `authority` if the exchange runs on a development one.
    pub const fn new(trust: Arc<Trust>, authority: Option<DevelopmentAuthority>) -> Self {
        Self { trust, authority, said: None }
    }

    /// Runs until it is dropped. A fault is logged and tried again: meanwhile everything stays as it was, and once the
    /// revocation list runs out no certificate is let in.
    pub async fn run(mut self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let found = self.look();
            self.say(found);
        }
    }

    /// One look: renews the list if it is due, then reloads what changed.
    ///
    /// # Errors
    /// A file that cannot be read, written or understood. The reload is tried even if the renewal fails.
    pub fn look(&self) -> Result<Reload, Fault> {
        let renewed = self.authority.as_ref().map_or(Ok(()), |authority| {
            authority.keep_revocation_list_current(self.trust.time().now()).map(|_| ())
        });
        let reloaded = self.trust.reload()?;
        renewed.map(|()| reloaded)
    }

    fn say(&mut self, found: Result<Reload, Fault>) {
        match found {
            Ok(Reload::Changed) => tracing::info!("certificates or revocation lists reloaded"),
            Ok(Reload::Unchanged) => {}
            Err(fault) if self.said.as_ref() == Some(&fault) => return,
            Err(fault) => {
                tracing::error!(%fault, "certificates and revocation lists stay as they were");
                self.said = Some(fault);
                return;
            }
        }
        if self.said.take().is_some() {
            tracing::info!("certificates and revocation lists load again");
        }
    }
}
