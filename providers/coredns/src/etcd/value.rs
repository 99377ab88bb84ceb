//! The value of one key: the JSON of CoreDNS's etcd plugin, with two fields of ours that CoreDNS does not read.

use std::fmt;
use std::net::IpAddr;

use fleetdns_core::Label;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// CoreDNS's TTL for a value that has none.
pub(super) const DEFAULT_TTL: u32 = 300;

/// A value as CoreDNS reads it (Go, encoding/json), which answers SERVFAIL when a field has another type: the names of
/// fields in any capitals, of several fields of one name the last, and `null` as if it were not there.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    host: String,
    text: String,
    mail: bool,
    ttl: u32,
    targetstrip: i64,
    /// Not CoreDNS's: any type will do, however deep it is.
    fleetdns: Option<Box<RawValue>>,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

/// Reads the fields of an [`Entry`].
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entry, M::Error> {
        let mut entry = Entry::default();
        while let Some(Text(name)) = map.next_key()? {
            match &*folded(&name) {
                "host" => entry.host = text(&mut map)?.unwrap_or(entry.host),
                "text" => entry.text = text(&mut map)?.unwrap_or(entry.text),
                "group" => drop(text(&mut map)?),
                "mail" => entry.mail = map.next_value::<Option<_>>()?.unwrap_or(entry.mail),
                "ttl" => entry.ttl = map.next_value::<Option<_>>()?.unwrap_or(entry.ttl),
                "targetstrip" => {
                    entry.targetstrip = map.next_value::<Option<_>>()?.unwrap_or(entry.targetstrip);
                }
                "port" | "priority" | "weight" => drop(map.next_value::<Option<i64>>()?),
                _ if name == "fleetdns" => entry.fleetdns = Some(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(entry)
    }
}

/// The name of a field as Go compares it: these two characters are letters in other capitals too.
fn folded(name: &str) -> String {
    let fold = |character| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => char::to_ascii_lowercase(&other),
    };
    name.chars().map(fold).collect()
}

fn text<'de, M: MapAccess<'de>>(map: &mut M) -> Result<Option<String>, M::Error> {
    Ok(map.next_value::<Option<Text>>()?.map(|Text(text)| text))
}

/// A string. Half of a surrogate pair becomes U+FFFD, more than once.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Reads a [`Text`].
struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
        Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
    }
}

/// What CoreDNS answers with for a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    Address(IpAddr),
    Alias(&'a str),
    /// A type of which the values do not matter.
    Other(&'static str),
}

impl Entry {
    /// # Errors
    /// What is wrong, when CoreDNS cannot read the value either.
    pub(crate) fn read(value: &[u8]) -> Result<Self, serde_json::Error> {
        let entry: Option<Self> = serde_json::from_str(&String::from_utf8_lossy(value))?;
        Ok(entry.unwrap_or_default())
    }

    pub(crate) fn meaning(&self) -> Meaning<'_> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Meaning::Address(address.to_canonical());
        }
        match (self.text.is_empty(), self.mail) {
            (false, _) => Meaning::Other("TXT"),
            // A query for addresses is answered with a CNAME to the host too.
            (true, true) => Meaning::Other("MX-and-CNAME"),
            (true, false) => Meaning::Alias(&self.host),
        }
    }

    /// The TTL that CoreDNS answers with.
    pub(crate) fn ttl(&self) -> u32 {
        if self.ttl == 0 { DEFAULT_TTL } else { self.ttl }
    }

    /// Labels of the key that are no part of the name.
    pub(crate) fn strip(&self) -> usize {
        usize::try_from(self.targetstrip).unwrap_or(0)
    }

    /// The text of a TXT record, where there is one.
    pub(crate) fn text(&self) -> Option<&str> {
        Some(&*self.text).filter(|text| !text.is_empty())
    }

    /// The ownership text.
    pub(crate) fn mark(&self) -> Option<String> {
        self.fleetdns.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok())
    }
}

