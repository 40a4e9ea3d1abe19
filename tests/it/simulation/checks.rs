//! What must hold of every history, one checker for each guarantee.

use std::collections::{BTreeMap, BTreeSet};

use concordat::{
    ledger::Entry,
    machine::{Outcome, Receipt, State, apply, command::Parsed, outcome::Remembered},
    model::{id::RecordId, limit},
    pb::ledger::v1::{self as pb, command::Kind},
};
use prost::Message;

use super::{
    auditor::{Auditor, actor},
    cast,
    story::{Event, Left, Story},
};

/// A ledger, replayed into an empty state.
pub(crate) struct Replayed {
    pub(crate) state: State,
    pub(crate) entries: Vec<(Entry, pb::Command, Outcome)>,
    /// Which tables each entry changed.
    tables: Vec<BTreeSet<u8>>,
}

/// Replays entries.
pub(crate) fn replay(entries: Vec<Entry>) -> Replayed {
    let mut state = State::empty();
    let mut replayed = Vec::new();
    let mut tables = Vec::new();
    for entry in entries {
        let command = match Parsed::from_bytes(&entry.command) {
            Parsed::Command(command) => command,
            other => panic!("entry {}: {other:?}", entry.position),
        };
        let applied = apply(&mut state, entry.position, entry.admitted_at, Some(&command));
        tables.push(applied.rows.iter().map(|row| row.table).collect());
        let command = pb::Command::decode(entry.command.clone()).unwrap();
        replayed.push((entry, command, applied.outcome));
    }
    Replayed { state, entries: replayed, tables }
}

/// G1: what was answered is in the recovered ledger, under the very root that its caller could have been shown.
pub(crate) fn acknowledged_is_kept(story: &Story) {
    let entries = story.exchange.entries();
    let count = u64::try_from(entries.len()).unwrap();
    let mut asked = BTreeSet::new();
    for entry in &entries {
        asked.insert(pb::Command::decode(entry.command.clone()).unwrap().request_id.to_vec());
    }
    let mut last = None;
    for event in story.events.borrow().iter() {
        let Event::Answered(answered) = event else { continue };
        // A client whom its agency had named before, in the same words, is known without an entry more.
        let known = matches!(answered.outcome, Ok(Receipt::Answer(Remembered::Client(_))));
        if answered.outcome.is_ok() && !known {
            assert!(asked.contains(answered.request.as_bytes().as_slice()), "G1: {answered:?}");
        }
        assert!(answered.size.count() <= count, "G1: entries are gone: {answered:?}");
        last = Some((answered.size, answered.root));
    }
    if let Some((size, root)) = last {
        assert_eq!(story.exchange.root_at(size), Some(root), "G1: other bytes");
    }
}

/// G2: replaying the ledger gives the state that the node has, and so does loading its rows; both go on alike.
pub(crate) fn replay_is_the_state(story: &Story, replayed: &Replayed) {
    let node = story.exchange.node().unwrap();
    let (digest, chain) = node.read(|state| (state.digest(), state.chain().clone()));
    assert_eq!(replayed.state.chain(), &chain, "G2: the chain");
    assert_eq!(replayed.state.digest(), digest, "G2: the rows");
    let again = replay(replayed.entries.iter().map(|(entry, _, _)| entry.clone()).collect());
    assert_eq!(again.state.digest(), digest, "G2: the second replay");
    let reloaded = State::from_rows(replayed.state.to_rows().into_iter()).unwrap();
    assert_eq!(reloaded.digest(), digest, "G2: the rows reload");
    assert_eq!(reloaded.chain(), &chain, "G2: the chain reloads");
    node.read(|state| same_indexes(&reloaded, state));
}

