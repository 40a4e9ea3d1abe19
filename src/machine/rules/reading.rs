//! Readings: an owner hears of each record of its own that another agency opens, once a day for each reason.
//!
//! INVARIANT (told of reading): no record leaves to somebody who asked for it by name, but to its publisher, without a row
//! here and a notice to the publisher in the same entry. The count of the day grows with each further one.

use crate::{
    machine::{
        apply::Context,
        state::{
            State,
            agency::AgencyNumber,
            notice::{About, Notice},
            reading::Reading,
        },
    },
    model::id::{EmergencyId, RecordId},
};

/// One day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// Notes that `reader` opened a record (first version) of `publisher`, for a `ReadReason` and by a `StaffOffice`.
pub(in crate::machine) fn note(
    state: &mut State,
    context: &Context,
    (first, publisher, reader): (RecordId, AgencyNumber, AgencyNumber),
    (reason, emergency, office): (i32, Option<EmergencyId>, i32),
) {
    if state.answers_for(reader, publisher) {
        return;
    }
    let now = context.now;
    let day = u32::try_from(now.millis() / DAY_MS).unwrap_or(u32::MAX);
    let key = (first, reader, day, reason);
    let unattended = u32::from(context.unattended);
    if state.tables.readings.contains(&key) {
        state.tables.readings.change(&mut state.journal, &key, |row| {
            row.count = row.count.saturating_add(1);
            row.unattended = row.unattended.saturating_add(unattended);
            row.purpose = i32::from(context.purpose);
            row.emergency = emergency;
            row.office = office;
            row.at = now;
        });
        return;
    }
    let purpose = i32::from(context.purpose);
    let (count, first_at) = (1, now);
    let row = Reading { count, unattended, purpose, emergency, office, first_at, at: now };
    state.tables.readings.put(&mut state.journal, key, row);
    let about = About::Reading { record: first, reader, day, reason };
    state.notify(publisher, Notice { at: now, about });
}
