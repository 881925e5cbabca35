//! The tree of hashes over the entries of a log, as RFC 6962 (section 2.1) and RFC 9162 have it; pure.
//!
//! A leaf is the hash of a zero byte and the entry, a node that of a one byte and its two children, so that neither can be taken for the other. What
//! has 256 leaves below it is kept as one hash of level 1, and 256 of those as one of level 2 (the tiles of C2SP's `tlog-tiles`): whatever is asked
//! of a log is worked out from two rows of 256 on each level at the most.

use std::collections::BTreeMap;

use ring::digest;

/// A hash.
pub type Hash = [u8; 32];

/// How many hashes of a level make one of the next.
pub const WIDTH: u64 = 256;
/// The same as a power of two.
const BITS: u32 = 8;

/// Returns the hash of an entry.
pub fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// Returns the hash over two.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// Returns SHA-256 of some bytes.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Hashes by level and place: level 0 are the leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known(BTreeMap<(u32, u64), Hash>);

/// Some hashes of one level that are needed: from this place on, before that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The level.
    pub level: u32,
    /// From this place on.
    pub begin: u64,
    /// Before this one.
    pub end: u64,
}

impl Known {
    /// Adds one.
    pub fn add(&mut self, level: u32, place: u64, hash: Hash) {
        self.0.insert((level, place), hash);
    }

    /// Returns the root over the first `size` entries. `None`: some of what it takes is not known, or there is none.
    pub fn root(&self, size: u64) -> Option<Hash> {
        self.subtree(0, size)
    }

