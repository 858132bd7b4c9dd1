//! Gossfiles from the command line.

use crate::{Failure, Streams, args::Args, includes};
use image_test::{Suite, gossfile::Loader};
use std::{fs, io, path::Path};

/// What reads gossfiles, as the command line has it.
fn loader(args: &Args) -> Loader {
    // Templates see what is text; anything else they could not show.
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut loader = Loader::new().env(env).compat(args.compat).strict(args.strict);
    for file in &args.vars {
        loader = loader.vars_file(file);
    }
    match &args.vars_inline {
        Some(text) => loader.vars_inline(text),
        None => loader,
    }
}

/// Reads the gossfile with its variables and includes. What looks wrong with it goes to standard error.
pub(crate) fn load(args: &Args, streams: &mut Streams<'_>) -> Result<Suite, Failure> {
    let loader = loader(args);
    let loaded = if args.gossfile == "-" {
        let mut text = String::new();
        streams.input.read_to_string(&mut text)?;
        loader.load_str(&text, "<stdin>", ".")
    } else {
        loader.load(&args.gossfile)
    };
    let loaded = loaded.map_err(Failure::config)?;
    let shown = |severity| args.lints.is_some_and(|least| severity >= least);
    let lints = loaded.lints.iter().filter(|lint| shown(lint.severity));
    // In one piece: standard error has no buffer.
    let lints: String = lints.map(|lint| format!("{lint}\n")).collect();
    streams.err.write_all(lints.as_bytes())?;
    Ok(loaded.suite)
}

/// Prints the gossfile as it is read, and what it was read from where somebody looks for a mistake.
pub(crate) fn render(args: &Args, debug: bool, streams: &mut Streams<'_>) -> Result<(), Failure> {
    let suite = load(args, streams)?;
    if debug {
        for resource in suite.resources() {
            let place = resource.position.as_ref().map(ToString::to_string).unwrap_or_default();
            writeln!(streams.out, "# {} {}: {place}", resource.kind().section(), resource.key)?;
        }
    }
    Ok(streams.out.write_all(suite.to_yaml().as_bytes())?)
}

/// Adds resources and includes to the gossfile, which need not be there yet.
pub(crate) fn append(args: &Args, added: &Suite, paths: &[String]) -> Result<(), Failure> {
    if args.gossfile == "-" {
        return Err(Failure::new("add: standard input cannot be added to; name a gossfile with -g"));
    }
    let path = Path::new(&args.gossfile);
    let refused = |why: &str| Failure::new(format!("{}: {why}", path.display()));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(refused(&e.to_string())),
    };
    // What is written is what was read: without templates.
    if text.contains("{{") {
        return Err(refused("add to a file without templates, and include it"));
    }
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let parts = if is_json { includes::of_json(&text) } else { includes::of_yaml(&text) };
    let (own, mut included) = parts.map_err(|why| refused(&why))?;
    let mut suite = match own.trim() {
        "" => Suite::new(),
        _ => loader(args).load_str(&own, &args.gossfile, ".").map_err(Failure::config)?.suite,
    };
    suite.extend(added.resources().cloned());
    paths.iter().try_for_each(|path| included.add(path)).map_err(|why| refused(&why))?;
    // A gossfile is never half written: it replaces the old one when it is whole.
    let new = path.with_extension("yaml.new");
    fs::write(&new, included.with(&suite).map_err(|why| refused(&why))?)?;
    Ok(fs::rename(&new, path)?)
}
