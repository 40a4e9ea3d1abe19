//! The ledger over the wire: what it is, whose entries are whose, heads and proofs.

use concordat::{
    identity::signing::SigningKey,
    ledger::checkpoint::Checkpoint,
    machine::State,
    model::{digest::Digest, order::TreeSize},
    pb::{ledger::v1::AgencyKind, v1 as pb},
};
use tonic::Code;

use crate::service_bench::{Served, context, reason};

fn entries(page_size: i32, page_token: &str, kinds: &[&str]) -> pb::ListEntriesRequest {
    pb::ListEntriesRequest {
        context: context(),
        page_size,
        page_token: page_token.to_owned(),
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn whoever_is_trusted_sees_what_a_signature_needs() {
    let served = Served::new().await;
    let stranger = served.stranger("stranger", AgencyKind::Council).await;
    let request = pb::GetLedgerRequest { context: context() };
    let answer = stranger.ledger().get_ledger(request).await.unwrap().into_inner();
    let ledger = answer.ledger.unwrap();
    assert_eq!(*ledger.ledger_id, *served.node.read(State::ledger).as_bytes());
    assert_eq!((ledger.format, ledger.rules_version, ledger.policy_schema_version), (1, 1, 1));
    assert_eq!(ledger.operator_certificate, served.operator.fingerprint());
    let form = ledger.record_types.iter().find(|known| known.name == "leaver-form").unwrap();
    assert_eq!((ledger.record_types.len(), form.groups.len()), (13, 3));
}

#[tokio::test]
async fn an_agency_lists_its_own_entries_without_place_or_size() {
    let served = Served::new().await;
    let college = served.agency("glen-college", AgencyKind::College).await;
    let council = served.agency("council", AgencyKind::Council).await;
    for id in ["one", "two", "three"] {
        let create = concordat::pb::ledger::v1::CreateSubscription {
            subscription: id.to_owned(),
            record_types: vec!["leaver-form".to_owned()],
        };
        let request = pb::CreateSubscriptionRequest {
            context: context(),
            request_id: served.request_id(),
            create: Some(create),
            validate_only: false,
        };
        college.subscriptions().create_subscription(request).await.unwrap();
    }
    let mut ledger = college.ledger();
    let first = ledger.list_entries(entries(2, "", &[])).await.unwrap().into_inner();
    let token = first.next_page_token.clone();
    let second = ledger.list_entries(entries(2, &token, &[])).await.unwrap().into_inner();
    assert_eq!(second.next_page_token, "");
    let all: Vec<_> = first.entries.iter().chain(&second.entries).collect();
    let kinds: Vec<_> = all.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["enrol_agency", "create_subscription", "create_subscription", "create_subscription"]
    );
    assert!(all.iter().all(|entry| entry.proof.is_none() && entry.unattended));
    assert_eq!(all[0].resources, ["agencies/glen-college"]);
    assert_eq!(all[1].resources, ["agencies/glen-college/subscriptions/one"]);
    let enrolments = ledger.list_entries(entries(9, "", &["enrol_agency"])).await.unwrap();
    assert_eq!(enrolments.into_inner().entries.len(), 1);
    let other = ledger.list_entries(entries(2, &token, &["enrol_agency"])).await.unwrap_err();
    assert_eq!(reason(&other), "PAGE_TOKEN_INVALID");
    let foreign = council.ledger().list_entries(entries(2, &token, &[])).await.unwrap_err();
    assert_eq!(reason(&foreign), "PAGE_TOKEN_INVALID");
    let own = council.ledger().list_entries(entries(9, "", &[])).await.unwrap().into_inner();
    assert_eq!(own.entries.len(), 1);
}

#[tokio::test]
async fn the_operator_gets_heads_and_proofs() {
    let served = Served::new().await;
    let _college = served.agency("glen-college", AgencyKind::College).await;
    let mut ledger = served.operator.ledger();
    let request = pb::GetCheckpointRequest { context: context(), fresh: true };
    let head = ledger.get_checkpoint(request).await.unwrap().into_inner().checkpoint.unwrap();
    let key = SigningKey::from_seed(&[7; 32]).unwrap().public();
    let verified = Checkpoint::verify(&head.note, &head.origin, &key).unwrap();
    assert_eq!(verified.size.count(), head.size);
    let listed = ledger.list_entries(entries(100, "", &[])).await.unwrap().into_inner();
    let entry = listed.entries.first().unwrap().proof.clone().unwrap();
    let request = pb::GetInclusionProofRequest {
        context: context(),
        position: entry.position,
        tree_size: head.size,
    };
    let proof = ledger.get_inclusion_proof(request).await.unwrap().into_inner();
    assert_eq!(proof.leaf_hash, entry.leaf_hash);
    let request = |first_size, second_size| pb::GetConsistencyProofRequest {
        context: context(),
        first_size,
        second_size,
    };
    assert!(ledger.get_consistency_proof(request(1, head.size)).await.is_ok());
    let beyond = ledger.get_consistency_proof(request(1, head.size + 99)).await.unwrap_err();
    assert_eq!((beyond.code(), reason(&beyond)), (Code::NotFound, "NOT_AVAILABLE".to_owned()));
    let backwards = ledger.get_consistency_proof(request(2, 1)).await.unwrap_err();
    assert_eq!(reason(&backwards), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_checkpoint_that_the_ledger_does_not_continue_is_found_out() {
    let served = Served::new().await;
    let mut ledger = served.operator.ledger();
    let request = pb::GetCheckpointRequest { context: context(), fresh: true };
    let head = ledger.get_checkpoint(request).await.unwrap().into_inner().checkpoint.unwrap();
    let shown = |note: String| {
        let mut context = context();
        context.as_mut().unwrap().held_checkpoint = note;
        pb::GetLedgerRequest { context }
    };
    assert!(ledger.get_ledger(shown(head.note.clone())).await.is_ok());
    let forged = ledger.get_ledger(shown(head.note.replace("concordat/", "elsewhere/"))).await;
    assert_eq!(reason(&forged.unwrap_err()), "INVALID_REQUEST");
    let seed = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let sign = |size: u64, root: [u8; 32]| {
        let (size, root) = (TreeSize::new(size), Digest::from_bytes(root));
        Checkpoint { origin: head.origin.clone(), size, root }.sign(&seed)
    };
    for later in [sign(head.size + 1_000, [1; 32]), sign(1, [1; 32])] {
        let status = ledger.get_ledger(shown(later)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (Code::DataLoss, "LEDGER_DAMAGED".to_owned()));
    }
    // It was shown that it is not the ledger that it says it is: from then on it serves nothing.
    let request = pb::GetCheckpointRequest { context: context(), fresh: true };
    let status = ledger.get_checkpoint(request).await.unwrap_err();
    assert_eq!(reason(&status), "LEDGER_DAMAGED");
}
