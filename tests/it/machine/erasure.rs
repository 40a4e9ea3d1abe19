//! Erasure, legal holds and disposal: what is erased is absent for everybody, what is held is not erased, and nothing is
//! called complete before it is.

use concordat::{
    machine::{
        Outcome, Receipt, Refusal,
        outcome::Remembered,
        read::{Viewer, erasure},
        rules::erasure::retention,
    },
    model::{
        id::{EpochName, ErasureId, HoldId, KeyId, RecordId},
        order::UnixMillis,
    },
    pb::ledger::v1::{
        self as pb, DisposalClass, ErasureGround, HoldGround, RecallReason, VersionChange,
        command::Kind,
    },
};

use super::{
    recall::Sharing,
    world::{By, DAY_MS, LEAVER_FORM, Signing, client},
};

/// A key's one epoch, as scripts open keys.
const EPOCH: [u8; 16] = [40; 16];
/// The epoch after it.
const NEXT: [u8; 16] = [41; 16];

fn erase_client(sharing: &Sharing) -> Kind {
    Kind::EraseRecords(pb::EraseRecords {
        client: sharing.alias.as_bytes().to_vec().into(),
        record: bytes::Bytes::new(),
        ground: i32::from(ErasureGround::Objection),
    })
}

fn erase_record(record: RecordId) -> Kind {
    Kind::EraseRecords(pb::EraseRecords {
        client: bytes::Bytes::new(),
        record: record.as_bytes().to_vec().into(),
        ground: i32::from(ErasureGround::NoLongerNeeded),
    })
}

fn hold_client(sharing: &Sharing) -> Kind {
    Kind::PlaceHold(pb::PlaceHold {
        client: sharing.alias.as_bytes().to_vec().into(),
        record: bytes::Bytes::new(),
        ground: i32::from(HoldGround::LegalClaim),
    })
}

fn hold_record(record: RecordId) -> Kind {
    Kind::PlaceHold(pb::PlaceHold {
        client: bytes::Bytes::new(),
        record: record.as_bytes().to_vec().into(),
        ground: i32::from(HoldGround::StatutoryInquiry),
    })
}

fn erasure_of(outcome: Outcome) -> ErasureId {
    match outcome {
        Ok(Receipt::Answer(Remembered::Erasure(id))) => id,
        other => unreachable!("not an erasure: {other:?}"),
    }
}

fn hold_of(outcome: Outcome) -> HoldId {
    match outcome {
        Ok(Receipt::Answer(Remembered::Hold(id))) => id,
        other => unreachable!("not a hold: {other:?}"),
    }
}

fn open_key(sharing: &mut Sharing, key: u8, of: u8, class: DisposalClass) -> Outcome {
    open_under(sharing, (key, EPOCH), of, class)
}

fn open_under(
    sharing: &mut Sharing,
    (key, epoch): (u8, [u8; 16]),
    of: u8,
    class: DisposalClass,
) -> Outcome {
    let open = pb::OpenKey {
        key: vec![key; 16].into(),
        client: client(of).as_bytes().to_vec().into(),
        agency: "council".to_owned(),
        disposal_class: i32::from(class),
        epoch: epoch.to_vec().into(),
    };
    sharing.world.apply(By::Node, Kind::OpenKey(open))
}

fn sweep(sharing: &mut Sharing) {
    while !sharing.world.state.tables().sweeps.is_empty() {
        let step = Kind::ContinueSweep(pb::ContinueSweep {});
        assert_eq!(sharing.world.apply(By::Node, step), Ok(Receipt::DONE));
    }
}

fn complete(sharing: &mut Sharing, id: ErasureId) -> Outcome {
    let epochs = &sharing.world.state.erasure(id).unwrap().epochs;
    let complete = pb::CompleteErasure {
        erasure: id.as_bytes().to_vec().into(),
        epochs: epochs.iter().map(|epoch| epoch.as_bytes().to_vec().into()).collect(),
    };
    sharing.world.apply(By::Node, Kind::CompleteErasure(complete))
}

