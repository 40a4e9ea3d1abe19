//! Consents and refusals, as the agency that recorded them sees them; and those who speak for a client.
//!
//! The owner of the records also sees what others refused in a client's name about them, if it knows the client: it is the
//! one that decides between those who disagree.
//! INVARIANT (own word): whether a consent is superseded is told from what the viewer may know: what it recorded itself,
//! and about its own records everything.

use std::collections::BTreeSet;

use crate::{
    machine::{
        read::{Page, Viewer},
        rules::consent::word,
        state::{
            State,
            agency::AgencyNumber,
            client::AliasKind,
            consent::{Consent, Holder, Withdrawal},
            record::{Groups, RecordType},
        },
    },
    model::{
        id::{
            AgencyId, AgreementId, AliasId, ClientId, ConsentId, FlowId, HolderId, RecordTypeName,
        },
        order::{Position, UnixMillis},
    },
    pb::ledger::v1 as pb,
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
    /// For whom all of it was withdrawn.
    pub withdrawn: Vec<&'a AgencyId>,
    /// What was withdrawn, by whom: agency, recipients, and the withdrawal itself.
    pub withdrawals: Vec<(&'a AgencyId, Vec<&'a AgencyId>, &'a Withdrawal)>,
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
    /// Somebody else speaks for the client by now: nothing leaves by it until it is renewed.
    InReview,
    /// The person who gave it holds no rights.
    Invalid,
    /// Another who speaks for the client says otherwise, and the owner of the records has not decided.
    Contested,
    /// A refusal that the owner of the records set aside.
    SetAside,
}

/// A person who speaks for a client, or must not.
#[derive(Clone, Copy, Debug)]
pub struct HolderView<'a> {
    /// The id.
    pub id: HolderId,
    /// The row.
    pub holder: &'a Holder,
    /// The client, by the viewer's name.
    pub client: AliasId,
}

/// A flow that shares without consent what somebody would be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The agreement.
    pub agreement: AgreementId,
    /// The flow.
    pub flow: FlowId,
    /// Who receives.
    pub recipient: AgencyId,
    /// `LawfulBasis`.
    pub basis: i32,
    /// `LegalPower`.
    pub power: i32,
}

/// The flows in force between `publisher` and each of `recipients` whose gate is none, as far as the viewer is at one of
/// their ends: whose notice is to be given where a consent would be a sham.
pub fn notices(
    state: &State,
    viewer: Viewer,
    (publisher, record_type): (&AgencyId, &RecordTypeName),
    recipients: &BTreeSet<AgencyId>,
    now: UnixMillis,
) -> Vec<Notice> {
    let ends = || {
        let publisher = state.agency_number(publisher)?;
        Some((viewer.agency()?, publisher, state.type_number(record_type)?))
    };
    let Some((viewer, publisher, record_type)) = ends() else { return Vec::new() };
    let mut found = Vec::new();
    for id in recipients {
        let Some(recipient) = state.agency_number(id) else { continue };
        if viewer != publisher && viewer != recipient {
            continue;
        }
        for (agreement, place) in state.flows_between((publisher, record_type, recipient)) {
            let Some(row) = state.tables().agreements.get(agreement) else { continue };
            let flow = row.flows.get(usize::from(place)).filter(|_| now < row.expires_at);
            if let Some(flow) = flow.filter(|flow| flow.gate == i32::from(pb::Gate::None)) {
                found.push(Notice {
                    agreement: agreement.clone(),
                    flow: flow.id.clone(),
                    recipient: id.clone(),
                    basis: flow.basis,
                    power: flow.legal_power,
                });
            }
        }
    }
    found
}

/// One person whom the viewer recorded.
pub fn holder(state: &State, viewer: Viewer, id: HolderId) -> Option<HolderView<'_>> {
    let viewer = viewer.agency()?;
    let holder = state.tables().holders.get(&id);
    let holder = holder.filter(|row| state.answers_for(viewer, row.recorder))?;
    let client = state.alias(viewer, holder.client, AliasKind::Own)?;
    Some(HolderView { id, holder, client })
}

