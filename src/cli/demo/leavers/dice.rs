//! Chance that is the same every time: `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014). No secret comes from it.

/// A source of numbers that look random and follow from their seed.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound`, which is not among them.
    pub(super) fn below(&mut self, bound: u8) -> u8 {
        let number = self.next() % u64::from(bound.max(1));
        u8::try_from(number).unwrap_or_default()
    }

    /// A decimal digit.
    pub(super) fn digit(&mut self) -> u8 {
        self.below(10)
    }

    /// Whether something happens that happens once in `times`.
    pub(super) fn once_in(&mut self, times: u8) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`, which are not empty.
    pub(super) fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T], otherwise: &'a T) -> &'a T {
        let at = self.below(u8::try_from(choices.len()).unwrap_or(u8::MAX));
        choices.get(usize::from(at)).copied().unwrap_or(otherwise)
    }
}
