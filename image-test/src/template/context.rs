//! What a running template may use: its surroundings, and how much of the machine.

use super::value::{Element, List, MAX_DEPTH, Map, Text, Val, too_deep};
use jiff::tz::TimeZone;
use regex::Regex;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    fmt,
    rc::Rc,
};

/// Steps of one rendering: expressions evaluated, elements made, and [`BYTES_PER_STEP`] bytes of text each.
pub(super) const MAX_STEPS: u64 = 2_000_000;
/// Steps of all renderings that share their values, which none of them frees.
const MAX_ALL_STEPS: u64 = 4 * MAX_STEPS;
/// The longest text, of the whole output or of one value, in bytes.
pub(super) const MAX_TEXT: usize = 16 << 20;
const BYTES_PER_STEP: u64 = 32;
/// What it costs to compile an expression that is not known yet.
const STEPS_PER_REGEX: u64 = 2_000;
/// What a match of an expression costs.
pub(super) const STEPS_PER_MATCH: u64 = 8;
/// What it costs to write a value within another.
pub(super) const STEPS_PER_WRITE: u64 = 4;

const MAX_KNOWN_REGEXES: usize = 64;

/// What is wrong, without its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault(pub(super) String);

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<fmt::Error> for Fault {
    fn from(_: fmt::Error) -> Self {
        Self::new("text cannot be formatted")
    }
}

/// Renderings that share their values. Functions share it.
#[derive(Debug)]
pub(super) struct Context {
    env: BTreeMap<String, String>,
    /// Of this rendering.
    steps: Cell<u64>,
    /// Of those before it.
    past_steps: Cell<u64>,
    maps: RefCell<Vec<Rc<Map>>>,
    expressions: RefCell<HashMap<Text, Regex>>,
    zone: TimeZone,
}

impl Context {
    pub(super) fn new(env: BTreeMap<String, String>) -> Self {
        let zone = match env.get("TZ").map(String::as_str) {
            None => TimeZone::system(),
            Some("") => TimeZone::UTC,
            Some(name) => TimeZone::get(name.trim_start_matches(':')).unwrap_or(TimeZone::UTC),
        };
        Self {
            env,
            steps: Cell::new(0),
            past_steps: Cell::new(0),
            maps: RefCell::default(),
            expressions: RefCell::default(),
            zone,
        }
    }

    pub(super) fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The local time zone: of `TZ` in the environment of the template, else of the system.
    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Begins another rendering.
    pub(super) fn begin(&self) {
        self.past_steps.set(self.past_steps.get().saturating_add(self.steps.replace(0)));
    }

    /// Counts work done.
    pub(super) fn spend(&self, steps: u64) -> Result<(), Fault> {
        let total = self.steps.get().saturating_add(steps);
        self.steps.set(total);
        if total > MAX_STEPS {
            return Err(Fault::new(format!("the template takes more than {MAX_STEPS} steps")));
        }
        if total.saturating_add(self.past_steps.get()) > MAX_ALL_STEPS {
            return Err(Fault::new(format!("all templates together take more than {MAX_ALL_STEPS} steps")));
        }
        Ok(())
    }

    /// Counts text about to be made.
    pub(super) fn spend_text(&self, bytes: usize) -> Result<(), Fault> {
        if bytes > MAX_TEXT {
            return Err(Fault::new(format!("a text of more than {} MiB", MAX_TEXT >> 20)));
        }
        self.spend(bytes as u64 / BYTES_PER_STEP)
    }

    pub(super) fn text(&self, text: impl Into<Text>) -> Result<Val, Fault> {
        let text = text.into();
        self.spend_text(text.len())?;
        Ok(Val::Str(text))
    }

    pub(super) fn list(&self, element: Element, items: Vec<Val>) -> Result<Val, Fault> {
        self.spend(items.len() as u64)?;
        let depth = items.iter().map(|item| if let Val::List(list) = item { list.depth } else { 0 }).max();
        let depth = depth.unwrap_or(0) + 1;
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        Ok(Val::List(Rc::new(List { element, items, is_nil: false, depth })))
    }

    /// Go's nil slice.
    pub(super) fn nil_list(&self, element: Element) -> Val {
        Val::List(Rc::new(List { element, items: Vec::new(), is_nil: true, depth: 1 }))
    }

    pub(super) fn map(&self, entries: BTreeMap<Text, Val>) -> Result<Val, Fault> {
        Ok(Val::Map(self.new_map(entries, false)?))
    }

    pub(super) fn map_of_strings(&self, entries: impl IntoIterator<Item = (Text, Text)>) -> Result<Val, Fault> {
        let entries = entries.into_iter().map(|(key, text)| (key, Val::Str(text))).collect();
        Ok(Val::Map(self.new_map(entries, true)?))
    }

    pub(super) fn new_map(&self, entries: BTreeMap<Text, Val>, of_strings: bool) -> Result<Rc<Map>, Fault> {
        self.spend(1 + entries.len() as u64)?;
        let map = Rc::new(Map { of_strings, is_nil: false, entries: RefCell::new(entries) });
        self.maps.borrow_mut().push(Rc::clone(&map));
        Ok(map)
    }

    /// A compiled expression of Go's dialect.
    pub(super) fn regex(&self, pattern: &str) -> Result<Regex, Fault> {
        if let Some(regex) = self.expressions.borrow().get(pattern) {
            return Ok(regex.clone());
        }
        self.spend(STEPS_PER_REGEX)?;
        let regex = super::functions::regex::compile(pattern)?;
        let mut known = self.expressions.borrow_mut();
        if known.len() >= MAX_KNOWN_REGEXES {
            known.clear();
        }
        known.insert(Text::from(pattern), regex.clone());
        Ok(regex)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Every map is still held here while the others are emptied, so that no drop recurses.
        for map in self.maps.borrow().iter() {
            map.entries.take();
        }
    }
}
