//! Chance that follows from a seed.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// A generator whose whole output follows from what it was made of.
pub(super) struct Dice(StdRng);

impl Dice {
    /// Returns the generator of a seed and of what it is for: the same numbers give the same one, whoever asks and when.
    pub(super) fn of(seed: u64, what: &[u64]) -> Self {
        let mixed = what.iter().fold(mix(seed), |state, part| mix(state ^ mix(*part)));
        Self(StdRng::seed_from_u64(mixed))
    }

    /// Says yes in so many of 1 cases.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.0.random::<f64>() < share
    }

    /// Returns a number from 0 to below `bound`, each equally likely.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound.max(1))
    }

    /// Returns a number between two, each equally likely.
    pub(super) fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.0.random::<f64>()
    }

    /// Returns a number between two, each order of magnitude equally likely.
    pub(super) fn magnitude(&mut self, from: f64, to: f64) -> f64 {
        self.between(from.ln(), to.ln()).exp()
    }

    /// Returns how long one waits for what comes once in `mean`.
    pub(super) fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.0.random::<f64>()).ln()
    }

    /// Returns how often happens what happens `mean` times.
    pub(super) fn times(&mut self, mean: f64) -> usize {
        let mut left = mean;
        let mut times = 0;
        loop {
            left -= self.wait(1.0);
            if left < 0.0 {
                return times;
            }
            times += 1;
        }
    }

    /// Picks one of several, by their weights.
    pub(super) fn pick<T: Copy>(&mut self, of: &[(T, f64)]) -> T {
        let mut left = self.0.random::<f64>() * of.iter().map(|(_, weight)| weight).sum::<f64>();
        for (one, weight) in of {
            left -= weight;
            if left < 0.0 {
                return *one;
            }
        }
        of[of.len() - 1].0
    }
}

/// Spreads a number over all of them (the finalizer of SplitMix64).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
