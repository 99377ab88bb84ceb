//! What a provider says exists in a zone.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use arcstr::ArcStr;
use imbl::ordmap::DiffItem;
use imbl::{OrdMap, OrdSet};

use crate::name::DnsName;
use crate::ownership::{Owner, external_dns};
use crate::record::{RecordData, RecordType, Ttl};

/// What a provider needs to prove that a record set is still as it was read: an etag, revisions, the exact values.
/// Only the provider that made it can read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version(pub ArcStr);

/// Longest name of a type; a longer one is none.
const MOST_OF_A_TYPE: usize = 20;
/// Most values of a TXT set that is kept with them.
const MOST_TEXTS: usize = 1000;
const TXT: &str = "TXT";

/// The values of a record set that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One of the types that are written, with values that could be read.
    Known(RecordData),
    /// The same in a shape that its provider would not give it: half of what it writes for these values, or what an
    /// older version wrote. To be written again even when the values are right.
    Misshapen(Box<RecordData>),
    /// A TXT set that may be the ownership record of another program: its values without quotes, strings put together.
    Text(Arc<[Box<str>]>),
    /// Anything else: only the type is known. Never ours to change.
    Other(Arc<str>),
}

impl Content {
    /// Anything else than the types that are written, by the name of its type as a backend tells it.
    pub fn other(type_name: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let known = (1..=MOST_OF_A_TYPE).contains(&type_name.len()) && type_name.bytes().all(plain);
        Self::Other(if known { type_name.into() } else { "unknown".into() })
    }

    /// The values of a TXT set, which are kept where another program may own records by them.
    pub fn text<'a>(values: impl Iterator<Item = &'a str> + Clone) -> Self {
        if values.clone().any(external_dns::may_be_mark) && values.clone().count() <= MOST_TEXTS {
            Self::Text(values.map(Box::from).collect())
        } else {
            Self::Other(TXT.into())
        }
    }

    /// The values, when they could be read.
    pub const fn data(&self) -> Option<&RecordData> {
        match self {
            Self::Known(data) => Some(data),
            Self::Misshapen(data) => Some(data),
            Self::Text(_) | Self::Other(_) => None,
        }
    }

    /// The type, when it is one that is written.
    pub const fn record_type(&self) -> Option<RecordType> {
        match self.data() {
            Some(data) => Some(data.record_type()),
            None => None,
        }
    }
}

/// A record set that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSet {
    /// TTL as it is stored.
    pub ttl: Ttl,
    /// Type and values.
    pub content: Content,
    /// Whose it is.
    pub claim: Owner,
    /// Proof for conditional writes.
    pub version: Version,
}

impl ObservedSet {
    /// The values, when the set is ours.
    pub const fn ours(&self) -> Option<&RecordData> {
        if self.claim.is_ours() { self.content.data() } else { None }
    }

    /// Whether a query for addresses may be answered from it: A, AAAA and CNAME sets, and pseudo-types such as ALIAS, ANAME
    /// and LUA, of which every vendor has its own.
    pub fn answers_for_addresses(&self) -> bool {
        let name = self.type_name();
        // RFC 3597 §5; the types for private use are vendors' (RFC 6895 §3.1).
        let number = name.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok());
        number.map_or_else(|| !SILENT.contains(&name), |number| number >= FIRST_PRIVATE)
    }

    /// Type as text, for a person.
    pub fn type_name(&self) -> &str {
        match &self.content {
            Content::Known(data) => data.record_type().as_str(),
            Content::Misshapen(data) => data.record_type().as_str(),
            Content::Text(_) => TXT,
            Content::Other(name) => name,
        }
    }
}

impl fmt::Display for ObservedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content.data() {
            Some(data) => write!(f, "{} {} {}", self.ttl, data.record_type(), data.values().join(" ")),
            None => write!(f, "{} {} …", self.ttl, self.type_name()),
        }
    }
}

/// A name that the backend can never hold, or that it would never answer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable {
    /// The name.
    pub name: DnsName,
    /// Whether all names below it are meant too.
    pub subtree: bool,
    /// Why, as a sentence for an operator.
    pub reason: Arc<str>,
}

/// The record sets of one name, almost always one: shared by all that know them.
pub type Sets = Arc<[ObservedSet]>;