/// Indexes are no part of the digest, so each is compared by itself.
pub(crate) fn same_indexes(one: &State, other: &State) {
    macro_rules! same {
        ($($field:ident)*) => {
            $(assert_eq!(one.indexes().$field, other.indexes().$field, "G2: the index");)*
        };
    }
    same!(agency_numbers certificates type_numbers flows consents_by_client alias_of);
    same!(records_by_client records_by_publisher key_of subscription_numbers);
    same!(policies_by_agency queued requests_by_age agreement_deadlines);
    same!(recalls_of recalls_issued recalls_to recalls_open recalls_waiting clients_waiting);
    same!(disputes_by disputes_about);
}

/// G9: no request has its effect twice, and every repetition gets the first answer.
pub(crate) fn requests_take_effect_once(replayed: &Replayed) {
    let mut answers: BTreeMap<_, &Outcome> = BTreeMap::new();
    for ((entry, command, outcome), tables) in replayed.entries.iter().zip(&replayed.tables) {
        let Some(kind) = &command.kind else { continue };
        if command.request_id.is_empty() || outcome.is_err() || !is_remembered(kind) {
            continue;
        }
        let kind = std::mem::discriminant(kind);
        let key = (actor(command), command.request_id.to_vec());
        match answers.get(&key) {
            None => {
                answers.insert(key, outcome);
            }
            Some(first) => {
                assert_eq!(*first, outcome, "G9: entry {} {kind:?}", entry.position);
                // The chain, what fell due and what it asks back, notices of it, and requests that were forgotten.
                let harmless = BTreeSet::from([1, 4, 17, 18, 31]);
                assert!(
                    tables.is_subset(&harmless),
                    "G9: entry {} changes {tables:?}",
                    entry.position
                );
            }
        }
    }
}

/// Adding a client keeps the identifiers that came with it each time; moving and acknowledging repeat nothing.
fn is_remembered(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::AddClient(_) | Kind::SeekSubscription(_) | Kind::Acknowledge(_) | Kind::OpenRecord(_)
    )
}

/// G3, G4 and G5, in one pass of the auditor over the ledger, with the gate's decisions taken at their places.
pub(crate) fn releases_were_allowed(story: &Story, replayed: &Replayed) -> Auditor {
    let events = story.events.borrow();
    let mut auditor = Auditor::default();
    let mut released: BTreeMap<u64, Vec<(RecordId, u64)>> = BTreeMap::new();
    let mut passes: Vec<(u64, &Left)> = narrowed_before(&events);
    passes.sort_by_key(|(_, left)| left.applied);
    let mut passes = passes.into_iter().peekable();
    for (place, (entry, command, outcome)) in (0_u64..).zip(&replayed.entries) {
        while let Some((narrowed, left)) = passes.next_if(|(_, left)| left.applied <= place) {
            left_rightly(&auditor, narrowed, left, &released);
        }
        let now_ms = entry.admitted_at.millis();
        let lines = auditor.decide((place, now_ms), command, outcome);
        if !lines.is_empty() {
            released.insert(place, lines);
        }
        auditor.take((place, now_ms), command, outcome);
    }
    for (narrowed, left) in passes {
        left_rightly(&auditor, narrowed, left, &released);
    }
    auditor
}

/// Every record that left, with the size of the ledger when the last narrowing before it was acknowledged.
fn narrowed_before(events: &[Event]) -> Vec<(u64, &Left)> {
    let mut narrowed = 0;
    let mut passes = Vec::new();
    for event in events {
        match event {
            Event::Answered(answered) if answered.narrows && answered.outcome.is_ok() => {
                narrowed = narrowed.max(answered.applied);
            }
            Event::Left(left) => passes.push((narrowed, left)),
            Event::Answered(_) | Event::Unknown(_) | Event::Held(_) | Event::Ended => {}
        }
    }
    passes
}

