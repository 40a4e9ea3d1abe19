//! Times as the API shows them: to the millisecond, in UTC.

use prost_types::Timestamp;

use crate::{
    model::{order::UnixMillis, violation::Violation},
    node::Node,
};

const NANOS_PER_MILLI: i32 = 1_000_000;

/// The time by which what is shown stands: never before the ledger's, and the ledger's if the clock is in doubt.
pub fn shown_at(node: &Node) -> UnixMillis {
    let admitted_at = node.read(|state| state.chain().admitted_at);
    node.now().map_or(admitted_at, |now| now.max(admitted_at))
}

/// The instant as a protobuf timestamp.
pub fn timestamp(at: UnixMillis) -> Timestamp {
    let seconds = i64::try_from(at.millis() / 1000).unwrap_or(i64::MAX);
    let millis = i32::try_from(at.millis() % 1000).unwrap_or_default();
    Timestamp { seconds, nanos: millis.saturating_mul(NANOS_PER_MILLI) }
}

/// The instant in words: RFC 3339, in UTC, to the millisecond.
pub fn text(at: UnixMillis) -> String {
    let millis = i64::try_from(at.millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map(|at| format!("{at:.3}")).unwrap_or_default()
}

/// The instant of a timestamp, cut to the millisecond.
///
/// # Errors
/// A violation at `field` if it lies before 1970 or is malformed.
pub fn millis(timestamp: &Timestamp, field: &str) -> Result<UnixMillis, Violation> {
    let malformed = || {
        let text = "a time is not before 1970, with 0 to 999,999,999 nanoseconds";
        Violation::new(field, "MALFORMED_TIME", text)
    };
    let seconds = u64::try_from(timestamp.seconds).map_err(|_| malformed())?;
    let nanos = u64::try_from(timestamp.nanos).map_err(|_| malformed())?;
    if 1_000_000_000 <= nanos {
        return Err(malformed());
    }
    let millis = seconds.checked_mul(1000).and_then(|ms| ms.checked_add(nanos / 1_000_000));
    millis.map(UnixMillis::new).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_survives_its_timestamp() {
        for ms in [0, 999, 1_785_747_600_123] {
            let at = UnixMillis::new(ms);
            assert_eq!(millis(&timestamp(at), "start_time"), Ok(at));
        }
    }

    #[test]
    fn a_time_that_is_none_is_refused() {
        for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000), (i64::MAX, 0)] {
            assert!(millis(&Timestamp { seconds, nanos }, "start_time").is_err(), "{seconds}");
        }
    }
}
