//! Systems Manager as a builder's way to its instances.

use super::SystemsManager;
use crate::{Place, ec2::Connect, place, tag};
use image_core::{Capabilities, Context, Machine, Platform, Result, async_trait};
use serde_json::{Value, json};
use std::sync::Arc;

#[async_trait]
impl Connect for SystemsManager {
    fn capabilities(&self) -> Capabilities {
        Self::capabilities()
    }

    async fn connect(
        &self,
        cx: &Context,
        place: &Place,
        instance: &str,
        platform: &Platform,
    ) -> Result<Arc<dyn Machine>> {
        self.connect(cx, place, instance, platform).await
    }

    /// Commands only to instances with a token of ours. The calls that look at agents and commands know no resources that
    /// would narrow them, and nor does the one that cancels:
    /// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html>.
    fn policy(&self, place: &Place) -> Vec<Value> {
        let (partition, region, account) = (place::partition(&place.region), &place.region, &place.account);
        let look = [
            "ssm:CancelCommand",
            "ssm:DescribeInstanceInformation",
            "ssm:GetCommandInvocation",
            "ssm:ListCommandInvocations",
        ];
        vec![
            json!({
                "Sid": "RunCommandsOn",
                "Effect": "Allow",
                "Action": ["ssm:SendCommand"],
                "Resource": [format!("arn:{partition}:ec2:{region}:{account}:instance/*")],
                "Condition": { "Null": { format!("ssm:resourceTag/{}", tag::TOKEN): "false" } },
            }),
            json!({
                "Sid": "RunCommandsBy",
                "Effect": "Allow",
                "Action": ["ssm:SendCommand"],
                "Resource": [format!("arn:{partition}:ssm:{region}::document/AWS-RunShellScript")],
            }),
            json!({
                "Sid": "LookAtCommands",
                "Effect": "Allow",
                "Action": look,
                "Resource": "*",
                "Condition": { "StringEquals": { "aws:RequestedRegion": region } },
            }),
        ]
    }
}
