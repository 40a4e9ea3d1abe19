//! Rates: how many calls one caller may make, so that no agency stops another (G12).
//!
//! Every agency and the operator have a bucket of their own; all callers whom nobody knows share one. A stream counts as
//! one call: its flow control bounds what it carries.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use crate::{machine::state::agency::AgencyNumber, service::caller::Caller};

/// How many calls one caller may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls in a second, over time.
    pub calls_per_second: NonZeroU32,
    /// Calls at once, after a pause.
    pub burst_calls: NonZeroU32,
}

impl Default for Rate {
    /// 2,000 calls a second, 4,000 at once.
    fn default() -> Self {
        let thousand = NonZeroU32::MIN.saturating_add(999);
        let two = NonZeroU32::MIN.saturating_add(1);
        let calls_per_second = thousand.saturating_mul(two);
        Self { calls_per_second, burst_calls: calls_per_second.saturating_mul(two) }
    }
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Nobody,
    Operator,
    Agency(AgencyNumber),
}

/// The buckets of all callers.
#[derive(Debug)]
pub struct Rates {
    rate: Rate,
    clock: DefaultClock,
    // As many as there are agencies, at most. Held for a look-up only.
    buckets: Mutex<BTreeMap<Holder, Arc<DefaultDirectRateLimiter>>>,
}

impl Rates {
    /// Full buckets.
    pub fn new(rate: Rate) -> Self {
        Self { rate, clock: DefaultClock::default(), buckets: Mutex::default() }
    }

    /// Takes one call from the caller's bucket.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub fn take(&self, caller: &Caller) -> Result<(), Duration> {
        let holder = match caller {
            Caller::None | Caller::Unregistered { .. } => Holder::Nobody,
            Caller::Operator { .. } => Holder::Operator,
            Caller::Agency { number, .. } => Holder::Agency(*number),
        };
        let bucket = {
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(buckets.entry(holder).or_insert_with(|| {
                let quota = Quota::per_second(self.rate.calls_per_second);
                Arc::new(RateLimiter::direct(quota.allow_burst(self.rate.burst_calls)))
            }))
        };
        bucket.check().map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;

    #[test]
    fn one_caller_that_calls_too_often_does_not_stop_another() {
        let one = NonZeroU32::MIN;
        let rates = Rates::new(Rate { calls_per_second: one, burst_calls: one });
        let fingerprint = Digest::from_bytes([1; 32]);
        let flood =
            Caller::Agency { number: AgencyNumber::MIN, id: "flood".parse().unwrap(), fingerprint };
        let calm =
            Caller::Agency { number: AgencyNumber::MAX, id: "calm".parse().unwrap(), fingerprint };
        assert_eq!(rates.take(&flood), Ok(()));
        let wait = rates.take(&flood).unwrap_err();
        assert!(Duration::ZERO < wait && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(rates.take(&calm), Ok(()));
    }
}
