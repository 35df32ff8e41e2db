//! The text of a file: [`Text`].

use moleculer_core::{Error, Object, Places};

use super::MAX_DEPTH;

/// A file while it is read; remembers in which line each key stands.
#[derive(Debug)]
pub(super) struct Text<'a> {
    name: &'a str,
    pub(super) text: &'a str,
    /// Where the lines begin.
    lines: Vec<usize>,
    places: Places,
}

/// What is wrong, and in which byte.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) offset: Option<usize>,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn at(offset: usize, message: impl Into<String>) -> Self {
        Self { offset: Some(offset), message: message.into() }
    }
}

impl<'a> Text<'a> {
    pub(super) fn new(name: &'a str, text: &'a str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(newlines.map(|(i, _)| i + 1)).collect();
        Self { name, text, lines, places: Places::new() }
    }

    /// The byte at which a line begins, counted from 1.
    pub(super) fn line_start(&self, line: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len())
    }

    /// Remembers where the value at `path` stands.
    pub(super) fn stands_at(&mut self, path: &Path<'_>, offset: usize) {
        let place = self.place(offset);
        self.places.insert(path.to_string(), place);
    }

    pub(super) fn error(&self, problem: &Problem) -> Error {
        let place = problem.offset.map_or_else(|| self.name.to_owned(), |at| self.place(at));
        Error::options(format!("{place}: {}", problem.message))
    }

    pub(super) fn into_places(self) -> Places {
        self.places
    }

    fn place(&self, offset: usize) -> String {
        let line = self.lines.partition_point(|start| *start <= offset);
        format!("{}:{line}", self.name)
    }
}

/// The way to a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'a> {
    Root,
    Key(&'a Self, &'a str),
    Item(&'a Self, usize),
}

impl Path<'_> {
    /// Refuses what is nested too deeply.
    pub(super) fn check_depth(&self, offset: usize) -> Result<(), Problem> {
        let mut depth = 0;
        let mut path = self;
        while let Self::Key(outer, _) | Self::Item(outer, _) = path {
            depth += 1;
            path = outer;
        }
        match depth > MAX_DEPTH {
            true => Err(Problem::at(offset, format!("more than {MAX_DEPTH} levels"))),
            false => Ok(()),
        }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(outer, key) => write!(f, "{outer}.{key}"),
            Self::Item(outer, i) => write!(f, "{outer}[{i}]"),
        }
    }
}

/// Adds a member that must not be there yet.
pub(super) fn insert(
    object: &mut Object,
    path: &Path<'_>,
    key: &str,
    value: impl Into<moleculer_core::Value>,
    offset: usize,
) -> Result<(), Problem> {
    if object.contains_key(key) {
        return Err(Problem::at(offset, format!("the key `{path}` is given twice")));
    }
    object.insert(key, value);
    Ok(())
}
