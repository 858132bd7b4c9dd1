//! Gossfiles from disk or text, with their includes.

use super::{
    Fault, GossfileError, Lint, LintCode, Loaded, Severity,
    glob::{GlobError, glob},
    resource,
    settings::{Settings, wrong_type},
    suggest::closest,
    vars,
};
use crate::{
    Compat, Kind, Position, Suite, Value,
    template::{Data, Rendered, Renderer},
    yaml::{Content, Document, Key, Node, Origin, parse, parse_json},
};
use serde::de::IgnoredAny;
use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

/// The depth of includes at which goss gives up.
const MAX_DEPTH: usize = 50;

/// How much a gossfile with all it includes may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one file, before and after its template is rendered. 4 MiB unless set.
    pub file_bytes: u64,
    /// Bytes of all rendered files together, each as often as it is included. 64 MiB unless set.
    pub total_bytes: u64,
    /// Files, each as often as it is included. 1000 unless set.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 4 << 20, total_bytes: 64 << 20, files: 1000 }
    }
}

/// Reads gossfiles.
///
/// ```
/// # fn main() -> Result<(), image_test::gossfile::GossfileError> {
/// use image_test::{Attribute, Kind, gossfile::Loader};
///
/// let text = "file:\n  /etc/passwd:\n    exists: true\n    mode: \"0644\"\n";
/// let loaded = Loader::new().load_str(text, "goss.yaml", ".")?;
/// let passwd = loaded.suite.get(Kind::File, "/etc/passwd").expect("it is in the text");
/// assert_eq!(passwd.expectation(Attribute::Mode), Some(&"0644".into()));
/// assert!(loaded.lints.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Loader {
    vars_files: Vec<PathBuf>,
    vars_inline: Vec<String>,
    vars: BTreeMap<String, Value>,
    env: BTreeMap<String, String>,
    compat: Compat,
    limits: Limits,
    strict: bool,
}

