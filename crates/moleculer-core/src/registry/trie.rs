//! Finding the patterns that fit a name without trying them all: [`Trie`].

use std::sync::Arc;

use super::pattern::{Token, matches, tokens};

/// Values by pattern. A clone shares everything with its origin, and a change
/// copies only the way to what it changes.
///
/// Patterns with the same beginning share it, so a name is followed once
/// through all of them. What a lookup costs depends on the length of the name
/// and on the patterns that fit it so far, not on how many there are.
#[derive(Clone)]
pub(super) struct Trie<T> {
    root: Arc<Node<T>>,
    /// Patterns that are too long for the tree are tried one by one.
    long: Vec<(Arc<str>, T)>,
}

/// Reached by the tokens of the way to it.
#[derive(Clone)]
struct Node<T> {
    /// By the next character, ascending.
    literals: Vec<(char, Arc<Self>)>,
    one: Option<Arc<Self>>,
    segment: Option<Arc<Self>>,
    any: Option<Arc<Self>>,
    held: Vec<Held<T>>,
}

#[derive(Clone)]
struct Held<T> {
    pattern: Arc<str>,
    value: T,
    /// A pattern of two ways is held twice.
    again: bool,
}

/// Which prefixes of the name fit the pattern so far: bit `i` stands for its
/// first `i` characters.
type Reach = u128;

/// Longer names are compared with all patterns; one bit is for the empty prefix.
const LONGEST_NAME: usize = Reach::BITS as usize - 1;
/// Most tokens of a pattern in the tree, so that its depth is bounded.
const LONGEST_PATTERN: usize = 2 * LONGEST_NAME;

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { root: Arc::new(Node::new()), long: Vec::new() }
    }
}

impl<T: Clone> Trie<T> {
    /// Adds a value under a pattern.
    pub(super) fn insert(&mut self, pattern: &Arc<str>, value: &T) {
        let ways = tokens(pattern);
        if ways.iter().any(|way| way.len() > LONGEST_PATTERN) {
            self.long.push((pattern.clone(), value.clone()));
            return;
        }
        for (way, tokens) in ways.iter().enumerate() {
            let held = Held { pattern: pattern.clone(), value: value.clone(), again: way > 0 };
            let node = tokens.iter().fold(Arc::make_mut(&mut self.root), |node, token| {
                Arc::make_mut(node.child(*token))
            });
            node.held.push(held);
        }
    }

    /// Visits the values of every pattern that fits.
    pub(super) fn each<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a T)) {
        let mut buffer = ['\0'; LONGEST_NAME];
        let mut length = 0;
        for character in name.chars() {
            if length == LONGEST_NAME {
                self.root.try_all(name, visit);
                return self.try_long(name, visit);
            }
            buffer[length] = character;
            length += 1;
        }
        self.root.each(&buffer[..length], 1, visit);
        self.try_long(name, visit);
    }

    fn try_long<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a T)) {
        for (_, value) in self.long.iter().filter(|(pattern, _)| matches(name, pattern)) {
            visit(value);
        }
    }
}

impl<T: Clone> Node<T> {
    fn child(&mut self, token: Token) -> &mut Arc<Self> {
        let wild = match token {
            Token::Literal(character) => {
                let found = self.literals.binary_search_by_key(&character, |(own, _)| *own);
                let at = found.unwrap_or_else(|at| {
                    self.literals.insert(at, (character, Arc::new(Self::new())));
                    at
                });
                return &mut self.literals[at].1;
            }
            Token::One => &mut self.one,
            Token::Segment => &mut self.segment,
            Token::Any => &mut self.any,
        };
        wild.get_or_insert_with(|| Arc::new(Self::new()))
    }
}

impl<T> Node<T> {
    const fn new() -> Self {
        Self { literals: Vec::new(), one: None, segment: None, any: None, held: Vec::new() }
    }

    /// `reach` is never empty.
    fn each<'a>(&'a self, name: &[char], reach: Reach, visit: &mut dyn FnMut(&'a T)) {
        let end: Reach = 1 << name.len();
        if reach & end != 0 {
            self.held.iter().for_each(|held| visit(&held.value));
        }
        let inside = reach & !end;
        if inside != 0 {
            self.each_literal(name, inside, visit);
            if let Some(one) = &self.one {
                one.each(name, inside << 1, visit);
            }
        }
        if let Some(segment) = &self.segment {
            segment.each(name, without_dots(name, reach), visit);
        }
        if let Some(any) = &self.any {
            // Every prefix from the shortest one on.
            let below = reach & reach.wrapping_neg();
            any.each(name, (end | (end - 1)) & !(below - 1), visit);
        }
    }

