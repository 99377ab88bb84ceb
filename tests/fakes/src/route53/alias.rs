//! Alias sets.

use super::rules::{Set, plain};
use super::xml::{Element, tag};

/// What an alias leads to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alias {
    pub zone: String,
    /// Lower case, with the final dot.
    pub name: String,
    pub evaluate: bool,
}

/// Hosted zones of load balancers, and what lies in them.
const ALIAS_ZONES: [(&str, &str); 4] = [
    ("Z35SXDOTRQ7X7K", ".us-east-1.elb.amazonaws.com."),
    ("Z26RNL4JYFTOTI", ".elb.us-east-1.amazonaws.com."),
    ("Z32O12XQLNTSW2", ".eu-west-1.elb.amazonaws.com."),
    ("Z3F0SRJ5LGBH90", ".elb.eu-central-1.amazonaws.com."),
];

impl Alias {
    pub fn new(zone: &str, name: &str) -> Self {
        Self { zone: zone.to_owned(), name: plain(name) + ".", evaluate: false }
    }

    /// `Err` with what is missing.
    pub fn parse(element: &Element) -> Result<Self, String> {
        let text = |name: &str| element.text_of(name).ok_or(format!("AliasTarget has no {name}"));
        let evaluate = text("EvaluateTargetHealth")?.parse().map_err(|_| "EvaluateTargetHealth")?;
        Ok(Self { evaluate, ..Self::new(&text("HostedZoneId")?, &text("DNSName")?) })
    }

    pub fn valid(&self, set: &Set) -> Result<(), String> {
        let Self { zone, name, .. } = self;
        let record_type = &set.record_type;
        let what = format!("Tried to create an alias that targets {name}, type {record_type} in zone {zone}");
        let Some((_, suffix)) = ALIAS_ZONES.iter().find(|(id, _)| id == zone) else {
            return Err(format!("{what}, but that zone was not found"));
        };
        if !name.ends_with(suffix) {
            return Err(format!(
                "[{what}, but the alias target name does not lie within the target zone, {what}, but that target was not found]"
            ));
        }
        // The zones of load balancers have addresses only.
        if matches!(&**record_type, "A" | "AAAA") {
            Ok(())
        } else {
            Err(format!("{what}, but that target was not found"))
        }
    }

    pub fn xml(&self) -> String {
        let evaluate = tag("EvaluateTargetHealth", &self.evaluate.to_string());
        let parts = tag("HostedZoneId", &self.zone) + &tag("DNSName", &self.name) + &evaluate;
        format!("<AliasTarget>{parts}</AliasTarget>")
    }
}
