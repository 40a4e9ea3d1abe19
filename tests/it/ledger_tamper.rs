//! Changes to what is stored: damage is refused, and a rewritten history is found by whoever holds an old checkpoint.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may end a test, as tests themselves may"
)]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use concordat::{
    ledger::{
        AnyLedger, Draft, Fault, Ledger,
        checkpoint::Checkpoint,
        disk::{Disk, DiskFile, ForgetfulDisk},
        memory::Memory,
        segment::{Options, Segment},
        tree::verify_consistency,
    },
    model::{
        digest::Digest,
        order::{Position, TreeSize},
    },
};
use futures::executor::block_on;

use crate::ledger_samples::{Dice, entries, open, read_file, segments, tiny};

/// A small ledger of three segments, the last with several groups, with an erased attachment; and its head.
fn sample() -> (ForgetfulDisk, (TreeSize, Digest)) {
    let disk = ForgetfulDisk::new();
    let options = Options { segment_bytes: 4_096, ..tiny() };
    let ledger = Segment::open(disk.clone(), options).unwrap();
    let mut dice = Dice(1);
    while segments(&disk).len() < 3 {
        ledger.append_blocking(dice.drafts(2)).unwrap();
    }
    let mut large = dice.draft();
    large.command = dice.bytes(700);
    ledger.append_blocking(vec![large]).unwrap();
    ledger.append_blocking(dice.drafts(1)).unwrap();
    assert_eq!(segments(&disk).len(), 3);
    let found = entries(&ledger, ledger.head().0);
    let sealed = found.iter().find(|entry| entry.sealed_digest.is_some()).unwrap();
    ledger.erase_blocking(&[sealed.position]).unwrap();
    let head = ledger.head();
    (disk.crash(1), head)
}

