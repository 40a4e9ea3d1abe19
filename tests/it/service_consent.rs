//! Consent over the wire: who may say what for whom, disputes, sham consents, and receipts that verify offline.

use concordat::{
    identity::receipt::{self, Flaw},
    pb::{
        ledger::v1::{self as ledger, AgencyKind, Standing, command::Kind},
        v1::{self as pb, ConsentState, words::Text},
    },
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    service_agreement::{agree, by_consent},
    service_bench::{Party, Served, context, reason, shape},
    service_person::{act, alias, client, consent, get_consent, partners, scope, withdraw},
    service_words::read_in,
};

const SERVICE: i32 = 1;

/// What a parent of a child of nine says; the bench's time is in 2026.
fn parent(holder: &[u8]) -> ledger::ConsentAct {
    let milestone = i32::from(ledger::Milestone::TwelfthBirthday);
    ledger::ConsentAct {
        grantor: i32::from(ledger::Grantor::Parent),
        authority: i32::from(ledger::Authority::Seen),
        age_years: 9,
        holder: holder.to_vec().into(),
        reviews: vec![ledger::ConsentReview { milestone, month: 202_904, day: 0 }],
        ..act()
    }
}

async fn says(
    served: &Served,
    party: &Party,
    person: &str,
    act: ledger::ConsentAct,
) -> Result<pb::Consent, Status> {
    let record = ledger::RecordConsent {
        scope: Some(scope(person)),
        act: Some(act),
        ..ledger::RecordConsent::default()
    };
    let request_id = served.request_id();
    let request = pb::RecordConsentRequest {
        context: context(),
        signature: served.signature(party, &request_id, &Kind::RecordConsent(record.clone())),
        request_id,
        record: Some(record),
        evidence: None,
        validate_only: false,
    };
    Ok(party.consents().record_consent(request).await?.into_inner().consent.unwrap())
}

async fn refuses(
    served: &Served,
    party: &Party,
    person: &str,
    act: ledger::ConsentAct,
) -> pb::Consent {
    let request = pb::RefuseConsentRequest {
        context: context(),
        request_id: served.request_id(),
        refuse: Some(ledger::RefuseConsent { scope: Some(scope(person)), act: Some(act) }),
        evidence: None,
        validate_only: false,
    };
    party.consents().refuse_consent(request).await.unwrap().into_inner().consent.unwrap()
}

/// A flow that rests on the duty of 2013 and asks nobody.
fn by_duty(publisher: &Party, recipient: &Party) -> ledger::Flow {
    ledger::Flow {
        flow: "duty".to_owned(),
        basis: i32::from(ledger::LawfulBasis::LegalObligation),
        special_condition: 0,
        legal_power: i32::from(ledger::LegalPower::Post16Education2013S20),
        gate: i32::from(ledger::Gate::None),
        ..by_consent(publisher, recipient)
    }
}

fn bytes(name: &str) -> bytes::Bytes {
    alias(&format!("clients/{}", name.rsplit('/').next().unwrap()))
}

async fn holder(
    served: &Served,
    party: &Party,
    (person, known): (&str, &str),
    standing: Standing,
) -> Result<pb::Holder, Status> {
    let record = ledger::RecordHolder {
        client: alias(person),
        holder: if known.is_empty() { bytes::Bytes::new() } else { bytes(known) },
        standing: i32::from(standing),
    };
    let request_id = served.request_id();
    let detail = ledger::ConsentDetail {
        grantor_name: "Ailsa Larkfield".to_owned(),
        ..ledger::ConsentDetail::default()
    };
    let request = pb::RecordHolderRequest {
        context: context(),
        signature: served.signature(party, &request_id, &Kind::RecordHolder(record.clone())),
        request_id,
        record: Some(record),
        evidence: Some(ledger::Evidence { reference: String::new(), consent: Some(detail) }),
        validate_only: false,
    };
    Ok(party.consents().record_holder(request).await?.into_inner().holder.unwrap())
}

async fn resolve(served: &Served, party: &Party, refusal: &str) -> Result<pb::Consent, Status> {
    let resolve = ledger::ResolveConsent {
        refusal: bytes(refusal),
        resolution: i32::from(ledger::Resolution::SetAside),
        ground: i32::from(ledger::ResolutionGround::CourtOrder),
        view: i32::from(ledger::ClientView::None),
    };
    let request_id = served.request_id();
    let request = pb::ResolveConsentRequest {
        context: context(),
        signature: served.signature(party, &request_id, &Kind::ResolveConsent(resolve.clone())),
        request_id,
        resolve: Some(resolve),
        evidence: None,
        validate_only: false,
    };
    Ok(party.consents().resolve_consent(request).await?.into_inner().consent.unwrap())
}

async fn state(party: &Party, name: &str) -> ConsentState {
    let shown = party.consents().get_consent(get_consent(name)).await.unwrap();
    shown.into_inner().consent.unwrap().state()
}

