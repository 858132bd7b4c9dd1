//! The command line.

use image_aws::Place;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: cargo run -p examples --bin golden_ami -- --simulate [options]
       cargo run -p examples --bin golden_ami -- --account <id> --subnet <id> --instance-profile <name> [options]

  --simulate                 build in a simulated cloud on this machine; everything below then has a default
  --account <id>             the account to build in; the credentials of the environment are for it
  --region <name>            where to build (default: us-west-2)
  --subnet <id>              a private subnet that reaches Systems Manager; may be repeated, tried in order
  --instance-type <type>     may be repeated, tried in order (default: t3.small, t3a.small)
  --instance-profile <name>  a profile with AmazonSSMManagedInstanceCore, whose role has the same name
  --source <ami|parameter>   what to start from: an id, or a parameter of Systems Manager that begins with /
                             (default: Canonical's Ubuntu 24.04)
  --copy-to <region>         may be repeated (default: ap-northeast-1 and eu-central-1)
  --kms-key <key>            encrypts by alias/NAME, which every region must have; unless it is given, images that are
                             shared are not encrypted, and others by the account's default key
  --share-with <account>     lets an account launch the images; may be repeated
  --parameter <name>         points to the image in every region (default: /golden/example)
  --dir <directory>          where journals, logs and reports are kept (default: target/golden-ami)
  --plan                     say what a run would do, and do nothing
  --policy                   print the IAM policy that a run needs, and do nothing
  --recover                  clean up after runs that were killed, and stop; a run does so first anyway
  --reap                     delete what expired by its tags, wherever its journal is, and list what is left
  --json                     events as JSON lines on standard output; the words for people go to standard error

exit codes: 0 published, 1 something broke, 2 wrong input, 3 a check refused the image, 130 cancelled";

/// Canonical publishes the newest image of a release here.
const UBUNTU: &str = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id";

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Options {
    pub(crate) simulate: bool,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) subnets: Vec<String>,
    pub(crate) instance_types: Vec<String>,
    pub(crate) instance_profile: String,
    pub(crate) source: String,
    pub(crate) copy_to: Vec<String>,
    pub(crate) kms_key: Option<String>,
    pub(crate) share_with: Vec<String>,
    pub(crate) parameter: String,
    pub(crate) directory: PathBuf,
    pub(crate) action: Action,
    pub(crate) json: bool,
    pub(crate) help: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Action {
    #[default]
    Run,
    Plan,
    Policy,
    Recover,
    Reap,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            simulate: false,
            account: String::new(),
            region: "us-west-2".into(),
            subnets: vec![],
            instance_types: vec![],
            instance_profile: String::new(),
            source: UBUNTU.into(),
            copy_to: vec![],
            kms_key: None,
            share_with: vec![],
            parameter: "/golden/example".into(),
            directory: "target/golden-ami".into(),
            action: Action::Run,
            json: false,
            help: false,
        }
    }
}

impl Options {
    /// Reads arguments; an error says what is accepted.
    pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        use lexopt::prelude::*;
        let mut options = Self::default();
        let mut parser = lexopt::Parser::from_args(args);
        let said = |e: lexopt::Error| format!("{e}\n\n{USAGE}");
        let value = |parser: &mut lexopt::Parser| parser.value().and_then(|value| value.string()).map_err(said);
        while let Some(arg) = parser.next().map_err(said)? {
            match arg {
                Long("simulate") => options.simulate = true,
                Long("account") => options.account = value(&mut parser)?,
                Long("region") => options.region = value(&mut parser)?,
                Long("subnet") => options.subnets.push(value(&mut parser)?),
                Long("instance-type") => options.instance_types.push(value(&mut parser)?),
                Long("instance-profile") => options.instance_profile = value(&mut parser)?,
                Long("source") => options.source = value(&mut parser)?,
                Long("copy-to") => options.copy_to.push(value(&mut parser)?),
                Long("kms-key") => options.kms_key = Some(value(&mut parser)?),
                Long("share-with") => options.share_with.push(value(&mut parser)?),
                Long("parameter") => options.parameter = value(&mut parser)?,
                Long("dir") => options.directory = value(&mut parser)?.into(),
                Long("plan") => options.action = Action::Plan,
                Long("policy") => options.action = Action::Policy,
                Long("recover") => options.action = Action::Recover,
                Long("reap") => options.action = Action::Reap,
                Long("json") => options.json = true,
                Long("help") | Short('h') => options.help = true,
                other => return Err(said(other.unexpected())),
            }
        }
        options.complete()
    }

    fn complete(mut self) -> Result<Self, String> {
        if self.instance_types.is_empty() {
            self.instance_types = vec!["t3.small".into(), "t3a.small".into()];
        }
        if self.copy_to.is_empty() {
            self.copy_to = vec!["ap-northeast-1".into(), "eu-central-1".into()];
        }
        if self.simulate || self.help {
            return Ok(self);
        }
        let missing = [
            ("--account", self.account.is_empty()),
            ("--subnet", self.subnets.is_empty()),
            ("--instance-profile", self.instance_profile.is_empty()),
        ];
        match missing.iter().find(|(_, missing)| *missing) {
            Some((name, _)) => Err(format!("{name} is missing; without an account there is --simulate\n\n{USAGE}")),
            None => Ok(self),
        }
    }

    /// Where images are built.
    pub(crate) fn home(&self) -> image_core::Result<Place> {
        Place::new(&*self.account, &*self.region)
    }

    /// How to call this program again, to do something else with the same.
    pub(crate) fn again(&self, action: &str) -> String {
        let mut words = vec!["cargo run -p examples --bin golden_ami --".to_owned(), action.to_owned()];
        words.extend([format!("--account {}", self.account), format!("--region {}", self.region)]);
        words.extend(self.subnets.iter().map(|subnet| format!("--subnet {subnet}")));
        words.push(format!("--instance-profile {}", self.instance_profile));
        words.extend(self.copy_to.iter().map(|region| format!("--copy-to {region}")));
        words.push(format!("--dir {}", self.directory.display()));
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let options = parse("--account 111122223333 --subnet subnet-1 --subnet subnet-2 --instance-profile p --plan");
        let options = options.unwrap();
        assert_eq!(options.subnets, ["subnet-1", "subnet-2"]);
        assert_eq!((options.action, options.region.as_str()), (Action::Plan, "us-west-2"));
        assert_eq!(parse("--simulate").unwrap().copy_to, ["ap-northeast-1", "eu-central-1"]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert!(parse("--account 111122223333").unwrap_err().starts_with("--subnet is missing"));
        assert!(parse("--regions x").unwrap_err().contains("--regions"));
        assert!(parse("--region").unwrap_err().contains("--region"));
    }
}
