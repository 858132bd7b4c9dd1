//! Gossfiles from the command line.

use crate::{Failure, args::Args};
use image_test::{Suite, gossfile::Loader};
use std::{
    fs,
    io::{self, BufWriter, Read, Write},
    path::Path,
};

/// Reads the gossfile with its variables and includes. What looks wrong with it goes to standard error.
pub(crate) fn load(args: &Args) -> Result<Suite, Failure> {
    // Templates see what is text; anything else they could not show.
    let env =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut loader = Loader::new().env(env).compat(args.compat).strict(args.strict);
    for file in &args.vars {
        loader = loader.vars_file(file);
    }
    if let Some(text) = &args.vars_inline {
        loader = loader.vars_inline(text);
    }
    let loaded = if args.gossfile == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        loader.load_str(&text, "<stdin>", ".")
    } else {
        loader.load(&args.gossfile)
    };
    let loaded = loaded.map_err(Failure::config)?;
    // Without a buffer, standard error is written to once for each piece of a line.
    let mut stderr = BufWriter::new(io::stderr().lock());
    loaded.lints.iter().try_for_each(|lint| writeln!(stderr, "{lint}"))?;
    stderr.flush()?;
    Ok(loaded.suite)
}

/// Prints the gossfile as it is read, and what it was read from where somebody looks for a mistake.
pub(crate) fn render(args: &Args, debug: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let suite = load(args)?;
    if debug {
        for resource in suite.resources() {
            let place = resource.position.as_ref().map(ToString::to_string).unwrap_or_default();
            writeln!(out, "# {} {}: {place}", resource.kind().section(), resource.key)?;
        }
    }
    Ok(out.write_all(suite.to_yaml().as_bytes())?)
}

/// Adds resources to the gossfile, which need not be there yet.
pub(crate) fn append(args: &Args, added: Suite) -> Result<(), Failure> {
    let path = Path::new(&args.gossfile);
    let mut suite = match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Suite::new(),
        Ok(text) => {
            // What is written is what was read: without templates and includes.
            if text.contains("{{") || text.lines().any(|line| line.starts_with("gossfile:")) {
                let message =
                    format!("{}: add to a file without templates and includes, and include it", path.display());
                return Err(Failure { code: 1, message });
            }
            load(args)?
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Suite::new(),
        Err(e) => return Err(Failure { code: 1, message: format!("{}: {e}", path.display()) }),
    };
    suite.extend(added.resources().cloned());
    // A gossfile is never half written: it replaces the old one when it is whole.
    let new = path.with_extension("yaml.new");
    let text = match path.extension() {
        Some(extension) if extension == "json" => format!("{:#}\n", suite.to_json()),
        _ => suite.to_yaml(),
    };
    fs::write(&new, text)?;
    Ok(fs::rename(&new, path)?)
}
