//! The segment engine as a whole: starts, locks, formats, segments, and the offline verifier.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may end a test, as tests themselves may"
)]

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use concordat::{
    ledger::{
        Draft, Fault,
        disk::{Disk, DiskFile, ForgetfulDisk, OsDisk},
        leaf,
        segment::{Attached, Options, Segment},
        verify::verify,
    },
    model::order::{Position, TreeSize},
};

use crate::ledger_samples::{Dice, attachments, entries, open, read_file, segments, tiny};

/// A ledger of several segments, closed.
fn filled(seed: u64, groups: u64) -> (ForgetfulDisk, Vec<Draft>) {
    let disk = ForgetfulDisk::new();
    let ledger = open(&disk).unwrap();
    let mut dice = Dice(seed);
    let mut all = Vec::new();
    for _ in 0..groups {
        let drafts = dice.drafts(2);
        all.extend(drafts.clone());
        ledger.append_blocking(drafts).unwrap();
    }
    drop(ledger);
    (disk, all)
}

#[test]
fn a_ledger_opened_again_is_the_same() {
    let (disk, _) = filled(1, 50);
    assert!(10 < segments(&disk).len());
    let ledger = open(&disk).unwrap();
    let (size, root) = ledger.head();
    let found = (entries(&ledger, size), attachments(&ledger, size), ledger.admitted_at());
    drop(ledger);
    let ledger = open(&disk.crash(1)).unwrap();
    assert_eq!(ledger.head(), (size, root));
    assert_eq!((entries(&ledger, size), attachments(&ledger, size), ledger.admitted_at()), found);
}

#[test]
fn a_ledger_may_be_opened_with_another_segment_length() {
    let (disk, drafts) = filled(2, 30);
    for segment_bytes in [512, 8_192, 2_048] {
        let options = Options { segment_bytes, ..tiny() };
        let ledger = Segment::open(disk.clone(), options).unwrap();
        ledger.append_blocking(Dice(3).drafts(3)).unwrap();
    }
    let size = open(&disk).unwrap().head().0;
    assert_eq!(size.count(), u64::try_from(drafts.len()).unwrap() + 9);
}

#[test]
fn one_process_at_a_time_has_a_ledger_open() {
    let disk = ForgetfulDisk::new();
    let directory = tempfile::tempdir().unwrap();
    let real = OsDisk::create(directory.path()).unwrap();
    let first = (open(&disk).unwrap(), Segment::open(real.clone(), tiny()).unwrap());
    assert!(matches!(open(&disk), Err(Fault::Unusable(_))));
    assert!(matches!(Segment::open(real.clone(), tiny()), Err(Fault::Unusable(_))));
    drop(first);
    open(&disk).unwrap();
    Segment::open(real, tiny()).unwrap();
}

#[test]
fn a_newer_or_unknown_format_is_refused() {
    for (stamp, newer) in [
        ("concordat ledger 2\n", true),
        ("concordat ledger 0\n", false),
        ("concordat ledger 1", false),
        ("", false),
    ] {
        let (disk, _) = filled(4, 3);
        let file = disk.open("concordat.format").unwrap();
        file.truncate(0).unwrap();
        file.write_at(stamp.as_bytes(), 0).unwrap();
        for fault in [open(&disk).unwrap_err(), verify(&disk, &mut |_, _| Ok(())).unwrap_err()] {
            assert_eq!(newer, matches!(fault, Fault::Unusable(_)), "{stamp:?}");
            assert_eq!(!newer, matches!(fault, Fault::Corrupt(_)), "{stamp:?}");
        }
    }
    let (disk, _) = filled(4, 3);
    disk.remove("concordat.format").unwrap();
    assert!(matches!(open(&disk), Err(Fault::Corrupt(_))));
}

#[test]
fn a_group_larger_than_a_segment_gets_a_segment_of_its_own() {
    let disk = ForgetfulDisk::new();
    let ledger = open(&disk).unwrap();
    let mut dice = Dice(5);
    for length in [10, 100_000, 10, 10_000, 10] {
        let draft = Draft { command: dice.bytes(length), ..dice.draft() };
        ledger.append_blocking(vec![draft]).unwrap();
    }
    let head = ledger.head();
    drop(ledger);
    assert_eq!(open(&disk.crash(5)).unwrap().head(), head);
}

