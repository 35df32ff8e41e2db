//! The insertion-ordered map behind JSON-like objects.

use std::fmt;

use indexmap::IndexMap;

use super::Value;

/// An object: text keys in insertion order.
///
/// Eight bytes and no allocation while it is empty, which `meta` and
/// `headers` nearly always are.
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
#[derive(Clone, Default)]
pub struct Object(Option<Box<IndexMap<String, Value>>>);

impl Object {
    /// An empty object.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |map| map.len())
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The member `key`, also when it is `Undefined`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.as_ref()?.get(key)
    }

    /// The member `key` unless it is absent or `Undefined`: on the wire these
    /// two are one state.
    pub fn defined(&self, key: &str) -> Option<&Value> {
        self.get(key).filter(|value| !value.is_undefined())
    }

    /// The member `key`, to change it in place.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.as_mut()?.get_mut(key)
    }

    /// Whether a member `key` exists.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets a member and returns the previous value; the place of an existing
    /// key is kept.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        self.map_mut().insert(key.into(), value.into())
    }

    /// Removes a member; the order of the others is kept.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.as_mut()?.shift_remove(key)
    }

    /// Sets each member of `other` here: the shallow merge that `meta` gets.
    pub fn merge(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
        } else if let Some(map) = other.0 {
            self.map_mut().extend(*map);
        }
    }

    /// The keys in insertion order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(key, _)| key)
    }

    /// The members in insertion order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0
            .iter()
            .flat_map(|map| map.iter().map(|(key, value)| (key.as_str(), value)))
    }

    fn map_mut(&mut self) -> &mut IndexMap<String, Value> {
        self.0.get_or_insert_default()
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = indexmap::map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map_or_else(IndexMap::new, |map| *map).into_iter()
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
            && self
                .iter()
                .all(|(key, value)| other.get(key).is_some_and(|theirs| theirs == value))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
