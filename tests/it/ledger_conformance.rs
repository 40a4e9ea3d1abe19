//! The contract of `Ledger`, held against every engine.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may end a test, as tests themselves may"
)]

use concordat::{
    ledger::{
        AnyLedger, Draft, Fault, Ledger, Space,
        disk::{ForgetfulDisk, OsDisk},
        leaf,
        memory::Memory,
        segment::Segment,
        tree::{verify_consistency, verify_inclusion},
    },
    model::{
        digest::Digest,
        order::{Position, TreeSize, UnixMillis},
    },
};
use futures::{FutureExt, StreamExt, executor::block_on, future::join_all};

use crate::ledger_samples::{Dice, attachments, entries, entries_from, tiny};

/// Runs `check` on every engine, empty; the directory of the real one is removed afterwards.
fn every_engine(check: impl Fn(&AnyLedger)) {
    check(&AnyLedger::Memory(Memory::new()));
    check(&AnyLedger::Simulated(Segment::open(ForgetfulDisk::new(), tiny()).unwrap()));
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::create(&directory.path().join("ledger")).unwrap();
    check(&AnyLedger::Segment(Segment::open(disk, tiny()).unwrap()));
}

/// Appends groups of one to five drafts and returns all of them.
fn fill(ledger: &AnyLedger, seed: u64, groups: u64) -> Vec<Draft> {
    let mut dice = Dice(seed);
    let mut all = Vec::new();
    for _ in 0..groups {
        let count = 1 + dice.below(5);
        let drafts = dice.drafts(count);
        all.extend(drafts.clone());
        block_on(ledger.append(drafts)).unwrap();
    }
    all
}

#[test]
fn entries_keep_their_order_and_their_bytes() {
    every_engine(|ledger| {
        let drafts = fill(ledger, 1, 60);
        let (size, _) = ledger.head();
        let found = entries(ledger, size);
        assert_eq!(found.len(), drafts.len());
        for ((number, entry), draft) in (0..).zip(&found).zip(&drafts) {
            assert_eq!(entry.position, Position::new(number));
            assert_eq!((entry.salt, &entry.command), (draft.salt, &draft.command));
            assert_eq!(entry.sealed_digest, draft.sealed.as_ref().map(leaf::sealed_digest));
        }
        let sealed: Vec<_> = drafts.into_iter().map(|draft| draft.sealed).collect();
        assert_eq!(attachments(ledger, size), sealed);
    });
}

#[test]
fn a_follower_may_begin_anywhere() {
    every_engine(|ledger| {
        fill(ledger, 2, 40);
        let (size, _) = ledger.head();
        let all = entries(ledger, size);
        for (number, place) in (0..size.count()).zip(0..) {
            assert_eq!(entries_from(ledger, Position::new(number), size), all[place..]);
        }
    });
}

#[test]
fn admission_never_goes_back_in_time() {
    every_engine(|ledger| {
        for proposed_at in [5, 9, 3, 0, 12] {
            let draft = Draft { proposed_at: UnixMillis::new(proposed_at), ..Dice(3).draft() };
            block_on(ledger.append(vec![draft])).unwrap();
        }
        let (size, _) = ledger.head();
        let times: Vec<_> =
            entries(ledger, size).iter().map(|entry| entry.admitted_at.millis()).collect();
        assert_eq!(times, [5, 9, 9, 9, 12]);
        assert_eq!(ledger.admitted_at(), UnixMillis::new(12));
    });
}

#[test]
fn an_empty_append_changes_nothing() {
    every_engine(|ledger| {
        block_on(ledger.append(Vec::new())).unwrap();
        assert_eq!(ledger.head(), (TreeSize::EMPTY, Digest::of_concatenation(&[])));
    });
}

#[test]
fn a_follower_waits_for_what_comes() {
    every_engine(|ledger| {
        let mut early = ledger.entries(Position::FIRST);
        let mut ahead = ledger.entries(Position::new(2));
        assert!(early.next().now_or_never().is_none());
        fill(ledger, 4, 1);
        assert_eq!(block_on(early.next()).unwrap().unwrap().position, Position::FIRST);
        fill(ledger, 5, 3);
        assert_eq!(block_on(early.next()).unwrap().unwrap().position, Position::new(1));
        assert_eq!(block_on(ahead.next()).unwrap().unwrap().position, Position::new(2));
        let (size, _) = ledger.head();
        let mut at_end = ledger.entries(size.end());
        assert!(at_end.next().now_or_never().is_none());
        fill(ledger, 6, 1);
        assert_eq!(block_on(at_end.next()).unwrap().unwrap().position, size.end());
    });
}

#[test]
fn a_follower_on_another_thread_is_woken() {
    every_engine(|ledger| {
        let stream = ledger.follow(Position::FIRST);
        let reader = std::thread::spawn(|| {
            block_on(stream.take(50).map(Result::unwrap).collect::<Vec<_>>())
        });
        for seed in 0..50 {
            block_on(ledger.append(vec![Dice(seed).draft()])).unwrap();
        }
        assert_eq!(reader.join().unwrap(), entries(ledger, TreeSize::new(50)));
    });
}

