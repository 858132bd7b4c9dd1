//! STS: who a caller is, and sessions of roles in other accounts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::call::{Call, Reply};
use crate::clock::{after, iso};
use crate::cloud::Cloud;
use crate::error::{ApiError, Protocol};
use crate::identity::AccessKey;
use crate::query::Params;
use crate::service::Service;
use crate::xml::Xml;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The service.
#[derive(Debug)]
pub(crate) struct Sts;

#[async_trait]
impl Service for Sts {
    fn name(&self) -> &'static str {
        "sts"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Query
    }

    async fn handle(&self, cloud: &Arc<Cloud>, call: &Call) -> Result<Reply, ApiError> {
        let form = call.request.form();
        let params = form.params();
        params.text("Action");
        params.text("Version");
        let result = match call.action.as_str() {
            "GetCallerIdentity" => caller_identity(call),
            "AssumeRole" => assume_role(cloud, call, &params)?,
            action => return Err(ApiError::unsupported(action)),
        };
        form.finish()?;
        let mut xml = Xml::document();
        xml.root(&format!("{}Response", call.action), NAMESPACE, |xml| {
            xml.element(&format!("{}Result", call.action), |xml| xml.append(result));
            xml.element("ResponseMetadata", |xml| xml.text("RequestId", &call.id));
        });
        Ok(Reply::xml(xml))
    }
}

fn caller_identity(call: &Call) -> Xml {
    let mut xml = Xml::default();
    xml.text("Arn", &call.identity.arn);
    xml.text("UserId", &call.identity.access_key);
    xml.text("Account", &call.identity.account);
    xml
}

/// Gives out a session. A role exists in every account that exists, and trusts every account.
fn assume_role(cloud: &Cloud, call: &Call, params: &Params<'_>) -> Result<Xml, ApiError> {
    let arn = params.required("RoleArn")?;
    let session = params.required("RoleSessionName")?;
    let seconds = params.parse::<u64>("DurationSeconds")?.unwrap_or(3600);
    params.text("ExternalId");
    if !(900..=43_200).contains(&seconds) {
        return Err(params.invalid("DurationSeconds", seconds));
    }
    let malformed = || ApiError::new("ValidationError", format!("{arn} is invalid"));
    let (account, role) =
        arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/")).ok_or_else(malformed)?;
    if !cloud.identities.accounts().iter().any(|known| known == account) {
        let message =
            format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}", call.identity.arn);
        return Err(ApiError::new("AccessDenied", message).with_status(403));
    }
    let until = after(call.now, Duration::from_secs(seconds));
    let name = role.rsplit('/').next().unwrap_or(role);
    let key = session_key(account, &format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"), until);
    let mut xml = Xml::default();
    xml.element("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", format_args!("{}:{session}", key.id));
        xml.text("Arn", &key.arn);
    });
    xml.element("Credentials", |xml| {
        xml.text("AccessKeyId", &key.id);
        xml.text("SecretAccessKey", &key.secret);
        xml.optional("SessionToken", key.session.as_ref().map(|(token, _)| token));
        xml.text("Expiration", iso(until));
    });
    cloud.identities.add(key);
    Ok(xml)
}

fn session_key(account: &str, arn: &str, until: Timestamp) -> AccessKey {
    let random = || Uuid::new_v4().simple().to_string();
    AccessKey {
        id: format!("ASIA{}", &random()[..16].to_uppercase()),
        secret: random(),
        account: account.to_owned(),
        arn: arn.to_owned(),
        session: Some((random(), until)),
    }
}

#[cfg(test)]
mod tests {
    use crate::Simulator;
    use crate::testing::{Answer, Rig};

    async fn sts(rig: &Rig, query: &str) -> Answer {
        let body = format!("Version=2011-06-15&{query}");
        rig.send("test", "us-east-1", "sts", "POST", "/", &[], body.into_bytes()).await
    }

    #[tokio::test]
    async fn a_caller_learns_who_it_is() {
        let rig = Rig::start().await;
        let answer = sts(&rig, "Action=GetCallerIdentity").await;
        assert_eq!(answer.text("Account"), "111122223333");
        assert_eq!(answer.text("Arn"), "arn:aws:iam::111122223333:user/test");
    }

    #[tokio::test]
    async fn a_role_of_an_account_that_exists_gives_a_session() {
        let builder = Simulator::builder().account("111122223333").account("444455556666");
        let rig = Rig::with(builder).await;
        let ask = |arn: &str| format!("Action=AssumeRole&RoleSessionName=s&RoleArn={arn}");
        let answer = sts(&rig, &ask("arn:aws:iam::444455556666:role/copies")).await;
        assert_eq!(answer.text("Arn"), "arn:aws:sts::444455556666:assumed-role/copies/s");
        assert!(answer.text("AccessKeyId").starts_with("ASIA"));
        for (arn, code) in [("arn:aws:iam::999999999999:role/copies", "AccessDenied"), ("copies", "ValidationError")] {
            assert_eq!(sts(&rig, &ask(arn)).await.text("Code"), code, "{arn}");
        }
        let answer = sts(&rig, "Action=AssumeRole&RoleSessionName=s&RoleArn=a&DurationSeconds=1").await;
        assert_ne!(answer.status, 200);
        let answer = sts(&rig, "Action=GetCallerIdentity&Extra=1").await;
        assert_ne!(answer.status, 200, "a parameter that nobody reads is refused");
    }
}
