//! Sums over what rows say: of the same rows in whatever order the same, and of others, as far as anybody can tell, not. Pure.

use std::fmt;

use ring::digest;

/// What a row says, as a number: the first 16 bytes of the SHA-256 of its parts, each behind its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content(u128);

impl Content {
    /// Hashes the parts of a row.
    pub fn of(parts: &[Vec<u8>]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
        Self(u128::from_be_bytes(bytes))
    }
}

/// The sum of what rows say, modulo 2^128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum(u128);

impl Sum {
    /// Adds a row.
    pub fn add(&mut self, content: Content) {
        self.0 = self.0.wrapping_add(content.0);
    }

    /// Adds the rows of another sum.
    pub fn add_all(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// Returns the bytes that are stored.
    pub fn bytes(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    /// Reads what is stored; anything else is nothing.
    pub fn read(bytes: &[u8]) -> Self {
        Self(bytes.try_into().map_or(0, u128::from_be_bytes))
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(parts: &[&str]) -> Content {
        Content::of(&parts.iter().map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn a_sum_knows_no_order_and_forgets_no_row() {
        let rows = [content(&["a", "b"]), content(&["ab", ""]), content(&["", "ab"])];
        assert!(rows[0] != rows[1] && rows[1] != rows[2]);
        let sum = |of: &[usize]| {
            let mut sum = Sum::default();
            of.iter().for_each(|at| sum.add(rows[*at]));
            sum
        };
        assert_eq!(sum(&[0, 1, 2]), sum(&[2, 0, 1]));
        let mut both = sum(&[0]);
        both.add_all(sum(&[2, 1]));
        assert_eq!(both, sum(&[0, 1, 2]));
        assert_ne!(sum(&[0, 1]), sum(&[0, 2]));
        assert_ne!(sum(&[0, 1]), sum(&[0, 1, 1]));
        assert_eq!(Sum::read(&sum(&[0, 1]).bytes()), sum(&[0, 1]));
        assert_eq!(Sum::read(b"short"), Sum::default());
    }
}
