//! What counts of everything that was said about one group and one recipient.
//!
//! INVARIANT (last word): the last in ledger order counts, so a refusal or withdrawal outranks every consent before it.
//! INVARIANT (dispute): somebody who refuses for a client is outranked by the client and by their own later consent, and by
//! nobody else's: while two who speak for a client disagree, nothing leaves until the owner of the records decides.
//! INVARIANT (succession): a no that names a body counts against whoever took its place. A yes does not: nothing leaves by
//! it until it is renewed for the successor.

use std::collections::BTreeSet;

use crate::{
    machine::{
        law::Rule,
        state::{
            State,
            agency::AgencyNumber,
            consent::Consent,
            record::{Groups, TypeNumber},
        },
    },
    model::{
        id::{AgreementId, ClientId, ConsentId, HolderId},
        order::{Position, UnixMillis},
    },
    pb::ledger::v1::{Grantor, Resolution},
};

/// About what the last word is asked.
#[derive(Clone, Copy, Debug)]
pub(in crate::machine) struct About<'a> {
    /// The agreement of the flow that asks.
    pub(in crate::machine) agreement: &'a AgreementId,
    /// Whose records.
    pub(in crate::machine) publisher: AgencyNumber,
    /// Who would receive.
    pub(in crate::machine) recipient: AgencyNumber,
    /// The type of record.
    pub(in crate::machine) record_type: TypeNumber,
    /// The one group.
    pub(in crate::machine) group: Groups,
    /// The flow's `Gate`.
    pub(in crate::machine) gate: i32,
    /// The flow's `Purpose`.
    pub(in crate::machine) purpose: i32,
    /// The time.
    pub(in crate::machine) now: UnixMillis,
}

/// Why the gate is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machine) enum Closed {
    /// Nothing was said for it.
    Missing,
    /// Refused.
    Refused,
    /// Withdrawn.
    Withdrawn,
    /// The person who consented has no rights.
    Invalid,
    /// It has ended.
    Expired,
    /// Somebody else speaks for the client by now.
    InReview,
    /// Those who speak for the client disagree.
    Contested,
}

/// Who spoke, as far as two words can be told to be of one person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Voice {
    Client,
    Holder(HolderId),
    /// Somebody whom this agency does not tell from others who spoke to it.
    Somebody(AgencyNumber),
}

fn voice(consent: &Consent) -> Voice {
    match consent.act.holder {
        _ if consent.act.grantor == i32::from(Grantor::Self_) => Voice::Client,
        Some(holder) => Voice::Holder(holder),
        None => Voice::Somebody(consent.recorder),
    }
}

/// The consent that opens the gate.
///
/// # Errors
/// Why the gate is closed.
pub(in crate::machine) fn last(
    state: &State,
    client: ClientId,
    about: &About<'_>,
) -> Result<ConsentId, Closed> {
    let before = Before::of(state, about);
    let covering = state
        .consents_of(client)
        .filter_map(|(id, row)| Some((id, row, covers(state, row, (about, &before))?)));
    let mut last: Option<(Position, Voice, Result<ConsentId, Closed>)> = None;
    // Who refused and has not come round, and whether the owner upheld the refusal.
    let mut objections: BTreeSet<(Voice, bool)> = BTreeSet::new();
    let mut consenting: BTreeSet<Voice> = BTreeSet::new();
    for (id, consent, names) in covering {
        let who = voice(consent);
        if consent.given && names == Names::Before && !taken_back(consent, (about, &before)) {
            // INVARIANT (succession): a yes to the body before does not bind, and speaks where nobody else does.
            let silent =
                last.as_ref().is_none_or(|(at, _, said)| said.is_err() && *at < consent.position);
            if silent {
                last = Some((consent.position, who, Err(Closed::InReview)));
            }
            continue;
        }
        if consent.given {
            objections.retain(|(objector, _)| who != Voice::Client && *objector != who);
        } else if who != Voice::Client {
            objections.insert((who, upheld(consent)));
            let _came_round = consenting.remove(&who);
        }
        let (position, said) = said(state, (id, consent), (about, &before));
        if said.is_ok() {
            consenting.insert(who);
        }
        let first_no = last.as_ref().is_some_and(|(_, _, before)| before.is_err());
        let stays = first_no && !state.applies(Rule::LastWord);
        if !stays && last.as_ref().is_none_or(|(before, ..)| *before < position) {
            last = Some((position, who, said));
        }
    }
    let (_, who, said) = last.ok_or(Closed::Missing)?;
    let upheld = objections.iter().any(|(_, upheld)| *upheld);
    match said {
        Ok(id) if objections.is_empty() || !state.applies(Rule::DisputeWithholds) => Ok(id),
        Ok(_) if upheld => Err(Closed::Refused),
        Ok(_) => Err(Closed::Contested),
        Err(Closed::Refused) if who != Voice::Client && !consenting.is_empty() && !upheld => {
            Err(Closed::Contested)
        }
        Err(closed) => Err(closed),
    }
}

/// Whom a word names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// The publisher and the recipient themselves.
    Themselves,
    /// A body whose place one of them took.
    Before,
}

/// Whose places the two took in the agreement that asks.
struct Before {
    publishers: BTreeSet<AgencyNumber>,
    recipients: BTreeSet<AgencyNumber>,
}

impl Before {
    fn of(state: &State, about: &About<'_>) -> Self {
        Self {
            publishers: state.before_or_merged(about.agreement, about.publisher),
            recipients: state.before_or_merged(about.agreement, about.recipient),
        }
    }