/// A value, always the same bytes for the same arguments. `leaf`: whether the last label of its key is no part of the name,
/// which CoreDNS is told so that targets of SRV answers come out as the name. Without owner and mark it is nobody's.
pub(crate) fn write(host: &str, ttl: u32, leaf: bool, owned: Option<(&Label, &str)>) -> Vec<u8> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let strip = if leaf { r#","targetstrip":1"# } else { "" };
    let owned = owned.map(|(owner, mark)| {
        let (owner, mark) = (quoted(owner.as_str()), quoted(mark));
        format!(r#","owner":{owner},"fleetdns":{mark}"#)
    });
    format!(r#"{{"host":{},"ttl":{ttl}{strip}{}}}"#, quoted(host), owned.unwrap_or_default()).into_bytes()
}

/// The mark of every other value: only whose it is. The evidence stands once in a set, not once for each address:
/// with 200 clusters it has 10 KB, and a new address then changes two keys and not 200.
pub(crate) fn short_mark(owner: &Label) -> String {
    format!("v=1 owner={owner}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_value_means_what_coredns_answers() {
        let address = |text: &str| Meaning::Address(text.parse().unwrap());
        for (text, meaning) in [
            (r#"{"host":"10.0.0.1"}"#, address("10.0.0.1")),
            (r#"{"host":"10.0.0.1","text":"x"}"#, address("10.0.0.1")),
            (r#"{"Host":"2001:DB8::1"}"#, address("2001:db8::1")),
            (r#"{"host":"::ffff:10.0.0.1"}"#, address("10.0.0.1")),
            (r#"{"host":"a.example"}"#, Meaning::Alias("a.example")),
            (r#"{"host":"a.example","text":"x"}"#, Meaning::Other("TXT")),
            (r#"{"host":"a.example","mail":true}"#, Meaning::Other("MX-and-CNAME")),
            (r#"{"text":"x","targetstrip":1}"#, Meaning::Other("TXT")),
            ("{}", Meaning::Alias("")),
        ] {
            assert_eq!(entry(text).meaning(), meaning, "{text}");
        }
        assert_eq!(entry("{}").ttl(), 300);
        assert_eq!(entry(r#"{"ttl":30,"targetstrip":2,"host":null}"#).ttl(), 30);
        assert_eq!(entry(r#"{"targetstrip":2}"#).strip(), 2);
        assert_eq!(entry(r#"{"targetstrip":-2}"#).strip(), 0);
        assert_eq!(entry(r#"{"fleetdns":5}"#).mark(), None);
        assert_eq!(entry(r#"{"fleetdns":"v=1"}"#).mark().as_deref(), Some("v=1"));
    }

    /// Go's reader takes what serde refuses, and CoreDNS answers with it.
    #[test]
    fn a_value_is_read_as_go_reads_it() {
        let address = |text: &str| Meaning::Address(text.parse().unwrap());
        for (bytes, meaning) in [
            (&br#"{"host":"10.0.0.1","HOST":"10.0.0.2"}"#[..], address("10.0.0.2")),
            (br#"{"hOsT":"10.0.0.1","host":null}"#, address("10.0.0.1")),
            ("{\"ho\u{17f}t\":\"10.0.0.1\"}".as_bytes(), address("10.0.0.1")),
            (b"null", Meaning::Alias("")),
            (br#"{"host":"a\ud800","\udc00":1}"#, Meaning::Alias("a\u{fffd}\u{fffd}\u{fffd}")),
            (b"{\"text\":\"Z\xfcrich\"}", Meaning::Other("TXT")),
        ] {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(Entry::read(bytes).unwrap().meaning(), meaning, "{text}");
        }
    }

    #[test]
    fn a_field_that_coredns_does_not_read_may_be_as_deep_as_it_likes() {
        let deep = format!("{}{}", "[".repeat(9000), "]".repeat(9000));
        for field in ["fleetdns", "notes"] {
            let entry = entry(&format!(r#"{{"host":"10.0.0.1","{field}":{deep}}}"#));
            assert_eq!((entry.meaning(), entry.mark()), (Meaning::Address([10, 0, 0, 1].into()), None));
        }
    }

    #[test]
    fn what_coredns_cannot_read_is_an_error() {
        for text in [
            "",
            "{",
            "10.0.0.1",
            "5",
            r#"["10.0.0.1"]"#,
            r#""10.0.0.1""#,
            r#"{"host":5}"#,
            r#"{"host":[49]}"#,
            r#"{"ttl":"30"}"#,
            r#"{"ttl":-1}"#,
            r#"{"port":"a"}"#,
            r#"{"GROUP":5}"#,
            r#"{"WEIGHT":"x"}"#,
            r#"{"ttl":"30","ttl":30}"#,
        ] {
            assert!(Entry::read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_value_is_what_coredns_wants() {
        let owner: Label = "fed".parse().unwrap();
        assert_eq!(
            String::from_utf8(write("10.0.0.1", 30, true, Some((&owner, "v=1 owner=fed")))).unwrap(),
            r#"{"host":"10.0.0.1","ttl":30,"targetstrip":1,"owner":"fed","fleetdns":"v=1 owner=fed"}"#
        );
        assert!(
            !String::from_utf8(write("a.example", 30, false, Some((&owner, ""))))
                .unwrap()
                .contains("targetstrip")
        );
    }

    proptest::proptest! {
        /// A mark or a host of any text stays within its own string.
        #[test]
        fn any_text_is_read_back_and_nothing_beside_it(
            host in "(?s).{0,40}|[\"\\\\{},:\n]{0,20}",
            mark in "(?s).{0,40}|\",\"owner\":\"other.{0,3}|[ -~]{250,260}",
        ) {
            let owner: Label = "fed".parse().unwrap();
            let bytes = write(&host, 30, true, Some((&owner, &mark)));
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            proptest::prop_assert_eq!(
                value,
                serde_json::json!({"host": host, "ttl": 30, "targetstrip": 1, "owner": "fed", "fleetdns": mark})
            );
            proptest::prop_assert!(!bytes.iter().any(|byte| *byte < b' '));
        }
    }
}
