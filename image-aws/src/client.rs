//! Where clients come from: whoever embeds us owns the credentials, and is asked for an account and a region each time.

use crate::{
    error::sdk_error,
    place::{self, Place},
};
use aws_config::{BehaviorVersion, Region, SdkConfig, sts::AssumeRoleProvider};
use aws_sdk_sts::config::Credentials;
use aws_smithy_http_client::tls;
use aws_smithy_types::retry::RetryConfig;
use image_core::{Error, ErrorKind, Result, Scope, Secret, async_trait};
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio::sync::OnceCell;

/// Gives the configuration that every client of an account and a region is made of.
///
/// **Contract**: it is asked for every call, so that a session of a role can be renewed in a long run and built anew by a
/// recovery; whatever is costly (credentials, connections) it keeps. The credentials must be those of `place.account`:
/// nothing is undone before [`identity`] has shown that.
///
/// **Cancellation**: a call may be dropped at any time.
#[async_trait]
pub trait ClientProvider: fmt::Debug + Send + Sync + 'static {
    /// The configuration: credentials, region, and endpoints where they are not those of AWS.
    ///
    /// # Errors
    /// `Unauthenticated` when there are no credentials for the account.
    async fn config(&self, place: &Place) -> Result<SdkConfig>;
}

#[async_trait]
impl<T: ClientProvider + ?Sized> ClientProvider for Arc<T> {
    async fn config(&self, place: &Place) -> Result<SdkConfig> {
        (**self).config(place).await
    }
}

/// Credentials and settings as the `aws` command line finds them (environment, profiles, container and instance roles),
/// and a role to assume in each account that is not the own one.
#[derive(Debug, Default)]
pub struct FromEnv {
    roles: BTreeMap<String, Role>,
    endpoint: Option<String>,
    access_key: Option<(String, Secret)>,
    base: OnceCell<SdkConfig>,
}

#[derive(Debug)]
struct Role {
    arn: String,
    external_id: Option<String>,
    config: OnceCell<SdkConfig>,
}

impl FromEnv {
    /// Only the credentials of the environment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Assumes a role in an account. Its sessions are renewed as long as the credentials of the environment last.
    #[must_use]
    pub fn role(mut self, account: impl Into<String>, arn: impl Into<String>, external_id: Option<String>) -> Self {
        self.roles.insert(account.into(), Role { arn: arn.into(), external_id, config: OnceCell::new() });
        self
    }

    /// Sends all calls of all services to one endpoint: a simulator, or a proxy. Single services are set by the
    /// environment, for example `AWS_ENDPOINT_URL_EC2`.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Uses an access key instead of what the environment has: that of a simulator. Keys of real accounts belong in the
    /// environment, or nowhere.
    #[must_use]
    pub fn access_key(mut self, id: impl Into<String>, secret: Secret) -> Self {
        self.access_key = Some((id.into(), secret));
        self
    }

    async fn base(&self, region: &Region) -> &SdkConfig {
        self.base
            .get_or_init(|| async {
                // One pool of connections for all services and regions; without it each client has its own.
                let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
                let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
                let mut loader =
                    aws_config::defaults(BehaviorVersion::latest()).region(region.clone()).http_client(http);
                if let Some(url) = &self.endpoint {
                    loader = loader.endpoint_url(url);
                }
                if let Some((id, secret)) = &self.access_key {
                    let key = Credentials::new(id, secret.expose(), None, None, "access key");
                    loader = loader.credentials_provider(key);
                }
                loader.load().await
            })
            .await
    }
}

#[async_trait]
impl ClientProvider for FromEnv {
    async fn config(&self, place: &Place) -> Result<SdkConfig> {
        let region = Region::new(place.region.clone());
        let base = self.base(&region).await;
        let config = match self.roles.get(&place.account) {
            None => base,
            Some(role) => role.config.get_or_init(|| role.assume(base)).await,
        };
        if config.credentials_provider().is_none() {
            let message = format!("no credentials for account {}", place.account);
            return Err(Error::new(ErrorKind::Unauthenticated, message));
        }
        Ok(config.to_builder().region(region).build())
    }
}

