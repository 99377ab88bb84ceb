//! What goes over the wire: endpoints and changes, as external-dns's Go types write them. Go leaves empty fields out and
//! writes `null` for lists that are not there.

use serde::{Deserialize, Deserializer, Serialize};

/// The media type of version 1, the only one there is.
pub(crate) const MEDIA_TYPE: &str = "application/external.dns.webhook+json;version=1";

/// All targets of one type at one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Endpoint {
    #[serde(deserialize_with = "or_default")]
    pub(crate) dns_name: String,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub(crate) targets: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) record_type: String,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub(crate) set_identifier: String,
    /// Seconds; 0 for whatever the backend takes by default.
    #[serde(rename = "recordTTL", deserialize_with = "or_default", skip_serializing_if = "is_zero")]
    pub(crate) record_ttl: i64,
    /// Kept only to be sent back as they came.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub(crate) labels: serde_json::Value,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub(crate) provider_specific: Vec<Property>,
}

/// Something that only one backend knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Property {
    #[serde(deserialize_with = "or_default")]
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub(crate) value: String,
}

/// One call's worth of work. `update_old` and `update_new` belong together by position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changes {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) create: Vec<Endpoint>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) update_old: Vec<Endpoint>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) update_new: Vec<Endpoint>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) delete: Vec<Endpoint>,
}

/// The answer to the negotiation. The OpenAPI's `filters` is read by nobody, external-dns included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Domains {
    #[serde(deserialize_with = "or_default")]
    pub(crate) include: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) exclude: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) regex_include: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) regex_exclude: String,
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_writes_is_read_and_written_back() {
        let text = r#"{"dnsName":"a.example.com","targets":["203.0.113.1"],"recordType":"A","recordTTL":60,"labels":{"owner":"x"},"providerSpecific":[{"name":"p","value":"v"}]}"#;
        let endpoint: Endpoint = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&endpoint).unwrap(), text);
        let bare: Endpoint = serde_json::from_str(
            r#"{"dnsName":"a","recordType":"A","targets":null,"labels":null,"refObject":{}}"#,
        )
        .unwrap();
        assert_eq!(serde_json::to_string(&bare).unwrap(), r#"{"dnsName":"a","recordType":"A"}"#);
        assert_eq!(serde_json::from_str::<Option<Vec<Endpoint>>>("null").unwrap(), None);
    }
}
