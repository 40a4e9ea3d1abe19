//! Erasure, legal holds and disposal over the network, and under power cuts.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may end a test")]

use concordat::{
    ledger::{Ledger, checkpoint::is_signed, disk::Trouble},
    machine::{Receipt, State, outcome::Remembered},
    pb::{
        ledger::v1::{self as ledger, ErasureGround, HoldGround, Purpose, command::Kind},
        v1::{
            self as pb, disposal_service_client::DisposalServiceClient,
            recall_service_client::RecallServiceClient,
        },
    },
};
use tonic::{Code, Status, transport::Channel};

use crate::{
    erasure_disk::{enumerate, steal},
    harness::{Agency, Exchange, alias, context, draft, form, reason},
    simulation::{
        cast,
        exchange::{self as simulated, run, yields},
    },
};

fn disposals(agency: &Agency) -> DisposalServiceClient<Channel> {
    DisposalServiceClient::new(agency.channel.clone())
}

pub(crate) fn bytes(name: &str) -> bytes::Bytes {
    let digits = name.rsplit('/').next().unwrap();
    u128::from_str_radix(digits, 16).unwrap().to_be_bytes().to_vec().into()
}

fn of_client(name: &str) -> ledger::EraseRecords {
    let client = alias(name).as_bytes().to_vec().into();
    let ground = i32::from(ErasureGround::Objection);
    ledger::EraseRecords { client, record: bytes::Bytes::new(), ground }
}

fn of_record(name: &str) -> ledger::EraseRecords {
    let ground = i32::from(ErasureGround::NoLongerNeeded);
    ledger::EraseRecords { client: bytes::Bytes::new(), record: bytes(name), ground }
}

async fn erase(agency: &Agency, erase: ledger::EraseRecords) -> Result<pb::Erasure, Status> {
    let request = agency.request_id();
    let signature = Some(agency.signature(request, &Kind::EraseRecords(erase.clone())));
    let request = pb::EraseRecordsRequest {
        context: context(),
        request_id: uuid::Uuid::from_bytes(*request.as_bytes()).to_string(),
        erase: Some(erase),
        signature,
        validate_only: false,
    };
    let answer = disposals(agency).erase_records(request).await?.into_inner();
    Ok(answer.erasure.unwrap())
}

async fn get(agency: &Agency, name: &str) -> Result<pb::GetErasureResponse, Status> {
    let request = pb::GetErasureRequest { context: context(), name: name.to_owned() };
    Ok(disposals(agency).get_erasure(request).await?.into_inner())
}

async fn hold(agency: &Agency, record: &str) -> Result<pb::Hold, Status> {
    let place = ledger::PlaceHold {
        client: bytes::Bytes::new(),
        record: bytes(record),
        ground: i32::from(HoldGround::LegalClaim),
    };
    let request = pb::PlaceHoldRequest {
        context: context(),
        request_id: agency.request(),
        place: Some(place),
        validate_only: false,
    };
    Ok(disposals(agency).place_hold(request).await?.into_inner().hold.unwrap())
}

async fn lift(agency: &Agency, hold: &str) -> Result<pb::Hold, Status> {
    let lift = ledger::LiftHold { hold: bytes(hold) };
    let request = agency.request_id();
    let signature = Some(agency.signature(request, &Kind::LiftHold(lift.clone())));
    let request = pb::LiftHoldRequest {
        context: context(),
        request_id: uuid::Uuid::from_bytes(*request.as_bytes()).to_string(),
        lift: Some(lift),
        signature,
        validate_only: false,
    };
    Ok(disposals(agency).lift_hold(request).await?.into_inner().hold.unwrap())
}

async fn publish(
    agency: &Agency,
    number: u32,
    request_id: String,
) -> Result<pb::PublishReceipt, Status> {
    let request = pb::PublishRecordRequest {
        context: context(),
        request_id,
        record: Some(draft(&form(number))),
        validate_only: false,
    };
    Ok(agency.exchange().publish_record(request).await?.into_inner().receipt.unwrap())
}

async fn read(agency: &Agency, record: &str) -> Result<(), Status> {
    let request = pb::GetRecordRequest {
        context: context(),
        request_id: agency.request(),
        name: record.to_owned(),
        reason: i32::from(ledger::ReadReason::Service),
    };
    agency.exchange().get_record(request).await.map(drop)
}

