//! Load balancers of AWS as alias sets: answered with their addresses by Route 53 itself, also at the zone's apex.
//!
//! A set CNAME to such a host name is written as an alias A and an alias AAAA, and read back as the CNAME. Both, always:
//! an alias answers for its own type only, and where the load balancer has no IPv6 address the AAAA answers what the
//! CNAME would, a name without data; should it get one, nothing has to be written.
//!
//! An alias has no TTL (answers carry the load balancer's, 60 s): the one that is set for is kept as the TTL of the
//! mark, so that it is still known after a restart.

use std::sync::LazyLock;

use aws_sdk_route53::types::{AliasTarget, ResourceRecordSet, RrType};
use fleetdns_core::{DnsName, RecordType};

use crate::names::{read_name, write_name};

/// Region, hosted zone of its Application and Classic Load Balancers, hosted zone of its Network Load Balancers
/// (AWS General Reference, "Elastic Load Balancing endpoints and quotas").
const REGIONS: [(&str, &str, &str); 38] = [
    ("af-south-1", "Z268VQBMOI5EKX", "Z203XCE67M25HM"),
    ("ap-east-1", "Z3DQVH9N71FHZ0", "Z12Y7K3UBGUAD1"),
    ("ap-east-2", "Z02789141MW7T1WBU19PO", "Z09176273OC2HWIAUNYW"),
    ("ap-northeast-1", "Z14GRHDCWA56QT", "Z31USIVHYNEOWT"),
    ("ap-northeast-2", "ZWKZPGTI48KDX", "ZIBE1TIR4HY56"),
    ("ap-northeast-3", "Z5LXEXXYW11ES", "Z1GWIQ4HH19I5X"),
    ("ap-south-1", "ZP97RAFLXTNZK", "ZVDDRBQ08TROA"),
    ("ap-south-2", "Z0173938T07WNTVAEPZN", "Z0711778386UTO08407HT"),
    ("ap-southeast-1", "Z1LMS91P8CMLE5", "ZKVM4W9LS7TM"),
    ("ap-southeast-2", "Z1GM3OXH4ZPM65", "ZCT6FZBF4DROD"),
    ("ap-southeast-3", "Z08888821HLRG5A9ZRTER", "Z01971771FYVNCOVWJU1G"),
    ("ap-southeast-4", "Z09517862IB2WZLPXG76F", "Z01156963G8MIIL7X90IV"),
    ("ap-southeast-5", "Z06010284QMVVW7WO5J", "Z026317210H9ACVTRO6FB"),
    ("ap-southeast-6", "Z023301818UFJ50CIO0MV", "Z01392953RKV2Q3RBP0KU"),
    ("ap-southeast-7", "Z0390008CMBRTHFGWBCB", "Z054363131YWATEMWRG5L"),
    ("ca-central-1", "ZQSVJUPU6J1EY", "Z2EPGBW3API2WT"),
    ("ca-west-1", "Z06473681N0SF6OS049SD", "Z02754302KBB00W2LKWZ9"),
    ("cn-north-1", "Z1GDH35T77C1KE", "Z3QFB96KMJ7ED6"),
    ("cn-northwest-1", "ZM7IZAIOVVDZF", "ZQEIKTCZ8352D"),
    ("eu-central-1", "Z215JYRZR1TBD5", "Z3F0SRJ5LGBH90"),
    ("eu-central-2", "Z06391101F2ZOEP8P5EB3", "Z02239872DOALSIDCX66S"),
    ("eu-north-1", "Z23TAZ6LKFMNIO", "Z1UDT6IFJ4EJM"),
    ("eu-south-1", "Z3ULH7SSC9OV64", "Z23146JA1KNAFP"),
    ("eu-south-2", "Z0956581394HF5D5LXGAP", "Z1011216NVTVYADP1SSV"),
    ("eu-west-1", "Z32O12XQLNTSW2", "Z2IFOLAFXWLO4F"),
    ("eu-west-2", "ZHURV8PSTC4K8", "ZD4D7Y8KGAS4G"),
    ("eu-west-3", "Z3Q77PNBQS71R4", "Z1CMS0P5QUZ6D5"),
    ("il-central-1", "Z09170902867EHPV2DABU", "Z0313266YDI6ZRHTGQY4"),
    ("me-central-1", "Z08230872XQRWHG2XF6I", "Z00282643NTTLPANJJG2P"),
    ("me-south-1", "ZS929ML54UICD", "Z3QSRYVP46NYYV"),
    ("mx-central-1", "Z023552324OKD1BB28BH5", "Z02031231H3ID6HYJ9A7U"),
    ("sa-east-1", "Z2P70J7HTTTPLU", "ZTK26PT1VY4CU"),
    ("us-east-1", "Z35SXDOTRQ7X7K", "Z26RNL4JYFTOTI"),
    ("us-east-2", "Z3AADJGX6KTTL2", "ZLMOA37VPKANP"),
    ("us-gov-east-1", "Z166TLBEWOO7G0", "Z1ZSMQQ6Q24QQ8"),
    ("us-gov-west-1", "Z33AYJ8TM3BH4J", "ZMG1MZ2THAWF1"),
    ("us-west-1", "Z368ELLRRE2KJ0", "Z24FKFUX50B4VW"),
    ("us-west-2", "Z1H1FL5HABSF5", "Z18D5FSROUN65G"),
];