fn certificate(sharing: &Sharing, by: &str, id: ErasureId) -> Option<String> {
    let viewer = Viewer::Agency(sharing.number(by));
    erasure::certificate(&sharing.world.state, viewer, id, ("origin", UnixMillis::EPOCH))
}

#[test]
fn what_is_erased_is_absent_for_everybody_and_recalled_from_whoever_was_sent_it() {
    let mut sharing = Sharing::new();
    let record = sharing.new_record();
    let second = sharing.publish(Some(record), VersionChange::Update).unwrap();
    assert_eq!(sharing.release("sds"), [second]);
    let id = erasure_of(sharing.act("council", erase_client(&sharing)));
    assert_eq!(sharing.reasons("sds"), [RecallReason::Erased]);
    assert!(sharing.inbox("health").is_empty(), "it was sent nothing");
    assert!(sharing.release("health").is_empty(), "what waited for it is gone");
    for (by, version) in [("council", record), ("council", second), ("sds", second)] {
        let open = Kind::OpenRecord(pb::OpenRecord {
            record: version.as_bytes().to_vec().into(),
            reason: i32::from(pb::ReadReason::Service),
            grants: Vec::new(),
            office: 0,
        });
        assert_eq!(sharing.act(by, open), Err(Refusal::NotAvailable), "{by}");
    }
    let over = sharing.publish(Some(second), VersionChange::Update);
    assert_eq!(over, Err(Refusal::NotAvailable));
    assert_eq!(
        sharing.retract("council", record, RecallReason::Unlawful),
        Err(Refusal::NotAvailable)
    );
    let again = sharing.act("council", erase_record(record));
    assert_eq!(again, Err(Refusal::NotAvailable));
    let state = &sharing.world.state;
    assert_eq!(state.records_of(client(1)).len(), 0);
    let row = state.erasure(id).unwrap();
    assert_eq!((row.records.len(), row.versions, row.keys.len()), (1, 2, 1));
    assert!(state.tables().keys.get(&KeyId::from_bytes([3; 16])).is_none());
    sharing.world.hold();
}

#[test]
fn only_the_publisher_erases_and_only_with_its_signature() {
    let mut sharing = Sharing::new();
    let record = sharing.new_record();
    sharing.release("sds");
    for by in ["sds", "college", "stranger"] {
        assert_eq!(sharing.act(by, erase_record(record)), Err(Refusal::NotAvailable), "{by}");
        assert_eq!(sharing.act(by, erase_client(&sharing)), Err(Refusal::NotAvailable), "{by}");
        assert_eq!(sharing.act(by, hold_record(record)), Err(Refusal::NotAvailable), "{by}");
    }
    let request = sharing.world.request_id();
    let unsigned = sharing.world.apply_as("council", request, Signing::Not, erase_record(record));
    assert_eq!(unsigned, Err(Refusal::SignatureMissing));
    let request = sharing.world.request_id();
    let others = Signing::As("sds");
    let unsigned = sharing.world.apply_as("council", request, others, erase_record(record));
    assert_eq!(unsigned, Err(Refusal::SignatureInvalid));
    let node = sharing.world.apply(By::Node, erase_record(record));
    assert_eq!(node, Err(Refusal::ActorNotPermitted));
}

#[test]
fn an_erasure_names_one_thing_and_a_ground_of_the_law() {
    let mut sharing = Sharing::new();
    let record = sharing.new_record();
    let both = Kind::EraseRecords(pb::EraseRecords {
        client: sharing.alias.as_bytes().to_vec().into(),
        record: record.as_bytes().to_vec().into(),
        ground: 1,
    });
    assert_eq!(sharing.act("council", both), Err(Refusal::Malformed));
    for ground in [0, 7, 8, 99] {
        let Kind::EraseRecords(erase) = erase_record(record) else { unreachable!() };
        let erase = Kind::EraseRecords(pb::EraseRecords { ground, ..erase });
        assert_eq!(sharing.act("council", erase), Err(Refusal::Malformed), "{ground}");
    }
}

