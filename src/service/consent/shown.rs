//! Consents, persons and notices in the words of the API.

use bytes::Bytes;

use crate::{
    machine::{
        read::consent::{HolderView, Notice, Stands, View},
        state::{
            consent::{ActRow, Consent, Resolved, Withdrawal},
            record::RecordType,
        },
    },
    model::{id::AgencyId, order::UnixMillis},
    pb::{
        ledger::v1::{ConsentAct, ConsentReview, ConsentScope, LawfulBasis, LegalPower, Milestone},
        v1 as pb,
    },
    service::{name, time::timestamp},
};

/// A consent or refusal.
pub(super) fn message(view: &View<'_>) -> pb::Consent {
    let View { id, consent, client, stands, .. } = view;
    let kind = if consent.given { pb::ConsentKind::Consent } else { pb::ConsentKind::Refusal };
    let review = consent.review;
    pb::Consent {
        name: name::of(id),
        kind: i32::from(kind),
        state: i32::from(state(*stands)),
        client: name::of(client),
        scope: Some(scope(view)),
        act: Some(act(&consent.act)),
        expires_time: consent.expires_at.map(timestamp),
        withdrawn_recipients: view.withdrawn.iter().map(|id: &&AgencyId| name::of(*id)).collect(),
        recorded_time: Some(timestamp(consent.recorded_at)),
        withdrawn_time: consent.withdrawals.last().map(|last| timestamp(last.at)),
        review_time: review.map(|(at, _)| timestamp(at)),
        review_milestone: review
            .map_or_else(|| i32::from(Milestone::Unspecified), |(_, milestone)| milestone),
        renews: consent.renews.map(|id| name::of(&id)).unwrap_or_default(),
        withdrawals: view
            .withdrawals
            .iter()
            .map(|(by, recipients, row)| withdrawal(view.record_type, (by, recipients), row))
            .collect(),
        invalid_time: consent.invalid.map(|(_, at)| timestamp(at)),
        decision: decision(consent),
    }
}

const fn state(stands: Stands) -> pb::ConsentState {
    match stands {
        Stands::InForce => pb::ConsentState::InForce,
        Stands::Withdrawn => pb::ConsentState::Withdrawn,
        Stands::Expired => pb::ConsentState::Expired,
        Stands::Superseded => pb::ConsentState::Superseded,
        Stands::InReview => pb::ConsentState::InReview,
        Stands::Invalid => pb::ConsentState::Invalid,
        Stands::Contested => pb::ConsentState::Contested,
        Stands::SetAside => pb::ConsentState::SetAside,
    }
}

fn scope(view: &View<'_>) -> ConsentScope {
    let View { consent, client, publisher, record_type, recipients, .. } = view;
    let groups = record_type.names_of(consent.groups);
    ConsentScope {
        client: Bytes::copy_from_slice(client.as_bytes()),
        publisher: publisher.to_string(),
        record_type: record_type.name.to_string(),
        groups: groups.iter().map(ToString::to_string).collect(),
        recipients: recipients.iter().map(ToString::to_string).collect(),
        gate: consent.gate,
        purposes: consent.purposes.iter().copied().collect(),
    }
}

fn act(row: &ActRow) -> ConsentAct {
    let reviews = row.reviews.iter().map(|review| ConsentReview {
        milestone: review.milestone,
        month: review.month,
        day: review.day,
    });
    ConsentAct {
        grantor: row.grantor,
        authority: row.authority,
        age_years: row.age_years,
        method: row.method,
        given_at_ms: row.given_at.millis(),
        notice_digest: Bytes::copy_from_slice(row.notice_digest.as_bytes()),
        competence: row.competence,
        mandate: row.mandate,
        authority_ends_at_ms: row.authority_ends_at.map_or(0, UnixMillis::millis),
        holder: row.holder.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(id.as_bytes())),
        view: row.view,
        school_age: row.school_age,
        reviews: reviews.collect(),
    }
}

fn withdrawal(
    record_type: &RecordType,
    (by, recipients): (&AgencyId, &[&AgencyId]),
    row: &Withdrawal,
) -> pb::ConsentWithdrawal {
    let groups = record_type.names_of(row.groups);
    pb::ConsentWithdrawal {
        agency: name::of(by),
        recipients: recipients.iter().map(|id| name::of(*id)).collect(),
        groups: groups.iter().map(ToString::to_string).collect(),
        withdrawn_time: Some(timestamp(row.at)),
    }
}

fn decision(consent: &Consent) -> Option<pb::ConsentDecision> {
    let Resolved { at, resolution, ground, view } = consent.resolved?;
    Some(pb::ConsentDecision { resolution, ground, view, decided_time: Some(timestamp(at)) })
}

/// A person who speaks for a client, or must not.
pub(super) fn holder(view: &HolderView<'_>) -> pb::Holder {
    let HolderView { id, holder, client } = view;
    pb::Holder {
        name: name::of(id),
        client: name::of(client),
        standing: holder.standing,
        recorded_time: Some(timestamp(holder.recorded_at)),
    }
}

/// A flow that shares without consent: its name, and what to do.
pub(super) fn notice(notice: &Notice) -> (String, String) {
    let Notice { agreement, flow, recipient, basis, power } = notice;
    let basis = LawfulBasis::try_from(*basis).unwrap_or_default();
    let power = LegalPower::try_from(*power).unwrap_or_default();
    let by = if power == LegalPower::Unspecified {
        basis.as_str_name().to_owned()
    } else {
        format!("{} ({})", basis.as_str_name(), power.as_str_name())
    };
    let text = format!(
        "flow `{flow}` of agreement `{agreement}` shares with `{recipient}` by {by} and asks nobody; give the privacy notice of that flow instead"
    );
    (format!("{}/flows/{flow}", name::of(agreement)), text)
}