/// The names below which load balancers are named, each with the hosted zone that an alias to them has to give.
static SUFFIXES: LazyLock<Vec<(DnsName, &str)>> = LazyLock::new(|| {
    let both = |(region, application, network): &(&'static str, &'static str, &'static str)| {
        let top = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        [(format!("{region}.elb.{top}"), *application), (format!("elb.{region}.{top}"), *network)]
    };
    let parsed = |(name, zone): (String, &'static str)| Some((name.parse().ok()?, zone));
    REGIONS.iter().flat_map(both).filter_map(parsed).collect()
});

/// What [`fleetdns_core::Capabilities::alias_below`] says.
pub(crate) fn suffixes() -> impl Iterator<Item = DnsName> {
    SUFFIXES.iter().map(|(suffix, _)| suffix.clone())
}

/// The hosted zone that an alias to this name has to give; `None` when it is no load balancer that is known here.
fn hosted_zone(target: &DnsName) -> Option<&'static str> {
    SUFFIXES.iter().find(|(suffix, _)| target.is_below(suffix)).map(|(_, zone)| *zone)
}

/// An alias set, as Route 53 spells it: what has to be repeated to delete it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alias {
    /// A or AAAA.
    pub(crate) record_type: RecordType,
    zone: String,
    /// As it is stored, the final dot included where it has one.
    name: String,
    evaluate: bool,
}

impl Alias {
    /// The alias of a set whose target is a load balancer of AWS. Routing policies, health checks and everything that no
    /// alias of ours has make it none.
    pub(crate) fn of(set: &ResourceRecordSet) -> Option<Self> {
        let target = set.alias_target()?;
        let record_type = match set.r#type() {
            RrType::A => RecordType::A,
            RrType::Aaaa => RecordType::Aaaa,
            _ => return None,
        };
        let plain = set.set_identifier().is_none()
            && set.health_check_id().is_none()
            && set.traffic_policy_instance_id().is_none()
            && set.ttl().is_none();
        let alias = Self {
            record_type,
            zone: target.hosted_zone_id().to_owned(),
            name: target.dns_name().to_owned(),
            evaluate: target.evaluate_target_health(),
        };
        let zone = alias.target().as_ref().and_then(hosted_zone);
        (plain && zone == Some(&*alias.zone)).then_some(alias)
    }

    /// What is written for a CNAME to `target`; `None` when that has to stay a CNAME.
    pub(crate) fn pair(target: &DnsName) -> Option<[Self; 2]> {
        let zone = hosted_zone(target)?;
        let alias = |record_type| Self {
            record_type,
            zone: zone.to_owned(),
            name: write_name(target),
            // We probe what is published ourselves, with brakes; Route 53 would take it out without any, and for reasons
            // that `fleetdns status` cannot show.
            evaluate: false,
        };
        Some([alias(RecordType::A), alias(RecordType::Aaaa)])
    }

    /// The name that it leads to.
    pub(crate) fn target(&self) -> Option<DnsName> {
        read_name(&self.name)
    }

    /// Whether these are what [`Alias::pair`] would write for their target.
    pub(crate) fn are_pair(aliases: &[Self]) -> bool {
        let [one, two] = aliases else { return false };
        let mut types = [one.record_type, two.record_type];
        types.sort_unstable();
        types == [RecordType::A, RecordType::Aaaa]
            && one.target() == two.target()
            && !one.evaluate
            && !two.evaluate
    }

    pub(crate) fn write(&self) -> Option<AliasTarget> {
        AliasTarget::builder()
            .hosted_zone_id(&self.zone)
            .dns_name(&self.name)
            .evaluate_target_health(self.evaluate)
            .build()
            .ok()
    }

    /// Characters of its values.
    pub(crate) fn characters(&self) -> usize {
        self.name.chars().count()
    }

    /// One line of a version. No value of a record that we write begins like it.
    pub(crate) fn line(&self) -> String {
        format!("alias {} {} {} {}", self.record_type, self.zone, self.evaluate, self.name)
    }

    /// The alias of such a line; `None` for a value.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("alias ")?.splitn(4, ' ');
        let mut next = || words.next();
        let (record_type, zone, evaluate, name) = (next()?, next()?, next()?, next()?);
        Some(Self {
            record_type: record_type.parse().ok()?,
            zone: zone.to_owned(),
            name: name.to_owned(),
            evaluate: evaluate.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        text.parse().unwrap()
    }

    #[test]
    fn load_balancers_are_known_by_their_names() {
        assert_eq!(SUFFIXES.len(), 2 * REGIONS.len(), "every suffix is a name");
        let cases = [
            ("lb-1.us-east-1.elb.amazonaws.com", Some("Z35SXDOTRQ7X7K")),
            ("dualstack.lb-1.us-east-1.elb.amazonaws.com", Some("Z35SXDOTRQ7X7K")),
            ("lb-1.elb.us-east-1.amazonaws.com", Some("Z26RNL4JYFTOTI")),
            ("lb-1.cn-north-1.elb.amazonaws.com.cn", Some("Z1GDH35T77C1KE")),
            ("lb-1.cn-north-1.elb.amazonaws.com", None),
            ("us-east-1.elb.amazonaws.com", None),
            ("lb-1us-east-1.elb.amazonaws.com", None),
        ];
        for (target, zone) in cases {
            assert_eq!(hosted_zone(&name(target)), zone, "{target}");
        }
    }

    #[test]
    fn a_version_says_what_has_to_be_deleted() {
        let mut pair = Alias::pair(&name("lb-1.us-east-1.elb.amazonaws.com")).unwrap();
        pair[1].evaluate = true;
        for alias in &pair {
            assert_eq!(Alias::from_line(&alias.line()).as_ref(), Some(alias));
        }
        for value in ["203.0.113.1", "alias.example.net.", "2001:db8::1"] {
            assert_eq!(Alias::from_line(value), None, "{value}");
        }
        assert!(!Alias::are_pair(&pair));
        pair[1].evaluate = false;
        assert!(Alias::are_pair(&pair) && !Alias::are_pair(&pair[..1]));
    }
}
