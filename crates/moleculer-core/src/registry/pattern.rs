//! Names with wildcards: `?`, `*` and `**`.

/// Whether `pattern` has a wildcard.
pub(super) fn is_pattern(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Whether a name fits a pattern, by the reference's rules.
///
/// `?` is one character of any kind, `*` any characters but a dot, `**` any
/// characters. Between wildcards a dot in the pattern stands for any
/// character, as it does in the reference.
pub(crate) fn matches(name: &str, pattern: &str) -> bool {
    if !is_pattern(pattern) {
        return name == pattern;
    }
    if let Some(prefix) = pattern.strip_suffix("**").filter(|prefix| !is_pattern(prefix)) {
        return name.starts_with(prefix);
    }
    if let Some(prefix) = pattern.strip_suffix('*').filter(|prefix| !is_pattern(prefix)) {
        // The reference looks for a dot from one character past the prefix.
        let rest = name.strip_prefix(prefix);
        let start = if prefix.is_empty() { 0 } else { 1 };
        return rest.is_some_and(|rest| !rest.chars().skip(start).any(|c| c == '.'));
    }
    let name: Vec<char> = name.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    walk(&name, &pattern)
}

/// A step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Literal(char),
    /// Any one character.
    One,
    /// Any characters but dots.
    Segment,
    /// Any characters.
    Any,
}

/// A pattern as the tokens of one or two alternatives, which no name fits both.
pub(super) fn tokens(pattern: &str) -> Vec<Vec<Token>> {
    let literals = |text: &str| text.chars().map(Token::Literal).collect::<Vec<_>>();
    if !is_pattern(pattern) {
        return vec![literals(pattern)];
    }
    let prefix = pattern.trim_end_matches('*');
    if !is_pattern(prefix) {
        let with = |rest: &[Token]| [literals(prefix), rest.to_vec()].concat();
        return match (prefix, pattern.len() - prefix.len()) {
            ("", 1) => vec![vec![Token::Segment]],
            // One character past the prefix may be a dot.
            (_, 1) => vec![literals(prefix), with(&[Token::One, Token::Segment])],
            (_, 2) => vec![with(&[Token::Any])],
            // More stars make it a general pattern.
            _ => vec![general(pattern)],
        };
    }
    vec![general(pattern)]
}

fn general(pattern: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        let token = match character {
            '?' | '.' => Token::One,
            '*' if rest.next_if_eq(&'*').is_some() => Token::Any,
            '*' => Token::Segment,
            literal => Token::Literal(literal),
        };
        match (tokens.last_mut(), token) {
            (Some(last @ (Token::Any | Token::Segment)), Token::Any | Token::Segment) => {
                *last = Token::Any;
            }
            _ => tokens.push(token),
        }
    }
    tokens
}

/// Dynamic programming over the pattern, so that no pattern takes exponential time.
fn walk(name: &[char], pattern: &[char]) -> bool {
    // `reach[i]`: the first `i` characters fit the pattern so far.
    let mut reach = vec![false; name.len() + 1];
    reach[0] = true;
    let mut rest = pattern;
    while let Some((&token, mut after)) = rest.split_first() {
        let any = token == '*' && after.first() == Some(&'*');
        if any {
            after = &after[1..];
        }
        let mut next = vec![false; name.len() + 1];
        if token == '*' {
            for i in 0..=name.len() {
                next[i] = reach[i] || (i > 0 && next[i - 1] && (any || name[i - 1] != '.'));
            }
        } else {
            for i in 1..=name.len() {
                next[i] = reach[i - 1] && (matches!(token, '?' | '.') || token == name[i - 1]);
            }
        }
        reach = next;
        rest = after;
    }
    reach[name.len()]
}

/// Name, pattern, whether it fits: the reference's behaviour.
#[cfg(test)]
pub(super) const TABLE: &[(&str, &str, bool)] = &[
    ("a.b.c.d", "a.b.c", false),
    ("a.bcd", "a.*d", true),
    ("a.b.c", "*.*.*", true),
    ("a.b.c", "*.b.*", true),
    ("prefixfoo", "prefix*", true),
    ("prefix.x", "prefix*", true),
    ("prefix.x.y", "prefix.*", false),
    ("prefix.x", "prefix.*", true),
    ("prefix", "prefix.*", false),
    ("prefix.x.y", "prefix.**", true),
    ("prefix", "prefix**", true),
    ("user", "user.**", false),
    ("abc", "*", true),
    ("a.b", "*", false),
    ("", "**", true),
    ("a.b", "**.b", true),
    ("a.x.b", "**.b", true),
    ("b", "**.b", false),
    ("a.b.c", "a.?.c", true),
    ("a.bb.c", "a.?.c", false),
    ("a...c", "a.?.c", true),
    ("aXc", "a.c", false),
    ("aXc.d", "a.c.?", true),
    ("a.b.c", "a.**.c", true),
    ("a.c", "a.**.c", false),
    ("abcd", "a?c*", true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_as_the_reference_does() {
        for (name, pattern, expected) in TABLE {
            assert_eq!(matches(name, pattern), *expected, "{name} in {pattern}");
        }
    }

    #[test]
    fn hostile_patterns_end_soon() {
        assert!(!matches(&"a".repeat(300), &"*a".repeat(100).replace("*a", "*a?").repeat(2)));
    }
}
