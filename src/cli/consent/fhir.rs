//! A consent as a Consent resource of HL7 FHIR R4 (<https://hl7.org/fhir/R4/consent.html>).
//!
//! Only what the exchange holds in clear; parties go by their names in the exchange. A refusal is `rejected` and denies; a
//! consent permits what is named and denies, inside, what was withdrawn.

use serde_json::{Value, json};

use crate::{
    cli::{hex, time},
    model::order::UnixMillis,
    pb::{
        ledger::v1::{ConsentMethod, ConsentScope, Gate, Grantor, Purpose},
        v1::{Consent, ConsentKind, ConsentState},
    },
};

/// The namespace of the exchange's own codes and names.
const SYSTEM: &str = "urn:concordat";
const SCOPES: &str = "http://terminology.hl7.org/CodeSystem/consentscope";
const ACTIONS: &str = "http://terminology.hl7.org/CodeSystem/consentaction";
const ROLES: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const LOINC: &str = "http://loinc.org";

/// The resource.
pub(super) fn resource(consent: &Consent) -> Value {
    let scope = consent.scope.clone().unwrap_or_default();
    let act = consent.act.clone().unwrap_or_default();
    let refusal = consent.kind() == ConsentKind::Refusal;
    let grantor = Grantor::try_from(act.grantor).unwrap_or_default();
    let method = ConsentMethod::try_from(act.method).unwrap_or_default();
    let given = time::show(UnixMillis::new(act.given_at_ms));
    let mut resource = json!({
        "resourceType": "Consent",
        "id": consent.name.trim_start_matches("consents/"),
        "identifier": [{ "system": SYSTEM, "value": consent.name }],
        "status": status(consent),
        "scope": coded(SCOPES, "patient-privacy"),
        "category": [coded(LOINC, "59284-0")],
        "patient": named(&consent.client),
        "dateTime": given,
        "performer": [if grantor == Grantor::Self_ {
            named(&consent.client)
        } else {
            json!({ "display": grantor.as_str_name() })
        }],
        "organization": [named(&format!("agencies/{}", scope.publisher))],
        "policyRule": coded(SYSTEM, Gate::try_from(scope.gate).unwrap_or_default().as_str_name()),
        "policy": [{ "uri": format!("urn:sha256:{}", hex::of(&act.notice_digest)) }],
        "verification": [{ "verified": true, "verificationDate": given }],
        "extension": [{
            "url": format!("{SYSTEM}:consent-method"),
            "valueCode": method.as_str_name(),
        }],
        "provision": provision(&scope, refusal),
    });
    if let Some(provision) = resource.get_mut("provision") {
        if let Some(end) = consent.expires_time {
            let end = time::show_proto(end.seconds, end.nanos);
            provision["period"] = json!({ "start": given, "end": end });
        }
        let withdrawn: Vec<Value> = consent
            .withdrawals
            .iter()
            .map(|row| {
                json!({
                    "type": "deny",
                    "actor": row.recipients.iter().map(|name| actor(name)).collect::<Vec<_>>(),
                    "class": row.groups.iter().map(|group| coding(group)).collect::<Vec<_>>(),
                })
            })
            .collect();
        if !withdrawn.is_empty() {
            provision["provision"] = Value::Array(withdrawn);
        }
    }
    resource
}

fn provision(scope: &ConsentScope, refusal: bool) -> Value {
    let recipients = scope.recipients.iter().map(|id| actor(&format!("agencies/{id}")));
    let purposes = scope.purposes.iter().map(|code| {
        let purpose = Purpose::try_from(*code).unwrap_or_default();
        coding(purpose.as_str_name())
    });
    json!({
        "type": if refusal { "deny" } else { "permit" },
        "actor": recipients.collect::<Vec<_>>(),
        "action": [coded(ACTIONS, "disclose")],
        "purpose": purposes.collect::<Vec<_>>(),
        "class": scope.groups.iter().map(|group| coding(group)).collect::<Vec<_>>(),
        "code": [coded(SYSTEM, &scope.record_type)],
    })
}

/// Where it stands, in FHIR's words.
fn status(consent: &Consent) -> &'static str {
    match (consent.kind(), consent.state()) {
        (ConsentKind::Refusal, ConsentState::SetAside | ConsentState::Superseded) => "inactive",
        (ConsentKind::Refusal, _) => "rejected",
        (_, ConsentState::InForce) => "active",
        (_, ConsentState::InReview | ConsentState::Contested) => "proposed",
        (_, ConsentState::Invalid) => "entered-in-error",
        (
            _,
            ConsentState::Withdrawn
            | ConsentState::Expired
            | ConsentState::Superseded
            | ConsentState::SetAside
            | ConsentState::Unspecified,
        ) => "inactive",
    }
}

fn coding(code: &str) -> Value {
    json!({ "system": SYSTEM, "code": code })
}

fn coded(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}

fn named(name: &str) -> Value {
    json!({ "identifier": { "system": SYSTEM, "value": name } })
}

fn actor(name: &str) -> Value {
    json!({ "role": coded(ROLES, "IRCP"), "reference": named(name) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::v1::ConsentWithdrawal;

    fn consent() -> Consent {
        Consent {
            name: "consents/01".to_owned(),
            kind: ConsentKind::Consent.into(),
            state: ConsentState::InForce.into(),
            client: "clients/02".to_owned(),
            scope: Some(ConsentScope {
                publisher: "council".to_owned(),
                groups: vec!["core".to_owned()],
                recipients: vec!["college".to_owned()],
                ..ConsentScope::default()
            }),
            ..Consent::default()
        }
    }

    #[test]
    fn a_consent_permits_what_it_names_and_a_refusal_denies() {
        let given = resource(&consent());
        assert_eq!(
            (&given["status"], &given["provision"]["type"]),
            (&json!("active"), &json!("permit"))
        );
        let class = &given["provision"]["class"][0]["code"];
        assert_eq!(class, "core");
        let refused = Consent { kind: ConsentKind::Refusal.into(), ..consent() };
        let refused = resource(&refused);
        assert_eq!(
            (&refused["status"], &refused["provision"]["type"]),
            (&json!("rejected"), &json!("deny"))
        );
    }

    #[test]
    fn what_was_withdrawn_is_denied_inside() {
        let row = ConsentWithdrawal {
            recipients: vec!["agencies/college".to_owned()],
            groups: vec!["core".to_owned()],
            ..ConsentWithdrawal::default()
        };
        let withdrawn = resource(&Consent { withdrawals: vec![row], ..consent() });
        assert_eq!(withdrawn["provision"]["provision"][0]["type"], "deny");
    }

    #[test]
    fn where_it_stands_goes_by_the_words_of_the_standard() {
        for (state, expected) in [
            (ConsentState::Withdrawn, "inactive"),
            (ConsentState::Expired, "inactive"),
            (ConsentState::InReview, "proposed"),
            (ConsentState::Invalid, "entered-in-error"),
        ] {
            assert_eq!(status(&Consent { state: state.into(), ..consent() }), expected);
        }
    }
}