/// Every record set of a zone, by name. Cloning is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    names: OrdMap<DnsName, Sets>,
    owned: usize,
    /// Names that only the provider knows to be impossible: whether all below them are too, and why.
    unwritable: Arc<BTreeMap<DnsName, (bool, Arc<str>)>>,
    /// Names with an NS or DNAME record, the apex among them.
    cuts: OrdSet<DnsName>,
    /// The name servers that NS records of the zone name.
    servers: Arc<BTreeSet<DnsName>>,
}

impl Observed {
    /// Says which names cannot be written, in place of what was said before.
    pub fn set_unwritable(&mut self, unwritable: Vec<Unwritable>) {
        let by_name = unwritable.into_iter().map(|one| (one.name, (one.subtree, one.reason)));
        self.unwritable = Arc::new(by_name.collect());
    }

    /// Says which name servers the NS records of the zone name, in place of what was said before.
    pub fn set_name_servers(&mut self, servers: BTreeSet<DnsName>) {
        self.servers = Arc::new(servers);
    }

    /// The name servers that NS records of the zone name: its own, and those of zones that it delegates.
    pub fn name_servers(&self) -> &BTreeSet<DnsName> {
        &self.servers
    }

    /// Why a name cannot be written.
    pub fn unwritable(&self, name: &DnsName) -> Option<&Arc<str>> {
        if self.unwritable.is_empty() {
            return None;
        }
        let at = |one: &DnsName| self.unwritable.get(one).filter(|(subtree, _)| *subtree || one == name);
        lineage(name).find_map(|one| at(&one)).map(|(_, reason)| reason)
    }

    /// The NS or DNAME record of a zone because of which nobody is ever answered with a record at `name`: that of `name`
    /// itself or of a name above it (RFC 1034 §4.2.1, RFC 6672 §2.4). Returns its name and type.
    pub fn cut(&self, zone: &DnsName, name: &DnsName) -> Option<(DnsName, &str)> {
        if self.cuts.iter().all(|cut| cut == zone) && !self.has_type(zone, DNAME) {
            return None;
        }
        let cuts_off = |cut: &DnsName| -> Option<&str> {
            let by_ns = cut != zone && self.has_type(cut, NS);
            let by_dname = cut != name && self.has_type(cut, DNAME);
            if by_ns { Some(NS) } else { by_dname.then_some(DNAME) }
        };
        // The highest one is the one that a query meets.
        let above = lineage(name).take_while(|one| one.is_within(zone));
        above.filter_map(|one| cuts_off(&one).map(|kind| (one, kind))).last()
    }

    fn has_type(&self, name: &DnsName, desired: &str) -> bool {
        self.cuts.contains(name) && self.at(name).iter().any(|set| set.type_name() == desired)
    }

    /// Whether both have the same names that cannot be written, the same delegations and the same name servers.
    pub fn same_limits(&self, other: &Self) -> bool {
        self.unwritable == other.unwritable && self.cuts == other.cuts && self.servers == other.servers
    }

    /// Adds one set.
    pub fn push(&mut self, name: DnsName, set: ObservedSet) {
        if is_cut(&set) {
            self.cuts.insert(name.clone());
        }
        let sets = self.names.entry(name).or_default();
        let before = owned(sets);
        *sets = sets.iter().cloned().chain([set]).collect();
        self.owned += usize::from(owned(sets)) - usize::from(before);
    }

    /// Replaces all sets of a name; none removes the name.
    pub fn replace(&mut self, name: DnsName, sets: impl Into<Sets>) {
        let sets = sets.into();
        if sets.iter().any(is_cut) {
            self.cuts.insert(name.clone());
        } else {
            self.cuts.remove(&name);
        }
        self.owned += usize::from(owned(&sets));
        let old = if sets.is_empty() { self.names.remove(&name) } else { self.names.insert(name, sets) };
        self.owned -= usize::from(old.is_some_and(|sets| owned(&sets)));
    }

    /// The sets of a name.
    pub fn at(&self, name: &DnsName) -> &[ObservedSet] {
        self.names.get(name).map_or(&[], |sets| sets)
    }

