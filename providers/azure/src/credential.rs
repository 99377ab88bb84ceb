//! Who we are: makes what asks for tokens.

use std::path::PathBuf;
use std::sync::Arc;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::{Error, ErrorKind};
use azure_core::http::{
    ClientMethodOptions, ClientOptions, ExponentialRetryOptions, RetryOptions, Transport,
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertion, ClientAssertionCredential,
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
};
use secrecy::ExposeSecret;

use crate::settings::{Choice, Settings};

mod certificate;

use certificate::Certificate;

/// Asks a machine's identity service again; it is known to be away for moments.
const IDENTITY_TRIES: u32 = 3;

/// A credential that sends over `transport`.
pub(crate) fn make(
    settings: &Settings,
    transport: Transport,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = settings.cloud.authority.as_str().to_owned();
    let client_options = ClientOptions {
        transport: Some(transport),
        cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
        // The reconcile loop tries again, and says why; the default would keep it waiting for a minute and more.
        retry: RetryOptions::none(),
        ..ClientOptions::default()
    };
    Ok(match &settings.credential {
        Choice::Secret { tenant, client, secret } => ClientSecretCredential::new(
            tenant,
            client.clone(),
            Secret::new(secret.expose_secret().to_owned()),
            Some(ClientSecretCredentialOptions { client_options }),
        )?,
        Choice::Certificate { tenant, client, file } => {
            let endpoint = settings.cloud.authority.join(&format!("/{tenant}/oauth2/v2.0/token"))?;
            let assertion = Certificate::new(file.clone(), client.clone(), endpoint.to_string());
            let options = Some(ClientAssertionCredentialOptions { client_options });
            ClientAssertionCredential::new(tenant.clone(), client.clone(), assertion, options)?
        }
        Choice::Workload { tenant, client, token_file } => ClientAssertionCredential::new(
            tenant.clone(),
            client.clone(),
            TokenFile(token_file.clone()),
            Some(ClientAssertionCredentialOptions { client_options }),
        )?,
        Choice::Managed { client } => {
            ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                user_assigned_id: client.clone().map(UserAssignedId::ClientId),
                client_options: ClientOptions {
                    retry: RetryOptions::exponential(ExponentialRetryOptions {
                        max_retries: IDENTITY_TRIES,
                        ..ExponentialRetryOptions::default()
                    }),
                    ..client_options
                },
            }))?
        }
        Choice::Cli { tenant } => AzureCliCredential::new(Some(AzureCliCredentialOptions {
            tenant_id: tenant.clone(),
            ..AzureCliCredentialOptions::default()
        }))?,
    })
}

/// The token of a Kubernetes service account. Read each time a token is asked for, about once an hour: the kubelet
/// replaces it.
#[derive(Debug)]
struct TokenFile(PathBuf);

#[async_trait::async_trait]
impl ClientAssertion for TokenFile {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let text = tokio::fs::read_to_string(&self.0).await.map_err(|error| {
            let message = format!("the token file {} cannot be read: {error}", self.0.display());
            Error::with_error(ErrorKind::Other, error, message)
        })?;
        Ok(text.trim().to_owned())
    }
}