#[test]
fn a_torn_group_is_dropped_and_the_next_one_takes_its_place() {
    let (disk, drafts) = filled(6, 5);
    let last = segments(&disk).pop().unwrap();
    let bytes = read_file(&disk, &last);
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let start = bytes.windows(4).rposition(|window| window == b"grup").unwrap();
    for kept in 0..end - start {
        let disk = disk.kill();
        let file = disk.open(&last).unwrap();
        file.write_at(&vec![0; end - start - kept], u64::try_from(start + kept).unwrap()).unwrap();
        let report = verify(&disk, &mut |_, _| Ok(())).unwrap();
        assert_eq!((report.torn, report.entries.count()), (0 < kept, 8), "{kept} bytes are left");
        let ledger = open(&disk).unwrap();
        assert_eq!(ledger.head(), (report.entries, report.root));
        ledger.append_blocking(drafts[8..].to_vec()).unwrap();
        drop(ledger);
        assert!(!verify(&disk, &mut |_, _| Ok(())).unwrap().torn);
        assert_eq!(read_file(&disk, &last), bytes);
    }
}

#[test]
fn an_interrupted_erasure_is_finished_at_the_next_start() {
    let (disk, drafts) = filled(7, 20);
    let sealed =
        |draft: &Draft| draft.sealed.as_ref().is_some_and(|sealed| 40 < sealed.bytes.len());
    let place = drafts.iter().position(sealed).unwrap();
    let salt = drafts[place].sealed.as_ref().unwrap().salt;
    let holds = |disk: &ForgetfulDisk| {
        segments(disk)
            .iter()
            .any(|name| read_file(disk, name).windows(16).any(|window| window == salt))
    };
    assert!(holds(&disk));
    let position = Position::new(u64::try_from(place).unwrap());
    // The power goes after the mark is synced and before the rest is overwritten.
    disk.inject(concordat::ledger::disk::Trouble::PowerCut, 1_000);
    let ledger = open(&disk).unwrap();
    disk.inject(concordat::ledger::disk::Trouble::PowerCut, 3);
    assert!(matches!(ledger.erase_blocking(&[position]), Err(Fault::Broken(_))));
    let disk = disk.crash(7);
    assert!(holds(&disk));
    let ledger = open(&disk).unwrap();
    assert_eq!(ledger.attached(position), Ok(Some(Attached::Erased)));
    assert!(!holds(&disk));
}

#[test]
fn the_verifier_finds_what_the_ledger_holds() {
    let (disk, drafts) = filled(8, 40);
    let ledger = open(&disk).unwrap();
    let erased = [Position::new(3), Position::new(30), Position::new(31), Position::new(32)];
    ledger.erase_blocking(&erased).unwrap();
    let (size, root) = ledger.head();
    let found = entries(&ledger, size);
    let mut shown = Vec::new();
    // While the ledger is open: no lock is needed.
    let report = verify(&disk, &mut |entry, attached| {
        shown.push(entry.clone());
        assert_eq!(Some(attached.clone()), ledger.attached(entry.position)?);
        Ok(())
    })
    .unwrap();
    assert_eq!(shown, found);
    assert_eq!((report.entries, report.root), (size, root));
    assert_eq!(report.admitted_at, ledger.admitted_at());
    let sealed = drafts.iter().filter(|draft| draft.sealed.is_some()).count();
    assert_eq!(report.attachments + report.erased, u64::try_from(sealed).unwrap());
    assert!(0 < report.erased && !report.torn);
    let stopped = verify(&disk, &mut |_, _| Err(Fault::Closed));
    assert_eq!(stopped, Err(Fault::Closed));
    assert!(matches!(verify(&ForgetfulDisk::new(), &mut |_, _| Ok(())), Err(Fault::Unusable(_))));
}

#[test]
fn an_erased_attachment_gives_its_space_back() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 4 << 20, tail_bytes_max: 1 << 20 };
    let disk = || OsDisk::existing(directory.path()).unwrap();
    let ledger = Segment::open(disk(), options.clone()).unwrap();
    let mut dice = Dice(3);
    let mut drafts = dice.drafts(1);
    let sealed = concordat::ledger::Sealed { salt: [7; 16], bytes: vec![9; 1 << 20].into() };
    drafts[0].sealed = Some(sealed);
    ledger.append_blocking(drafts).unwrap();
    let head = ledger.head();
    let blocks = || -> u64 {
        let files = fs::read_dir(directory.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().blocks()).sum()
    };
    let before = blocks();
    ledger.erase_blocking(&[Position::FIRST]).unwrap();
    // A file system without holes keeps the space; the bytes are gone either way.
    let after = blocks();
    assert!(after == before || after + 2 * 1_000 < before, "{before} blocks, then {after}");
    drop(ledger);
    let ledger = Segment::open(disk(), options).unwrap();
    assert_eq!(ledger.head(), head);
    assert_eq!(ledger.attached(Position::FIRST), Ok(Some(Attached::Erased)));
    drop(ledger);
    assert_eq!(verify(&disk(), &mut |_, _| Ok(())).map(|report| report.erased), Ok(1));
}

