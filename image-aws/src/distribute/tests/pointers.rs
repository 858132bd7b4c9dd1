//! Launch templates and parameters of the cloud in memory.

use super::{
    cloud::{Cloud, Parameter, Refusal, Template, refuse},
    wire::{Form, items, xml},
};
use crate::Place;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Until a parameter that names an image was validated.
const VALIDATION: Duration = Duration::from_secs(8);

impl Cloud {
    pub(super) fn template(&self, place: &Place, action: &str, form: &Form) -> Result<String, Refusal> {
        let mut state = self.lock();
        let replayed = form.get("ClientToken").and_then(|token| state.tokens.get(token)).cloned();
        let home = state.home(place);
        let wanted = form.get("LaunchTemplateId").or_else(|| form.get("LaunchTemplateId.1"));
        let by_name = form.get("LaunchTemplateName.1");
        let is_it = |(id, template): &(&String, &mut Template)| {
            wanted == Some(id.as_str()) || by_name == Some(template.name.as_str())
        };
        let Some((id, template)) = home.templates.iter_mut().find(is_it) else {
            return refuse("InvalidLaunchTemplateId.NotFound");
        };
        let id = id.clone();
        let version = |number: u64, template: &Template| {
            let (image, description, _) = &template.versions[&number];
            let what = xml("launchTemplateId", &id) + &xml("versionNumber", number);
            let what =
                what + &xml("versionDescription", description) + &xml("defaultVersion", number == template.default);
            what + &xml("launchTemplateData", xml("imageId", image))
        };
        match action {
            "DescribeLaunchTemplates" => {
                let latest = template.versions.keys().next_back().copied().unwrap_or_default();
                let what = xml("launchTemplateId", &id) + &xml("launchTemplateName", &template.name);
                let what = what + &xml("defaultVersionNumber", template.default) + &xml("latestVersionNumber", latest);
                Ok(items("launchTemplates", [what]))
            }
            "DescribeLaunchTemplateVersions" => {
                let wanted = form.list("LaunchTemplateVersion");
                let all = template.versions.keys().copied();
                let those = all.filter(|number| wanted.is_empty() || wanted.contains(&number.to_string()));
                Ok(items("launchTemplateVersionSet", those.map(|number| version(number, template))))
            }
            "CreateLaunchTemplateVersion" => {
                let number = match replayed {
                    Some(number) => number.parse().unwrap(),
                    None => template.versions.keys().next_back().copied().unwrap_or_default() + 1,
                };
                let base = form.text("SourceVersion").parse().unwrap();
                let made = (form.text("LaunchTemplateData.ImageId"), form.text("VersionDescription"), base);
                template.versions.insert(number, made);
                let answer = xml("launchTemplateVersion", version(number, template));
                state.tokens.insert(form.text("ClientToken"), number.to_string());
                Ok(answer)
            }
            "ModifyLaunchTemplate" => {
                template.default = form.text("SetDefaultVersion").parse().unwrap();
                Ok(xml("launchTemplate", xml("launchTemplateId", &id)))
            }
            "DeleteLaunchTemplateVersions" => {
                let mut refused = vec![];
                for number in form.list("LaunchTemplateVersion") {
                    let number: u64 = number.parse().unwrap();
                    if number == template.default {
                        let error = xml("responseError", xml("message", "it is the default version"));
                        refused.push(xml("versionNumber", number) + &error);
                    } else {
                        template.versions.remove(&number);
                    }
                }
                Ok(items("unsuccessfullyDeletedLaunchTemplateVersionSet", refused))
            }
            other => panic!("{other} is not simulated"),
        }
    }

    pub(super) fn parameter(&self, place: &Place, action: &str, input: &Value) -> Result<Value, Refusal> {
        let (mut state, now) = (self.lock(), Instant::now());
        let home = state.home(place);
        let name = input["Name"].as_str().unwrap().to_owned();
        if let Some((_, due)) = home.unvalidated.get(&name).filter(|(at, _)| *at <= now).cloned() {
            home.unvalidated.remove(&name);
            // One that names nothing that is there is never stored, and nobody is told.
            if due.data_type != "aws:ec2:image" || !due.value.ends_with("-bad") {
                home.parameters.insert(name.clone(), due);
            }
        }
        match action {
            "GetParameter" => match home.parameters.get(&name) {
                Some(Parameter { value, data_type, kind }) => {
                    Ok(json!({ "Parameter": { "Name": name, "Value": value, "DataType": data_type, "Type": kind } }))
                }
                None => refuse("ParameterNotFound"),
            },
            "PutParameter" => {
                if home.parameters.contains_key(&name) && input["Overwrite"] != json!(true) {
                    return refuse("ParameterAlreadyExists");
                }
                let text = |key: &str| input[key].as_str().unwrap_or_default().to_owned();
                let new = Parameter { value: text("Value"), data_type: text("DataType"), kind: text("Type") };
                home.unvalidated.insert(name, (now + VALIDATION, new));
                Ok(json!({ "Version": 1 }))
            }
            "DeleteParameter" => match home.parameters.remove(&name) {
                Some(_) => Ok(json!({})),
                None => refuse("ParameterNotFound"),
            },
            other => panic!("{other} is not simulated"),
        }
    }
}
