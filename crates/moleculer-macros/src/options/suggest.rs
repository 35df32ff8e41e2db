//! The name that was probably meant.

/// The closest of `names`, if one is close enough to be a typing mistake.
pub(crate) fn closest<'a>(typed: &str, names: &[&'a str]) -> Option<&'a str> {
    let distances = names.iter().map(|name| (distance(typed, name), *name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    let longest = typed.chars().count().max(name.chars().count());
    (distance <= 1.max(longest / 3)).then_some(name)
}

/// How many letters have to be added, taken away, changed, or swapped with
/// their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1)
            };
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                rows[i][j] = rows[i][j].min(rows[i - 2][j - 2] + 1);
            }
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_names_are_found() {
        let names = ["name", "timeout", "visibility", "ttl"];
        let check = |typed, expected| assert_eq!(closest(typed, &names), expected, "{typed}");
        check("timout", Some("timeout"));
        check("nmae", Some("name"));
        check("tll", Some("ttl"));
        check("Visibilty", Some("visibility"));
        check("cache", None);
        check("", None);
    }
}
