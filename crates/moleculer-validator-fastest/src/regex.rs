//! Regular expressions of JavaScript in the dialect of the crate `regex`,
//! which takes linear time on any text.

use std::fmt::Write;

use moleculer_protocol::{Extended, Value};
use regex::{Regex, RegexBuilder};

/// Translates a pattern and its flags.
///
/// # Errors
///
/// A text that says what cannot be expressed: lookaround and references need
/// backtracking, which a caller could turn against this node.
pub(crate) fn compile(pattern: &str, flags: &str) -> Result<Regex, String> {
    let mut translator = Translator::new(pattern, flags)?;
    let translated = translator.translate()?;
    RegexBuilder::new(&translated)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("the pattern needs more than {limit} bytes; use smaller repetitions")
            }
            _ => {
                format!("`{pattern}` is no regular expression of JavaScript that can be used here")
            }
        })
}

/// Pattern and flags of a regular expression that came as a value.
pub(crate) fn parts_of(value: &Value) -> Option<(&str, &str)> {
    match value {
        Value::Extended(extended) => match &**extended {
            Extended::RegExp { source, flags } => Some((source, flags)),
            _ => None,
        },
        _ => None,
    }
}

/// The text that JavaScript shows for a regular expression.
pub(crate) fn show(pattern: &str, flags: &str) -> String {
    let source = if pattern.is_empty() { "(?:)" } else { pattern };
    let mut shown = String::from("/");
    let (mut escaped, mut in_class) = (false, false);
    for c in source.chars() {
        match c {
            '/' if !escaped && !in_class => shown.push_str("\\/"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            _ => shown.push(c),
        }
        in_class = if escaped { in_class } else { c == '[' || (in_class && c != ']') };
        escaped = !escaped && c == '\\';
    }
    let mut flags: Vec<char> = flags.chars().collect();
    flags.sort_unstable();
    shown.push('/');
    shown.extend(flags);
    shown
}

/// White space of JavaScript, for use within a class.
const SPACE: &str =
    r"\t-\r \u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}";

struct Translator<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    unicode: bool,
    dot_all: bool,
    sticky: bool,
    out: String,
}

impl<'a> Translator<'a> {
    fn new(pattern: &'a str, flags: &str) -> Result<Self, String> {
        if let Some(flag) = flags.chars().find(|flag| !"dgimsuy".contains(*flag)) {
            return Err(format!("the flag `{flag}` of a regular expression is not supported"));
        }
        Ok(Self {
            chars: pattern.chars().peekable(),
            unicode: flags.contains('u'),
            dot_all: flags.contains('s'),
            sticky: flags.contains('y'),
            out: String::with_capacity(pattern.len() + 16),
        })
    }