impl Loader {
    /// A loader without variables and environment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes template variables from a file of YAML or JSON. Maps are merged into those of earlier files; anything else
    /// replaces what was.
    pub fn vars_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.vars_files.push(path.into());
        self
    }

    /// Takes template variables from a text in YAML or JSON. They replace those of files as they are, maps too.
    pub fn vars_inline(mut self, text: impl Into<String>) -> Self {
        self.vars_inline.push(text.into());
        self
    }

    /// Sets a template variable, in place of what files and texts say.
    pub fn var(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    /// Lets templates see these environment variables and no others; `std::env::vars()` for all.
    pub fn env(mut self, env: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env = env.into_iter().collect();
        self
    }

    /// Whose semantics hold. In [`Compat::Goss`], what goss finds wrong only when it runs is left to fail then, unknown
    /// sections are no matter, and what a file of JSON includes is JSON, with numbers that are fractions.
    pub fn compat(mut self, compat: Compat) -> Self {
        self.compat = compat;
        self
    }

    /// How much is read.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether a lint above a note is an error.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Reads a file that ends in `.yaml`, `.yml` or `.json`. One that ends in `.json` must be JSON, and so must those of
    /// that name that it includes; a file of YAML may include any, as YAML.
    ///
    /// # Errors
    /// A [`Fault`] of this file, of one it includes, or of the variables.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Loaded, GossfileError> {
        let path = path.as_ref();
        if !matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml" | "json")) {
            return Err(GossfileError::new(Fault::UnknownExtension { path: path.to_owned() }, None));
        }
        let mut session = self.session(is_json(path))?;
        session.file(path)?;
        session.finish(&path.display().to_string())
    }

    /// Reads a text, for example all of the standard input: JSON where its template gives that, else YAML. `name` is its
    /// name in positions, and `base` the directory that its includes are relative to.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_str(&self, text: &str, name: &str, base: impl AsRef<Path>) -> Result<Loaded, GossfileError> {
        let mut session = self.session(false)?;
        let rendered = session.templates.render(text, name)?;
        session.is_json = serde_json::from_str::<IgnoredAny>(&rendered.text).is_ok();
        session.rendered(&rendered, name, base.as_ref(), session.is_json)?;
        session.finish(name)
    }

    fn session(&self, is_json: bool) -> Result<Session<'_>, GossfileError> {
        let data = Data { vars: self.vars()?, env: self.env.clone() };
        let (templates, suite) = (Renderer::new(&data), Suite::new());
        Ok(Session { loader: self, templates, is_json, suite, lints: vec![], files: 0, bytes: 0, open: vec![] })
    }

    /// What templates see: files, then inline texts, then single variables.
    pub(super) fn vars(&self) -> Result<BTreeMap<String, Value>, GossfileError> {
        let mut vars = BTreeMap::new();
        for path in &self.vars_files {
            let name = path.display().to_string();
            vars::merge(&mut vars, vars::read(&read(path, self.limits)?, &name, self.compat)?);
        }
        for text in &self.vars_inline {
            vars.extend(vars::read(text, "<inline vars>", self.compat)?);
        }
        vars.extend(self.vars.clone());
        Ok(vars)
    }
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// The text of a file.
fn read(path: &Path, limits: Limits) -> Result<String, GossfileError> {
    let fault = |source| GossfileError::new(Fault::Read { path: path.to_owned(), source }, None);
    let mut bytes = vec![];
    let file = File::open(path).map_err(fault)?;
    file.take(limits.file_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(fault)?;
    let start = || Position::new(path.display().to_string(), 1, 1);
    if bytes.len() as u64 > limits.file_bytes {
        return Err(GossfileError::at(&start(), too_large(limits)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = good.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        let position = Position { line: clamp(line), column: clamp(column), ..start() };
        GossfileError::at(&position, Fault::NotUtf8)
    })
}

fn clamp(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn too_large(limits: Limits) -> Fault {
    Fault::Limit { what: "bytes in a file", most: limits.file_bytes }
}

/// One load.
struct Session<'a> {
    loader: &'a Loader,
    /// Keeps what a file sets in the variables for the files after it.
    templates: Renderer,
    /// Whether the first file is JSON, which decides on those that it includes.
    is_json: bool,
    suite: Suite,
    lints: Vec<Lint>,
    files: usize,
    bytes: u64,
    /// The files being read, each included by the one before it.
    open: Vec<PathBuf>,
}

/// An entry of the `gossfile` section.
struct Include {
    position: Position,
    key: String,
    pattern: String,
}

impl Session<'_> {
    fn finish(self, name: &str) -> Result<Loaded, GossfileError> {
        if self.suite.is_empty() {
            return Err(GossfileError::at(&Position::new(name, 1, 1), Fault::Empty));
        }
        if self.loader.strict && self.lints.iter().any(|lint| lint.severity >= Severity::Warning) {
            return Err(GossfileError::new(Fault::Lints { lints: self.lints }, None));
        }
        Ok(Loaded { suite: self.suite, lints: self.lints })
    }

    fn file(&mut self, path: &Path) -> Result<(), GossfileError> {
        let limit = |what, most| GossfileError::new(Fault::Limit { what, most }, None);
        self.files += 1;
        if self.files > self.loader.limits.files {
            return Err(limit("files", self.loader.limits.files as u64));
        }
        // Goss's root file is at depth 1.
        if self.open.len() + 1 >= MAX_DEPTH {
            return Err(limit("files that include each other", MAX_DEPTH as u64 - 1));
        }
        let identity = path
            .canonicalize()
            .map_err(|source| GossfileError::new(Fault::Read { path: path.to_owned(), source }, None))?;
        if self.open.contains(&identity) {
            return Err(GossfileError::new(Fault::Cycle { path: path.to_owned() }, None));
        }
        let text = read(path, self.loader.limits)?;
        self.open.push(identity);
        let name = path.display().to_string();
        let rendered = self.templates.render(&text, &name)?;
        // Goss knows one format for all files.
        let is_json = self.is_json && (self.loader.compat == Compat::Goss || is_json(path));
        self.rendered(&rendered, &name, path.parent().unwrap_or_else(|| Path::new(".")), is_json)?;
        self.open.pop();
        Ok(())
    }

    fn rendered(&mut self, rendered: &Rendered, name: &str, base: &Path, is_json: bool) -> Result<(), GossfileError> {
        let limits = self.loader.limits;
        let size = rendered.text.len() as u64;
        self.bytes += size;
        if size > limits.file_bytes {
            return Err(GossfileError::at(&Position::new(name, 1, 1), too_large(limits)));
        }
        if self.bytes > limits.total_bytes {
            let fault = Fault::Limit { what: "bytes in all files", most: limits.total_bytes };
            return Err(GossfileError::at(&Position::new(name, 1, 1), fault));
        }
        let origin = Origin { file: name.into(), lines: rendered.lines.clone() };
        let document = match is_json {
            true => parse_json(&rendered.text, &origin, self.loader.compat)?,
            false => parse(&rendered.text, &origin)?,
        };
        for include in self.document(&document)? {
            self.include(&include, base).map_err(|error| error.included_from(&include.position))?;
        }
        Ok(())
    }

    /// Takes all resources of a document, and gives what it includes, sorted.
    fn document(&mut self, document: &Document) -> Result<Vec<Include>, GossfileError> {
        if let Some(second) = &document.second {
            self.lint(second, Severity::Error, LintCode::SecondDocument, "nothing from here on is read");
        }
        let sections = match &document.root.content {
            Content::Map(sections) => sections,
            _ if document.root.is_null() => return Ok(vec![]),
            _ => return Err(wrong_type("the gossfile".into(), &document.root, "a map of sections")),
        };
        let mut includes = vec![];
        for (name, section) in sections {
            let kind = Kind::ALL.into_iter().find(|kind| kind.section() == name.text);
            if kind.is_none() && name.text != "gossfile" {
                self.unknown_section(document, name, section);
                continue;
            }
            let entries = match &section.content {
                Content::Map(entries) => entries.as_slice(),
                _ if section.is_null() => &[],
                _ => return Err(wrong_type(format!("section `{}`", name.text), section, "a map of resources")),
            };
            if entries.is_empty() {
                let message = format!("section `{}` is empty", name.text);
                self.lint(&name.position, Severity::Note, LintCode::EmptySection, message);
            }
            for (key, node) in entries {
                match kind {
                    Some(kind) => self.resource(kind, key, node)?,
                    None => includes.extend(include(key, node)?),
                }
            }
        }
        includes.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(includes)
    }

    fn resource(&mut self, kind: Kind, key: &Key, node: &Node) -> Result<(), GossfileError> {
        let resource = resource::read(kind, key, node, self.loader.compat, &mut self.lints)?;
        let Some(replaced) = self.suite.insert(resource).and_then(|replaced| replaced.position) else { return Ok(()) };
        // A file that is included twice replaces itself.
        if replaced != key.position {
            let message = format!("{kind} `{}` replaces one that was read before", key.text);
            let mut lint = Lint::new(&key.position, Severity::Warning, LintCode::Overwritten, message);
            lint.related = Some(replaced);
            self.lints.push(lint);
        }
        Ok(())
    }

    /// Goss does not look at sections it does not know, and gossfiles keep their anchors there.
    fn unknown_section(&mut self, document: &Document, name: &Key, section: &Node) {
        let is_marked = name.text.starts_with("x-") || name.text.starts_with('.');
        let is_used = section.find(&|node| node.anchor.is_some_and(|anchor| document.used.contains(&anchor))).is_some();
        if self.loader.compat == Compat::Goss || is_marked || is_used {
            return;
        }
        let sections = Kind::ALL.into_iter().map(Kind::section).chain(["gossfile"]);
        let (severity, hint) = match closest(&name.text, sections) {
            Some(section) => (Severity::Error, format!(", did you mean `{section}`?")),
            None => (Severity::Warning, String::new()),
        };
        let message = format!("section `{}` is not read{hint}", name.text);
        self.lint(&name.position, severity, LintCode::UnknownSection, message);
    }

    fn include(&mut self, include: &Include, base: &Path) -> Result<(), GossfileError> {
        let problem = |problem| GossfileError::new(Fault::Include { pattern: include.pattern.clone(), problem }, None);
        let most = self.loader.limits.files;
        let paths = glob(base, &include.pattern, most).map_err(|error| match error {
            GlobError::Syntax(_) => problem("is not a valid pattern"),
            GlobError::TooMany(most) => GossfileError::new(Fault::Limit { what: "files", most: most as u64 }, None),
        })?;
        if paths.is_empty() {
            return Err(problem("is no file"));
        }
        paths.iter().try_for_each(|path| self.file(path))
    }

    fn lint(&mut self, position: &Position, severity: Severity, code: LintCode, message: impl Into<String>) {
        self.lints.push(Lint::new(position, severity, code, message));
    }
}

/// An include; none where it is skipped.
fn include(key: &Key, node: &Node) -> Result<Option<Include>, GossfileError> {
    let settings = Settings::new(format!("gossfile `{}`", key.text), node)?;
    resource::check_names(&settings, vec!["file", "meta", "skip", "title"])?;
    settings.text("title")?;
    settings.meta(Compat::Fixed)?;
    let pattern = settings.text("file")?.unwrap_or_else(|| key.text.clone());
    let skip = settings.flag("skip")?;
    Ok((!skip).then(|| Include { position: key.position.clone(), key: key.text.clone(), pattern }))
}
