//! The insertion-ordered map behind JSON-like objects.

use std::{borrow::Cow, fmt};

use indexmap::IndexMap;

use super::Value;

/// Up to so many members are searched one by one: that is faster than to hash
/// the key, and takes a third of the memory.
const FEW: usize = 8;

/// An object: text keys in insertion order.
///
/// No allocation while it is empty, which `meta` and `headers` nearly always
/// are, and one while it is small.
///
/// ```
/// use moleculer_protocol::{Object, Value};
///
/// let mut object = Object::new();
/// object.insert("b", 1);
/// object.insert("a", "two");
/// assert_eq!(object.keys().collect::<Vec<_>>(), ["b", "a"]);
/// assert_eq!(object.get("b"), Some(&Value::Int(1)));
/// ```
#[derive(Clone)]
pub struct Object(Members);

#[derive(Clone)]
enum Members {
    Few(Vec<(Name, Value)>),
    Many(Box<IndexMap<Name, Value>>),
}

/// Names of a struct's fields need no allocation.
type Name = Cow<'static, str>;

impl Object {
    /// An empty object.
    pub const fn new() -> Self {
        Self(Members::Few(Vec::new()))
    }

    /// An empty object with room for so many members.
    pub fn with_capacity(members: usize) -> Self {
        Self(if members <= FEW {
            Members::Few(Vec::with_capacity(members))
        } else {
            Members::Many(Box::new(IndexMap::with_capacity(members)))
        })
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Members::Few(members) => members.len(),
            Members::Many(members) => members.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member `key`, also when it is `Undefined`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match &self.0 {
            Members::Few(members) => {
                let mut members = members.iter();
                members.find(|(name, _)| name == key).map(|(_, value)| value)
            }
            Members::Many(members) => members.get(key),
        }
    }

    /// The member `key` unless it is absent or `Undefined`: on the wire these
    /// two are one state.
    pub fn defined(&self, key: &str) -> Option<&Value> {
        self.get(key).filter(|value| !value.is_undefined())
    }

    /// The member `key`, to change it in place.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        match &mut self.0 {
            Members::Few(members) => {
                let mut members = members.iter_mut();
                members.find(|(name, _)| name == key).map(|(_, value)| value)
            }
            Members::Many(members) => members.get_mut(key),
        }
    }

    /// Whether a member `key` exists.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets a member and returns the previous value; the place of an existing
    /// key is kept.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.insert_member(Cow::Owned(key.into()), value.into())
    }

    pub(crate) fn insert_member(&mut self, key: Name, value: Value) -> Option<Value> {
        let members = match &mut self.0 {
            Members::Many(members) => return members.insert(key, value),
            Members::Few(members) => members,
        };
        if let Some((_, old)) = members.iter_mut().find(|(name, _)| *name == key) {
            return Some(std::mem::replace(old, value));
        }
        members.push((key, value));
        if members.len() > FEW {
            let members = std::mem::take(members).into_iter().collect();
            self.0 = Members::Many(Box::new(members));
        }
        None
    }

    /// Removes a member; the order of the others is kept.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        match &mut self.0 {
            Members::Few(members) => {
                let place = members.iter().position(|(name, _)| name == key)?;
                Some(members.remove(place).1)
            }
            Members::Many(members) => members.shift_remove(key),
        }
    }

    /// Sets each member of `other` here: the shallow merge that `meta` gets.
    pub fn merge(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
        } else {
            self.extend(other);
        }
    }

    /// The members, whose names are borrowed where they can be.
    pub(crate) fn into_members(self) -> std::vec::IntoIter<(Name, Value)> {
        match self.0 {
            Members::Few(members) => members.into_iter(),
            Members::Many(members) => members.into_iter().collect::<Vec<_>>().into_iter(),
        }
    }

    /// The keys in insertion order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(key, _)| key)
    }

    /// The members in insertion order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        let (few, many) = match &self.0 {
            Members::Few(members) => (Some(members), None),
            Members::Many(members) => (None, Some(members)),
        };
        let few = few.into_iter().flatten().map(|(key, value)| (key, value));
        let many = many.into_iter().flat_map(|members| members.iter());
        few.chain(many).map(|(key, value)| (&**key, value))
    }
}

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = std::iter::Map<
        std::vec::IntoIter<(Cow<'static, str>, Value)>,
        fn((Cow<'static, str>, Value)) -> (String, Value),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.into_members().map(|(key, value)| (key.into_owned(), value))
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let mut object = Self::new();
        object.extend(iter);
        object
    }
}

impl<K: Into<String>, V: Into<Value>> Extend<(K, V)> for Object {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, iter: I) {
        for (key, value) in iter {
            self.insert(key, value);
        }
    }
}

impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Object {
    fn from(members: [(K, V); N]) -> Self {
        members.into_iter().collect()
    }
}

/// Equal members in any order make equal objects.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(key, value)| other.get(key).is_some_and(|theirs| theirs == value))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members behave alike whether they are few or many.
    #[test]
    fn members_keep_their_order() {
        for len in [0, 1, FEW, FEW + 1, 100] {
            let key = |n: usize| format!("k{n}");
            let mut object: Object = (0..len).map(|n| (key(n), n)).collect();
            let sized = Object::with_capacity(len);
            assert_eq!((sized.len(), object.len()), (0, len));
            for n in 0..len {
                assert_eq!(object.insert(key(n), n + 1), Some(n.into()));
                *object.get_mut(&key(n)).unwrap() = n.into();
            }
            assert_eq!(object.insert("last", 5), None);
            assert_eq!(object.get("none"), None);
            let removed = (len / 2 < len).then(|| Value::from(len / 2));
            assert_eq!(object.remove(&key(len / 2)), removed);
            let mut expected: Vec<_> = (0..len).filter(|n| *n != len / 2).map(key).collect();
            expected.push("last".to_owned());
            assert_eq!(object.keys().collect::<Vec<_>>(), expected);
            let reversed: Object = object.clone().into_iter().rev().collect();
            assert_eq!(reversed, object);
            object.insert("last", 6);
            assert_ne!(reversed, object);
        }
    }

    #[test]
    fn a_merge_overwrites() {
        let mut object = Object::from([("a", 1), ("b", 2)]);
        object.merge(Object::from([("b", 3), ("c", 4)]));
        assert_eq!(object, Object::from([("a", 1), ("b", 3), ("c", 4)]));
    }
}
