//! What attribution must be worth.

use super::*;

fn settings(seed: u64, people: usize) -> Settings {
    Settings { seed, people, days: 30, rules: Rules::default(), grid: false }
}

#[test]
fn at_least_ninety_nine_of_a_hundred_credited_installs_are_right() {
    let Report { ours, linkforty, linkforty_next, .. } = run(&settings(1, 60_000));
    assert!(ours.all.attributed >= 1000, "{ours:?}");
    assert!(ours.all.precision() >= 0.99, "{ours:?}");
    let likeness = ours.of_class(Evidence::Likeness);
    assert!(likeness.attributed >= 400 && likeness.precision() >= 0.97, "{ours:?}");
    for (class, tally) in &ours.classes {
        assert!(tally.attributed > 0, "{class:?} never came: {ours:?}");
    }
    // And more of them are found than by the rules it comes from.
    for other in [linkforty, linkforty_next] {
        assert!(ours.all.recall() > other.all.recall() && ours.all.precision() > other.all.precision());
        assert!(other.all.right > 0, "{other:?}");
    }
}

#[test]
fn a_seed_always_gives_the_same_and_another_another() {
    let one = run(&settings(3, 3000));
    assert_eq!(run(&settings(3, 3000)), one);
    assert_ne!(run(&settings(4, 3000)).ours, one.ours);
}

#[test]
fn nothing_is_credited_by_likeness_where_it_is_off() {
    let mut settings = settings(1, 3000);
    settings.rules.likeness = false;
    let Report { ours, .. } = run(&settings);
    assert_eq!(ours.of_class(Evidence::Likeness).attributed, 0);
    assert!(ours.all.attributed > 0 && ours.all.precision() > 0.99, "{ours:?}");
}

#[test]
fn the_grid_has_every_window_and_threshold() {
    let Report { grid, ours, .. } = run(&Settings { grid: true, ..settings(1, 3000) });
    assert_eq!(grid.len(), 2 * WINDOWS.len() * THRESHOLDS.len());
    let rules = Rules::default();
    let default = grid.iter().find(|cell| {
        cell.same_address
            && cell.window_hours * 3600 == rules.likeness_window_seconds
            && cell.threshold == rules.threshold
    });
    assert_eq!(default.map(|cell| &cell.all), Some(&ours.all));
}