async fn pull(agency: &Agency) -> pb::PullRecordsResponse {
    let request = pb::PullRecordsRequest {
        context: context(),
        request_id: agency.request(),
        subscription: agency.subscription("leavers"),
        ..pb::PullRecordsRequest::default()
    };
    agency.exchange().pull_records(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn an_erased_client_is_gone_for_everybody_and_the_certificate_says_so() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let request = council.request();
    let receipt = publish(&council, 1, request.clone()).await.unwrap();
    let kept = publish(&council, 2, council.request()).await.unwrap();
    assert_eq!(pull(&sds).await.deliveries.len(), 2);

    for erasing in [of_client(&receipt.client), of_record(&receipt.record)] {
        let refused = erase(&sds, erasing).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "NOT_AVAILABLE"));
    }
    let unsigned = pb::EraseRecordsRequest {
        context: context(),
        request_id: council.request(),
        erase: Some(of_client(&receipt.client)),
        signature: None,
        validate_only: false,
    };
    let unsigned = disposals(&council).erase_records(unsigned).await.unwrap_err();
    assert_eq!(reason(&unsigned), "SIGNATURE_INVALID");

    let begun = erase(&council, of_client(&receipt.client)).await.unwrap();
    assert_eq!((begun.state, begun.keys_count), (i32::from(pb::ErasureState::InProgress), 2));
    assert_eq!(begun.client, receipt.client);
    for agency in [&council, &sds] {
        let gone = read(agency, &receipt.record).await.unwrap_err();
        assert_eq!(reason(&gone), "NOT_AVAILABLE");
    }
    exchange.at_rest().await;
    let found = get(&council, &begun.name).await.unwrap();
    let complete = found.erasure.unwrap();
    assert_eq!((complete.state, complete.outstanding_count), (2, 1));
    let key = exchange.node.read(|state| state.chain().checkpoint_key);
    let origin = found.certificate.lines().next().unwrap();
    assert!(
        origin.starts_with("concordat-erasure/") && is_signed(&found.certificate, origin, &key)
    );
    let foreign = get(&sds, &begun.name).await.unwrap_err();
    assert_eq!(reason(&foreign), "NOT_AVAILABLE");

    let told = pull(&sds).await.recalls;
    let reasons: Vec<_> = told.iter().map(|recall| recall.reason).collect();
    assert_eq!(reasons, [i32::from(ledger::RecallReason::Erased)]);
    let act = ledger::AcknowledgeRecall { recall: bytes(&told[0].name), act: 1, ground: 0 };
    let answer = pb::AcknowledgeRecallRequest {
        context: context(),
        request_id: sds.request(),
        acknowledge: Some(act),
        validate_only: false,
    };
    RecallServiceClient::new(sds.channel.clone()).acknowledge_recall(answer).await.unwrap();
    let certificate = get(&council, &begun.name).await.unwrap().certificate;
    assert!(certificate.contains("recipient skills answered\n"), "{certificate}");

    let repeated = publish(&council, 1, request).await.unwrap_err();
    assert_eq!(
        (repeated.code(), reason(&repeated).as_str()),
        (Code::FailedPrecondition, "REQUEST_ERASED")
    );
    read(&council, &kept.record).await.unwrap();
    // The same person comes in anew, as somebody whom nobody knows.
    let anew = publish(&council, 1, council.request()).await.unwrap();
    assert_ne!(anew.client, receipt.client);
    read(&council, &anew.record).await.unwrap();
}

#[tokio::test]
async fn a_hold_outranks_erasure_and_retention() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let held = publish(&council, 1, council.request()).await.unwrap();
    let free = publish(&council, 2, council.request()).await.unwrap();
    let foreign = hold(&sds, &held.record).await.unwrap_err();
    assert_eq!(reason(&foreign), "NOT_AVAILABLE");
    let placed = hold(&council, &held.record).await.unwrap();
    assert_eq!((placed.client.as_str(), placed.record.as_str()), (&*held.client, &*held.record));
    let refused = erase(&council, of_client(&held.client)).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "LEGAL_HOLD")
    );

    // Three years later, what is not held is disposed of without anybody asking.
    exchange.clock.advance(3 * 366 * 86_400_000);
    exchange.node.confirm_clock();
    let disposed = async {
        while exchange.node.read(|state| state.tables().erasures.is_empty()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), disposed).await.unwrap();
    exchange.at_rest().await;
    let (erased, kept) = exchange.node.read(|state| {
        let gone = |name: &str| {
            let id = concordat::model::id::RecordId::from_slice(&bytes(name)).unwrap();
            state.erased(id).is_some()
        };
        (gone(&free.record), !gone(&held.record))
    });
    assert!(erased && kept);
    let lifted = ledger::LiftHold { hold: bytes(&placed.name) };
    assert!(council.submit(Kind::LiftHold(lifted)).await.is_ok());
}