impl Role {
    async fn assume(&self, base: &SdkConfig) -> SdkConfig {
        let mut provider = AssumeRoleProvider::builder(&self.arn).configure(base).session_name("golden-image");
        if let Some(id) = &self.external_id {
            provider = provider.external_id(id);
        }
        let credentials = aws_sdk_sts::config::SharedCredentialsProvider::new(provider.build().await);
        // The cache of the environment's identity must not answer for the role.
        let cache = aws_config::identity::IdentityCache::lazy().build();
        base.to_builder().credentials_provider(credentials).identity_cache(cache).build()
    }
}

/// Asks AWS whose the credentials of a place are: the scope that they really reach.
///
/// # Errors
/// Those of the provider and of `sts:GetCallerIdentity`; `Internal` when the answer names no account.
pub async fn identity(provider: &dyn ClientProvider, place: &Place) -> Result<Scope> {
    let client = aws_sdk_sts::Client::new(&provider.config(place).await?);
    let answer = client.get_caller_identity().send().await;
    let caller = answer.map_err(|e| sdk_error("sts:GetCallerIdentity", place, e))?;
    let account = caller.account().ok_or_else(|| Error::bug("sts:GetCallerIdentity names no account"))?;
    let partition = caller.arn().and_then(|arn| arn.split(':').nth(1));
    Ok(place::scope(partition.unwrap_or_else(|| place::partition(&place.region)), account))
}

/// Makes the clients of the services.
#[derive(Clone, Debug)]
pub(crate) struct Clients(Arc<dyn ClientProvider>);

impl Clients {
    pub(crate) fn new(provider: Arc<dyn ClientProvider>) -> Self {
        Self(provider)
    }

    pub(crate) fn provider(&self) -> &dyn ClientProvider {
        &*self.0
    }

    /// For calls that may be repeated: the SDK retries them.
    #[cfg(feature = "ec2")]
    pub(crate) async fn ec2(&self, place: &Place) -> Result<aws_sdk_ec2::Client> {
        Ok(aws_sdk_ec2::Client::new(&self.0.config(place).await?))
    }

    /// For calls that create: the SDK makes them once. A retry whose first reply was lost meets what the first one made,
    /// and its refusal would read as if nothing existed.
    #[cfg(feature = "ec2")]
    pub(crate) async fn ec2_once(&self, place: &Place) -> Result<aws_sdk_ec2::Client> {
        Ok(aws_sdk_ec2::Client::new(&once(&self.0.config(place).await?)))
    }

    /// For calls that may be repeated.
    #[cfg(feature = "ssm")]
    pub(crate) async fn ssm(&self, place: &Place) -> Result<aws_sdk_ssm::Client> {
        Ok(aws_sdk_ssm::Client::new(&self.0.config(place).await?))
    }

    /// For calls of the EBS direct APIs that read.
    #[cfg(feature = "ebs-direct")]
    pub(crate) async fn ebs(&self, place: &Place) -> Result<aws_sdk_ebs::Client> {
        Ok(aws_sdk_ebs::Client::new(&self.0.config(place).await?))
    }

    /// For calls that create, see [`ec2_once`](Self::ec2_once), and for blocks: their upload repeats them, and knows how
    /// fast. A request without a reply is given up after a minute unless the provider says otherwise: 512 KiB take that
    /// long at 9 KiB a second.
    #[cfg(feature = "ebs-direct")]
    pub(crate) async fn ebs_once(&self, place: &Place) -> Result<aws_sdk_ebs::Client> {
        use aws_smithy_types::timeout::TimeoutConfig;
        let config = once(&self.0.config(place).await?);
        let ours = TimeoutConfig::builder().operation_attempt_timeout(std::time::Duration::from_secs(60)).build();
        let timeouts = match config.timeout_config() {
            Some(theirs) => theirs.to_builder().take_unset_from(ours.into()).build(),
            None => ours,
        };
        Ok(aws_sdk_ebs::Client::new(&config.to_builder().timeout_config(timeouts).build()))
    }

    /// For calls that create; see [`ec2_once`](Self::ec2_once).
    #[cfg(feature = "ssm")]
    pub(crate) async fn ssm_once(&self, place: &Place) -> Result<aws_sdk_ssm::Client> {
        Ok(aws_sdk_ssm::Client::new(&once(&self.0.config(place).await?)))
    }
}

fn once(config: &SdkConfig) -> SdkConfig {
    config.to_builder().retry_config(RetryConfig::disabled()).build()
}
