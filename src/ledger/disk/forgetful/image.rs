//! The bytes of one file of the forgetful disk: what is seen, what is durable, and what lies between.
//!
//! Pure. A power cut is drawn from dice, so that a seed repeats it.

/// How many bytes a disk writes at once or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Default)]
pub(super) struct Image {
    /// What whoever reads the file sees.
    pub(super) bytes: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Image {
    /// Makes a change that is not durable yet.
    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.bytes);
        self.unsynced.push(change);
    }

    /// Makes all changes durable.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply(&mut self.durable);
        }
    }

    /// Gives up all changes that are not durable, though they are seen.
    pub(super) fn forget(&mut self) {
        self.unsynced.clear();
    }

    /// What a power cut leaves.
    pub(super) fn torn(&self, dice: &mut Dice) -> Self {
        let mut bytes = self.durable.clone();
        let kept = dice.below(self.unsynced.len().saturating_add(1));
        let scattered = dice.below(2) == 0;
        for change in self.unsynced.iter().take(kept) {
            match change {
                Change::Write { offset, bytes: written } if scattered => {
                    scatter(&mut bytes, *offset, written, dice);
                }
                Change::Write { .. } | Change::Length(_) => change.apply(&mut bytes),
            }
        }
        if let (false, Some(Change::Write { offset, bytes: written })) =
            (scattered, self.unsynced.get(kept))
        {
            let prefix = dice.below(written.len().saturating_add(1));
            write(&mut bytes, *offset, written.get(..prefix).unwrap_or_default());
        }
        Self { durable: bytes.clone(), bytes, unsynced: Vec::new() }
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => write(to, *offset, bytes),
            Self::Length(length) => to.resize(*length, 0),
        }
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014): all that a repeatable crash needs.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.roll().checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }
}

/// Writes each sector of `written` or leaves it.
fn scatter(to: &mut Vec<u8>, offset: usize, written: &[u8], dice: &mut Dice) {
    let mut rest = written;
    let mut at = offset;
    while !rest.is_empty() {
        let room = SECTOR_BYTES.saturating_sub(at.checked_rem(SECTOR_BYTES).unwrap_or(0));
        let (sector, later) = rest.split_at(room.min(rest.len()));
        if dice.below(2) == 0 {
            write(to, at, sector);
        }
        at = at.saturating_add(sector.len());
        rest = later;
    }
}

fn write(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset.saturating_add(bytes.len());
    if to.len() < end {
        to.resize(end, 0);
    }
    if let Some(target) = to.get_mut(offset..end) {
        target.copy_from_slice(bytes);
    }
}