#[tokio::test]
async fn of_whom_retention_leaves_nothing_nobody_finds_a_number_on_the_disk() {
    const GOES: &str = "051234561";
    const STAYS: &str = "123456785";
    let exchange = Exchange::start().await;
    let (council, _sds) = exchange.partners().await;
    let known = async |number: u32, scn: &str| {
        let mut form = form(number);
        scn.clone_into(&mut form.identity.get_or_insert_default().scn);
        let request = pb::PublishRecordRequest {
            context: context(),
            request_id: council.request(),
            record: Some(draft(&form)),
            validate_only: false,
        };
        let published = council.exchange().publish_record(request).await.unwrap();
        published.into_inner().receipt.unwrap()
    };
    let _gone = known(1, GOES).await;
    let held = known(2, STAYS).await;
    let _hold = hold(&council, &held.record).await.unwrap();
    exchange.clock.advance(3 * 366 * 86_400_000);
    exchange.node.confirm_clock();
    let disposed = async {
        let open = |state: &State| {
            state.tables().erasures.is_empty() || !state.indexes().erasures_open.is_empty()
        };
        while exchange.node.read(open) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), disposed).await.unwrap();
    exchange.at_rest().await;
    let row =
        exchange.node.read(|state| state.tables().erasures.iter().next().map(|(_, r)| r.clone()));
    assert_eq!(
        row.map(|row| (row.records.len(), row.clients.len(), row.keys.len())),
        Some((1, 1, 2))
    );
    drop(council);
    let directory = exchange.end().await;
    let found = tokio::task::spawn_blocking(move || {
        let path = directory.path();
        enumerate(&steal(&path.join("ledger"), &path.join("keyring")))
    });
    assert_eq!(found.await.unwrap(), [STAYS]);
}

#[tokio::test]
async fn holds_are_listed_and_lifted_once() {
    let exchange = Exchange::start().await;
    let (council, sds) = exchange.partners().await;
    let receipt = publish(&council, 1, council.request()).await.unwrap();
    let placed = hold(&council, &receipt.record).await.unwrap();
    let list = |lifted_too| pb::ListHoldsRequest {
        context: context(),
        lifted_too,
        page_size: 0,
        page_token: String::new(),
    };
    let held = disposals(&council).list_holds(list(false)).await.unwrap().into_inner().holds;
    assert_eq!(held, std::slice::from_ref(&placed));
    assert!(disposals(&sds).list_holds(list(true)).await.unwrap().into_inner().holds.is_empty());
    let foreign = lift(&sds, &placed.name).await.unwrap_err();
    assert_eq!(reason(&foreign), "NOT_AVAILABLE");
    assert!(lift(&council, &placed.name).await.unwrap().lifted_time.is_some());
    let again = lift(&council, &placed.name).await.unwrap_err();
    assert_eq!(reason(&again), "HOLD_WRONG_STATE");
    assert!(
        disposals(&council).list_holds(list(false)).await.unwrap().into_inner().holds.is_empty()
    );
    let begun = erase(&council, of_record(&receipt.record)).await.unwrap();
    exchange.at_rest().await;
    let list = pb::ListErasuresRequest { context: context(), ..pb::ListErasuresRequest::default() };
    let listed = disposals(&council).list_erasures(list.clone()).await.unwrap().into_inner();
    assert_eq!(listed.erasures[0].name, begun.name);
    assert!(disposals(&sds).list_erasures(list).await.unwrap().into_inner().erasures.is_empty());
}