#[tokio::test]
async fn the_words_about_a_person_are_for_who_recorded_them() {
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    let person = client(&served, &council, "one").await;
    let known = holder(&served, &council, (&person, ""), Standing::HasRights).await.unwrap();
    let read = async |party: &Party| {
        read_in(&party.channel, (context(), served.request_id()), &known.name).await
    };
    let words = read(&council).await.unwrap();
    let [pb::Words { text: Some(Text::Evidence(evidence)), .. }] = words.as_slice() else {
        unreachable!("{words:?}")
    };
    assert_eq!(evidence.consent.as_ref().unwrap().grantor_name, "Ailsa Larkfield");
    assert_eq!(reason(&read(&college).await.unwrap_err()), "NOT_AVAILABLE");
}

#[tokio::test]
async fn each_way_in_which_a_grantor_falls_short_has_its_own_reason() {
    let served = Served::new().await;
    let (council, _college) = partners(&served).await;
    let person = client(&served, &council, "one").await;
    let unknown = i32::from(ledger::Authority::NotKnown);
    let without = ledger::ConsentAct { reviews: Vec::new(), ..parent(&[]) };
    let grown = ledger::ConsentAct {
        age_years: 16,
        competence: i32::from(ledger::Competence::Incapable),
        ..without.clone()
    };
    for (act, expected) in [
        (ledger::ConsentAct { authority: 0, ..parent(&[]) }, "CONSENT_NOT_VALID"),
        (ledger::ConsentAct { age_years: 11, ..act() }, "CONSENT_NOT_VALID"),
        (ledger::ConsentAct { authority: unknown, ..parent(&[]) }, "CONSENT_AUTHORITY_NOT_KNOWN"),
        (without, "CONSENT_REVIEW_MISSING"),
        (grown, "CONSENT_MANDATE_MISSING"),
        (parent(&[7; 16]), "NOT_AVAILABLE"),
    ] {
        let status = says(&served, &council, &person, act).await.unwrap_err();
        assert_eq!(reason(&status), expected);
    }
}

#[tokio::test]
async fn a_sham_consent_is_refused_with_the_flow_whose_notice_is_to_be_given() {
    let served = Served::new().await;
    let council = served.agency("inverclyde-council", AgencyKind::Council).await;
    let college = served.agency("glen-college", AgencyKind::College).await;
    let sds = served.agency("skills-development-scotland", AgencyKind::NationalBody).await;
    let flows = vec![by_consent(&council, &college), by_duty(&council, &sds)];
    agree(&served, &[&council, &college, &sds], flows).await;
    let person = client(&served, &council, "one").await;
    let sham = ledger::ConsentScope {
        recipients: vec!["skills-development-scotland".to_owned()],
        ..scope(&person)
    };
    let refused = consent(&served, &council, sham.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "CONSENT_NOT_ASKED");
    let details = refused.get_error_details();
    let told = details.precondition_failure().unwrap();
    let flow = told.violations.iter().find(|row| row.subject.contains("/flows/")).unwrap();
    assert!(flow.description.contains("LEGAL_OBLIGATION"), "{}", flow.description);
    // To an agency at neither end nothing is told.
    let stranger = served.agency("stranger", AgencyKind::Council).await;
    let theirs = client(&served, &stranger, "one").await;
    let sham = ledger::ConsentScope { client: alias(&theirs), ..sham };
    let refused = consent(&served, &stranger, sham).await.unwrap_err();
    let details = refused.get_error_details();
    assert_eq!(details.precondition_failure().unwrap().violations.len(), 1);
}

#[tokio::test]
async fn the_publisher_sees_a_dispute_and_decides_it() {
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    let person = client(&served, &council, "one").await;
    let theirs = client(&served, &college, "two").await;
    let mother = holder(&served, &council, (&person, ""), Standing::HasRights).await.unwrap();
    let father = holder(&served, &council, (&person, ""), Standing::HasRights).await.unwrap();
    let given = says(&served, &council, &person, parent(&bytes(&mother.name))).await.unwrap();
    let refused = refuses(&served, &council, &person, parent(&bytes(&father.name))).await;
    assert_eq!(state(&council, &given.name).await, ConsentState::Contested);
    assert_eq!(state(&council, &refused.name).await, ConsentState::Contested);
    // Only the owner of the records decides, and to anybody else there is nothing.
    let hidden = resolve(&served, &college, &refused.name).await.unwrap_err();
    let absent = resolve(&served, &college, &format!("consents/{}", "0".repeat(32))).await;
    assert_eq!(shape(&hidden), shape(&absent.unwrap_err()));
    let decided = resolve(&served, &council, &refused.name).await.unwrap();
    assert_eq!(decided.state(), ConsentState::SetAside);
    assert!(decided.decision.is_some());
    let again = resolve(&served, &council, &refused.name).await.unwrap_err();
    assert_eq!(
        (again.code(), reason(&again)),
        (Code::FailedPrecondition, "CONSENT_WRONG_STATE".to_owned())
    );
    // Nobody sees whom another agency recorded.
    let list = |client: &str| pb::ListHoldersRequest {
        context: context(),
        reason: SERVICE,
        client: client.to_owned(),
    };
    let own = council.consents().list_holders(list(&person)).await.unwrap().into_inner();
    assert_eq!(own.holders.len(), 2);
    for client in [&person, &theirs] {
        let seen = college.consents().list_holders(list(client)).await.unwrap().into_inner();
        assert_eq!(seen, pb::ListHoldersResponse::default());
    }
}

