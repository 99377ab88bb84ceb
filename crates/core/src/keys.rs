//! Keys of a config section as a provider takes them: text in, typed values and faults out.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A key that a provider reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// In kebab case.
    pub name: &'static str,
    /// Whether its value must never be shown. Such a key may also be given as `NAME-file` or `NAME-env`.
    pub secret: bool,
    /// One line for a person.
    pub help: &'static str,
}

/// What is wrong with a key, and what would be right. File, line and section are known to who reads the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFault {
    /// In kebab case.
    pub key: String,
    /// `what is wrong, what would be right`; never contains a secret value.
    pub problem: String,
}

/// Values by key, secrets among them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(BTreeMap<String, String>);

/// Invariant: no value is ever printed.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Keys {
    /// From pairs with keys in kebab case.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// A value as it stands in the file.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A value that has to be there and not be empty.
    pub fn required(&self, key: &'static str, example: &str, faults: &mut Vec<KeyFault>) -> Option<&str> {
        let value = self.get(key).filter(|value| !value.is_empty());
        if value.is_none() {
            let problem = format!("is missing; for example {key} = {example}");
            faults.push(KeyFault { key: key.to_owned(), problem });
        }
        value
    }

    /// A value of some type, or a fault that says what would be right.
    pub fn parse<T: FromStr>(&self, key: &'static str, right: &str, faults: &mut Vec<KeyFault>) -> Option<T> {
        let text = self.get(key)?;
        let value = text.parse().ok();
        if value.is_none() {
            faults.push(KeyFault { key: key.to_owned(), problem: format!("'{text}' is not {right}") });
        }
        value
    }

    /// The parts of a comma-separated list, trimmed, without empty ones.
    pub fn list(&self, key: &str) -> Vec<&str> {
        self.get(key)
            .into_iter()
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_say_what_would_be_right_and_debug_says_no_value() {
        let keys =
            Keys::new([("port".to_owned(), "x".to_owned()), ("list".to_owned(), "a, b,,c".to_owned())]);
        let mut faults = Vec::new();
        assert_eq!(keys.parse::<u16>("port", "a port", &mut faults), None);
        assert_eq!(keys.required("url", "http://127.0.0.1", &mut faults), None);
        assert_eq!(keys.list("list"), ["a", "b", "c"]);
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[0].problem, "'x' is not a port");
        assert_eq!(format!("{keys:?}"), r#"{"list", "port"}"#);
    }
}