#[test]
fn a_repeated_publication_of_what_was_erased_is_told_so_whatever_it_says() {
    let mut sharing = Sharing::new();
    let publish = |sharing: &Sharing, content: &str| {
        Kind::PublishRecord(pb::PublishRecord {
            record_type: LEAVER_FORM.to_owned(),
            type_version: 1,
            code_lists: "2026-11-01".to_owned(),
            client: sharing.alias.as_bytes().to_vec().into(),
            groups: vec!["core".to_owned()],
            content_mac: super::world::digest(content),
            key: vec![3; 16].into(),
            ..pb::PublishRecord::default()
        })
    };
    let request = sharing.world.request_id();
    let kind = publish(&sharing, "content");
    let first = sharing.world.apply_as("council", request, Signing::Not, kind);
    assert!(first.is_ok());
    sharing.act("council", erase_client(&sharing)).unwrap();
    for content in ["content", "other content"] {
        let kind = publish(&sharing, content);
        let again = sharing.world.apply_as("council", request, Signing::Not, kind);
        assert_eq!(again, Err(Refusal::RequestErased), "{content}");
    }
    sharing.world.hold();
}

#[test]
fn a_hold_outranks_erasure_until_it_is_lifted() {
    let mut sharing = Sharing::new();
    let (kept, free) = (sharing.new_record(), sharing.new_record());
    let placed = hold_of(sharing.act("council", hold_record(kept)));
    assert_eq!(sharing.act("council", erase_record(kept)), Err(Refusal::LegalHold));
    let all = erase_client(&sharing);
    assert_eq!(sharing.act("council", all.clone()), Err(Refusal::LegalHold));
    assert!(sharing.act("council", erase_record(free)).is_ok(), "it is on the other one");
    let whole = hold_of(sharing.act("council", hold_client(&sharing)));
    let lift =
        |hold: HoldId| Kind::LiftHold(pb::LiftHold { hold: hold.as_bytes().to_vec().into() });
    assert_eq!(sharing.act("sds", lift(placed)), Err(Refusal::NotAvailable));
    let request = sharing.world.request_id();
    let unsigned = sharing.world.apply_as("council", request, Signing::Not, lift(placed));
    assert_eq!(unsigned, Err(Refusal::SignatureMissing));
    assert_eq!(hold_of(sharing.act("council", lift(placed))), placed);
    assert_eq!(sharing.act("council", lift(placed)), Err(Refusal::HoldState));
    assert_eq!(sharing.act("council", all.clone()), Err(Refusal::LegalHold));
    sharing.act("council", lift(whole)).unwrap();
    assert!(sharing.act("council", all).is_ok());
    sharing.world.hold();
}

#[test]
fn a_key_lives_as_long_as_another_record_of_the_client_is_sealed_with_it() {
    let mut sharing = Sharing::new();
    let (one, other) = (sharing.new_record(), sharing.new_record());
    let id = erasure_of(sharing.act("council", erase_record(one)));
    assert_eq!(sharing.world.state.erasure(id).unwrap().keys.len(), 0);
    assert!(sharing.world.state.tables().keys.contains(&KeyId::from_bytes([3; 16])));
    let id = erasure_of(sharing.act("council", erase_record(other)));
    assert_eq!(sharing.world.state.erasure(id).unwrap().keys.len(), 1);
    assert!(!sharing.world.state.tables().keys.contains(&KeyId::from_bytes([3; 16])));
}

