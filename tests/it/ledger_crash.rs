//! Power cuts, kills and failing disks at every point: nothing acknowledged is lost, nothing else is half there.
//!
//! `CONCORDAT_SEEDS` sets how many histories are tried, each with three crash points; 10,000 unless said.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may end a test")]

use concordat::{
    ledger::{
        Draft, Fault, Sealed, Space,
        disk::{Disk, ForgetfulDisk, Trouble},
        leaf,
        segment::{Attached, Segment},
    },
    model::order::{Position, TreeSize},
};

use futures::{StreamExt, executor::block_on};

use crate::ledger_samples::{Dice, entries, open, read_file};

/// What a correct ledger must hold.
#[derive(Default)]
struct Expected {
    acknowledged: Vec<Draft>,
    /// A group whose append did not return Ok.
    unknown: Vec<Draft>,
    /// Positions whose erasure returned Ok.
    erased: Vec<Position>,
    /// Positions whose erasure did not.
    maybe_erased: Vec<Position>,
}

impl Expected {
    /// Appends and erases until something fails or `steps` are done.
    fn work(
        &mut self,
        ledger: &Segment<ForgetfulDisk>,
        dice: &mut Dice,
        steps: u64,
    ) -> Option<Fault> {
        for _ in 0..steps {
            let count = u64::try_from(self.acknowledged.len()).unwrap();
            if dice.below(5) == 0 && 0 < count {
                let positions =
                    vec![Position::new(dice.below(count)), Position::new(dice.below(count))];
                match ledger.erase_blocking(&positions) {
                    Ok(()) => self.erased.extend(positions),
                    Err(fault) => {
                        self.maybe_erased.extend(positions);
                        return Some(fault);
                    }
                }
            } else {
                let drafts = dice.below(4) + 1;
                let drafts = dice.drafts(drafts);
                match ledger.append_blocking(drafts.clone()) {
                    Ok(()) => self.acknowledged.extend(drafts),
                    Err(Fault::Full) => return Some(Fault::Full),
                    Err(fault) => {
                        self.unknown = drafts;
                        return Some(fault);
                    }
                }
            }
        }
        None
    }

    /// Checks what a new process finds and takes it as what is there from now on.
    fn check(&mut self, ledger: &Segment<ForgetfulDisk>, disk: &ForgetfulDisk) {
        let (size, _) = ledger.head();
        let found = entries(ledger, size);
        let unknown = std::mem::take(&mut self.unknown);
        if found.len() != self.acknowledged.len() {
            self.acknowledged.extend(unknown);
        }
        assert_eq!(
            found.len(),
            self.acknowledged.len(),
            "a group is there as a whole or not at all"
        );
        for (entry, draft) in found.iter().zip(&self.acknowledged) {
            assert_eq!((entry.salt, &entry.command), (draft.salt, &draft.command));
            assert_eq!(entry.sealed_digest, draft.sealed.as_ref().map(leaf::sealed_digest));
            match (ledger.attached(entry.position).unwrap().unwrap(), &draft.sealed) {
                (Attached::Never, None) => {}
                (Attached::Present(found), Some(sealed)) => {
                    assert_eq!(found, *sealed);
                    assert!(!self.erased.contains(&entry.position), "an erasure was undone");
                }
                (Attached::Erased, Some(sealed)) => {
                    let asked = self.erased.contains(&entry.position)
                        || self.maybe_erased.contains(&entry.position);
                    assert!(asked, "an attachment is gone that nobody erased");
                    assert_gone(disk, sealed);
                }
                (found, sealed) => panic!("{found:?} instead of {sealed:?}"),
            }
        }
    }
}

/// No file holds the attachment or its salt any more.
fn assert_gone(disk: &ForgetfulDisk, sealed: &Sealed) {
    for name in disk.list().unwrap() {
        let bytes = read_file(disk, &name);
        assert!(!bytes.windows(16).any(|window| window == sealed.salt));
        if 16 <= sealed.bytes.len() {
            assert!(!bytes.windows(sealed.bytes.len()).any(|window| window == sealed.bytes));
        }
    }
}