    /// The recipients of a consent that mean this recipient.
    fn recipients<'a>(
        &'a self,
        consent: &'a Consent,
        about: &'a About<'_>,
    ) -> impl Iterator<Item = AgencyNumber> {
        let meant =
            |named: &&AgencyNumber| **named == about.recipient || self.recipients.contains(named);
        consent.recipients.iter().filter(meant).copied()
    }
}

/// Whether all of a consent was taken back for everybody who is meant, or the person who gave it has no rights.
fn taken_back(consent: &Consent, (about, before): (&About<'_>, &Before)) -> bool {
    let mut meant = before.recipients(consent, about);
    consent.invalid.is_some() || meant.any(|to| consent.withdrawn(to, about.group).is_some())
}

/// Whether something was said about this, and whom it names. A refusal stands against every gate and purpose; a consent opens the gate and
/// the purposes that it was given for.
fn covers(
    state: &State,
    consent: &Consent,
    (about, before): (&About<'_>, &Before),
) -> Option<Names> {
    let asks = |rule, so: bool| so || !state.applies(rule);
    let publisher = asks(Rule::ConsentOfPublisher, consent.publisher == about.publisher);
    let recipient =
        asks(Rule::ConsentNamesRecipient, consent.recipients.contains(&about.recipient));
    let names = match (publisher, recipient) {
        (true, true) => Names::Themselves,
        (true | false, false) | (false, true) => Names::Before,
    };
    let meant = names == Names::Themselves
        || ((publisher || before.publishers.contains(&consent.publisher))
            && (recipient || before.recipients(consent, about).next().is_some()));
    let covered = meant
        && consent.record_type == about.record_type
        && asks(Rule::ConsentNamesGroup, consent.groups.covers(about.group))
        && if consent.given {
            asks(Rule::ConsentFitsGate, consent.gate == about.gate)
                && asks(Rule::ConsentPurpose, consent.purposes.contains(&about.purpose))
        } else {
            let aside = consent.set_aside() && state.applies(Rule::OwnerDecides);
            let counts = !upheld(consent) || state.applies(Rule::ObjectionUpheld);
            !aside && counts && state.applies(Rule::RefusalCounts)
        };
    covered.then_some(names)
}

fn upheld(refusal: &Consent) -> bool {
    let upheld = i32::from(Resolution::Upheld);
    refusal.resolved.is_some_and(|resolved| resolved.resolution == upheld)
}

/// One word and where it stands: a withdrawal, and the loss of rights, stand where they were recorded.
fn said(
    state: &State,
    (id, consent): (ConsentId, &Consent),
    (about, before): (&About<'_>, &Before),
) -> (Position, Result<ConsentId, Closed>) {
    if !consent.given {
        return (consent.position, Err(Closed::Refused));
    }
    let meant = before.recipients(consent, about);
    let withdrawn = meant.filter_map(|to| consent.withdrawn(to, about.group)).max();
    let withdrawn = withdrawn.filter(|_| state.applies(Rule::WithdrawalCounts));
    let invalid = consent.invalid.map(|(position, _)| position);
    let invalid = invalid.filter(|_| state.applies(Rule::RightsLost));
    match (withdrawn, invalid) {
        (Some(position), _) => return (position, Err(Closed::Withdrawn)),
        (None, Some(position)) => return (position, Err(Closed::Invalid)),
        (None, None) => {}
    }
    let over = |end: UnixMillis| end <= about.now;
    let said = if consent.expires_at.is_some_and(over) && state.applies(Rule::ConsentExpires) {
        Err(Closed::Expired)
    } else if consent.review.is_some_and(|(at, _)| over(at)) && state.applies(Rule::ReviewDue) {
        Err(Closed::InReview)
    } else {
        Ok(id)
    };
    (consent.position, said)
}

/// Whether this word stands against another's: of two who speak for the client one consents and one refuses, neither is
/// withdrawn or has come round, and the owner of the records has not decided.
pub(in crate::machine) fn contested(state: &State, word: &Consent) -> bool {
    state.consents_of(word.client).any(|(_, other)| {
        let (given, refused) = match (word.given, other.given) {
            (true, false) => (word, other),
            (false, true) => (other, word),
            (true, true) | (false, false) => return false,
        };
        voice(refused) != Voice::Client
            && voice(given) != Voice::Client
            && voice(given) != voice(refused)
            && refused.resolved.is_none()
            && given.invalid.is_none()
            && in_common(given, refused)
            && !state.consents_of(word.client).any(|(_, later)| lifts(later, refused))
    })
}

/// Whether a consent that is not withdrawn and a refusal are about some of the same.
fn in_common(given: &Consent, refused: &Consent) -> bool {
    let groups = given.groups.and(refused.groups);
    given.publisher == refused.publisher
        && given.record_type == refused.record_type
        && !groups.is_empty()
        && given
            .recipients
            .intersection(&refused.recipients)
            .any(|recipient| given.withdrawn(*recipient, groups).is_none())
}

/// Whether a later consent, by the client or by the one who refused, lifts the whole refusal.
fn lifts(later: &Consent, refused: &Consent) -> bool {
    later.given
        && refused.position < later.position
        && [Voice::Client, voice(refused)].contains(&voice(later))
        && later.publisher == refused.publisher
        && later.record_type == refused.record_type
        && later.groups.covers(refused.groups)
        && later.recipients.is_superset(&refused.recipients)
}