#[test]
fn a_follower_outlives_its_engine_by_one_fault() {
    let memory = Memory::new();
    let segment = Segment::open(ForgetfulDisk::new(), tiny()).unwrap();
    let streams = [memory.follow(Position::FIRST), segment.follow(Position::FIRST)];
    drop((memory, segment));
    for stream in streams {
        assert_eq!(block_on(stream.collect::<Vec<_>>()), [Err(Fault::Closed)]);
    }
}

#[test]
fn groups_appended_at_once_do_not_mix() {
    every_engine(|ledger| {
        let groups: Vec<_> = (0..20).map(|seed| Dice(seed).drafts(3)).collect();
        std::thread::scope(|scope| {
            for group in &groups {
                scope.spawn(move || block_on(ledger.append(group.clone())).unwrap());
            }
        });
        let found = entries(ledger, TreeSize::new(60));
        for three in found.chunks(3) {
            let salts: Vec<_> = three.iter().map(|entry| entry.salt).collect();
            let same = |group: &Vec<Draft>| group.iter().map(|draft| draft.salt).eq(salts.clone());
            assert!(groups.iter().any(same));
        }
    });
}

#[test]
fn an_erased_attachment_is_gone_and_all_else_stays() {
    every_engine(|ledger| {
        let drafts = fill(ledger, 7, 40);
        let (size, root) = ledger.head();
        let before = entries(ledger, size);
        let erased: Vec<_> = (0..size.count()).filter(|n| n % 3 == 0).map(Position::new).collect();
        for _ in 0..2 {
            block_on(ledger.erase(&erased)).unwrap();
            assert_eq!(ledger.head(), (size, root));
            assert_eq!(entries(ledger, size), before);
            let found = attachments(ledger, size);
            for ((place, found), draft) in found.iter().enumerate().zip(&drafts) {
                let expected = if place % 3 == 0 { &None } else { &draft.sealed };
                assert_eq!(found, expected);
            }
        }
        block_on(ledger.erase(&[size.end()])).unwrap();
        assert_eq!(block_on(ledger.sealed(&[size.end()])), Ok(vec![None]));
    });
}

#[test]
fn an_attachment_read_while_it_is_erased_is_there_or_gone() {
    every_engine(|ledger| {
        let drafts = fill(ledger, 10, 40);
        let positions: Vec<_> = (0..ledger.head().0.count()).map(Position::new).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for position in &positions {
                    block_on(ledger.erase(&[*position])).unwrap();
                }
            });
            for _ in 0..20 {
                let found = block_on(ledger.sealed(&positions)).unwrap();
                for (found, draft) in found.iter().zip(&drafts) {
                    assert!(found.is_none() || *found == draft.sealed);
                }
            }
        });
        assert!(attachments(ledger, ledger.head().0).iter().all(Option::is_none));
    });
}

#[test]
fn every_entry_is_proved_and_every_head_is_consistent() {
    every_engine(|ledger| {
        let mut heads = vec![ledger.head()];
        for seed in 0..30 {
            fill(ledger, seed, 1);
            heads.push(ledger.head());
        }
        let (size, root) = ledger.head();
        for (from, old) in &heads {
            assert_eq!(ledger.root_at(*from).unwrap(), Some(*old));
            let path = ledger.consistency(*from, size).unwrap().unwrap();
            verify_consistency((*from, old), (size, &root), &path).unwrap();
        }
        for entry in entries(ledger, size) {
            let leaf = leaf::leaf_hash(&entry);
            assert_eq!(ledger.leaf(entry.position).unwrap(), Some(leaf));
            let path = ledger.inclusion(entry.position, size).unwrap().unwrap();
            verify_inclusion(&leaf, entry.position, size, &root, &path).unwrap();
        }
        assert_eq!(ledger.leaf(size.end()).unwrap(), None);
        assert_eq!(ledger.inclusion(size.end(), size).unwrap(), None);
    });
}

#[test]
fn the_same_drafts_have_the_same_root_in_every_engine() {
    let heads = std::cell::RefCell::new(Vec::new());
    every_engine(|ledger| {
        fill(ledger, 8, 150);
        heads.borrow_mut().push(ledger.head());
    });
    let heads = heads.into_inner();
    assert!(heads.iter().all(|head| head == &heads[0]));
    assert!(256 < heads[0].0.count());
}

#[test]
fn an_entry_may_be_empty_or_large() {
    every_engine(|ledger| {
        let mut dice = Dice(9);
        let mut empty = dice.draft();
        empty.command = bytes::Bytes::new();
        empty.sealed =
            Some(concordat::ledger::Sealed { salt: [0; 16], bytes: bytes::Bytes::new() });
        let large = Draft { command: dice.bytes(1 << 20), space: Space::Reserved, ..dice.draft() };
        let groups = [vec![empty.clone()], vec![large.clone()], vec![empty.clone(), large.clone()]];
        let appended = groups.map(|group| ledger.append(group));
        assert!(block_on(join_all(appended)).iter().all(Result::is_ok));
        let found = entries(ledger, TreeSize::new(4));
        let commands: Vec<_> = found.into_iter().map(|entry| entry.command).collect();
        assert_eq!(commands, [&empty, &large, &empty, &large].map(|draft| draft.command.clone()));
        assert_eq!(attachments(ledger, TreeSize::new(1)), [empty.sealed]);
    });
}
