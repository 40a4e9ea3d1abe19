//! The only wall clock, monotonic clock and source of entropy of the product.
//!
//! Both are values that are handed down from where the program is composed, so that a simulation can stand in for them:
//! the same seed gives the same times and the same bytes. Nothing here sleeps, and the machine never sees any of it: the
//! ledger stamps time on entries, and whoever proposes a command draws its random parts.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use zeroize::Zeroize;

use crate::model::{digest::Digest, id::RequestId, order::UnixMillis};

/// How far the wall clock may depart from monotonic time before it is in doubt, in milliseconds.
pub const DEPARTURE_MS_MAX: u64 = 5_000;

/// Tells the time. Clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock(ClockSource);

#[derive(Clone, Debug)]
enum ClockSource {
    System { started: Instant },
    Simulated(SimulatedClock),
}

impl Clock {
    /// The clock of the operating system.
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn system() -> Self {
        Self(ClockSource::System { started: Instant::now() })
    }

    /// The wall clock's time.
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            ClockSource::System { .. } => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            ClockSource::Simulated(simulated) => simulated.times().wall,
        }
    }

    /// Milliseconds since this clock was made, by a clock that nobody can set.
    ///
    /// Compare it only with values of the same clock or its clones. It may stand still while the machine is suspended.
    pub fn monotonic_ms(&self) -> u64 {
        match &self.0 {
            ClockSource::System { started } => {
                u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
            }
            ClockSource::Simulated(simulated) => simulated.times().monotonic_ms,
        }
    }
}

/// A clock that moves only when it is told to. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct SimulatedClock(Arc<Mutex<Times>>);

#[derive(Clone, Copy, Debug)]
struct Times {
    wall: UnixMillis,
    monotonic_ms: u64,
}

impl SimulatedClock {
    /// A clock whose wall shows `start` and whose monotonic time is 0.
    pub fn new(start: UnixMillis) -> Self {
        Self(Arc::new(Mutex::new(Times { wall: start, monotonic_ms: 0 })))
    }

    /// What the product is given: the same time, without the power to change it.
    pub fn clock(&self) -> Clock {
        Clock(ClockSource::Simulated(self.clone()))
    }

    /// Lets `millis` pass, on the wall and monotonically.
    pub fn advance(&self, millis: u64) {
        let mut times = self.times();
        times.wall = times.wall.plus(millis);
        times.monotonic_ms = times.monotonic_ms.saturating_add(millis);
    }

    /// Sets the wall clock, as an operator, a bad time server or a freeze would; monotonic time goes on as before.
    pub fn set_wall(&self, wall: UnixMillis) {
        self.times().wall = wall;
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches whether the wall clock goes as monotonic time does.
///
/// Once it found the clock in doubt it stays so until [`ClockWatch::confirm`]: what a clock did once, an operator has to
/// explain. Slow correction by a time server is no departure, since it corrects both clocks alike.
#[derive(Debug)]
pub struct ClockWatch {
    clock: Clock,
    anchor: Mutex<Anchor>,
}

#[derive(Debug)]
struct Anchor {
    reading: Reading,
    doubt: Option<ClockDoubt>,
}

/// The wall clock's time, read between two readings of monotonic time: a thread that is held up between them is no
/// departure.
#[derive(Clone, Copy, Debug)]
struct Reading {
    before_ms: u64,
    wall: UnixMillis,
    after_ms: u64,
}

impl ClockWatch {
    /// Takes the clock's present time for right and watches it from now on.
    pub fn new(clock: Clock) -> Self {
        let anchor = Mutex::new(Anchor::at(&clock));
        Self { clock, anchor }
    }

    /// The wall clock's time, if it is to be trusted.
    ///
    /// # Errors
    /// [`ClockDoubt`] if the wall clock departs from monotonic time by more than [`DEPARTURE_MS_MAX`], or did so since
    /// it was last confirmed.
    pub fn now(&self) -> Result<UnixMillis, ClockDoubt> {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(doubt) = anchor.doubt {
            return Err(doubt);
        }
        let reading = Reading::of(&self.clock);
        let wall = reading.wall;
        let expected = reading.expected_since(&anchor.reading);
        if wall.millis().abs_diff(expected.millis()) <= DEPARTURE_MS_MAX {
            return Ok(wall);
        }
        let doubt = ClockDoubt { wall, expected };
        anchor.doubt = Some(doubt);
        Err(doubt)
    }

    /// Takes the clock's present time for right, because an operator said so.
    pub fn confirm(&self) {
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = Anchor::at(&self.clock);
    }
}

impl Anchor {
    fn at(clock: &Clock) -> Self {
        Self { reading: Reading::of(clock), doubt: None }
    }
}

impl Reading {
    fn of(clock: &Clock) -> Self {
        let before_ms = clock.monotonic_ms();
        let wall = clock.now();
        Self { before_ms, wall, after_ms: clock.monotonic_ms() }
    }

    /// What the wall clock should show by monotonic time since `anchor`: of the possible times the nearest to what it
    /// shows.
    fn expected_since(&self, anchor: &Self) -> UnixMillis {
        let earliest = anchor.wall.plus(self.before_ms.saturating_sub(anchor.after_ms));
        let latest = anchor.wall.plus(self.after_ms.saturating_sub(anchor.before_ms));
        self.wall.clamp(earliest, latest)
    }
}

/// The wall clock departed from monotonic time: it was set, or one of the two stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockDoubt {
    /// What the wall clock showed when the doubt arose.
    pub wall: UnixMillis,
    /// What it should have shown.
    pub expected: UnixMillis,
}

impl fmt::Display for ClockDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.expected < self.wall { "ahead of" } else { "behind" };
        let millis = self.wall.millis().abs_diff(self.expected.millis());
        write!(f, "the wall clock is {millis} ms {direction} monotonic time; confirm it to go on")
    }
}

