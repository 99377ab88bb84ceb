//! The ownership records of external-dns: TXT records beside the records that it owns.
//!
//! ```text
//! a-web.example.com. TXT "heritage=external-dns,external-dns/owner=prod,external-dns/resource=service/default/web"
//! ```
//!
//! From v0.12 on the record type is a part of the name (`a-web`), and until v0.17 a second TXT record stood at a name without
//! it (`web`), the only one before. external-dns reads both: a record set is its own while one of them is there. It leaves a
//! record set alone that has none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::name::{DnsName, Label, NameError};
use crate::record::RecordType;
use crate::service::ServiceKey;

/// In a prefix or a suffix it stands for the record type.
const TYPE: &str = "%{record_type}";
/// Types by which external-dns begins the label of a TXT record.
const TYPES: [&str; 7] = ["a", "aaaa", "cname", "ns", "mx", "srv", "naptr"];
/// Shortest text that is taken for an encrypted one: nonce, tag and the shortest owner, in base64.
const SEALED: usize = 64;

/// Where an external-dns keeps its ownership records: its flags `--txt-prefix`, `--txt-suffix` and
/// `--txt-wildcard-replacement`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Naming {
    prefix: String,
    suffix: String,
    wildcard: String,
}

/// external-dns takes a prefix or a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("external-dns takes --txt-prefix or --txt-suffix, not both")]
pub struct BothAffixes;

impl Naming {
    /// Empty texts stand for flags that are not given.
    ///
    /// # Errors
    /// With a prefix and a suffix.
    pub fn new(prefix: &str, suffix: &str, wildcard: &str) -> Result<Self, BothAffixes> {
        if !prefix.is_empty() && !suffix.is_empty() {
            return Err(BothAffixes);
        }
        let [prefix, suffix, wildcard] = [prefix, suffix, wildcard].map(str::to_lowercase);
        Ok(Self { prefix, suffix, wildcard })
    }

    /// Where the ownership record of a record set is, since v0.12.
    ///
    /// ```
    /// # use fleetdns_core::{RecordType, ownership::external_dns::Naming};
    /// let name = "web.example.com".parse()?;
    /// assert_eq!(Naming::default().typed(&name, RecordType::Aaaa)?.as_str(), "aaaa-web.example.com");
    /// # Ok::<(), fleetdns_core::name::NameError>(())
    /// ```
    ///
    /// # Errors
    /// When that is no name that fleetdns can read, such as `a-*.example.com` of a wildcard.
    pub fn typed(&self, name: &DnsName, record_type: RecordType) -> Result<DnsName, NameError> {
        let kind = record_type.as_str().to_lowercase();
        match self.has_type() {
            true => self.place(name, "", &kind),
            false => self.place(name, &format!("{kind}-"), ""),
        }
    }

    /// Where it is without the record type; `None` where external-dns reads a record there as that of another name.
    pub fn untyped(&self, name: &DnsName) -> Option<DnsName> {
        let (label, _) = name.as_str().split_once('.').unwrap_or((name.as_str(), ""));
        let of_another = label.split_once('-').is_some_and(|(first, _)| TYPES.contains(&first));
        if of_another { None } else { self.place(name, "", "").ok() }
    }

    fn has_type(&self) -> bool {
        self.prefix.contains(TYPE) || self.suffix.contains(TYPE)
    }

    fn place(&self, name: &DnsName, before: &str, kind: &str) -> Result<DnsName, NameError> {
        let (label, rest) = name.as_str().split_once('.').unwrap_or((name.as_str(), ""));
        let label = if label == "*" && !self.wildcard.is_empty() { &self.wildcard } else { label };
        let [prefix, suffix] = [&self.prefix, &self.suffix].map(|affix| affix.replace(TYPE, kind));
        format!("{prefix}{before}{label}{suffix}.{rest}").parse()
    }
}

/// An ownership record of external-dns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// Owner id, the flag `--txt-owner-id`; may be empty.
    pub owner: String,
    /// The Service for which the record was written, where it was one.
    pub service: Option<ServiceKey>,
}

/// What the values of a TXT set say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// They are an ownership record; of several, those of one owner, the first.
    Mark(Mark),
    /// There is an ownership record of this owner among others.
    Mixed(String),
    /// They may be an encrypted one (`--txt-encrypt-enabled`).
    Sealed,
    /// Something else.
    Other,
}

impl Text {
    /// Reads the values, without quotes.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let marks: Vec<Option<Mark>> = values.into_iter().map(read).collect();
        let Some(first) = marks.iter().flatten().next() else { return Self::Other };
        match marks.iter().all(|one| one.as_ref().is_some_and(|mark| mark.owner == first.owner)) {
            true => Self::Mark(first.clone()),
            false => Self::Mixed(first.owner.clone()),
        }
    }

    /// The same, where an encrypted record may be too.
    pub fn or_sealed<'a>(values: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        match Self::of(values.clone()) {
            Self::Other if values.into_iter().any(is_sealed) => Self::Sealed,
            text => text,
        }
    }
}

/// Owner id with which external-dns's ownership records are set aside while a fleetdns with this owner id adopts what they speak
/// for: external-dns leaves alone what another owner has.
pub fn adopting(owner: &Label) -> String {
    format!("fleetdns-{owner}-adopts")
}

/// The text of an ownership record that is set aside; `None` where it is already.
pub fn set_aside<'a>(values: impl IntoIterator<Item = &'a str>, owner: &Label) -> Option<String> {
    let adopting = adopting(owner);
    let Text::Mark(mark) = Text::of(values) else { return None };
    let resource = mark.service.map(|service| format!(",external-dns/resource=service/{service}"));
    let text = format!("heritage=external-dns,external-dns/owner={adopting}{}", resource.unwrap_or_default());
    (mark.owner != adopting).then_some(text)
}

