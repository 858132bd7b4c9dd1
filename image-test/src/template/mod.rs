//! The template language of gossfiles: Go's text/template with the functions of goss and Sprig.
//!
//! A template sees `.Vars` and `.Env`. A key that a map does not have is an error where a field names it, and nil where
//! `index` asks for it. Values have the types that Go would give them, so that the same templates fail that fail there.
//!
//! What differs from goss, on purpose:
//! - Text is UTF-8. A function that would make other bytes of it, as `trunc` within a character, is an error.
//! - `keys` and `values` are sorted by key.
//! - Functions that make secrets or ask the network are known, but are errors.
//! - Steps, text and nesting are bounded, so that no template takes a process down.

mod ast;
mod context;
mod exec;
mod format;
mod functions;
mod lexer;
mod number;
mod output;
mod parser;
#[cfg(test)]
mod tests;
mod value;

use crate::{Position, Value};
use context::{Context, Fault};
use exec::{Executor, Failure};
use lexer::SyntaxError;
use std::{collections::BTreeMap, rc::Rc};
use value::{Root, Val};

/// What a template can see.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Data {
    /// `.Vars`.
    pub vars: BTreeMap<String, Value>,
    /// `.Env`, and what `getEnv`, `env` and `expandenv` read. `TZ` is the local time zone of dates.
    pub env: BTreeMap<String, String>,
}

/// A rendered template.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// For each line of the text, the line of the template that its first character comes from. Both count from 1.
    pub lines: Vec<u32>,
}

/// A template that cannot be rendered.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{position}: {message}")]
#[non_exhaustive]
pub struct TemplateError {
    /// The action at fault, or in an action that cannot be read, the place where it goes wrong.
    pub position: Position,
    /// What is wrong with it. Holds no values of variables, unless the template hands them to `fail`.
    pub message: String,
}

/// Renders a template. `file` is its name in positions.
///
/// # Errors
/// A syntax error, an error of a function, a missing key of a map, or a template that grows without end.
pub fn render(source: &str, file: &str, data: &Data) -> Result<Rendered, TemplateError> {
    Renderer::new(data).render(source, file)
}

/// Renders templates one after the other, each of which sees what those before it `set` in the variables, as the
/// gossfiles of one run of goss do.
#[derive(Debug)]
pub(crate) struct Renderer {
    cx: Rc<Context>,
    root: Result<Val, Fault>,
}

impl Renderer {
    pub(crate) fn new(data: &Data) -> Self {
        let cx = Rc::new(Context::new(data.env.clone()));
        let root = root(&cx, data);
        Self { cx, root }
    }

    /// As [`render`].
    pub(crate) fn render(&self, source: &str, file: &str) -> Result<Rendered, TemplateError> {
        let lines = line_starts(source);
        let error =
            |at: usize, message: String| TemplateError { position: position(source, &lines, file, at), message };
        let program = parser::parse(source).map_err(|SyntaxError { at, message }| error(at, message))?;
        let failed = |Failure { at, fault }: Failure| error(at, fault.0);
        let root = self.root.clone().map_err(|fault| failed(Failure { at: 0, fault }))?;
        self.cx.begin();
        let executor = Executor::new(source, &lines, &program, Rc::clone(&self.cx));
        let (text, lines) = executor.run(root).map_err(failed)?.finish();
        Ok(Rendered { text, lines })
    }
}

/// `.`
fn root(cx: &Context, data: &Data) -> Result<Val, Fault> {
    let vars = data.vars.iter().map(|(name, value)| Ok((name.as_str().into(), Val::from_data(cx, value)?)));
    Ok(Val::Data(Rc::new(Root::new(cx.map(vars.collect::<Result<_, Fault>>()?)?))))
}

/// The bytes at which the lines of a text begin.
fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn position(source: &str, lines: &[usize], file: &str, at: usize) -> Position {
    let line = lines.partition_point(|start| *start <= at);
    let start = line.checked_sub(1).and_then(|line| lines.get(line)).copied().unwrap_or(0);
    let column = source.get(start..at).unwrap_or("").chars().count() + 1;
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position::new(file, number(line), number(column))
}
