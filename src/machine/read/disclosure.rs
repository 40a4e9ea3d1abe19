//! Disclosures: to whom a publisher's records were released, as that publisher sees it.
//!
//! Only what left is shown, so nothing here tells of policies, refused consents or anybody who would have been refused.

use crate::{
    machine::{
        read::{Page, Viewer},
        state::{
            State,
            agency::AgencyNumber,
            recall::Recall,
            record::{DisclosureRow, RecordType},
            subscription::Fate,
        },
    },
    model::id::{AgencyId, AliasId, RecordId},
};

/// What one recipient was sent of one record.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Its row.
    pub row: &'a DisclosureRow,
    /// The type of record.
    pub record_type: &'a RecordType,
    /// To whom.
    pub recipient: &'a AgencyId,
    /// Whether the recipient acknowledged the latest version that it was sent.
    pub acknowledged: bool,
    /// Why it is parked (`NackReason`), if it is.
    pub parked: Option<i32>,
    /// The last recall of it.
    pub recall: Option<&'a Recall>,
}

/// What orders disclosures: the record (first version), and the recipient.
pub type Key = (RecordId, AgencyId);

/// What left of a record (first version), in the order of the recipients' names. Whose it is, is asked before.
pub fn of_record(state: &State, first: RecordId) -> Vec<View<'_>> {
    let mut rows: Vec<_> = state
        .disclosures_of(first)
        .filter_map(|(recipient, row)| view(state, (first, recipient), row))
        .collect();
    rows.sort_by_key(|view| view.recipient);
    rows
}

/// What left of the viewer's records about a client; `None` for a client whom the viewer does not know.
pub fn of_client<'a>(
    state: &'a State,
    viewer: Viewer,
    client: AliasId,
    (after, rows_max): (Option<&Key>, usize),
) -> Option<Page<Key, View<'a>>> {
    let viewer = viewer.agency()?;
    let client = state.own_client(viewer, client)?;
    let own = move |first: &RecordId| {
        state.record(*first).is_some_and(|row| state.answers_for(viewer, row.publisher))
    };
    let rows = state
        .records_of(client)
        .filter(own)
        .flat_map(|first| of_record(state, first).into_iter().map(move |view| (first, view)))
        .map(|(first, view)| ((first, view.recipient.clone()), view))
        .filter(|(key, _)| after.is_none_or(|after| after < key));
    Some(Page::of(rows, rows_max))
}

fn view<'a>(
    state: &'a State,
    (first, recipient): (RecordId, AgencyNumber),
    row: &'a DisclosureRow,
) -> Option<View<'a>> {
    if !row.left() {
        return None;
    }
    let mut acknowledged = false;
    let mut parked = None;
    for (number, subscription) in state.subscriptions_of(recipient) {
        let received = state.tables().received.get(&(number, first));
        if let Some(received) = received.filter(|received| received.record == row.record) {
            let delivery = state.tables().deliveries.get(&(number, received.delivery));
            acknowledged |= received.delivery <= subscription.settled
                && delivery.is_some_and(|delivery| delivery.fate == Fate::Sent);
        }
        let here = state.tables().parked.get(&(number, first));
        parked = parked.or_else(|| here.map(|row| row.reason));
    }
    Some(View {
        row,
        record_type: state.record_type(state.record(first)?.record_type)?,
        recipient: &state.agency(recipient)?.id,
        acknowledged,
        parked,
        recall: state.recalls_from(first, recipient).next_back().map(|(_, recall)| recall),
    })
}