#[test]
fn the_verifier_may_run_while_entries_are_appended_and_erased() {
    let directory = tempfile::tempdir().unwrap();
    let disk = OsDisk::create(directory.path()).unwrap();
    let ledger = Segment::open(disk.clone(), tiny()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = Dice(11);
            for number in 0..120 {
                ledger.append_blocking(dice.drafts(2)).unwrap();
                ledger.erase_blocking(&[Position::new(dice.below(2 * number + 1))]).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let before = ledger.head().0;
            let report = verify(&disk, &mut |_, _| Ok(())).unwrap();
            assert!(before <= report.entries);
            if report.entries <= ledger.head().0 {
                assert_eq!(ledger.root_at(report.entries).unwrap(), Some(report.root));
            }
        }
    });
    assert_eq!(verify(&disk, &mut |_, _| Ok(())).unwrap().root, ledger.head().1);
}

#[test]
fn an_attachment_put_in_place_of_another_is_found() {
    let (disk, drafts) = filled(9, 20);
    let sealed = drafts.iter().filter_map(|draft| draft.sealed.clone());
    let sealed = sealed.into_iter().find(|sealed| 20 < sealed.bytes.len()).unwrap();
    let mut forged = sealed.clone();
    forged.bytes = Dice(9).bytes(u64::try_from(sealed.bytes.len()).unwrap());
    assert_ne!(leaf::sealed_digest(&forged), leaf::sealed_digest(&sealed));
    for name in segments(&disk) {
        let bytes = read_file(&disk, &name);
        if let Some(at) = bytes.windows(16).position(|window| window == sealed.salt) {
            let body = [sealed.salt.as_slice(), &forged.bytes].concat();
            let with_checksum = [crc32c::crc32c(&body).to_be_bytes().as_slice(), &body].concat();
            let file = disk.open(&name).unwrap();
            file.write_at(&with_checksum, u64::try_from(at - 4).unwrap()).unwrap();
        }
    }
    let found = verify(&disk, &mut |_, _| Ok(()));
    assert!(matches!(found, Err(Fault::Corrupt(_))));
}

#[test]
fn a_group_costs_one_write_and_one_sync() {
    let disk = ForgetfulDisk::new();
    let ledger = Segment::open(disk.clone(), Options { segment_bytes: 1 << 20, ..tiny() }).unwrap();
    let mut dice = Dice(13);
    ledger.append_blocking(dice.drafts(1)).unwrap();
    for count in [1, 16, 256] {
        let before = disk.changes();
        ledger.append_blocking(dice.drafts(count)).unwrap();
        assert_eq!(disk.changes() - before, 2);
    }
}

#[test]
fn a_ledger_of_many_segments_keeps_few_of_them_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let disk = OsDisk::create(&path).unwrap();
    let ledger = Segment::open(disk.clone(), tiny()).unwrap();
    let mut dice = Dice(12);
    let drafts = dice.drafts(600);
    for pair in drafts.chunks(2) {
        ledger.append_blocking(pair.to_vec()).unwrap();
    }
    assert!(80 < segments(&disk).len());
    for _ in 0..2 {
        let sealed: Vec<_> = drafts.iter().map(|draft| draft.sealed.clone()).collect();
        assert_eq!(attachments(&ledger, TreeSize::new(600)), sealed);
        let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
            fs::read_link(entry.unwrap().path()).ok().filter(|link| link.starts_with(&path))
        });
        assert!(open.count() < 70);
    }
}

#[test]
fn the_files_of_a_real_directory_are_the_owners_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    let ledger = Segment::open(OsDisk::create(&path).unwrap(), tiny()).unwrap();
    ledger.append_blocking(Dice(10).drafts(3)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let missing = OsDisk::existing(&directory.path().join("other"));
    assert_eq!(missing.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(
        verify(&OsDisk::existing(&path).unwrap(), &mut |_, _| Ok(())).unwrap().entries,
        TreeSize::new(3)
    );
}
