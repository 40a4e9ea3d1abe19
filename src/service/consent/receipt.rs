//! Receipts: what a person can be given of a consent, in the shape of ISO/IEC TS 27560:2023, signed by the exchange.
//!
//! It states what the ledger holds in clear, by the recorder's own names; what lies sealed (who spoke, in which language,
//! the evidence) is the recorder's to add beside. What is signed and how it verifies: `identity/receipt.rs`.

use serde_json::{Value, json};

use crate::{
    identity::receipt,
    ledger::Fault,
    machine::{
        State,
        read::{
            Viewer,
            consent::{self, Stands, View},
        },
    },
    model::{id::ConsentId, order::UnixMillis},
    node::Node,
    pb::ledger::v1 as ledger,
    service::{name, time::text},
};

/// The legal order in which consents are recorded (ISO 3166-2).
const JURISDICTION: &str = "GB-SCT";
/// The schema that the fields follow.
const SCHEMA: &str = "ISO/IEC TS 27560:2023";

/// What a receipt states about a consent that the viewer recorded.
pub(super) fn stated(
    state: &State,
    viewer: Viewer,
    id: ConsentId,
    now: UnixMillis,
) -> Option<Value> {
    let view = consent::one(state, viewer, id, now)?;
    let recorder = state.agency(view.consent.recorder)?;
    if viewer.agency() != Some(view.consent.recorder) {
        return None;
    }
    let recorder = name::of(&recorder.id);
    Some(json!({
        "header": {
            "schema_version": SCHEMA,
            "record_id": name::of(&id),
            "pii_principal_id": name::of(&view.client),
            "issued_by": format!("concordat/{}", state.ledger()),
            "issued_time": text(now),
        },
        "processing": processing(&view),
        "parties": parties(&view, &recorder),
        "consent": act(&view),
        "events": events(&view, &recorder, now),
    }))
}

/// Signs what is stated.
pub(super) fn signed(node: &Node, stated: &Value) -> Result<String, Fault> {
    let signature = node.sign(&receipt::statement(stated))?;
    let key = node.read(|state| state.chain().checkpoint_key);
    Ok(receipt::document(stated, &key, &signature))
}

fn processing(view: &View<'_>) -> Value {
    let consent = view.consent;
    let purposes = consent
        .purposes
        .iter()
        .map(|code| ledger::Purpose::try_from(*code).unwrap_or_default().as_str_name());
    let groups = view.record_type.names_of(consent.groups);
    let gate = ledger::Gate::try_from(consent.gate).unwrap_or_default();
    json!({
        "purposes": purposes.collect::<Vec<_>>(),
        "lawful_basis": gate.as_str_name(),
        "pii_information": {
            "record_type": view.record_type.name.to_string(),
            "field_groups": groups.iter().map(ToString::to_string).collect::<Vec<_>>(),
        },
        "privacy_notice": { "sha256": consent.act.notice_digest.to_string() },
        "jurisdiction": JURISDICTION,
        "storage_locations": [JURISDICTION],
        "retention_period": "as the agreement between the parties states",
        "withdrawal_method": "tell any of the parties; it takes effect before it is answered",
    })
}

fn parties(view: &View<'_>, recorder: &str) -> Value {
    let mut parties = vec![
        json!({ "id": recorder, "type": "recorder" }),
        json!({ "id": name::of(view.publisher), "type": "pii_controller" }),
    ];
    let recipient = |id: &&crate::model::id::AgencyId| json!({ "id": name::of(*id), "type": "recipient_third_party" });
    parties.extend(view.recipients.iter().map(recipient));
    Value::Array(parties)
}

fn act(view: &View<'_>) -> Value {
    let act = &view.consent.act;
    let grantor = ledger::Grantor::try_from(act.grantor).unwrap_or_default();
    let authority = ledger::Authority::try_from(act.authority).unwrap_or_default();
    let method = ledger::ConsentMethod::try_from(act.method).unwrap_or_default();
    json!({
        "granted_by": grantor.as_str_name(),
        "authority": authority.as_str_name(),
        "collection_method": method.as_str_name(),
        "age_years": act.age_years,
        "given_time": text(act.given_at),
        "expires_time": view.consent.expires_at.map(text),
        "review_time": view.consent.review.map(|(at, _)| text(at)),
    })
}

/// What happened, in order, and where it stands.
fn events(view: &View<'_>, recorder: &str, now: UnixMillis) -> Value {
    let consent = view.consent;
    let event = |kind: &str, at: UnixMillis, entity: &str| json!({ "event_type": kind, "event_time": text(at), "entity_id": entity });
    let said = if consent.given { "GIVEN" } else { "REFUSED" };
    let mut events = vec![event(said, consent.recorded_at, recorder)];
    for (by, recipients, row) in &view.withdrawals {
        let mut withdrawn = event("WITHDRAWN", row.at, &name::of(*by));
        let groups = view.record_type.names_of(row.groups);
        if let Value::Object(fields) = &mut withdrawn {
            let recipients: Vec<_> = recipients.iter().map(|id| name::of(*id)).collect();
            let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
            fields.insert("recipients".to_owned(), json!(recipients));
            fields.insert("field_groups".to_owned(), json!(groups));
        }
        events.push(withdrawn);
    }
    let past = |at: &UnixMillis| *at <= now;
    let ended = consent.expires_at.filter(past).map(|at| event("EXPIRED", at, recorder));
    let review = consent.review.map(|(at, _)| at).filter(past);
    let review = review.map(|at| event("REVIEW_DUE", at, recorder));
    let invalid = consent.invalid.map(|(_, at)| event("INVALIDATED", at, recorder));
    events.extend([ended, review, invalid].into_iter().flatten());
    let stands = match view.stands {
        Stands::InForce => "IN_FORCE",
        Stands::Withdrawn => "WITHDRAWN",
        Stands::Expired => "EXPIRED",
        Stands::Superseded => "SUPERSEDED",
        Stands::InReview => "IN_REVIEW",
        Stands::Invalid => "INVALID",
        Stands::Contested => "CONTESTED",
        Stands::SetAside => "SET_ASIDE",
    };
    json!({ "log": events, "event_state": stands })
}
