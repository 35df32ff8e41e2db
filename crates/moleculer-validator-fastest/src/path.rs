//! Where in the params a check is: text only when there is something to say.

/// A place in the params, as a chain of steps that lives on the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path<'a> {
    Root,
    Member(&'a Self, &'a str),
    Item(&'a Self, usize),
    /// A member of a record: its name is shown as it is.
    Entry(&'a Self, &'a str),
}

impl Path<'_> {
    /// The name of the field; `None` for the params themselves.
    pub(crate) fn render(&self) -> Option<String> {
        if matches!(self, Path::Root) {
            return None;
        }
        let mut out = String::new();
        self.write(&mut out);
        Some(out)
    }

    fn write(&self, out: &mut String) {
        match self {
            Path::Root => {}
            Path::Member(parent, name) => {
                parent.write(out);
                push_member(out, name);
            }
            Path::Item(parent, index) => {
                parent.write(out);
                out.push('[');
                out.push_str(&index.to_string());
                out.push(']');
            }
            Path::Entry(parent, name) => {
                parent.write(out);
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
            }
        }
    }
}

/// Names that are no identifiers are quoted, except the first.
pub(crate) fn push_member(out: &mut String, name: &str) {
    match (out.is_empty(), is_identifier(name)) {
        (true, _) => out.push_str(name),
        (false, true) => {
            out.push('.');
            out.push_str(name);
        }
        (false, false) => {
            out.push_str("['");
            out.push_str(name);
            out.push_str("']");
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let is_word = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'$';
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_in_the_reference() {
        let root = Path::Root;
        let a = Path::Member(&root, "x-y");
        let b = Path::Item(&a, 3);
        let c = Path::Member(&b, "ok");
        let d = Path::Member(&c, "1st");
        let e = Path::Entry(&d, "k v");
        assert_eq!(root.render(), None);
        assert_eq!(e.render().as_deref(), Some("x-y[3].ok['1st'].k v"));
        assert_eq!(Path::Item(&root, 0).render().as_deref(), Some("[0]"));
        assert_eq!(Path::Entry(&root, "k").render().as_deref(), Some("k"));
    }
}