#[test]
fn an_erasure_is_complete_only_once_its_epochs_wrap_no_other_key() {
    let mut sharing = Sharing::new();
    let person = open_key(&mut sharing, 9, 1, DisposalClass::Identity);
    assert_eq!(person, Ok(Receipt::DONE));
    open_key(&mut sharing, 10, 2, DisposalClass::Record).unwrap();
    sharing.new_record();
    let id = erasure_of(sharing.act("council", erase_client(&sharing)));
    assert_eq!(complete(&mut sharing, id), Err(Refusal::NothingToDo), "nothing is listed yet");
    sweep(&mut sharing);
    assert!(certificate(&sharing, "council", id).is_none());
    assert_eq!(complete(&mut sharing, id), Err(Refusal::NothingToDo), "a key survives");
    // Nothing more is wrapped under an epoch that is to be destroyed, nor a destroyed key opened again.
    let late = open_key(&mut sharing, 11, 3, DisposalClass::Record);
    assert_eq!(late, Err(Refusal::NothingToDo));
    let again = open_under(&mut sharing, (9, NEXT), 1, DisposalClass::Identity);
    assert_eq!(again, Err(Refusal::NothingToDo));
    // Keys that do not tell their epoch may be under any, and go along.
    let under = |sharing: &Sharing| {
        let epochs = sharing.world.state.erasure(id).unwrap().epochs.clone();
        let keys: Vec<_> =
            epochs.iter().flat_map(|epoch| sharing.world.state.keys_under(*epoch)).collect();
        keys
    };
    assert!(under(&sharing).contains(&KeyId::from_bytes([10; 16])));
    let rewrap = |epoch: [u8; 16], keys: Vec<KeyId>| {
        let keys = keys.iter().map(|key| key.as_bytes().to_vec().into()).collect();
        Kind::RewrapKeys(pb::RewrapKeys { epoch: epoch.to_vec().into(), keys })
    };
    let keys = under(&sharing);
    let to_doomed = sharing.world.apply(By::Node, rewrap(EPOCH, keys.clone()));
    assert_eq!(to_doomed, Err(Refusal::NothingToDo));
    assert_eq!(sharing.act("council", rewrap(NEXT, keys.clone())), Err(Refusal::ActorNotPermitted));
    // A destroyed key among them takes the new epoch with it: its erasure names that one too.
    let mut with_erased = keys;
    with_erased.push(KeyId::from_bytes([9; 16]));
    assert_eq!(sharing.world.apply(By::Node, rewrap(NEXT, with_erased)), Ok(Receipt::DONE));
    let row = sharing.world.state.erasure(id).unwrap();
    assert!(row.epochs.contains(&EpochName::from_bytes(NEXT)));
    assert_eq!(complete(&mut sharing, id), Err(Refusal::NothingToDo));
    let keys = under(&sharing);
    assert_eq!(sharing.world.apply(By::Node, rewrap([42; 16], keys)), Ok(Receipt::DONE));
    assert_eq!(complete(&mut sharing, id), Ok(Receipt::DONE));
    assert_eq!(complete(&mut sharing, id), Err(Refusal::NothingToDo));
    let text = certificate(&sharing, "council", id).unwrap();
    assert!(text.contains("ground OBJECTION\n") && text.contains("keys 2 destroyed\n"), "{text}");
    assert!(certificate(&sharing, "sds", id).is_none(), "it is nobody else's");
    let late = open_under(&mut sharing, (12, [42; 16]), 3, DisposalClass::Record);
    assert_eq!(late, Ok(Receipt::DONE));
    sharing.world.hold();
}

#[test]
fn identifiers_sealed_with_a_destroyed_key_are_not_taken() {
    let mut sharing = Sharing::new();
    open_key(&mut sharing, 9, 1, DisposalClass::Identity).unwrap();
    let add = |key: u8| {
        let (client, key) = (client(1).as_bytes().to_vec().into(), vec![key; 16].into());
        Kind::AddClient(pb::AddClient { client, key })
    };
    assert!(sharing.act("council", add(9)).is_ok());
    let id = erasure_of(sharing.act("council", erase_client(&sharing)));
    assert_eq!(sharing.act("council", add(9)), Err(Refusal::NotAvailable));
    sweep(&mut sharing);
    let state = &sharing.world.state;
    assert!(state.tables().identities.is_empty(), "nothing says where its identifiers were");
    let attachments = state.tables().removed.iter().filter(|(_, by)| **by == id).count();
    // Two tellings of who it is, and two keys.
    assert_eq!(attachments, 4);
    assert_eq!(state.erasure(id).unwrap().attachments, 4);
    sharing.world.hold();
}