    /// All names with their sets, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&DnsName, &[ObservedSet])> {
        self.names.iter().map(|(name, sets)| (name, &**sets))
    }

    /// Names at which at least one set is ours.
    pub fn owned(&self) -> impl Iterator<Item = &DnsName> {
        self.iter().filter(|(_, sets)| owned(sets)).map(|(name, _)| name)
    }

    /// Those that come after a name in canonical order; all of them after none.
    pub fn owned_after<'a>(&'a self, last: Option<&DnsName>) -> impl Iterator<Item = &'a DnsName> + use<'a> {
        let from = last.map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
        let names = self.names.range::<_, DnsName>((from, Bound::Unbounded));
        names.filter(|(_, sets)| owned(sets)).map(|(name, _)| name)
    }

    /// How many names [`Observed::owned`] returns, without counting them.
    pub const fn owned_count(&self) -> usize {
        self.owned
    }

    /// Names whose sets differ, or that only one of the two has.
    pub fn changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a DnsName> {
        self.names.diff(&other.names).map(|item| match item {
            DiffItem::Add(name, _) | DiffItem::Remove(name, _) | DiffItem::Update { new: (name, _), .. } => {
                name
            }
        })
    }

    /// The first name below `name` that exists.
    pub fn first_below(&self, name: &DnsName) -> Option<&DnsName> {
        // In canonical order whatever lies below a name follows it directly.
        let (next, _) = self.names.range::<_, DnsName>((Bound::Excluded(name), Bound::Unbounded)).next()?;
        next.is_below(name).then_some(next)
    }
}

/// Puts a listing into the memory of what is known already, as far as the two are alike: whoever compares them afterwards
/// pays for what differs. In parts, since a zone may be large.
#[derive(Debug)]
pub struct SharedListing {
    listed: Observed,
    known: Observed,
    shared: OrdMap<DnsName, Sets>,
    /// The name that was compared last, in canonical order.
    last: Option<DnsName>,
}

impl SharedListing {
    /// Nothing is compared yet.
    pub fn new(listed: Observed, known: Observed) -> Self {
        Self { shared: known.names.clone(), listed, known, last: None }
    }