/// Publishes about one client of the council's in a simulated exchange; nothing if the exchange broke down.
async fn share(
    exchange: &simulated::Exchange,
    client: u64,
) -> Option<(concordat::model::id::RecordId, concordat::model::id::AliasId)> {
    let asked =
        cast::asked("council", Purpose::SchoolLeaverTransition, exchange.request_id(), None);
    let told = cast::identifiers("council", client);
    let publication = cast::publication(told, &cast::GROUPS, client, None);
    match exchange.node()?.publish(&asked, &publication).await.ok()? {
        Ok(Receipt::Published { record, client, .. }) => Some((record, client)),
        other => unreachable!("not published: {other:?}"),
    }
}

/// Lets the node work until nothing is left to be done; whether it came to that.
async fn finished(exchange: &simulated::Exchange) -> bool {
    for _ in 0..2_000 {
        let Some(node) = exchange.node() else { return false };
        if node.fault().is_some() {
            return false;
        }
        let rest = |state: &State| {
            state.tables().sweeps.is_empty() && state.indexes().erasures_open.is_empty()
        };
        if node.read(rest) {
            return true;
        }
        yields(8).await;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    false
}

/// Cuts the power at one change of the disk after another while a client is erased; whether the cut was met.
async fn cut_at(nth: u64) -> bool {
    let exchange = simulated::Exchange::found(nth).await;
    exchange.gather().await;
    let (erased, client) = share(&exchange, 1).await.unwrap();
    let (kept, _) = share(&exchange, 2).await.unwrap();
    exchange.disk().inject(Trouble::PowerCut, nth);
    let erase = Kind::EraseRecords(ledger::EraseRecords {
        client: client.as_bytes().to_vec().into(),
        record: bytes::Bytes::new(),
        ground: i32::from(ErasureGround::Unlawful),
    });
    let purpose = Purpose::SchoolLeaverTransition;
    let asked = cast::asked("council", purpose, exchange.request_id(), Some(&erase));
    let first = exchange.node().unwrap().submit(&asked, erase.clone(), None).await;
    let met = !finished(&exchange).await;
    exchange.end(met.then_some(nth));
    exchange.start(false).await.unwrap();
    // Whoever got no answer asks again, under the same name.
    let node = exchange.node().unwrap();
    let again = node.submit(&asked, erase, None).await.unwrap();
    let Ok(Receipt::Answer(Remembered::Erasure(id))) = again else { panic!("{again:?}") };
    if let Ok(first) = first {
        assert_eq!(first, again, "one erasure, however often it is asked for");
    }
    assert!(finished(&exchange).await, "the erasure does not come to its end after cut {nth}");
    let (row, positions) = node.read(|state| {
        let removed = state.tables().removed.iter();
        let of = removed.filter(|(_, by)| **by == id).map(|(position, _)| *position);
        (state.erasure(id).unwrap().clone(), of.collect::<Vec<_>>())
    });
    assert!(row.completed_at.is_some() && row.keys.len() == 2);
    assert_eq!(u32::try_from(positions.len()).unwrap(), row.attachments);
    let sealed = node.ledger().sealed(&positions).await.unwrap();
    assert!(sealed.iter().all(Option::is_none), "an attachment is there after cut {nth}");
    let keyring = exchange.keyring_file();
    for epoch in &row.epochs {
        let there =
            keyring.windows(16).take(keyring.len() - 16).position(|w| w == epoch.as_bytes());
        // Its name stands among the destroyed ones, which are ids alone.
        let held = u32::from_be_bytes(keyring[28..32].try_into().unwrap());
        let end = 32 + 56 * usize::try_from(held).unwrap();
        assert!(there.is_none_or(|at| end <= at), "an epoch is there after cut {nth}");
    }
    let asked = cast::asked("council", purpose, exchange.request_id(), None);
    let opened = node.open_record(&asked, kept, ledger::ReadReason::Service).await.unwrap();
    assert!(opened.is_ok(), "a survivor is lost after cut {nth}");
    let asked = cast::asked("council", purpose, exchange.request_id(), None);
    let opened = node.open_record(&asked, erased, ledger::ReadReason::Service).await.unwrap();
    assert!(opened.is_err());
    exchange.end(None);
    met
}

#[test]
fn an_erasure_comes_to_its_end_wherever_the_power_is_cut() {
    let mut cuts = 0;
    for nth in 1..200 {
        if !run(cut_at(nth)) {
            break;
        }
        cuts += 1;
    }
    assert!((8..199).contains(&cuts), "{cuts} cuts");
}