    fn translate(&mut self) -> Result<String, String> {
        while let Some(c) = self.chars.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '.' if self.dot_all => self.out.push_str("(?s:.)"),
                '.' => self.out.push_str(r"[^\n\r\u{2028}\u{2029}]"),
                '{' if !self.counted() => self.out.push_str(r"\{"),
                ']' | '}' | '#' | '&' | '-' | '~' => self.literal(c),
                '{' => self.count(),
                _ => self.out.push(c),
            }
        }
        let out = std::mem::take(&mut self.out);
        Ok(if self.sticky { format!(r"\A(?:{out})") } else { out })
    }

    /// Whether `{` begins a count, such as `{2,5}`.
    fn counted(&self) -> bool {
        let text: String = self.chars.clone().take_while(|c| *c != '}').collect();
        let closed = self.chars.clone().any(|c| c == '}');
        let (low, high) = text.split_once(',').unwrap_or((&text, ""));
        let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
        closed && !low.is_empty() && digits(low) && digits(high)
    }

    fn count(&mut self) {
        self.out.push('{');
        for c in self.chars.by_ref() {
            self.out.push(c);
            if c == '}' {
                break;
            }
        }
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        let mut ahead = self.chars.clone();
        if ahead.next() != Some('?') {
            return Ok(());
        }
        match (ahead.next(), ahead.next()) {
            (Some('='), _) | (Some('!'), _) => Err(no_backtracking("lookahead `(?=` or `(?!`")),
            (Some('<'), Some('=' | '!')) => Err(no_backtracking("lookbehind `(?<=` or `(?<!`")),
            _ => Ok(()),
        }
    }

    /// What follows a backslash outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.chars.next() else {
            return Err("a regular expression ends with a backslash".to_owned());
        };
        match c {
            '1'..='9' => return Err(no_backtracking("a reference such as `\\1`")),
            'k' if self.unicode || self.chars.peek() == Some(&'<') => {
                return Err(no_backtracking("a reference such as `\\k<name>`"));
            }
            'b' => self.out.push_str(r"(?-u:\b)"),
            'B' => return Err("`\\B` in a regular expression is not supported".to_owned()),
            'd' => self.out.push_str("[0-9]"),
            'D' => self.out.push_str("[^0-9]"),
            'w' => self.out.push_str("[0-9A-Za-z_]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            's' => self.wrap('[', SPACE),
            'S' => self.wrap('^', SPACE),
            'p' | 'P' if self.unicode => self.property(c),
            _ => self.character(c),
        }
        Ok(())
    }

    fn wrap(&mut self, kind: char, set: &str) {
        self.out.push_str(if kind == '^' { "[^" } else { "[" });
        self.out.push_str(set);
        self.out.push(']');
    }

    fn property(&mut self, c: char) {
        self.out.push('\\');
        self.out.push(c);
        for c in self.chars.by_ref() {
            self.out.push(c);
            if c == '}' {
                break;
            }
        }
    }

    /// A class, after its `[`.
    fn class(&mut self) -> Result<(), String> {
        let negated = self.chars.next_if_eq(&'^').is_some();
        if self.chars.next_if_eq(&']').is_some() {
            // Nothing, or anything.
            self.out.push_str(if negated { "(?s:.)" } else { r"[^\x00-\x{10FFFF}]" });
            return Ok(());
        }
        self.out.push_str(if negated { "[^" } else { "[" });
        loop {
            match self.chars.next() {
                None => return Err("a class of a regular expression lacks its `]`".to_owned()),
                Some(']') => break,
                Some('\\') => self.escape_in_class()?,
                // A range; a dash at an end of the class is one too, for both dialects.
                Some('-') => self.dash(),
                Some(c) => self.literal(c),
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn dash(&mut self) {
        let last = self.chars.peek() == Some(&']');
        let first = self.out.ends_with('[') || self.out.ends_with("[^");
        let after_set = self.out.ends_with("0-9") || self.out.ends_with("A-Za-z_");
        let before_set = {
            let mut ahead = self.chars.clone();
            ahead.next() == Some('\\') && ahead.next().is_some_and(|c| "dDwWsS".contains(c))
        };
        self.out.push_str(if last || first || after_set || before_set { r"\-" } else { "-" });
    }

    fn escape_in_class(&mut self) -> Result<(), String> {
        let Some(c) = self.chars.next() else {
            return Err("a regular expression ends with a backslash".to_owned());
        };
        match c {
            'b' => self.out.push_str(r"\x08"),
            'd' => self.out.push_str("0-9"),
            'w' => self.out.push_str("0-9A-Za-z_"),
            's' => self.out.push_str(SPACE),
            'D' => self.out.push_str("[^0-9]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            'S' => self.wrap('^', SPACE),
            'p' | 'P' if self.unicode => self.property(c),
            _ => self.character(c),
        }
        Ok(())
    }

    /// An escape that stands for one character.
    fn character(&mut self, c: char) {
        let code = match c {
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'f' => Some('\u{c}'),
            'v' => Some('\u{b}'),
            '0' => Some('\0'),
            'x' => self.hex(2),
            'u' if self.chars.peek() == Some(&'{') && self.unicode => self.braced(),
            'u' => self.hex(4),
            'c' => self.control(),
            _ => None,
        };
        self.literal(code.unwrap_or(c));
    }

    fn hex(&mut self, digits: usize) -> Option<char> {
        let text: String = self.chars.clone().take(digits).collect();
        let code = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits)?;
        let c = char::from_u32(code)?;
        self.chars.nth(digits - 1);
        Some(c)
    }

    fn braced(&mut self) -> Option<char> {
        let text: String = self.chars.clone().skip(1).take_while(|c| *c != '}').collect();
        let c = char::from_u32(u32::from_str_radix(&text, 16).ok()?)?;
        self.chars.nth(text.len() + 1);
        Some(c)
    }

    fn control(&mut self) -> Option<char> {
        let letter = self.chars.next_if(char::is_ascii_alphabetic)?;
        char::from_u32(u32::from(letter) % 32)
    }

    /// Written so that no dialect and no place gives it a meaning.
    fn literal(&mut self, c: char) {
        if c.is_alphanumeric() || c == '_' || c == ' ' {
            self.out.push(c);
        } else {
            // Writing to a text cannot fail.
            _ = write!(self.out, r"\u{{{:x}}}", u32::from(c));
        }
    }
}

fn no_backtracking(what: &str) -> String {
    format!(
        "{what} in a regular expression is not supported: it needs backtracking, \
         with which a caller could keep this node busy"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_javascript() {
        let check = |pattern: &str, flags: &str, yes: &[&str], no: &[&str]| {
            let regex = compile(pattern, flags).expect(pattern);
            for text in yes {
                assert!(regex.is_match(text), "/{pattern}/{flags} should match {text:?}: {regex}");
            }
            for text in no {
                assert!(
                    !regex.is_match(text),
                    "/{pattern}/{flags} should not match {text:?}: {regex}"
                );
            }
        };
        check(r"^\d+$", "", &["123"], &["١٢٣", "1\n"]);
        check(r"^\w$", "", &["a", "_"], &["é"]);
        check(r"^\s\S$", "", &["\u{feff}a", "\tb"], &["\u{85}a"]);
        check("^.$", "", &["a", "\u{85}"], &["\n", "\r", "\u{2028}"]);
        check("^.$", "s", &["\n"], &[]);
        check("^a{,3}$", "", &["a{,3}"], &["aa"]);
        check("^a{2,3}$", "", &["aa"], &["a"]);
        check("^[[&&]$", "", &["[", "&"], &["a"]);
        check(r"^[\w-.]$", "", &["-", ".", "a"], &["+"]);
        check(r"^[+-\d]$", "", &["-", "+", "5"], &[","]);
        check(r"^[a-c]$", "i", &["B"], &["d", "-"]);
        check(r"^[-a]$", "", &["-"], &["b"]);
        check(r"^[a-]$", "", &["-"], &["b"]);
        check(r"^[\D]$", "", &["a"], &["5"]);
        check(r"[]", "", &[], &["", "a"]);
        check(r"^[^]$", "", &["\n"], &[]);
        check(r"^\x41\u0042\u{43}$", "u", &["ABC"], &[]);
        check(r"^\cA\/\-\@\#$", "", &["\u{1}/-@#"], &[]);
        check(r"^[\b]$", "", &["\u{8}"], &["b"]);
        check(r"\bfoo\b", "", &["a foo b", "éfoo"], &["afoo"]);
        check(r"^\p{L}$", "u", &["é"], &["5"]);
        check("a", "y", &["ab"], &["ba"]);
        check("^b", "m", &["a\nb"], &["ab"]);
        check("^(?<y>a|b)(?:c)$", "", &["ac"], &["c"]);
        check(r"^a-b]}\}$", "", &["a-b]}}"], &[]);
    }

    #[test]
    fn what_cannot_be_expressed_is_named() {
        let check = |pattern: &str, flags: &str, expected: &str| {
            let error = compile(pattern, flags).expect_err(pattern);
            assert!(error.contains(expected), "{error}");
        };
        check("(?=a)", "", "lookahead");
        check("a(?!b)", "", "lookahead");
        check("(?<=a)", "", "lookbehind");
        check("(?<!a)", "", "lookbehind");
        check(r"(a)\1", "", "reference such as `\\1`");
        check(r"(?<n>a)\k<n>", "", "reference such as `\\k<name>`");
        check("a", "v", "flag `v`");
        check("(a", "", "`(a` is no regular expression");
        check("[a", "", "lacks its `]`");
        check("a\\", "", "ends with a backslash");
        check("((a{100}){100}){100}", "", "use smaller repetitions");
        check(r"\B", "", "`\\B`");
    }

    /// Patterns that take a backtracking engine for ever.
    #[test]
    fn no_text_is_slow() {
        let text = "a".repeat(100_000) + "!";
        for pattern in ["^(a+)+$", "^(a|aa)+$", "^(.*)*x$", "(a*)*b"] {
            assert!(!compile(pattern, "").expect(pattern).is_match(&text));
        }
    }

    #[test]
    fn it_is_shown_as_javascript_shows_it() {
        assert_eq!(show("a/b[/]\\/", "ig"), r"/a\/b[/]\//gi");
        assert_eq!(show("", ""), "/(?:)/");
    }
}