    /// Compares the next names; returns whether there are more.
    pub fn step(&mut self, names: usize) -> bool {
        let from = || self.last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let mut listed = self.listed.names.range::<_, DnsName>((from(), Bound::Unbounded)).peekable();
        let mut known = self.known.names.range::<_, DnsName>((from(), Bound::Unbounded)).peekable();
        let (mut last, mut changed) = (None, Vec::new());
        for _ in 0..names {
            let order = match (listed.peek(), known.peek()) {
                (Some((one, _)), Some((other, _))) => one.cmp(other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let is = if order.is_le() { listed.next() } else { None };
            let was = if order.is_ge() { known.next() } else { None };
            let name = is.or(was).map(|(name, _)| name);
            let (is, was) = (is.map(|(_, sets)| sets), was.map(|(_, sets)| sets));
            if is != was {
                changed.extend(name.map(|name| (name.clone(), is.cloned())));
            }
            last = name;
        }
        let last = last.cloned();
        for (name, sets) in changed {
            match sets {
                Some(sets) => drop(self.shared.insert(name, sets)),
                None => drop(self.shared.remove(&name)),
            }
        }
        let more = last.is_some();
        self.last = last;
        more
    }

    /// The listing, and its own memory, which takes its time to give back.
    pub fn finish(self) -> (Observed, impl Send + 'static) {
        let (shared, mut listed) = (self.shared, self.listed);
        let memory = std::mem::replace(&mut listed.names, shared);
        (listed, (memory, self.known))
    }
}

/// First type number for private use.
const FIRST_PRIVATE: u16 = 65_280;

/// Types from which no query for addresses is answered (IANA, DNS parameters, resource record types).
#[rustfmt::skip]
const SILENT: [&str; 60] = [
    "AFSDB", "AMTRELAY", "APL", "AVC", "CAA", "CDNSKEY", "CDS", "CERT", "CSYNC", "DHCID", "DLV", "DNAME", "DNSKEY", "DOA",
    "DS", "EUI48", "EUI64", "GPOS", "HINFO", "HIP", "HTTPS", "IPSECKEY", "ISDN", "KEY", "KX", "L32", "L64", "LOC", "LP",
    "MINFO", "MX", "NAPTR", "NID", "NS", "NSEC", "NSEC3", "NSEC3PARAM", "OPENPGPKEY", "PTR", "PX", "RESINFO", "RP", "RRSIG",
    "RT", "SIG", "SMIMEA", "SOA", "SPF", "SRV", "SSHFP", "SVCB", "TA", "TALINK", "TLSA", "TXT", "URI", "WALLET", "WKS",
    "X25", "ZONEMD",
];

const NS: &str = "NS";
const DNAME: &str = "DNAME";

fn is_cut(set: &ObservedSet) -> bool {
    matches!(set.type_name(), NS | DNAME)
}

/// A name and the names above it.
fn lineage(name: &DnsName) -> impl Iterator<Item = DnsName> {
    std::iter::successors(Some(name.clone()), DnsName::parent)
}

fn owned(sets: &[ObservedSet]) -> bool {
    sets.iter().any(|set| set.claim.is_ours())
}

impl FromIterator<(DnsName, ObservedSet)> for Observed {
    fn from_iter<I: IntoIterator<Item = (DnsName, ObservedSet)>>(sets: I) -> Self {
        let mut observed = Self::default();
        for (name, set) in sets {
            observed.push(name, set);
        }
        observed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn observed(types: &[(&str, &str)]) -> Observed {
        let set = |kind: &str| ObservedSet {
            ttl: Ttl::DEFAULT,
            content: Content::Other(kind.into()),
            claim: Owner::Foreign,
            version: Version::default(),
        };
        types.iter().map(|(name, kind)| (name.parse().unwrap(), set(kind))).collect()
    }

    #[test]
    fn what_lies_below_a_delegation_or_a_dname_is_never_answered() {
        let zone: DnsName = "example.com".parse().unwrap();
        let mut observed = observed(&[
            ("example.com", "NS"),
            ("apps.example.com", "NS"),
            ("old.apps.example.com", "DNAME"),
            ("old.example.com", "DNAME"),
        ]);
        for (name, cut) in [
            ("example.com", None),
            ("www.example.com", None),
            ("apps.example.com", Some("apps.example.com NS")),
            ("web.apps.example.com", Some("apps.example.com NS")),
            ("a.old.apps.example.com", Some("apps.example.com NS")),
            ("old.example.com", None),
            ("a.web.old.example.com", Some("old.example.com DNAME")),
            ("webapps.example.com", None),
        ] {
            let found = observed.cut(&zone, &name.parse().unwrap()).map(|(at, kind)| format!("{at} {kind}"));
            assert_eq!(found.as_deref(), cut, "{name}");
        }
        observed.replace("apps.example.com".parse().unwrap(), vec![]);
        assert_eq!(observed.cut(&zone, &"web.apps.example.com".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn a_listing_that_shares_memory_is_the_listing(
            known in proptest::collection::btree_map("[a-f]{1,2}", 0..3_usize, 0..20),
            listed in proptest::collection::btree_map("[a-f]{1,2}", 0..3_usize, 0..20),
            part in 1..7_usize,
        ) {
            let read = |sets: &BTreeMap<String, usize>| {
                let sets: Vec<(&str, &str)> = sets.iter().map(|(name, kind)| (name.as_str(), ["NS", "MX", "A"][*kind])).collect();
                observed(&sets)
            };
            let (known, listed) = (read(&known), read(&listed));
            let mut sharing = SharedListing::new(listed.clone(), known.clone());
            while sharing.step(part) {}
            let (shared, _) = sharing.finish();
            prop_assert_eq!(&shared, &listed);
            let changed = |other: &Observed| known.changed(other).cloned().collect::<Vec<_>>();
            prop_assert_eq!(changed(&shared), changed(&listed));
        }
    }

    #[test]
    fn a_pseudo_type_of_any_vendor_may_answer_for_addresses() {
        for (kind, answers) in [
            ("A", true),
            ("CNAME", true),
            ("ALIAS", true),
            ("ANAME", true),
            ("LUA", true),
            ("TYPE65401", true),
            ("REDIRECT", true),
            ("TXT", false),
            ("HTTPS", false),
            ("TYPE64", false),
        ] {
            let set = observed(&[("www.example.com", kind)]);
            let set = &set.at(&"www.example.com".parse().unwrap())[0];
            assert_eq!(set.answers_for_addresses(), answers, "{kind}");
        }
    }

    #[test]
    fn a_name_is_unwritable_by_itself_or_with_all_below_it() {
        let mut observed = Observed::default();
        let one =
            |name: &str, subtree| Unwritable { name: name.parse().unwrap(), subtree, reason: name.into() };
        observed.set_unwritable(vec![one("dns.example.com", false), one("gen.example.com", true)]);
        for (name, why) in [
            ("dns.example.com", Some("dns.example.com")),
            ("a.dns.example.com", None),
            ("gen.example.com", Some("gen.example.com")),
            ("a.b.gen.example.com", Some("gen.example.com")),
            ("agen.example.com", None),
        ] {
            assert_eq!(observed.unwritable(&name.parse().unwrap()).map(|why| &**why), why, "{name}");
        }
    }
}
