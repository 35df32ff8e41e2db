//! Patterns of keys, in the server's words.

/// The server's pattern for the keys behind a prefix: `?` and `*` mean what
/// they mean there, and all other characters themselves.
pub(crate) fn glob(prefix: &str, pattern: &str) -> String {
    let mut glob = String::with_capacity(prefix.len() + pattern.len() + 8);
    for character in prefix.chars() {
        if matches!(character, '*' | '?') {
            glob.push('\\');
        }
        push(&mut glob, character);
    }
    for character in pattern.chars() {
        // `**` is every character, as `*` is already.
        if !(character == '*' && glob.ends_with('*') && !glob.ends_with("\\*")) {
            push(&mut glob, character);
        }
    }
    glob
}

fn push(glob: &mut String, character: char) {
    if matches!(character, '[' | ']' | '\\' | '^') {
        glob.push('\\');
    }
    glob.push(character);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stars_and_question_marks_are_wild() {
        let check = |prefix, pattern, expected: &str| assert_eq!(glob(prefix, pattern), expected);
        check("MOL-", "**", "MOL-*");
        check("MOL-", "posts.*", "MOL-posts.*");
        check("MOL-a*[b]-", "a?b.[1]**", "MOL-a\\*\\[b\\]-a?b.\\[1\\]*");
        check("MOL-*", "*", "MOL-\\**");
        check("", "\\*", "\\\\*");
    }
}