    /// Returns what leads from an entry to the root over the first `size` of them: the other child at each step up.
    pub fn path(&self, leaf: u64, size: u64) -> Option<Vec<Hash>> {
        if leaf >= size {
            return None;
        }
        let (mut begin, mut end, mut path) = (0, size, Vec::new());
        while end - begin > 1 {
            let middle = begin + split(end - begin);
            if leaf < middle {
                path.push(self.subtree(middle, end)?);
                end = middle;
            } else {
                path.push(self.subtree(begin, middle)?);
                begin = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// Returns the root over a row of 256.
    pub fn over(&self, row: &Row) -> Option<Hash> {
        let width = WIDTH.checked_pow(row.level)?;
        self.subtree(row.begin * width, row.end * width)
    }

    fn subtree(&self, begin: u64, end: u64) -> Option<Hash> {
        let width = end.checked_sub(begin).filter(|width| *width > 0)?;
        let bits = width.trailing_zeros();
        if width.is_power_of_two() && bits.is_multiple_of(BITS) && begin.is_multiple_of(width) {
            if let Some(known) = self.0.get(&(bits / BITS, begin / width)) {
                return Some(*known);
            }
        }
        if width == 1 {
            return None;
        }
        let middle = begin + split(width);
        Some(node(&self.subtree(begin, middle)?, &self.subtree(middle, end)?))
    }
}

/// Returns how many of `width` entries, two at least, are on the left: the largest power of two that leaves some on the right.
const fn split(width: u64) -> u64 {
    1 << (u64::BITS - 1 - (width - 1).leading_zeros())
}

/// Returns what must be known for the root over `size` entries, and for the path of one of them.
pub fn needed(leaf: Option<u64>, size: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for level in 0.. {
        let there = size.checked_shr(BITS * level).unwrap_or(0);
        if there == 0 {
            break;
        }
        let mut add = |tile: u64| {
            let row = Row { level, begin: tile * WIDTH, end: (tile * WIDTH + WIDTH).min(there) };
            if row.begin < row.end && !rows.contains(&row) {
                rows.push(row);
            }
        };
        // What no full row of the next level covers.
        add(there / WIDTH);
        if let Some(leaf) = leaf {
            add((leaf >> (BITS * level)) / WIDTH);
        }
    }
    rows
}

/// Returns the root that follows from a leaf and its path (RFC 9162, section 2.1.3.2). `None`: no tree of that size has such a path.
pub fn follow(hash: Hash, leaf: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if leaf >= size {
        return None;
    }
    let (mut at, mut last, mut hash) = (leaf, size - 1, hash);
    for other in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            hash = node(other, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, other);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// The tree over entries that come one after the other: whole subtrees from the left, the largest first.
#[derive(Debug, Clone, Default)]
pub struct Growing {
    size: u64,
    whole: Vec<(u64, Hash)>,
}

impl Growing {
    /// Adds the hash of the next entry. Returns the hashes of the levels above that are whole by it.
    pub fn push(&mut self, leaf: Hash) -> Vec<(u32, u64, Hash)> {
        let (mut width, mut hash, mut done) = (1, leaf, Vec::new());
        self.size += 1;
        while let Some((left_width, left)) = self.whole.last().copied()
            && left_width == width
        {
            self.whole.pop();
            hash = node(&left, &hash);
            width *= 2;
            let bits = width.trailing_zeros();
            if bits.is_multiple_of(BITS) {
                done.push((bits / BITS, self.size / width - 1, hash));
            }
        }
        self.whole.push((width, hash));
        done
    }

    /// Returns the root over all that came. `None`: nothing did.
    pub fn root(&self) -> Option<Hash> {
        let mut from_the_right = self.whole.iter().rev().map(|(_, hash)| *hash);
        let last = from_the_right.next()?;
        Some(from_the_right.fold(last, |right, left| node(&left, &right)))
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER_PERMISSIVE;

    use super::*;

    fn hex(text: &str) -> Hash {
        HEXLOWER_PERMISSIVE.decode(text.as_bytes()).expect("hex").try_into().expect("32 bytes")
    }

    /// The root as section 2.1 of RFC 6962 says it, word by word.
    fn by_the_book(leaves: &[Hash]) -> Hash {
        match leaves {
            [one] => *one,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node(&by_the_book(&leaves[..k]), &by_the_book(&leaves[k..]))
            }
        }
    }

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    /// All hashes of so many entries.
    fn full(leaves: &[Hash]) -> Known {
        let (mut growing, mut known) = (Growing::default(), Known::default());
        for (at, hash) in leaves.iter().enumerate() {
            known.add(0, at as u64, *hash);
            growing.push(*hash).into_iter().for_each(|(level, place, hash)| known.add(level, place, hash));
        }
        known
    }

    /// What a store would have of them, as far as it is asked.
    fn store(full: &Known, rows: &[Row]) -> Known {
        let mut known = Known::default();
        for row in rows {
            for place in row.begin..row.end {
                known.add(row.level, place, full.0[&(row.level, place)]);
            }
        }
        known
    }

    #[test]
    fn the_published_trees_come_out() {
        // The inputs and roots that the reference implementation of Certificate Transparency is tested with.
        let inputs = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut growing = Growing::default();
        for (input, root) in inputs.into_iter().zip(roots) {
            let entry = HEXLOWER_PERMISSIVE.decode(input.as_bytes()).expect("hex");
            growing.push(leaf(&entry));
            assert_eq!(growing.root(), Some(hex(root)), "{input:?}");
        }
    }

    #[test]
    fn every_entry_has_a_path_to_the_root_of_every_size() {
        let all = leaves(70);
        let full = full(&all);
        for size in 1..=all.len() as u64 {
            let root = by_the_book(&all[..size as usize]);
            for at in 0..size {
                let known = store(&full, &needed(Some(at), size));
                assert_eq!(known.root(size), Some(root));
                let path = known.path(at, size).expect("all is known");
                assert_eq!(follow(all[at as usize], at, size, &path), Some(root), "{at} of {size}");
                // Nothing else is at that place, and it is at no other.
                assert_ne!(follow(leaf(b"other"), at, size, &path), Some(root));
                for other in (0..size).filter(|other| *other != at) {
                    assert_ne!(follow(all[at as usize], other, size, &path), Some(root), "{other} of {size}");
                }
                let longer = [path.clone(), vec![root]].concat();
                assert_eq!(follow(all[at as usize], at, size, &longer), None);
                if let Some(shorter) = path.len().checked_sub(1) {
                    assert_ne!(follow(all[at as usize], at, size, &path[..shorter]), Some(root));
                }
            }
            assert_eq!(follow(all[0], size, size, &[]), None);
        }
    }

    #[test]
    fn large_trees_are_answered_from_a_few_rows() {
        let all = leaves(70_000);
        let full = full(&all);
        let mut growing = Growing::default();
        let (mut rolled, mut levels) = (Vec::new(), 0);
        for (at, hash) in all.iter().enumerate() {
            for (level, place, hash) in growing.push(*hash) {
                let width = WIDTH.pow(level);
                let of = &all[(place * width) as usize..((place + 1) * width) as usize];
                assert_eq!(hash, by_the_book(of), "level {level}, place {place}");
                assert_eq!((place + 1) * width, at as u64 + 1);
                levels = levels.max(level);
            }
            if [255, 256, 257, 511, 65_535, 65_536, 65_537, 69_999].contains(&at) {
                rolled.push((at as u64 + 1, growing.root().expect("there are some")));
            }
        }
        assert_eq!(levels, 2);
        for (size, root) in rolled {
            for at in [0, 1, 254, 255, 256, 300, 65_535, 65_536, 65_600, 69_998] {
                if at >= size {
                    continue;
                }
                let rows = needed(Some(at), size);
                assert!(rows.len() <= 6 && rows.iter().all(|row| row.end - row.begin <= WIDTH), "{rows:?}");
                let known = store(&full, &rows);
                let path = known.path(at, size).expect("all is known");
                assert_eq!(follow(all[at as usize], at, size, &path), Some(root), "{at} of {size}");
                assert_eq!(store(&full, &needed(None, size)).root(size), Some(root));
            }
        }
    }
}
