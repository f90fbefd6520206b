//! A persistent sparse array: three levels of shared nodes, so that a lookup is three steps and a
//! change copies three nodes at most.

use std::sync::Arc;

const FAN_BITS: u32 = 8;
const FAN: usize = 1 << FAN_BITS;
const TOP: usize = 64;
/// Indices are below this: four million, a multiple of any table a process will hold.
pub const CAPACITY: u32 = (TOP * FAN * FAN) as u32;

type Leaf<T> = [Option<T>; FAN];
type Middle<T> = [Option<Arc<Leaf<T>>>; FAN];

/// The array. Cloning it copies the top level's references.
#[derive(Clone, Debug)]
pub struct Array<T> {
    top: Arc<[Option<Arc<Middle<T>>>; TOP]>,
    length: usize,
}

/// An index beyond [`CAPACITY`]: our own fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("index {index} is beyond the {CAPACITY} entries a table holds")]
pub struct OutOfRange {
    /// The index.
    pub index: u32,
}

impl<T> Default for Array<T> {
    fn default() -> Array<T> {
        Array { top: Arc::new([const { None }; TOP]), length: 0 }
    }
}

const fn steps(index: u32) -> [usize; 3] {
    let mask = FAN as u32 - 1;
    [(index >> (2 * FAN_BITS)) as usize, (index >> FAN_BITS & mask) as usize, (index & mask) as usize]
}

impl<T: Clone> Array<T> {
    /// How many entries are set.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether no entry is set.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The entry at `index`.
    pub fn at(&self, index: u32) -> Option<&T> {
        let [top, middle, leaf] = steps(index);
        self.top.get(top)?.as_ref()?.get(middle)?.as_ref()?.get(leaf)?.as_ref()
    }

    /// Replaces the entry at `index`; the former one comes back.
    pub fn set(&mut self, index: u32, value: Option<T>) -> Result<Option<T>, OutOfRange> {
        if value.is_none() && self.at(index).is_none() && index < CAPACITY {
            return Ok(None);
        }
        let (adds, place) = (usize::from(value.is_some()), self.place(index).ok_or(OutOfRange { index })?);
        let former = std::mem::replace(place, value);
        self.length = self.length + adds - usize::from(former.is_some());
        Ok(former)
    }

    fn place(&mut self, index: u32) -> Option<&mut Option<T>> {
        let [top, middle, leaf] = steps(index);
        let middles = Arc::make_mut(&mut self.top).get_mut(top)?;
        let middles = middles.get_or_insert_with(|| Arc::new([const { None }; FAN]));
        let leaves = Arc::make_mut(middles).get_mut(middle)?;
        let leaves = leaves.get_or_insert_with(|| Arc::new([const { None }; FAN]));
        Arc::make_mut(leaves).get_mut(leaf)
    }

    /// Set entries with their indices, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let middles = self.top.iter().enumerate().filter_map(|(i, m)| Some((i, m.as_ref()?)));
        let leaves = middles.flat_map(|(i, m)| {
            m.iter().enumerate().filter_map(move |(j, l)| Some((i * FAN + j, l.as_ref()?)))
        });
        leaves.flat_map(|(j, l)| {
            l.iter().enumerate().filter_map(move |(k, v)| Some(((j * FAN + k) as u32, v.as_ref()?)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in proptest::collection::vec((prop_oneof![0u32..600, 0..CAPACITY], any::<Option<u8>>()), 1..60)) {
            let (mut array, mut model) = (Array::default(), BTreeMap::new());
            let mut versions = Vec::new();
            for (index, value) in steps {
                versions.push((array.clone(), model.clone()));
                let former = match value {
                    Some(value) => model.insert(index, value),
                    None => model.remove(&index),
                };
                prop_assert_eq!(array.set(index, value), Ok(former));
                prop_assert_eq!(array.at(index), model.get(&index));
            }
            versions.push((array, model));
            for (array, model) in &versions {
                prop_assert!(array.iter().map(|(index, value)| (index, *value)).eq(model.clone()));
                prop_assert_eq!(array.len(), model.len());
            }
        }
    }

    #[test]
    fn indices_beyond_the_capacity_are_refused() {
        let mut array = Array::default();
        assert_eq!(array.set(CAPACITY, Some(1)), Err(OutOfRange { index: CAPACITY }));
        assert_eq!(array.set(CAPACITY - 1, Some(1)), Ok(None));
        assert_eq!(array.at(CAPACITY), None);
    }
}
