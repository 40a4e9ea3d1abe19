//! Consents and refusals, as the agency that recorded them sees them.
//!
//! INVARIANT (own word): whether a consent is superseded is told from what the viewer may know: what it recorded itself,
//! and about its own records everything.

use crate::{
    machine::{
        read::{Page, Viewer},
        state::{
            State,
            agency::AgencyNumber,
            client::AliasKind,
            consent::Consent,
            record::{Groups, RecordType},
        },
    },
    model::{
        id::{AgencyId, AliasId, ClientId, ConsentId},
        order::{Position, UnixMillis},
    },
};

/// One consent or refusal.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Its id.
    pub id: ConsentId,
    /// Its row.
    pub consent: &'a Consent,
    /// The client, by the viewer's name.
    pub client: AliasId,
    /// Whose records it is about.
    pub publisher: &'a AgencyId,
    /// The type of record.
    pub record_type: &'a RecordType,
    /// Who may, or may not, receive.
    pub recipients: Vec<&'a AgencyId>,
    /// For whom it was withdrawn.
    pub withdrawn: Vec<&'a AgencyId>,
    /// Where it stands at the time.
    pub stands: Stands,
}

/// Where a consent or refusal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It holds.
    InForce,
    /// Withdrawn for every recipient.
    Withdrawn,
    /// It has ended by itself.
    Expired,
    /// Later words have taken its place for everything in its scope.
    Superseded,
}

/// One consent that the viewer recorded.
pub fn one(state: &State, viewer: Viewer, id: ConsentId, now: UnixMillis) -> Option<View<'_>> {
    let consent = state.tables().consents.get(&id)?;
    view(state, viewer.agency()?, (id, consent), now)
}

/// The consents that the viewer recorded, the latest first, before the one recorded at `before`; about one client if
/// `client` is given. For a client whom the viewer does not know there are none.
pub fn list(
    state: &State,
    viewer: Viewer,
    client: Option<AliasId>,
    (before, rows_max): (Option<Position>, usize),
    now: UnixMillis,
) -> Page<Position, View<'_>> {
    let Some(viewer) = viewer.agency() else { return Page { rows: Vec::new(), next: None } };
    let mut own: Vec<(ConsentId, &Consent)> = match client {
        Some(alias) => state
            .own_client(viewer, alias)
            .into_iter()
            .flat_map(|client| state.consents_of(client))
            .collect(),
        None => state.tables().consents.iter().map(|(id, consent)| (*id, consent)).collect(),
    };
    own.retain(|(_, consent)| {
        consent.recorder == viewer && before.is_none_or(|before| consent.position < before)
    });
    own.sort_by_key(|(_, consent)| std::cmp::Reverse(consent.position));
    let rows =
        own.into_iter().filter_map(|row| Some((row.1.position, view(state, viewer, row, now)?)));
    Page::of(rows, rows_max)
}

fn view<'a>(
    state: &'a State,
    viewer: AgencyNumber,
    (id, consent): (ConsentId, &'a Consent),
    now: UnixMillis,
) -> Option<View<'a>> {
    if consent.recorder != viewer {
        return None;
    }
    let id_of = |number: &AgencyNumber| Some(&state.agency(*number)?.id);
    Some(View {
        id,
        consent,
        client: state.alias(viewer, consent.client, AliasKind::Own)?,
        publisher: id_of(&consent.publisher)?,
        record_type: state.record_type(consent.record_type)?,
        recipients: consent.recipients.iter().filter_map(id_of).collect(),
        withdrawn: consent.withdrawn.keys().filter_map(id_of).collect(),
        stands: stands(state, viewer, consent, now),
    })
}

fn stands(state: &State, viewer: AgencyNumber, consent: &Consent, now: UnixMillis) -> Stands {
    if consent.recipients.iter().all(|recipient| consent.withdrawn.contains_key(recipient)) {
        return Stands::Withdrawn;
    }
    if consent.expires_at.is_some_and(|end| end <= now) {
        return Stands::Expired;
    }
    let left = consent.recipients.iter().filter(|agency| !consent.withdrawn.contains_key(agency));
    let replaced = left.into_iter().all(|recipient| {
        later_words(state, viewer, consent.client, (consent, *recipient)).covers(consent.groups)
    });
    if replaced { Stands::Superseded } else { Stands::InForce }
}

/// The groups about which something was said later for one recipient, as far as the viewer may know.
fn later_words(
    state: &State,
    viewer: AgencyNumber,
    client: ClientId,
    (consent, recipient): (&Consent, AgencyNumber),
) -> Groups {
    state
        .consents_of(client)
        .filter(|(_, later)| {
            consent.position < later.position
                && later.publisher == consent.publisher
                && later.record_type == consent.record_type
                && later.recipients.contains(&recipient)
                && (!later.given || !consent.given || later.gate == consent.gate)
                && (later.recorder == viewer || later.publisher == viewer)
        })
        .fold(Groups::NONE, |groups, (_, later)| groups.with(later.groups))
}
