//! Why a configuration is refused: always the operator's to mend, so each refusal names the
//! file, the line, what was found, what was expected, and the nearest valid name.

use std::fmt;

/// One reason a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file as it was named.
    pub file: String,
    /// Line from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The object it is about, as `tunnel.branch`; empty for the file.
    pub object: String,
    /// What is wrong, with the value found.
    pub found: String,
    /// What would have been right.
    pub expected: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.object.is_empty() {
            write!(f, ": {}", self.object)?;
        }
        write!(f, ": {}", self.found)?;
        if !self.expected.is_empty() {
            write!(f, "; expected {}", self.expected)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

/// The name among `known` closest to `wrong`, when one is close enough to be meant.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3)
        .min()
        .map(|(_, name)| name)
}

/// "one of a, b, c; did you mean b?" for the `expected` half of a refusal.
pub fn one_of<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let list = known.clone().into_iter().collect::<Vec<_>>().join(", ");
    let list =
        if list.is_empty() { "nothing: none is configured".to_owned() } else { format!("one of {list}") };
    match nearest(wrong, known) {
        Some(name) => format!("{list} (did you mean {name}?)"),
        None => list,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A typing error is answered with the name that was meant.
    #[test]
    fn nearest_name_is_suggested() {
        assert_eq!(nearest("adress", ["addresses", "device", "address"]), Some("address"));
        assert_eq!(nearest("zzz", ["addresses", "device"]), None);
    }

    /// The line an operator reads has the file, the line and what to write instead.
    #[test]
    fn display_is_one_line() {
        let refusal = Refusal {
            file: "r.toml".into(),
            line: 7,
            object: "tunnel.a".into(),
            found: "ike-policy \"fats\" does not exist".into(),
            expected: one_of("fats", ["fast"]),
        };
        assert_eq!(
            refusal.to_string(),
            "r.toml:7: tunnel.a: ike-policy \"fats\" does not exist; expected one of fast (did you mean fast?)"
        );
    }
}
