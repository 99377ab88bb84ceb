//! Which cloud: Azure's public one, a sovereign one, or an Azure Stack.

use azure_core::http::Url;

use super::Reader;

/// URLs of one cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cloud {
    /// Azure Resource Manager, without a path.
    pub(crate) manager: Url,
    /// Who returns out tokens.
    pub(crate) authority: Url,
    /// What a token has to be good for.
    pub(crate) scope: String,
}

struct Known {
    manager: &'static str,
    authority: &'static str,
    audience: &'static str,
}

/// The clouds that Microsoft documents.
const CLOUDS: [Known; 3] = [
    Known {
        manager: "https://management.azure.com",
        authority: "https://login.microsoftonline.com",
        audience: "https://management.azure.com",
    },
    Known {
        manager: "https://management.usgovcloudapi.net",
        authority: "https://login.microsoftonline.us",
        audience: "https://management.core.usgovcloudapi.net",
    },
    Known {
        manager: "https://management.chinacloudapi.cn",
        authority: "https://login.chinacloudapi.cn",
        audience: "https://management.chinacloudapi.cn",
    },
];

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Cloud> {
    let [public, ..] = &CLOUDS;
    let manager = url(reader, "resource-manager", public.manager);
    let host = manager.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned();
    let known = CLOUDS.iter().find(|cloud| cloud.manager.ends_with(&format!("//{host}")));
    let from_environment = (reader.environment)("AZURE_AUTHORITY_HOST").filter(|text| !text.is_empty());
    let default = match (known, from_environment) {
        // A pod's own variable names the authority of the cloud that the pod runs in.
        (_, Some(authority)) => authority,
        (Some(cloud), None) => cloud.authority.to_owned(),
        (None, None) => public.authority.to_owned(),
    };
    let authority = url(reader, "authority-host", &default);
    let audience = match (reader.given("audience"), known, &manager) {
        (Some(text), ..) => text.trim_end_matches('/').to_owned(),
        (None, Some(cloud), _) => cloud.audience.to_owned(),
        (None, None, Some(manager)) => manager.as_str().trim_end_matches('/').to_owned(),
        (None, None, None) => String::new(),
    };
    Some(Cloud { manager: manager?, authority: authority?, scope: format!("{audience}/.default") })
}

/// Tokens and secrets are sent there, so that nothing but https will do.
fn url(reader: &mut Reader<'_>, key: &'static str, default: &str) -> Option<Url> {
    let text = reader.given(key).unwrap_or(default).to_owned();
    let full = if text.contains("://") { text.clone() } else { format!("https://{text}") };
    let plain = |url: &Url| {
        url.scheme() == "https"
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    match Url::parse(&full).ok().filter(plain) {
        Some(url) => Some(url),
        None => {
            let shown = text.rsplit('@').next().unwrap_or_default();
            reader.fault(
                key,
                format!("'{shown}' is not a URL with https and without a path, such as {default}"),
            );
            None
        }
    }
}
