//! Who owns which page of a paged key-value cache. Contents live on the device; this is bookkeeping only.

use crate::error::{Error, Result};

/// Positions in one page.
pub const PAGE: usize = 64;

/// The size of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheShape {
    /// Sequences at a time.
    pub slots: usize,
    /// Most positions of one sequence.
    pub context: usize,
}

impl CacheShape {
    /// Blocks of one slot.
    pub fn blocks(&self) -> usize {
        self.context.div_ceil(PAGE)
    }

    /// Pages of the whole pool.
    pub fn pages(&self) -> usize {
        self.slots * self.blocks()
    }
}

/// The pool's free pages and the pages of each slot.
#[derive(Clone, Debug)]
pub struct PagePool {
    shape: CacheShape,
    free: Vec<u32>,
    held: Vec<Vec<u32>>,
}

impl PagePool {
    /// A pool in which every page is free.
    pub fn new(shape: CacheShape) -> Self {
        PagePool { shape, free: (0..shape.pages() as u32).rev().collect(), held: vec![Vec::new(); shape.slots] }
    }

    /// Gives `slot` pages for positions below `length`.
    ///
    /// # Errors
    /// [`Error::Request`] when that is beyond the context or the pool, or there is no such slot.
    pub fn reserve(&mut self, slot: usize, length: usize) -> Result<()> {
        let held = self.held.get_mut(slot).ok_or_else(|| Error::Request(format!("the cache has no slot {slot}")))?;
        if length > self.shape.context {
            return Err(Error::Request(format!("{length} tokens do not fit the context of {}", self.shape.context)));
        }
        while held.len() * PAGE < length {
            held.push(self.free.pop().ok_or_else(|| Error::Request("the key-value cache has no free page".into()))?);
        }
        Ok(())
    }

    /// Takes back the pages of `slot` that only positions from `length` on need.
    pub fn truncate(&mut self, slot: usize, length: usize) {
        let Some(held) = self.held.get_mut(slot) else { return };
        let keep = length.div_ceil(PAGE).min(held.len());
        self.free.extend(held.drain(keep..).rev());
    }

    /// The block table `[slots, blocks]`; blocks that a slot does not hold are page 0, which nothing reads.
    pub fn table(&self) -> Vec<u32> {
        let row = |held: &Vec<u32>| {
            let mut row = held.clone();
            row.resize(self.shape.blocks(), 0);
            row
        };
        self.held.iter().flat_map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_taken_as_needed_and_come_back() {
        let mut pool = PagePool::new(CacheShape { slots: 2, context: 130 });
        pool.reserve(0, 1).unwrap();
        pool.reserve(1, 65).unwrap();
        pool.reserve(0, 130).unwrap();
        let table = pool.table();
        let mut seen: Vec<u32> = [&table[0..3], &table[3..5]].concat();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 5, "no page has two owners: {table:?}");
        pool.truncate(0, 64);
        assert_eq!(pool.held[0].len(), 1);
        assert_eq!(pool.free.len(), 3);
        assert!(pool.reserve(1, 131).is_err());
    }
}