/// Whether a value may be an ownership record of external-dns.
pub fn may_be_mark(value: &str) -> bool {
    read(value).is_some() || is_sealed(value)
}

/// Reads as external-dns does.
fn read(value: &str) -> Option<Mark> {
    let labels = value.trim_matches('"').split(',').filter_map(|part| part.split_once('='));
    let mut labels = labels.filter(|(_, value)| !value.contains('='));
    let (mut is_mark, mut mark) = (false, Mark::default());
    labels.try_for_each(|(key, value)| {
        match key {
            "heritage" => is_mark = value == "external-dns",
            "external-dns/owner" => value.clone_into(&mut mark.owner),
            "external-dns/resource" => {
                mark.service = value.strip_prefix("service/").and_then(|key| key.parse().ok());
            }
            _ => {}
        }
        (key != "heritage" || is_mark).then_some(())
    })?;
    is_mark.then_some(mark)
}

fn is_sealed(value: &str) -> bool {
    let value = value.trim_matches('"');
    value.len() >= SEALED && STANDARD.decode(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(prefix: &str, suffix: &str, wildcard: &str) -> Naming {
        Naming::new(prefix, suffix, wildcard).unwrap()
    }

    #[test]
    fn a_record_has_its_ownership_record_where_external_dns_writes_it() {
        let (plain, web, any) = (naming("", "", ""), "web.example.com", "*.example.com");
        for (naming, name, record_type, typed, untyped) in [
            (&plain, web, RecordType::A, Some("a-web.example.com"), Some(web)),
            (&plain, web, RecordType::Aaaa, Some("aaaa-web.example.com"), Some(web)),
            (&plain, web, RecordType::Cname, Some("cname-web.example.com"), Some(web)),
            (&plain, "a-web.example.com", RecordType::A, Some("a-a-web.example.com"), None),
            (&plain, any, RecordType::A, None, Some(any)),
            (&naming("", "", "any"), any, RecordType::A, Some("a-any.example.com"), Some("any.example.com")),
            (
                &naming("Reg.", "", ""),
                web,
                RecordType::A,
                Some("reg.a-web.example.com"),
                Some("reg.web.example.com"),
            ),
            (
                &naming("edns-", "", ""),
                web,
                RecordType::A,
                Some("edns-a-web.example.com"),
                Some("edns-web.example.com"),
            ),
            (
                &naming("", "-edns", ""),
                web,
                RecordType::A,
                Some("a-web-edns.example.com"),
                Some("web-edns.example.com"),
            ),
            (&naming("%{record_type}-x.", "", ""), web, RecordType::A, Some("a-x.web.example.com"), None),
            (
                &naming("", ".x%{record_type}.bar", ""),
                web,
                RecordType::Cname,
                Some("web.xcname.bar.example.com"),
                Some("web.x.bar.example.com"),
            ),
        ] {
            let name: DnsName = name.parse().unwrap();
            let text = |name: Option<DnsName>| name.map(|name| name.to_string());
            assert_eq!(text(naming.typed(&name, record_type).ok()).as_deref(), typed, "{naming:?} {name}");
            assert_eq!(text(naming.untyped(&name)).as_deref(), untyped, "{naming:?} {name}");
        }
        assert_eq!(Naming::new("a", "b", ""), Err(BothAffixes));
    }

    #[test]
    fn a_text_is_read_as_external_dns_reads_it() {
        let of = |owner: &str, service: &str| {
            Text::Mark(Mark { owner: owner.to_owned(), service: service.parse().ok() })
        };
        let mark = "heritage=external-dns,external-dns/owner=me,external-dns/resource=service/default/web";
        let sealed = STANDARD.encode([7; 90]);
        for (values, text) in [
            (&[mark][..], of("me", "default/web")),
            (&[&format!("\"{mark}\"")], of("me", "default/web")),
            (&[mark, "heritage=external-dns,external-dns/owner=me"], of("me", "default/web")),
            (&["heritage=external-dns"], of("", "")),
            (
                &["external-dns/owner=me,external-dns/resource=ingress/a/b,heritage=external-dns"],
                of("me", ""),
            ),
            (&[mark, "v=spf1 -all"], Text::Mixed("me".to_owned())),
            (&[mark, "heritage=external-dns,external-dns/owner=you"], Text::Mixed("me".to_owned())),
            (&["heritage=mate,external-dns/owner=me"], Text::Other),
            (&["heritage=external-dns=x,external-dns/owner=me"], Text::Other),
            (&["external-dns/owner=me"], Text::Other),
            (&["v=1 owner=me service=default/web"], Text::Other),
            (&[], Text::Other),
            (&["YWRtaW4="], Text::Other),
            (&[&*sealed], Text::Sealed),
        ] {
            assert_eq!(Text::or_sealed(values.iter().copied()), text, "{values:?}");
            assert_eq!(values.iter().any(|value| may_be_mark(value)), text != Text::Other, "{values:?}");
        }
        assert_eq!(Text::of([&*sealed]), Text::Other);
        let fed = "fed".parse().unwrap();
        let aside = set_aside([mark], &fed).unwrap();
        assert_eq!(Text::of([&*aside]), of("fleetdns-fed-adopts", "default/web"));
        assert_eq!((set_aside([&*aside], &fed), set_aside(["v=spf1 -all"], &fed)), (None, None));
    }
}
