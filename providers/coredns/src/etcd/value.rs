//! The value of one key: the JSON of CoreDNS's etcd plugin, with two fields of ours that CoreDNS does not read.

use std::net::IpAddr;

use fleetdns_core::Label;
use serde::Deserialize;
use serde_json::value::RawValue;

/// CoreDNS's TTL for a value that has none.
pub(super) const DEFAULT_TTL: u32 = 300;

/// A value as it was read. CoreDNS refuses to answer when a field has another type, so this is as strict; its reader
/// (Go's) does not mind how the names of fields are capitalised.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entry {
    #[serde(alias = "Host", alias = "HOST")]
    host: Option<String>,
    #[serde(alias = "Port", alias = "PORT")]
    port: Option<i64>,
    #[serde(alias = "Priority")]
    priority: Option<i64>,
    #[serde(alias = "Weight")]
    weight: Option<i64>,
    #[serde(alias = "Text", alias = "TEXT")]
    text: Option<String>,
    #[serde(alias = "Mail", alias = "MAIL")]
    mail: Option<bool>,
    #[serde(alias = "Ttl", alias = "TTL")]
    ttl: Option<u32>,
    #[serde(alias = "TargetStrip", alias = "targetStrip")]
    targetstrip: Option<i64>,
    group: Option<String>,
    /// Not CoreDNS's: any type will do, however deep it is.
    fleetdns: Option<Box<RawValue>>,
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
        serde_json::from_slice(value)
    }

    pub(crate) fn meaning(&self) -> Meaning<'_> {
        let host = self.host.as_deref().unwrap_or("");
        if let Ok(address) = host.parse::<IpAddr>() {
            return Meaning::Address(address.to_canonical());
        }
        match (self.text.as_deref().unwrap_or("").is_empty(), self.mail.unwrap_or(false)) {
            (false, _) => Meaning::Other("TXT"),
            // A query for addresses is answered with a CNAME to the host too.
            (true, true) => Meaning::Other("MX-and-CNAME"),
            (true, false) => Meaning::Alias(host),
        }
    }

    /// The TTL that CoreDNS answers with.
    pub(crate) fn ttl(&self) -> u32 {
        self.ttl.filter(|ttl| *ttl != 0).unwrap_or(DEFAULT_TTL)
    }

    /// Labels of the key that are no part of the name.
    pub(crate) fn strip(&self) -> usize {
        usize::try_from(self.targetstrip.unwrap_or(0)).unwrap_or(0)
    }

    /// The text of a TXT record, where there is one.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref().filter(|text| !text.is_empty())
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
        for text in
            ["", "{", "10.0.0.1", r#"{"host":5}"#, r#"{"ttl":"30"}"#, r#"{"ttl":-1}"#, r#"{"port":"a"}"#]
        {
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
