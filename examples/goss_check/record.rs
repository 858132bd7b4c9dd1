//! `add` and `autoadd`: how things are becomes what is expected.

use crate::{Failure, args::Args, gather, suite};
use image_test::{Kind, Suite, baseline};
use std::io::Write;

/// Adds what is asked for by name, whether it is there or not.
pub(crate) async fn add(
    args: &Args,
    kind: &str,
    keys: &[String],
    exclude: &[String],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let unknown = || Failure { code: 1, message: format!("add: {kind}: nothing of such a type can be added") };
    let kind = Kind::ALL.into_iter().find(|known| known.section() == kind).ok_or_else(unknown)?;
    let mut wanted = Suite::new();
    for key in keys {
        wanted.insert(baseline::resource(kind, key).ok_or_else(unknown)?);
    }
    let exclude: Vec<&str> = exclude.iter().map(String::as_str).collect();
    let facts = gather(args, &wanted).await?;
    let found = baseline::suite_from_facts(&facts, &exclude, args.compat);
    if let Some(why) = found.left_out.iter().find(|_| found.suite.is_empty()) {
        return Err(Failure { code: 1, message: why.clone() });
    }
    // Ports are asked for with those that may serve them too.
    let mut asked = Suite::new();
    asked.extend(found.suite.resources().filter(|found| wanted.get(kind, &found.key).is_some()).cloned());
    write(args, asked, out)
}

/// Adds everything that goes by a name and is there.
pub(crate) async fn autoadd(args: &Args, keys: &[String], out: &mut dyn Write) -> Result<(), Failure> {
    let mut wanted = Suite::new();
    for key in keys {
        wanted.extend(baseline::candidates(key).resources().cloned());
    }
    let facts = gather(args, &wanted).await?;
    let there = baseline::present(&baseline::suite_from_facts(&facts, &[], args.compat).suite);
    let mut asked = Suite::new();
    asked.extend(there.resources().filter(|found| wanted.get(found.kind(), &found.key).is_some()).cloned());
    write(args, asked, out)
}

fn write(args: &Args, added: Suite, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "Adding to '{}':\n\n{}\n", args.gossfile, added.to_yaml())?;
    suite::append(args, added)
}