impl std::error::Error for ClockDoubt {}

/// Draws random bytes. Clones draw from the same stream, so no two draws are alike.
#[derive(Clone)]
pub struct Entropy(EntropySource);

#[derive(Clone)]
enum EntropySource {
    System,
    Seeded(Arc<Mutex<Stream>>),
}

/// Random bytes drawn beforehand. A draw from the library costs about a microsecond however short it is, and one
/// publication needs half a dozen.
///
/// Bytes are wiped as they are handed out. The process never goes on after a fork, so nobody gets the same ones.
static RESERVE: Mutex<Reserve> = Mutex::new(Reserve { bytes: [0; RESERVE_BYTES], left: 0 });
/// The size of the reserve, in bytes.
const RESERVE_BYTES: usize = 1_024;

struct Reserve {
    bytes: [u8; RESERVE_BYTES],
    /// How many of them, from the front, were not handed out yet.
    left: usize,
}

impl Reserve {
    fn fill(&mut self, wanted: &mut [u8]) {
        if self.left < wanted.len() {
            draw(&mut self.bytes);
            self.left = RESERVE_BYTES;
        }
        let rest = self.left.saturating_sub(wanted.len());
        match self.bytes.get_mut(rest..self.left) {
            Some(taken) if taken.len() == wanted.len() => {
                wanted.copy_from_slice(taken);
                taken.zeroize();
                self.left = rest;
            }
            Some(_) | None => draw(wanted), // more than the reserve holds
        }
    }
}

#[expect(clippy::expect_used, reason = "without entropy no key, nonce or id may be made")]
fn draw(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the operating system gives entropy");
}

/// A reproducible stream: SHA-256 over seed and block number. Not for production.
struct Stream {
    seed: Digest,
    blocks_drawn: u64,
}

impl Entropy {
    /// The generator of the cryptographic library, seeded by the operating system.
    pub const fn system() -> Self {
        Self(EntropySource::System)
    }

    /// A stream that `seed` determines: for simulations and tests only, since whoever knows the seed knows every key.
    pub fn seeded(seed: [u8; 32]) -> Self {
        Self::stream(Digest::from_bytes(seed))
    }

    /// Fills `bytes` with random ones.
    ///
    /// # Panics
    /// If the operating system has no entropy: nothing may be sealed then.
    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            EntropySource::System => {
                RESERVE.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
            }
            EntropySource::Seeded(stream) => {
                stream.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
            }
        }
    }

    /// So many random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A request id made at `now`: a UUIDv7 (RFC 9562 §5.7).
    pub fn request_id(&self, now: UnixMillis) -> RequestId {
        let uuid = uuid::Builder::from_unix_timestamp_millis(now.millis(), &self.bytes());
        RequestId::from_bytes(uuid.into_uuid().into_bytes())
    }

    /// A stream of its own for one place of the program, so that what is drawn there shifts nothing elsewhere.
    ///
    /// A seeded child depends on the parent's seed and on `label` alone, not on what was drawn before: fork each label
    /// once, since two children of one label draw the same bytes.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        match &self.0 {
            EntropySource::System => Self::system(),
            EntropySource::Seeded(stream) => {
                let stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                let parts: [&[u8]; 2] = [stream.seed.as_bytes(), label.as_bytes()];
                Self::stream(Digest::of_parts("concordat.entropy.fork", &parts))
            }
        }
    }

    fn stream(seed: Digest) -> Self {
        Self(EntropySource::Seeded(Arc::new(Mutex::new(Stream { seed, blocks_drawn: 0 }))))
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            EntropySource::System => "Entropy(system)",
            EntropySource::Seeded(_) => "Entropy(seeded)",
        })
    }
}