/// Where the last group of the last segment lies.
fn last_group(disk: &ForgetfulDisk) -> std::ops::Range<usize> {
    let bytes = read_file(disk, segments(disk).last().unwrap());
    let start = bytes.windows(4).rposition(|window| window == b"grup").unwrap();
    start..bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

fn overwrite(disk: &ForgetfulDisk, name: &str, bytes: &[u8], at: usize) {
    disk.open(name).unwrap().write_at(bytes, u64::try_from(at).unwrap()).unwrap();
}

#[test]
fn every_flipped_bit_is_refused_or_without_effect() {
    let (disk, head) = sample();
    let names = segments(&disk);
    let mut harmless = 0_usize;
    for name in &names {
        let bytes = read_file(&disk, name);
        for (at, byte) in bytes.iter().enumerate() {
            let disk = disk.kill();
            overwrite(&disk, name, &[byte ^ (1 << (at % 8))], at);
            match open(&disk) {
                Err(Fault::Corrupt(_)) => {}
                Ok(ledger) => {
                    assert_eq!(ledger.head(), head, "byte {at} of {name}");
                    harmless += 1;
                }
                Err(fault) => unreachable!("{fault}"),
            }
        }
    }
    // Only the empty space after the last group has no effect, and what an erased attachment was overwritten with, which
    // is put right.
    let empty = read_file(&disk, names.last().unwrap()).len() - last_group(&disk).end;
    assert!(harmless <= empty + 330, "{harmless} of {empty}");
}

#[test]
fn zeroed_bytes_are_refused_unless_they_reach_the_very_end() {
    let (disk, head) = sample();
    let honest = open(&disk.kill()).unwrap();
    let names = segments(&disk);
    let group = last_group(&disk);
    for name in &names {
        let length = read_file(&disk, name).len();
        for width in [1, 24, 100, 512, 1_500] {
            for at in (0..length).step_by(7) {
                let disk = disk.kill();
                overwrite(&disk, name, &vec![0; width.min(length - at)], at);
                if let Ok(ledger) = open(&disk) {
                    let (size, root) = ledger.head();
                    let in_last = Some(name) == names.last() && group.start < at + width;
                    let lost = in_last && honest.root_at(size) == Ok(Some(root));
                    assert!((size, root) == head || lost, "{width} at {at} of {name}: {size}");
                }
            }
        }
    }
}

#[test]
fn a_shortened_or_missing_file_is_refused() {
    let (disk, head) = sample();
    for name in segments(&disk) {
        let bytes = read_file(&disk, &name);
        for length in 0..bytes.len() {
            let disk = disk.kill();
            disk.open(&name).unwrap().truncate(u64::try_from(length).unwrap()).unwrap();
            assert!(matches!(open(&disk), Err(Fault::Corrupt(_))), "{name} cut to {length}");
        }
        let without = disk.kill();
        without.remove(&name).unwrap();
        match open(&without) {
            Err(Fault::Corrupt(_)) => {}
            // The last one alone leaves a shorter ledger that is whole: only an older checkpoint's holder can tell.
            Ok(ledger) => assert!(ledger.head().0 < head.0 && Some(name) == segments(&disk).pop()),
            Err(fault) => unreachable!("{fault}"),
        }
    }
}

#[test]
fn a_segment_of_another_ledger_does_not_fit() {
    let ledgers = [0, 1].map(|change| {
        let disk = ForgetfulDisk::new();
        let ledger = open(&disk).unwrap();
        let mut dice = Dice(2);
        while segments(&disk).len() < 4 {
            let mut drafts = dice.drafts(2);
            drafts[0].salt[0] ^= change;
            ledger.append_blocking(drafts).unwrap();
        }
        disk
    });
    let [disk, other] = ledgers.map(|disk| disk.kill());
    assert_eq!(segments(&disk), segments(&other));
    for name in segments(&disk) {
        let disk = disk.kill();
        let bytes = read_file(&other, &name);
        let file = disk.open(&name).unwrap();
        file.truncate(0).unwrap();
        file.write_at(&bytes, 0).unwrap();
        assert!(matches!(open(&disk), Err(Fault::Corrupt(_))), "{name}");
    }
}

/// A ledger written afresh with every checksum right: what whoever owns the machine can make.
fn rewritten(drafts: &[Draft]) -> AnyLedger {
    let ledger = AnyLedger::Memory(Memory::new());
    block_on(ledger.append(drafts.to_vec())).unwrap();
    ledger
}

/// Whether the holder of `checkpoint` accepts what `ledger` shows.
fn is_accepted(ledger: &AnyLedger, checkpoint: &Checkpoint) -> bool {
    let (size, root) = ledger.head();
    match ledger.consistency(checkpoint.size, size).unwrap() {
        None => false,
        Some(path) => {
            verify_consistency((checkpoint.size, &checkpoint.root), (size, &root), &path).is_ok()
        }
    }
}

#[test]
fn every_rewritten_history_is_found_by_the_holder_of_an_older_checkpoint() {
    let drafts = Dice(3).drafts(48);
    let honest = rewritten(&drafts[..32]);
    let (size, root) = honest.head();
    let key = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
    let origin = "concordat/03".to_owned();
    let note = Checkpoint { origin: origin.clone(), size, root }.sign(&key);
    let held = Checkpoint::verify(&note, &origin, key.public_key().as_ref()).unwrap();
    assert!(is_accepted(&rewritten(&drafts), &held));
    for place in 0..32 {
        let mut edited = drafts.clone();
        edited[place].command = [edited[place].command.as_ref(), b"!"].concat().into();
        assert!(!is_accepted(&rewritten(&edited), &held), "edited {place}");
        let mut stripped = drafts.clone();
        if stripped[place].sealed.take().is_some() {
            assert!(!is_accepted(&rewritten(&stripped), &held), "stripped {place}");
        }
        let mut swapped = drafts.clone();
        swapped.swap(place, place + 1);
        assert!(!is_accepted(&rewritten(&swapped), &held), "swapped {place}");
        let mut removed = drafts.clone();
        removed.remove(place);
        assert!(!is_accepted(&rewritten(&removed), &held), "removed {place}");
        let mut inserted = drafts.clone();
        inserted.insert(place, Dice(4).draft());
        assert!(!is_accepted(&rewritten(&inserted), &held), "inserted at {place}");
        assert!(!is_accepted(&rewritten(&drafts[..place]), &held), "truncated to {place}");
    }
    assert_eq!(
        honest.leaf(Position::new(31)).unwrap(),
        rewritten(&drafts).leaf(Position::new(31)).unwrap()
    );
}
