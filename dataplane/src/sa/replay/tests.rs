//! What the window must hold: RFC 4303's semantics against a set of numbers, at every boundary.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The obvious twin: a set of all numbers seen. The true 64-bit number is known to it.
struct Model {
    seen: BTreeSet<u64>,
    top: u64,
    size: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    New,
    Duplicate,
    TooOld,
}

impl Model {
    fn new(size: u32, top: u64) -> Model {
        Model { seen: (top.saturating_sub(u64::from(size))..=top).collect(), top, size: u64::from(size) }
    }

    fn receive(&mut self, sequence: u64) -> Answer {
        if sequence == 0 || sequence + self.size <= self.top {
            return Answer::TooOld;
        }
        if !self.seen.insert(sequence) {
            return Answer::Duplicate;
        }
        self.top = self.top.max(sequence);
        Answer::New
    }
}

/// Check, "decrypt" (a wrong guess of the high half fails its ICV, as a real one would), commit.
fn receive(window: &mut Window, sequence: u64) -> Option<Answer> {
    let outcome = window.check(sequence as u32).and_then(|guess| {
        let right = guess.sequence() == sequence;
        right.then(|| window.commit(guess)).transpose()
    });
    match outcome {
        Ok(Some(())) => Some(Answer::New),
        Ok(None) => None,
        Err(Replayed::Duplicate { .. }) => Some(Answer::Duplicate),
        Err(Replayed::TooOld { .. }) => Some(Answer::TooOld),
    }
}

fn sizes() -> impl Strategy<Value = u32> {
    prop_oneof![Just(32), Just(64), Just(128), Just(1024), Just(LARGEST), SMALLEST..=LARGEST]
}

/// Starts around everything that can go wrong: the first number, a word edge, the crossing.
fn starts(esn: bool) -> BoxedStrategy<u64> {
    let crossing = (1u64 << 32) - 3000..(1u64 << 32) + 3000;
    if esn {
        prop_oneof![
            Just(0),
            0u64..200,
            crossing,
            (7u64 << 32) - 50..(7 << 32) + 50,
            any::<u64>().prop_map(|n| n >> 1)
        ]
        .boxed()
    } else {
        prop_oneof![Just(0), 0u64..200, 0u64..(1 << 32) - 20_000].boxed()
    }
}

/// Steps relative to the right edge: near, one window back, and leaps.
fn steps() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![
        8 => -40i64..40, 4 => -1100i64..1100, 2 => -8300i64..8300, 1 => 8000i64..70_000
    ];
    proptest::collection::vec(step, 1..300)
}

fn agrees(size: u32, esn: bool, start: u64, steps: &[i64]) -> Result<(), TestCaseError> {
    let mut window =
        if start == 0 { Window::new(size, esn) } else { Window::resume(size, esn, start) }.unwrap();
    let mut model = Model::new(size, start);
    if start == 0 {
        model.seen.clear();
    }
    for step in steps {
        let Some(sequence) = model.top.checked_add_signed(*step) else { continue };
        if !esn && sequence > u64::from(u32::MAX) {
            continue;
        }
        match receive(&mut window, sequence) {
            Some(answer) => prop_assert_eq!(answer, model.receive(sequence), "{} at {}", sequence, model.top),
            // Only a number left of the window may be guessed into another subspace.
            None => prop_assert!(sequence + model.size <= model.top, "{} at {}", sequence, model.top),
        }
        prop_assert_eq!(window.top(), model.top);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn agrees_with_a_set_without_esn(size in sizes(), start in starts(false), steps in steps()) {
        agrees(size, false, start, &steps)?;
    }

    #[test]
    fn agrees_with_a_set_with_esn(size in sizes(), start in starts(true), steps in steps()) {
        agrees(size, true, start, &steps)?;
    }

    /// RFC 4303 App. A2: any number from the left edge up to 2^32 - size ahead is guessed right.
    #[test]
    fn guesses_every_number_within_reach(size in sizes(), top in prop_oneof![0u64..1 << 34, (1u64 << 63)..u64::MAX / 4 * 3], ahead in 0u64..1 << 32) {
        let window = Window::resume(size, true, top).unwrap();
        let sequence = (top + 1).saturating_sub(u64::from(size)) + ahead;
        // `ahead` at or beyond 2^32 aliases with the window itself; below it the guess is exact.
        match window.check(sequence as u32) {
            Ok(guess) => prop_assert_eq!(guess.sequence(), sequence),
            Err(Replayed::Duplicate { sequence: guessed }) => prop_assert_eq!(guessed, sequence),
            Err(Replayed::TooOld { .. }) => prop_assert!(sequence == 0 || sequence > u64::from(u32::MAX) - u64::from(size)),
        }
    }
}

#[test]
fn edges_of_the_window_as_the_feature_list_names_them() {
    for size in [32u32, 64, 1024, LARGEST] {
        let n = 1_000_000u64;
        let mut window = Window::new(size, false).unwrap();
        assert_eq!(receive(&mut window, n), Some(Answer::New));
        assert_eq!(receive(&mut window, n), Some(Answer::Duplicate));
        assert_eq!(receive(&mut window, n - u64::from(size)), Some(Answer::TooOld));
        assert_eq!(receive(&mut window, n - u64::from(size) + 1), Some(Answer::New));
        assert_eq!(receive(&mut window, n - u64::from(size) + 1), Some(Answer::Duplicate));
        assert_eq!(receive(&mut window, n + (1 << 31)), Some(Answer::New));
    }
}

#[test]
fn two_copies_in_one_burst_are_one_packet() {
    let mut window = Window::new(64, true).unwrap();
    let (first, second) = (window.check(5).unwrap(), window.check(5).unwrap());
    assert_eq!(window.commit(first), Ok(()));
    assert_eq!(window.commit(second), Err(Replayed::Duplicate { sequence: 5 }));
}

#[test]
fn a_failed_tag_moves_nothing() {
    let window = Window::new(64, false).unwrap();
    let _ = window.check(u32::MAX);
    assert_eq!(window.top(), 0);
    assert!(window.check(1).is_ok());
}

#[test]
fn number_zero_and_numbers_before_the_first_are_too_old() {
    for esn in [false, true] {
        let window = Window::new(64, esn).unwrap();
        assert!(matches!(window.check(0), Err(Replayed::TooOld { .. })));
    }
    let fresh = Window::new(64, true).unwrap();
    assert!(matches!(fresh.check(u32::MAX), Err(Replayed::TooOld { .. })));
}

#[test]
fn the_last_number_of_all_does_not_wrap() {
    let mut window = Window::resume(64, true, u64::MAX - 1).unwrap();
    assert_eq!(receive(&mut window, u64::MAX), Some(Answer::New));
    assert!(matches!(window.check(0), Err(Replayed::TooOld { .. })));
    let mut window = Window::resume(64, false, u64::from(u32::MAX) - 1).unwrap();
    assert_eq!(receive(&mut window, u64::from(u32::MAX)), Some(Answer::New));
    assert!(matches!(window.check(0), Err(Replayed::TooOld { .. })));
}

#[test]
fn without_the_service_everything_passes() {
    let mut window = Window::off();
    for sequence in [7, 7, 0, u32::MAX] {
        let guess = window.check(sequence).unwrap();
        assert_eq!(guess.sequence(), u64::from(sequence));
        assert_eq!(window.commit(guess), Ok(()));
    }
}

#[test]
fn other_sizes_are_refused() {
    for size in [0, 31, LARGEST + 1] {
        assert_eq!(Window::new(size, false).unwrap_err(), BadSize { size });
    }
}