fn left_rightly(
    auditor: &Auditor,
    narrowed: u64,
    left: &Left,
    released: &BTreeMap<u64, Vec<(RecordId, u64)>>,
) {
    assert!(narrowed <= left.applied, "G3: an acknowledged stop was not in force: {left:?}");
    let key = (left.agency.to_owned(), left.subscription.clone());
    let asked = i32::from(pb::Purpose::SchoolLeaverTransition);
    let purpose = auditor.subscriptions.get(&key).copied().unwrap_or(asked);
    let allowed = auditor.may_leave(left.record, left.agency, purpose, left.now_ms);
    assert!(left.groups.is_subset(&allowed), "G3: {left:?} left, allowed {allowed:?}");
    assert!(left.position < left.durable, "G4: {left:?}");
    let lines = released.get(&left.position);
    let named = lines.is_some_and(|lines| lines.contains(&(left.record, left.delivery)));
    assert!(named, "G4: no entry releases {left:?}");
}

/// What recipients got is the published body, cut down to the released groups.
pub(crate) fn bodies_are_cut_down(story: &Story) {
    let known = story.known.borrow();
    for event in story.events.borrow().iter() {
        let Event::Left(left) = event else { continue };
        let groups: Vec<&str> = left.groups.iter().map(String::as_str).collect();
        let expected = cast::cut_down(&known.bodies[&left.record], &groups);
        let found = pb_form(&left.body);
        assert_eq!(found, expected, "the body of {left:?}");
    }
}

fn pb_form(body: &[u8]) -> concordat::pb::record::v1::LeaverForm {
    Message::decode(body).unwrap()
}

/// G13: whoever kept acknowledging holds the latest version of every record it may have, every group of it.
pub(crate) fn everything_arrived(story: &Story, auditor: &Auditor) {
    let node = story.exchange.node().unwrap();
    let now = node.now().unwrap().max(node.read(|state| state.chain().admitted_at));
    let known = story.known.borrow();
    for ((agency, subscription), purpose) in &auditor.subscriptions {
        let name = cast::AGENCIES.iter().find(|(name, _)| name == agency).unwrap().0;
        let kept = known.kept.get(&(name, subscription.clone()));
        for record in auditor.all_latest() {
            if auditor.records[&record].publisher == *agency {
                continue;
            }
            let allowed = auditor.may_leave(record, agency, *purpose, now.millis());
            if allowed.is_empty() || is_parked(story, (agency, subscription), auditor, record) {
                continue;
            }
            let held = kept.and_then(|kept| kept.get(&record)).cloned().unwrap_or_default();
            assert!(
                allowed.is_subset(&held),
                "G13: {agency}/{subscription} keeps {held:?} of {record}, may have {allowed:?}"
            );
        }
    }
}

fn is_parked(
    story: &Story,
    (agency, subscription): (&str, &str),
    auditor: &Auditor,
    record: RecordId,
) -> bool {
    let first = auditor.records[&record].first;
    story.exchange.node().unwrap().read(|state| {
        let number = state
            .subscription_number(cast_number(state, agency), &subscription.parse().unwrap())
            .unwrap();
        let received = state.tables().received.get(&(number, first));
        state.tables().parked.contains(&(number, first))
            && received.is_some_and(|row| row.record == record && limit::NACKS_MAX <= row.nacks)
    })
}

fn cast_number(state: &State, agency: &str) -> concordat::machine::state::agency::AgencyNumber {
    state.agency_number(&cast::agency(agency)).unwrap()
}

/// G13: within a subscription, never an older version of a record after a newer one, and each delivery number once.
pub(crate) fn order_was_kept(story: &Story, auditor: &Auditor) {
    let mut newest: BTreeMap<(&str, &str, RecordId), u32> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    for event in story.events.borrow().iter() {
        let Event::Left(left) = event else { continue };
        if left.subscription.is_empty() {
            continue; // asked for by name
        }
        let row = &auditor.records[&left.record];
        let place = newest.entry((left.agency, &left.subscription, row.first)).or_default();
        assert!(*place <= row.version, "G13: an older version after a newer one: {left:?}");
        *place = row.version;
        let number = (left.agency, left.subscription.clone(), left.delivery);
        assert!(numbers.insert(number), "G13: delivery number twice: {left:?}");
    }
}
