//! Those who speak for a client: recorded by an agency as persons with rights or without, and heard when they disagree.
//!
//! Who a person is lies sealed beside the command; here it is an id that derives from the request. A person without
//! rights neither grants nor receives a report about the client. What they had granted becomes invalid, and stays so: if
//! rights are found after all, the consent is asked for anew.

use crate::{
    machine::{
        apply::{Context, Effect},
        law::Rule,
        outcome::Refusal,
        rules::exchange::derived,
        state::{
            State,
            agency::AgencyNumber,
            consent::{Consent, Holder, Resolved},
        },
        sweep,
    },
    model::{
        id::{AliasId, ClientId, ConsentId, HolderId},
        limit,
    },
    pb::ledger::v1::{ClientView, Grantor, Resolution, ResolutionGround, Standing},
};

pub(super) fn decide(
    state: &State,
    context: &Context,
    (alias, known): (AliasId, Option<HolderId>),
    standing: Standing,
) -> Result<(HolderId, Holder), Refusal> {
    let recorder = context.agency()?;
    let client = state.own_client(recorder, alias).ok_or(Refusal::NotAvailable)?;
    let row = Holder { recorder, client, standing: i32::from(standing), recorded_at: context.now };
    if let Some(id) = known {
        let _before = of(state, (recorder, client), id)?;
        return Ok((id, row));
    }
    // Counts only what this agency recorded, so that the limit tells nothing of others.
    let own = state.holders_of(client).filter(|(_, row)| row.recorder == recorder).count();
    if limit::HOLDERS_PER_CLIENT_MAX <= own {
        return Err(Refusal::LimitReached);
    }
    Ok((HolderId::derived(&derived("concordat.holder.v1", state, context)), row))
}

pub(super) fn perform(
    state: &mut State,
    context: &Context,
    (id, row): (HolderId, Holder),
    effects: &mut Vec<Effect>,
) {
    state.put_holder(id, row);
    if row.has_rights() {
        return;
    }
    let theirs = |consent: &Consent| {
        consent.given && consent.act.holder == Some(id) && consent.invalid.is_none()
    };
    // Bounded: only the recorder's own consents name the person, and those are limited.
    let granted = state.consents_of(row.client).filter(|(_, consent)| theirs(consent));
    let granted: Vec<(ConsentId, Consent)> =
        granted.map(|(id, consent)| (id, consent.clone())).collect();
    if granted.is_empty() {
        return;
    }
    for (consent, row) in granted {
        let invalid = Some((context.position, context.now));
        state.put_consent(consent, Consent { invalid, ..row });
    }
    sweep::narrow(state, effects);
    sweep::prune_client(state, row.client, context.now);
}

/// Holds that the person who spoke, if one is named, is the agency's own of this client and has rights.
pub(super) fn hold(
    state: &State,
    whose: (AgencyNumber, ClientId),
    holder: Option<HolderId>,
) -> Result<(), Refusal> {
    match holder {
        None => Ok(()),
        Some(id) => {
            let has_rights = of(state, whose, id)?.has_rights();
            if has_rights || !state.applies(Rule::WithoutRights) {
                Ok(())
            } else {
                Err(Refusal::HolderWithoutRights)
            }
        }
    }
}

fn of(
    state: &State,
    (recorder, client): (AgencyNumber, ClientId),
    id: HolderId,
) -> Result<Holder, Refusal> {
    let row = state.tables.holders.get(&id).copied();
    row.filter(|row| state.answers_for(recorder, row.recorder) && row.client == client)
        .ok_or(Refusal::NotAvailable)
}

/// The row of a refusal after the owner of the records decided about it.
pub(super) fn resolve(
    state: &State,
    context: &Context,
    id: ConsentId,
    (resolution, ground, view): (Resolution, ResolutionGround, ClientView),
) -> Result<Consent, Refusal> {
    let owner = context.agency()?;
    let row = state.tables.consents.get(&id).ok_or(Refusal::ConsentUnknown)?;
    let known = state.knows(owner, row.client);
    if !state.answers_for(owner, row.publisher) || !known {
        return Err(Refusal::ConsentUnknown);
    }
    let resolution = i32::from(resolution);
    let by_client = row.act.grantor == i32::from(Grantor::Self_);
    let before = row.resolved.is_some_and(|before| before.resolution == resolution);
    if row.given || by_client || before {
        return Err(Refusal::ResolutionState);
    }
    let (ground, view) = (i32::from(ground), i32::from(view));
    let resolved = Some(Resolved { at: context.now, resolution, ground, view });
    Ok(Consent { resolved, ..row.clone() })
}
