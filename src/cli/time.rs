//! Times as people give and read them. A date without a time is the beginning of that day in Scotland.

use jiff::{Timestamp, civil::Date};
use prost_types::Timestamp as ProtoTimestamp;

use crate::{cli::error::CliError, model::order::UnixMillis, model::violation::Violation};

/// The time zone of the partner agencies.
const ZONE: &str = "Europe/London";

/// The instant that `text` names: RFC 3339, or an ISO 8601 date.
///
/// # Errors
/// It is neither, or lies before 1970.
pub(crate) fn parse(text: &str) -> Result<UnixMillis, Violation> {
    let malformed = || {
        Violation::new("", "MALFORMED_TIME", "give a date such as 2027-07-31 or a time by RFC 3339")
    };
    let midnight = |date: Date| date.in_tz(ZONE).map(|zoned| zoned.timestamp());
    let instant = text.parse::<Timestamp>().or_else(|_| text.parse().and_then(midnight));
    let instant = instant.map_err(|_| malformed())?;
    u64::try_from(instant.as_millisecond()).map(UnixMillis::new).map_err(|_| malformed())
}

/// The instant in RFC 3339 form, to the millisecond.
pub(crate) fn show(at: UnixMillis) -> String {
    let instant =
        i64::try_from(at.millis()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    instant.map_or_else(|| at.to_string(), |instant| instant.to_string())
}

/// A protobuf timestamp in RFC 3339 form.
pub(crate) fn show_proto(seconds: i64, nanos: i32) -> String {
    Timestamp::new(seconds, nanos).map(|instant| instant.to_string()).unwrap_or_default()
}

/// The instant as a protobuf timestamp.
pub(crate) fn proto(at: UnixMillis) -> ProtoTimestamp {
    let seconds = i64::try_from(at.millis() / 1000).unwrap_or(i64::MAX);
    let millis = i32::try_from(at.millis() % 1000).unwrap_or_default();
    ProtoTimestamp { seconds, nanos: millis.saturating_mul(1_000_000) }
}

/// The date that it is in Scotland.
///
/// # Errors
/// The instant is beyond the calendar.
pub(crate) fn today(at: UnixMillis) -> Result<Date, CliError> {
    let beyond = || CliError::new(crate::cli::error::Exit::Other, "the clock shows no date");
    let ms = i64::try_from(at.millis()).map_err(|_| beyond())?;
    let instant = Timestamp::from_millisecond(ms).map_err(|_| beyond())?;
    Ok(instant.in_tz(ZONE).map_err(|_| beyond())?.date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_beginning_of_its_day_in_scotland_summer_or_winter() {
        assert_eq!(show(parse("2027-07-31").unwrap()), "2027-07-30T23:00:00Z");
        assert_eq!(show(parse("2027-01-31").unwrap()), "2027-01-31T00:00:00Z");
        assert_eq!(show(parse("2027-01-31T10:00:00.5Z").unwrap()), "2027-01-31T10:00:00.5Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in ["", "31/07/2027", "2027-02-30", "1960-01-01", "tomorrow"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn today_is_scotlands_and_not_greenwichs() {
        let late = parse("2026-07-01T23:30:00Z").unwrap();
        assert_eq!(today(late).unwrap().to_string(), "2026-07-02");
    }
}