    fn each_literal<'a>(&'a self, name: &[char], inside: Reach, visit: &mut dyn FnMut(&'a T)) {
        if inside.is_power_of_two() {
            let wanted = name[inside.trailing_zeros() as usize];
            let found = self.literals.binary_search_by_key(&wanted, |(own, _)| *own);
            if let Ok(at) = found {
                self.literals[at].1.each(name, inside << 1, visit);
            }
            return;
        }
        for (wanted, child) in &self.literals {
            let fits = positions(inside).filter(|at| name[*at] == *wanted);
            let next = fits.fold(0, |next, at| next | 1 << (at + 1));
            if next != 0 {
                child.each(name, next, visit);
            }
        }
    }

    fn try_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a T)) {
        let fits = |held: &&Held<T>| !held.again && matches(name, &held.pattern);
        self.held.iter().filter(fits).for_each(|held| visit(&held.value));
        let literals = self.literals.iter().map(|(_, child)| child);
        for child in literals.chain(&self.one).chain(&self.segment).chain(&self.any) {
            child.try_all(name, visit);
        }
    }
}

fn positions(mut reach: Reach) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = (reach != 0).then(|| reach.trailing_zeros() as usize)?;
        reach &= reach - 1;
        Some(at)
    })
}

/// Every prefix that goes on from one in `reach` without a dot.
fn without_dots(name: &[char], mut reach: Reach) -> Reach {
    let first = reach.trailing_zeros() as usize;
    for (at, character) in name.iter().enumerate().skip(first) {
        if reach >> at & 1 == 1 && *character != '.' {
            reach |= 1 << (at + 1);
        }
    }
    reach
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The patterns that fit, once through the trie and once tried one by one.
    fn both(name: &str, patterns: &[String]) -> [Vec<usize>; 2] {
        let mut trie = Trie::default();
        for (index, pattern) in patterns.iter().enumerate() {
            trie.insert(&pattern.as_str().into(), &index);
        }
        let mut found = Vec::new();
        trie.each(name, &mut |index| found.push(*index));
        found.sort_unstable();
        let tried = (0..patterns.len()).filter(|index| matches(name, &patterns[*index]));
        [found, tried.collect()]
    }

    #[test]
    fn finds_what_the_table_of_the_reference_says() {
        let table = super::super::pattern::TABLE;
        let patterns: Vec<String> = table.iter().map(|(_, pattern, _)| (*pattern).into()).collect();
        for (name, pattern, expected) in table {
            let [found, tried] = both(name, &patterns);
            assert_eq!(found, tried, "{name}");
            let fits = found.iter().any(|index| patterns[*index] == *pattern);
            assert_eq!(fits, *expected, "{name} in {pattern}");
        }
    }

    #[test]
    fn long_names_and_patterns_are_found_too() {
        let long = "ab.".repeat(60);
        let patterns =
            ["**".to_owned(), "ab*".into(), format!("{long}*"), "*".repeat(9), "?*".repeat(300)];
        for name in [long.clone(), format!("{long}x"), "ab".into(), "ab".repeat(400), String::new()]
        {
            let [found, tried] = both(&name, &patterns);
            assert_eq!(found, tried, "{name}");
        }
    }

    #[test]
    fn a_change_leaves_earlier_copies_alone() {
        let mut trie = Trie::default();
        trie.insert(&"a.*".into(), &1);
        let before = trie.clone();
        trie.insert(&"a.**".into(), &2);
        let count = |trie: &Trie<i32>| {
            let mut count = 0;
            trie.each("a.b", &mut |_| count += 1);
            count
        };
        assert_eq!((count(&before), count(&trie)), (1, 2));
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let patterns: Vec<_> = (0..100).map(|n| "*a?".repeat(50 + n)).collect();
        let [found, tried] = both(&"a".repeat(120), &patterns);
        assert_eq!(found, tried);
    }

    proptest! {
        #[test]
        fn agrees_with_trying_each(
            patterns in prop::collection::vec("[abé.?*]{0,8}", 0..12),
            names in prop::collection::vec("[abé.]{0,10}", 1..6),
        ) {
            for name in names {
                let [found, tried] = both(&name, &patterns);
                prop_assert_eq!(found, tried, "{} in {:?}", name, patterns);
            }
        }
    }
}