impl Stream {
    /// Every draw begins with a block of its own.
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let number = self.blocks_drawn.to_be_bytes();
            let parts: [&[u8]; 2] = [self.seed.as_bytes(), &number];
            let block = Digest::of_parts("concordat.entropy.block", &parts);
            for (to, from) in chunk.iter_mut().zip(block.as_bytes()) {
                *to = *from;
            }
            self.blocks_drawn = self.blocks_drawn.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SimulatedClock {
        SimulatedClock::new(UnixMillis::new(millis))
    }

    #[test]
    fn a_simulated_clock_moves_only_when_it_is_told() {
        let simulated = at(1_000);
        let clock = simulated.clock();
        assert_eq!((clock.now().millis(), clock.monotonic_ms()), (1_000, 0));
        simulated.advance(250);
        assert_eq!((clock.now().millis(), clock.monotonic_ms()), (1_250, 250));
        simulated.set_wall(UnixMillis::new(7));
        assert_eq!((clock.now().millis(), clock.monotonic_ms()), (7, 250));
    }

    #[test]
    fn the_system_clock_is_later_than_this_source_and_monotonic_time_does_not_fall() {
        let clock = Clock::system();
        assert!(1_700_000_000_000 < clock.now().millis());
        let first = clock.monotonic_ms();
        assert!(first <= clock.monotonic_ms());
    }

    #[test]
    fn a_wall_clock_that_departs_by_more_than_five_seconds_is_in_doubt() {
        for (step, doubtful) in [(5_000, false), (5_001, true)] {
            for sign in [1_i64, -1] {
                let simulated = at(1_000_000);
                let watch = ClockWatch::new(simulated.clock());
                simulated.advance(60_000);
                let wall = 1_060_000_u64.checked_add_signed(sign * step).unwrap();
                simulated.set_wall(UnixMillis::new(wall));
                assert_eq!(watch.now().is_err(), doubtful, "{sign} * {step}");
            }
        }
    }

    #[test]
    fn a_doubt_stays_until_it_is_confirmed() {
        let simulated = at(1_000_000);
        let watch = ClockWatch::new(simulated.clock());
        simulated.set_wall(UnixMillis::new(1_010_000));
        let doubt = watch.now().unwrap_err();
        assert_eq!(
            doubt.to_string(),
            "the wall clock is 10000 ms ahead of monotonic time; confirm it to go on"
        );
        simulated.set_wall(UnixMillis::new(1_000_000));
        assert_eq!(watch.now(), Err(doubt));
        watch.confirm();
        assert_eq!(watch.now(), Ok(UnixMillis::new(1_000_000)));
    }

    #[test]
    fn the_same_seed_draws_the_same_bytes_and_no_draw_repeats() {
        let (one, two) = (Entropy::seeded([7; 32]), Entropy::seeded([7; 32]));
        let first: [u8; 40] = one.bytes();
        assert_eq!(first, two.bytes());
        assert_ne!(first, one.bytes());
        assert_ne!(first, Entropy::seeded([8; 32]).bytes());
    }

    #[test]
    fn a_fork_depends_on_its_label_and_not_on_earlier_draws() {
        let (one, two) = (Entropy::seeded([7; 32]), Entropy::seeded([7; 32]));
        let _: [u8; 99] = two.bytes();
        let keys: [u8; 32] = one.fork("keys").bytes();
        assert_eq!(keys, two.fork("keys").bytes());
        assert_ne!(keys, one.fork("salts").bytes());
        assert_ne!(keys, one.bytes());
    }

    #[test]
    fn request_ids_carry_their_time() {
        for entropy in [Entropy::system(), Entropy::seeded([1; 32])] {
            let id = entropy.request_id(UnixMillis::new(1_764_000_000_123));
            assert_eq!(id.unix_millis(), Some(1_764_000_000_123));
            assert_ne!(id, entropy.request_id(UnixMillis::new(1_764_000_000_123)));
        }
    }
}