#[tokio::test]
async fn a_person_without_rights_is_turned_away_and_what_they_granted_is_invalid() {
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    let person = client(&served, &council, "one").await;
    let father = holder(&served, &council, (&person, ""), Standing::HasRights).await.unwrap();
    let given = says(&served, &council, &person, parent(&bytes(&father.name))).await.unwrap();
    let changed = (person.as_str(), father.name.as_str());
    let after = holder(&served, &council, changed, Standing::WithoutRights).await.unwrap();
    assert_eq!((&after.name, after.standing()), (&father.name, Standing::WithoutRights));
    assert_eq!(state(&council, &given.name).await, ConsentState::Invalid);
    let status = says(&served, &council, &person, parent(&bytes(&father.name))).await.unwrap_err();
    assert_eq!(reason(&status), "CONSENT_WITHOUT_RIGHTS");
    let foreign = holder(&served, &college, changed, Standing::HasRights).await.unwrap_err();
    let unknown = (person.as_str(), "holders/00000000000000000000000000000000");
    let absent = holder(&served, &college, unknown, Standing::HasRights).await.unwrap_err();
    assert_eq!(shape(&foreign), shape(&absent));
}

#[tokio::test]
async fn the_recorder_is_told_who_withdrew_what_for_whom() {
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    let person = client(&served, &council, "one").await;
    let given = consent(&served, &council, scope(&person)).await.unwrap();
    withdraw(&served, &college, &given.name).await.unwrap();
    let shown = council.consents().get_consent(get_consent(&given.name)).await.unwrap();
    let withdrawals = shown.into_inner().consent.unwrap().withdrawals;
    let [row] = &withdrawals[..] else { unreachable!("{withdrawals:?}") };
    assert_eq!(row.agency, "agencies/glen-college");
    assert_eq!(row.recipients, ["agencies/glen-college"]);
    assert_eq!(row.groups, ["core"]);
    // It may take back, and never give.
    let theirs = client(&served, &college, "other").await;
    let status = says(&served, &college, &person, act()).await.unwrap_err();
    assert_eq!(reason(&status), "NOT_AVAILABLE");
    assert!(!theirs.is_empty());
}

#[tokio::test]
async fn a_receipt_verifies_offline_and_is_the_recorders_alone() {
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    let person = client(&served, &council, "one").await;
    let given = consent(&served, &council, scope(&person)).await.unwrap();
    let asked = |name: &str| pb::GetConsentReceiptRequest {
        context: context(),
        name: name.to_owned(),
        reason: SERVICE,
    };
    let answer = council.consents().get_consent_receipt(asked(&given.name)).await.unwrap();
    let text = answer.into_inner().receipt;
    let (stated, key) = receipt::verify(&text, None).unwrap();
    assert_eq!(stated["header"]["record_id"], given.name.as_str());
    assert_eq!(stated["header"]["pii_principal_id"], person.as_str());
    assert_eq!(stated["processing"]["jurisdiction"], "GB-SCT");
    assert_eq!(stated["events"]["event_state"], "IN_FORCE");
    let ledger = council.ledger().get_ledger(pb::GetLedgerRequest { context: context() }).await;
    assert_eq!(ledger.unwrap().into_inner().ledger.unwrap().checkpoint_key, key);
    let changed = text.replace("IN_FORCE", "EXPIRED");
    assert_eq!(receipt::verify(&changed, Some(&key)), Err(Flaw::NotSigned));
    withdraw(&served, &college, &given.name).await.unwrap();
    let answer = council.consents().get_consent_receipt(asked(&given.name)).await.unwrap();
    let (stated, _) = receipt::verify(&answer.into_inner().receipt, Some(&key)).unwrap();
    assert_eq!(stated["events"]["log"][1]["entity_id"], "agencies/glen-college");
    let hidden = college.consents().get_consent_receipt(asked(&given.name)).await.unwrap_err();
    let nothing = format!("consents/{}", "0".repeat(32));
    let absent = college.consents().get_consent_receipt(asked(&nothing)).await.unwrap_err();
    assert_eq!(shape(&hidden), shape(&absent));
}