#[test]
fn with_the_last_record_that_retention_takes_identifiers_and_words_go_unless_a_word_stands() {
    let gone = |stands: bool| {
        let mut sharing = Sharing::new();
        open_key(&mut sharing, 9, 1, DisposalClass::Identity).unwrap();
        open_key(&mut sharing, 10, 1, DisposalClass::Evidence).unwrap();
        let (client, key) = (client(1).as_bytes().to_vec().into(), vec![9; 16].into());
        sharing.act("council", Kind::AddClient(pb::AddClient { client, key })).unwrap();
        let record = sharing.new_record();
        let consent = sharing.consent(&["college"]);
        if !stands {
            sharing.withdraw(consent, &[]).unwrap();
        }
        sharing.world.wait(DAY_MS * 366 * 10);
        let dispose = pb::DisposeOverdue {
            publisher: "council".to_owned(),
            record_type: LEAVER_FORM.to_owned(),
            records: vec![record.as_bytes().to_vec().into()],
        };
        let id = erasure_of(sharing.world.apply(By::Node, Kind::DisposeOverdue(dispose)));
        sweep(&mut sharing);
        sharing.world.hold();
        let row = sharing.world.state.erasure(id).unwrap();
        (row.clients.len(), row.keys.len(), sharing.world.state.tables().identities.is_empty())
    };
    assert_eq!(gone(true), (0, 1, false), "a word stands: the key of the record alone");
    assert_eq!(gone(false), (1, 3, true));
}

#[test]
fn erasing_many_records_stays_within_the_bounds_of_an_entry() {
    let mut sharing = Sharing::new();
    let records: Vec<_> = (0..100).map(|_| sharing.new_record()).collect();
    for name in ["sds", "health"] {
        while !sharing.release(name).is_empty() {}
    }
    let mut version = records[0];
    for _ in 0..400 {
        version = sharing.publish(Some(version), VersionChange::Update).unwrap();
    }
    let id = erasure_of(sharing.act("council", erase_client(&sharing)));
    assert!(!sharing.world.state.erasure(id).unwrap().listed);
    assert!(sharing.release("sds").is_empty(), "recalls that are still to be issued count");
    sweep(&mut sharing);
    let row = sharing.world.state.erasure(id).unwrap();
    assert_eq!((row.records.len(), row.versions, row.listed), (100, 500, true));
    assert_eq!((sharing.inbox("sds").len(), sharing.inbox("health").len()), (100, 100));
    sharing.world.hold();
}

#[test]
fn what_is_overdue_is_disposed_of_unless_it_is_held_and_leaves_evidence() {
    let mut sharing = Sharing::new();
    let (held, free) = (sharing.new_record(), sharing.new_record());
    while !sharing.release("sds").is_empty() {}
    sharing.act("council", hold_record(held)).unwrap();
    let dispose = |records: &[RecordId]| {
        Kind::DisposeOverdue(pb::DisposeOverdue {
            publisher: "council".to_owned(),
            record_type: LEAVER_FORM.to_owned(),
            records: records.iter().map(|id| id.as_bytes().to_vec().into()).collect(),
        })
    };
    let early = sharing.world.apply(By::Node, dispose(&[held, free]));
    assert_eq!(early, Err(Refusal::NothingToDo));
    sharing.world.wait(DAY_MS * 366 * 10);
    let now = UnixMillis::new(sharing.world.now_ms());
    let (found, after) = retention::look(&sharing.world.state, None, now, 16);
    assert_eq!((found.unwrap().records, after), (vec![free], None));
    assert_eq!(sharing.act("council", dispose(&[free])), Err(Refusal::ActorNotPermitted));
    let id = erasure_of(sharing.world.apply(By::Node, dispose(&[held, free])));
    let row = sharing.world.state.erasure(id).unwrap();
    assert_eq!(row.records.iter().copied().collect::<Vec<_>>(), [free], "the other one is held");
    assert_eq!(row.ground, i32::from(ErasureGround::RetentionEnded));
    assert_eq!(sharing.reasons("sds"), [RecallReason::RetentionEnded]);
    sweep(&mut sharing);
    assert_eq!(complete(&mut sharing, id), Ok(Receipt::DONE));
    let text = certificate(&sharing, "council", id).unwrap();
    assert!(text.contains("ground RETENTION_ENDED\n") && text.contains("keys 0"), "{text}");
    let now = UnixMillis::new(sharing.world.now_ms());
    assert_eq!(retention::look(&sharing.world.state, None, now, 16), (None, None));
    sharing.world.hold();
}
