//! Makes one kubeconfig mean what client-go takes it for: an empty text is not set, base64 may have line breaks, a token
//! ends before its newline, and paths begin at the file's folder.

use std::path::{MAIN_SEPARATOR, Path};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Cluster, Kubeconfig};
use secrecy::{ExposeSecret, SecretString};

use crate::chosen::Chosen;
use crate::error::brief;

/// What `kubectl config view` prints in the place of secrets.
const OMITTED: [&str; 2] = ["DATA+OMITTED", "REDACTED"];

/// Normalises all clusters and users of a file.
pub(crate) fn normalise(file: &mut Kubeconfig, folder: &Path) {
    unset(&mut file.current_context);
    for cluster in file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        let Cluster { server, proxy_url, tls_server_name, certificate_authority, .. } = cluster;
        for text in [server, proxy_url, tls_server_name] {
            trim(text);
        }
        absolute(certificate_authority, folder);
        data(&mut cluster.certificate_authority_data);
    }
    for user in file.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        normalise_user(user, folder);
    }
}

fn normalise_user(user: &mut AuthInfo, folder: &Path) {
    for text in [&mut user.username, &mut user.impersonate, &mut user.impersonate_uid] {
        unset(text);
    }
    for path in [&mut user.token_file, &mut user.client_certificate, &mut user.client_key] {
        absolute(path, folder);
    }
    data(&mut user.client_certificate_data);
    secret(&mut user.client_key_data, |text| text.replace(['\r', '\n'], ""));
    secret(&mut user.token, |text| text.trim().to_owned());
    secret(&mut user.password, str::to_owned);
    if let Some(provider) = &mut user.auth_provider {
        for value in provider.config.values_mut() {
            *value = value.trim().to_owned();
        }
        provider.config.retain(|_, value| !value.is_empty());
    }
    if let Some(exec) = &mut user.exec {
        trim(&mut exec.command);
        unset(&mut exec.install_hint);
        // A bare name is looked up in PATH.
        if exec.command.as_ref().is_some_and(|command| command.contains(MAIN_SEPARATOR)) {
            absolute(&mut exec.command, folder);
        }
    }
}

fn unset(text: &mut Option<String>) {
    text.take_if(|text| text.is_empty());
}

fn trim(text: &mut Option<String>) {
    *text = text.take().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
}

fn absolute(path: &mut Option<String>, folder: &Path) {
    unset(path);
    if let Some(text) = path.as_mut().filter(|text| Path::new(text).is_relative())
        && let Some(joined) = folder.join(&text).to_str()
    {
        *text = joined.to_owned();
    }
}

/// Go's decoder passes over CR and LF.
fn data(text: &mut Option<String>) {
    *text = text.take().map(|text| text.replace(['\r', '\n'], "")).filter(|text| !text.is_empty());
}

fn secret(text: &mut Option<SecretString>, change: impl Fn(&str) -> String) {
    *text = text
        .take()
        .map(|text| change(text.expose_secret()))
        .filter(|text| !text.is_empty())
        .map(SecretString::from);
}

/// Checks what a context uses, and returns its server a scheme; says which field is wrong. No field's content is repeated.
pub(crate) fn check(chosen: &mut Chosen) -> Result<(), String> {
    let Chosen { cluster, user, .. } = chosen;
    let key = user.client_key_data.as_ref().map(ExposeSecret::expose_secret);
    let data = [
        ("certificate-authority-data", cluster.certificate_authority_data.as_deref()),
        ("client-certificate-data", user.client_certificate_data.as_deref()),
        ("client-key-data", key),
    ];
    let secrets = [
        ("token", user.token.as_ref().map(ExposeSecret::expose_secret)),
        ("password", user.password.as_ref().map(ExposeSecret::expose_secret)),
    ];
    for (field, text) in data.into_iter().chain(secrets) {
        if text.is_some_and(|text| OMITTED.contains(&text)) {
            return Err(format!(
                "its {field} was left out: this is output of kubectl config view; make it again with --raw"
            ));
        }
    }
    for (field, text) in data {
        if let Some(Err(error)) = text.map(|text| STANDARD.decode(text)) {
            return Err(format!("its {field} is not base64: {error}"));
        }
    }
    provider(user)?;
    let tls = cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || user.client_certificate.is_some()
        || user.client_certificate_data.is_some()
        || cluster.insecure_skip_tls_verify == Some(true);
    server(&mut cluster.server, tls)
}

/// Of the old auth providers only a fixed OIDC token is taken. The Kubernetes client runs the command of `gcp` for a request, and
/// the thread waits for as long as that takes.
fn provider(user: &AuthInfo) -> Result<(), String> {
    match user.auth_provider.as_ref().map(|provider| provider.name.as_str()) {
        None | Some("oidc") => Ok(()),
        Some(name) => Err(format!(
            "its auth-provider {} is one that kubectl dropped too; use a credential plugin (users: exec), such as \
             gke-gcloud-auth-plugin or kubelogin",
            brief(name)
        )),
    }
}

/// client-go takes https for a server without a scheme when anything says that TLS is meant.
fn server(server: &mut Option<String>, tls: bool) -> Result<(), String> {
    let Some(text) = server else { return Err("its cluster has no server".to_owned()) };
    let authority = match text.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
            rest
        }
        Some(_) => return Err("its server is no https:// URL".to_owned()),
        None if tls => text,
        None => {
            return Err(
                "its server has no https:// in front, and no certificate-authority says that TLS is \
                        meant; write https://HOST:PORT"
                    .to_owned(),
            );
        }
    };
    let authority = authority.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("its server has a user name in the URL; put it into the user's fields".to_owned());
    }
    if !text.contains("://") {
        *server = Some(format!("https://{text}"));
    }
    Ok(())
}
