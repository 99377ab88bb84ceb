//! An ordered set that almost always has one value: kept in a line, without memory of its own for the first.

use std::fmt;

use smallvec::SmallVec;

/// An ordered set for a few values. [`BTreeSet`](std::collections::BTreeSet) takes memory for eleven as soon as it has one,
/// which counts where each of 100,000 Services has a set.
///
/// Invariant: the values are in order, each once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SmallSet<T>(SmallVec<[T; 1]>);

impl<T: Ord> SmallSet<T> {
    /// The values in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last in order.
    pub fn last(&self) -> Option<&T> {
        self.0.last()
    }

    /// Whether the value is in the set.
    pub fn contains(&self, value: &T) -> bool {
        // Of a few, it takes less to ask for the same than for the order.
        if self.0.len() <= 8 { self.0.contains(value) } else { self.0.binary_search(value).is_ok() }
    }

    /// Adds a value; returns whether it is new.
    pub fn insert(&mut self, value: T) -> bool {
        match self.0.binary_search(&value) {
            Ok(_) => false,
            Err(place) => {
                self.0.insert(place, value);
                true
            }
        }
    }
}

impl<T> Default for SmallSet<T> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<T: fmt::Debug> fmt::Debug for SmallSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.0).finish()
    }
}

impl<T: Ord> FromIterator<T> for SmallSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut values: SmallVec<[T; 1]> = values.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        values.shrink_to_fit();
        Self(values)
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for SmallSet<T> {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<T: Ord> Extend<T> for SmallSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        *self = std::mem::take(self).into_iter().chain(values).collect();
    }
}

impl<T> IntoIterator for SmallSet<T> {
    type Item = T;
    type IntoIter = smallvec::IntoIter<[T; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a SmallSet<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_ordered_set_of_the_standard_library(
            first in prop::collection::vec(0..6_u8, 0..5), more in prop::collection::vec(0..6_u8, 0..5), one in 0..6_u8,
        ) {
            let mut small: SmallSet<u8> = first.iter().copied().collect();
            let mut model: BTreeSet<u8> = first.into_iter().collect();
            prop_assert_eq!(small.insert(one), model.insert(one));
            prop_assert!(small.contains(&one));
            small.extend(more.iter().copied());
            model.extend(more);
            prop_assert!(small.iter().eq(&model));
            prop_assert_eq!((small.len(), small.is_empty(), small.last()), (model.len(), model.is_empty(), model.last()));
            prop_assert!((0..6).all(|value| small.contains(&value) == model.contains(&value)));
        }
    }
}
