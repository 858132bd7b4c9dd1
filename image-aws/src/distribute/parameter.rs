//! Parameters of Systems Manager that name an image.
//!
//! The data type `aws:ec2:image` is validated after the call was answered, so that a parameter counts only once it is read
//! back: <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html>.

use crate::{
    ec2::{client::Region, create::again, undo::absent_is_done},
    error::sdk_error,
};
use aws_sdk_ssm::types::ParameterType;
use image_core::{CreateError, Error, ErrorKind, Result};
use serde_json::{Value, json};

const IMAGE: &str = "aws:ec2:image";
const TEXT: &str = "text";
/// The member of a value that is a parameter without a data type of its own.
const TEXT_KEY: &str = "text";

/// Refuses what cannot be the name of a parameter:
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let start = name.trim_start_matches('/').to_ascii_lowercase();
    let good = !start.is_empty()
        && name.len() <= 1011
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-/".contains(&b))
        && !name.contains("//")
        && !name.ends_with('/')
        && (name.starts_with('/') || !name.contains('/'))
        && name.split('/').skip(1).count() <= 15
        && !start.starts_with("aws")
        && !start.starts_with("ssm");
    let accepted = "a name as `web`, or a path of up to 15 levels as `/golden/web`, of letters, digits and `_.-`, that \
                    does not begin with `aws` or `ssm`";
    if good { Ok(()) } else { Err(Error::invalid("parameter", name, accepted)) }
}

/// What a parameter says: an image's id, `{"text": ..}` where it is one of plain text, and null where there is none.
pub(crate) async fn read(region: &Region, name: &str) -> Result<Value> {
    let client = region.parameters().await?;
    let answer = client.get_parameter().name(name).send().await;
    let found = match answer.map_err(|e| sdk_error("ssm:GetParameter", &region.place, e)) {
        Ok(answer) => answer.parameter,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Value::Null),
        Err(e) => return Err(e),
    };
    let found = found.ok_or_else(|| Error::bug("ssm:GetParameter gives no parameter"))?;
    if found.r#type() != Some(&ParameterType::String) {
        let kind = found.r#type().map_or("of an unknown type", ParameterType::as_str);
        return Err(Error::invalid("parameter", format!("{name}: {kind}"), "one of the type String"));
    }
    let value = found.value().unwrap_or_default();
    Ok(if found.data_type() == Some(IMAGE) { json!(value) } else { json!({ TEXT_KEY: value }) })
}

/// Whether a parameter names an image already, of whatever data type it is.
pub(crate) fn names(value: &Value, image: &str) -> bool {
    value == image || value.get(TEXT_KEY).is_some_and(|text| text == image)
}

/// Writes what [`read`] gave. A parameter that was not there is not overwritten.
pub(crate) async fn write(region: &Region, name: &str, from: &Value, to: &Value) -> Result<(), CreateError> {
    let client = region.parameters_once().await?;
    let (text, data_type) = match (to.as_str(), to.get(TEXT_KEY).and_then(Value::as_str)) {
        (Some(image), _) => (image, IMAGE),
        (None, Some(text)) => (text, TEXT),
        (None, None) => {
            let answer = region.parameters().await?.delete_parameter().name(name).send().await;
            let answer = answer.map_err(|e| sdk_error("ssm:DeleteParameter", &region.place, e));
            return Ok(absent_is_done(answer.map(drop))?);
        }
    };
    let call = || {
        let call = client.put_parameter().name(name).value(text).data_type(data_type);
        call.r#type(ParameterType::String).overwrite(!from.is_null()).send()
    };
    match again("ssm:PutParameter", &region.place, call).await {
        // A first call whose reply was lost has made it. Where it is not seen yet, whoever reads it back waits for it.
        Err(CreateError::Unclear(e)) if e.kind() == ErrorKind::AlreadyExists => {
            let now = read(region, name).await?;
            if now.is_null() || now == *to { Ok(()) } else { Err(CreateError::Unclear(e)) }
        }
        done => done.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_systems_manager_takes() {
        for (name, good) in [
            ("web", true),
            ("/golden/web_1.0-x", true),
            ("", false),
            ("/", false),
            ("golden/web", false),
            ("/golden//web", false),
            ("/golden/web/", false),
            ("/aws/service/x", false),
            ("awsome", false),
            ("SSM", false),
            ("/golden/web image", false),
            (&"/a".repeat(15), true),
            (&"/a".repeat(16), false),
            (&"a".repeat(1012), false),
        ] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_pointer_of_plain_text_stands_as_well() {
        assert!(names(&json!("ami-1"), "ami-1") && names(&json!({ "text": "ami-1" }), "ami-1"));
        assert!(!names(&json!({ "text": "ami-2" }), "ami-1") && !names(&Value::Null, "ami-1"));
    }
}