fn seeds() -> u64 {
    std::env::var("CONCORDAT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(10_000)
}

/// One history: work, a power cut or a kill at a random call, a new process, three times over.
fn history(seed: u64) -> (TreeSize, String) {
    let mut dice = Dice(seed);
    let mut disk = ForgetfulDisk::new();
    let mut expected = Expected::default();
    for round in 0..3 {
        let calls = 1 + dice.below(60);
        disk.inject(Trouble::PowerCut, calls);
        match open(&disk) {
            Ok(ledger) => {
                expected.check(&ledger, &disk.kill());
                expected.work(&ledger, &mut dice, 30);
            }
            Err(Fault::Broken(_) | Fault::Unusable(_)) => {}
            Err(fault) => panic!("seed {seed}, round {round}: {fault}"),
        }
        disk = if dice.below(4) == 0 { disk.kill() } else { disk.crash(dice.roll()) };
    }
    let ledger = open(&disk).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
    expected.check(&ledger, &disk);
    assert_eq!(expected.work(&ledger, &mut dice, 3), None);
    let (size, root) = ledger.head();
    drop(ledger);
    let ledger = open(&disk.crash(dice.roll())).unwrap();
    assert_eq!(ledger.head(), (size, root));
    (size, root.to_string())
}

#[test]
fn no_crash_loses_an_acknowledged_group_or_leaves_half_of_another() {
    let sizes: u64 = (0..seeds()).map(|seed| history(seed).0.count()).sum();
    assert!(seeds() * 5 < sizes, "the histories are too short to show anything");
}

#[test]
fn the_same_seed_twice_leaves_the_same_ledger() {
    for seed in 0..50 {
        assert_eq!(history(seed), history(seed));
    }
}

/// A disk as a power cut in the middle of work left it, and the expected ledger.
fn cut_off(seed: u64) -> (ForgetfulDisk, Expected) {
    let mut dice = Dice(seed);
    let mut expected = Expected::default();
    let disk = ForgetfulDisk::new();
    let ledger = open(&disk).unwrap();
    expected.work(&ledger, &mut dice, 4);
    disk.inject(Trouble::PowerCut, 1 + dice.below(8));
    expected.work(&ledger, &mut dice, 30);
    (disk.crash(seed), expected)
}

#[test]
fn a_start_that_is_cut_off_may_be_repeated() {
    for seed in 0..200 {
        let (disk, mut expected) = cut_off(seed);
        let disk_before = disk.kill();
        let ledger = open(&disk).unwrap();
        expected.check(&ledger, &disk);
        let head = ledger.head();
        for nth in 1..12 {
            let disk = disk_before.kill();
            disk.inject(Trouble::PowerCut, nth);
            drop(open(&disk));
            for again in 0..8 {
                let disk = disk.crash(again);
                let ledger = open(&disk).unwrap();
                assert_eq!(ledger.head(), head, "seed {seed}, call {nth}, crash {again}");
                expected.check(&ledger, &disk);
            }
        }
    }
}

#[test]
fn an_acknowledged_erasure_is_durable_before_any_restart() {
    for seed in 0..300 {
        let (disk, expected) = cut_off(seed);
        for position in &expected.erased {
            let place = usize::try_from(position.number()).unwrap();
            if let Some(sealed) = &expected.acknowledged[place].sealed {
                assert_gone(&disk, sealed);
            }
        }
    }
}

#[test]
fn a_follower_of_a_broken_ledger_reads_to_the_end_and_learns_why() {
    let disk = ForgetfulDisk::new();
    let ledger = open(&disk).unwrap();
    let stream = ledger.follow(Position::FIRST);
    let mut dice = Dice(8);
    ledger.append_blocking(dice.drafts(3)).unwrap();
    disk.inject(Trouble::SyncFails, 1);
    let fault = ledger.append_blocking(dice.drafts(3)).unwrap_err();
    let found: Vec<_> = block_on(stream.collect());
    assert_eq!((found.len(), found.last()), (4, Some(&Err(fault))));
}

/// Lets the nth call meet `trouble`, for every n, and looks at what is left behind.
fn every_call_meets(trouble: Trouble, is_expected: impl Fn(&Fault) -> bool) {
    for nth in 1..400 {
        let disk = ForgetfulDisk::new();
        disk.inject(trouble, nth);
        let mut dice = Dice(5);
        let mut expected = Expected::default();
        let Ok(ledger) = open(&disk) else {
            assert_eq!(open(&disk.kill()).unwrap().head().0, TreeSize::EMPTY);
            continue;
        };
        let fault = expected.work(&ledger, &mut dice, 40);
        if 0 < disk.troubles_left() {
            assert!(20 < nth, "only {nth} calls can meet {trouble:?}");
            return;
        }
        if let Some(fault) = fault {
            assert!(is_expected(&fault), "{trouble:?} at call {nth}: {fault}");
            if matches!(fault, Fault::Broken(_)) {
                let again = ledger.append_blocking(dice.drafts(1));
                assert_eq!(again, Err(fault.clone()), "after a failure nothing is tried again");
                assert_eq!(ledger.erase_blocking(&[Position::FIRST]), Err(fault));
            } else {
                assert_eq!(expected.work(&ledger, &mut dice, 40), None, "a full disk was freed");
            }
        }
        drop(ledger);
        for disk in [disk.kill(), disk.crash(nth), disk.kill().crash(nth + 1)] {
            let ledger = open(&disk).unwrap();
            let mut found = Expected {
                acknowledged: expected.acknowledged.clone(),
                unknown: expected.unknown.clone(),
                erased: expected.erased.clone(),
                maybe_erased: expected.maybe_erased.clone(),
            };
            found.check(&ledger, &disk);
            assert_eq!(found.work(&ledger, &mut dice, 5), None);
            let after = disk.crash(nth);
            found.check(&open(&after).unwrap(), &after);
        }
    }
}

#[test]
fn a_failed_write_ends_the_ledger_and_loses_nothing() {
    every_call_meets(Trouble::WriteFails, |fault| matches!(fault, Fault::Broken(_)));
}

#[test]
fn a_failed_sync_ends_the_ledger_and_loses_nothing() {
    every_call_meets(Trouble::SyncFails, |fault| matches!(fault, Fault::Broken(_)));
}

#[test]
fn a_full_disk_refuses_and_changes_nothing() {
    every_call_meets(Trouble::NoSpace, |fault| *fault == Fault::Full);
}

#[test]
fn a_full_disk_still_takes_what_may_use_reserved_space() {
    let disk = ForgetfulDisk::new();
    disk.limit_space(Some(9_000));
    let ledger = open(&disk).unwrap();
    let mut dice = Dice(6);
    let mut ordinary = 0;
    while ledger.append_blocking(dice.drafts(1)).is_ok() {
        ordinary += 1;
    }
    assert!(5 < ordinary);
    let stops = |dice: &mut Dice| {
        let mut drafts = dice.drafts(1);
        drafts[0].space = Space::Reserved;
        drafts
    };
    let mut reserved = 0;
    while ledger.append_blocking(stops(&mut dice)).is_ok() {
        assert_eq!(ledger.append_blocking(dice.drafts(1)), Err(Fault::Full));
        reserved += 1;
    }
    assert!(3 < reserved, "only {reserved} entries found reserved space");
    assert_eq!(ledger.append_blocking(stops(&mut dice)), Err(Fault::Full));
    let (size, root) = ledger.head();
    assert_eq!(size.count(), ordinary + reserved);
    // Erasing needs no space, and space that comes back is used.
    ledger.erase_blocking(&[Position::FIRST]).unwrap();
    disk.limit_space(None);
    ledger.append_blocking(dice.drafts(1)).unwrap();
    drop(ledger);
    let ledger = open(&disk.crash(6)).unwrap();
    assert_eq!(ledger.root_at(size).unwrap(), Some(root));
}

#[test]
fn a_full_disk_keeps_its_reserve_across_a_power_cut() {
    let disk = ForgetfulDisk::new();
    disk.limit_space(Some(9_000));
    let ledger = open(&disk).unwrap();
    let mut dice = Dice(7);
    while ledger.append_blocking(dice.drafts(1)).is_ok() {}
    drop(ledger);
    for seed in 0..16 {
        let disk = disk.crash(seed);
        // Whoever else uses the disk has taken all that was free.
        disk.limit_space(Some(0));
        let ledger = open(&disk).unwrap();
        let mut taken = 0;
        loop {
            let mut drafts = dice.drafts(1);
            drafts[0].space = Space::Reserved;
            if ledger.append_blocking(drafts).is_err() {
                break;
            }
            taken += 1;
        }
        assert!(3 < taken, "only {taken} entries found reserved space");
    }
}