/// The persons whom the viewer recorded about one client: at most `HOLDERS_PER_CLIENT_MAX`. None for a client whom it
/// does not know.
pub fn holders(state: &State, viewer: Viewer, client: AliasId) -> Vec<HolderView<'_>> {
    let Some((viewer, known)) =
        viewer.agency().and_then(|viewer| Some((viewer, state.own_client(viewer, client)?)))
    else {
        return Vec::new();
    };
    let own =
        state.holders_of(known).filter(|(_, holder)| state.answers_for(viewer, holder.recorder));
    own.map(|(id, holder)| HolderView { id, holder, client }).collect()
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
        visible(state, viewer, consent) && before.is_none_or(|before| consent.position < before)
    });
    own.sort_by_key(|(_, consent)| std::cmp::Reverse(consent.position));
    let rows =
        own.into_iter().filter_map(|row| Some((row.1.position, view(state, viewer, row, now)?)));
    Page::of(rows, rows_max)
}

/// Whether the viewer recorded it, or it is a refusal in a client's name about the viewer's own records.
fn visible(state: &State, viewer: AgencyNumber, consent: &Consent) -> bool {
    let in_the_name = !consent.given && consent.act.grantor != i32::from(pb::Grantor::Self_);
    let owned = state.answers_for(viewer, consent.publisher) && state.knows(viewer, consent.client);
    state.answers_for(viewer, consent.recorder) || (in_the_name && owned)
}

fn view<'a>(
    state: &'a State,
    viewer: AgencyNumber,
    (id, consent): (ConsentId, &'a Consent),
    now: UnixMillis,
) -> Option<View<'a>> {
    if !visible(state, viewer, consent) {
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
        withdrawn: consent
            .recipients
            .iter()
            .filter(|recipient| consent.withdrawn(**recipient, consent.groups).is_some())
            .filter_map(id_of)
            .collect(),
        withdrawals: consent
            .withdrawals
            .iter()
            .filter_map(|withdrawal| {
                let recipients = withdrawal.recipients.iter().filter_map(id_of).collect();
                Some((id_of(&withdrawal.by)?, recipients, withdrawal))
            })
            .collect(),
        stands: stands(state, viewer, (id, consent), now),
    })
}

fn stands(
    state: &State,
    viewer: AgencyNumber,
    (id, consent): (ConsentId, &Consent),
    now: UnixMillis,
) -> Stands {
    let over = |end: UnixMillis| end <= now;
    let left = |recipient: &&AgencyNumber| consent.withdrawn(**recipient, consent.groups).is_none();
    if consent.set_aside() {
        return Stands::SetAside;
    }
    if !consent.recipients.iter().any(|recipient| left(&recipient)) {
        return Stands::Withdrawn;
    }
    if consent.invalid.is_some() {
        return Stands::Invalid;
    }
    if consent.expires_at.is_some_and(over) {
        return Stands::Expired;
    }
    // Told to the owner of the records alone: it decides, and may know what was said about them.
    if state.answers_for(viewer, consent.publisher) && word::contested(state, consent) {
        return Stands::Contested;
    }
    let replaced = consent.recipients.iter().filter(left).all(|recipient| {
        later_words(state, viewer, consent.client, (consent, *recipient)).covers(consent.groups)
    });
    if replaced {
        return Stands::Superseded;
    }
    if consent.review.is_some_and(|(at, _)| over(at)) {
        return Stands::InReview;
    }
    if !consent.given || !names_succeeded(state, consent) {
        return Stands::InForce;
    }
    let mut later = state.consents_of(consent.client).map(|(_, later)| later);
    let renewed = later.any(|later| later.renews == Some(id));
    if renewed { Stands::Superseded } else { Stands::InReview }
}

/// Whether a consent names somebody whose place in a flow that waits for it is another's by now.
fn names_succeeded(state: &State, consent: &Consent) -> bool {
    let left =
        consent.recipients.iter().filter(|to| consent.withdrawn(**to, consent.groups).is_none());
    left.chain([&consent.publisher]).any(|body| {
        let mut places = state.places_left(*body);
        places.any(|(agreement, at)| {
            let row = state.tables().agreements.get(agreement);
            row.into_iter().flat_map(|row| &row.flows).any(|flow| {
                let ends = flow.publisher == at || flow.recipients.contains(&at);
                let waits = flow.record_type == consent.record_type && flow.gate == consent.gate;
                // Who has come back to its place is named by it.
                ends && waits && *body != at
            })
        })
    })
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
                && [later.recorder, later.publisher]
                    .into_iter()
                    .any(|body| state.answers_for(viewer, body))
        })
        .fold(Groups::NONE, |groups, (_, later)| groups.with(later.groups))
}
