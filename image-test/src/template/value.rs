//! Values while a template runs, with the types that Go would give them.

use super::{
    context::{Context, Fault},
    functions::{dates::Time, semver::Version},
};
use crate::Value;
use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// Immutable text. Go's strings may hold any bytes; these are always UTF-8, as gossfiles are.
pub(super) type Text = Rc<str>;

/// The integer types that functions tell apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum IntType {
    Int,
    Int64,
    /// A byte of a string, which `index` gives.
    Uint8,
    /// A part of a version.
    Uint64,
}

/// The element types of Go's slices.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Element {
    Any,
    Str,
    Int,
    /// `[]interface{}`, as `chunk` gives them.
    Lists,
}

#[derive(Clone, Debug)]
pub(super) enum Val {
    Nil,
    Bool(bool),
    Int(i64, IntType),
    Float(f64),
    Str(Text),
    List(Rc<List>),
    Map(Rc<Map>),
    Time(Time),
    Version(Rc<Version>),
    /// What the template began with: `.`
    Data(Rc<Root>),
}

/// The data of a template, which has the fields `Vars` and `Env`.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) vars: Val,
    env: OnceCell<Val>,
}

impl Root {
    pub(super) fn new(vars: Val) -> Self {
        Self { vars, env: OnceCell::new() }
    }

    pub(super) fn field(&self, cx: &Context, name: &str) -> Result<Option<Val>, Fault> {
        Ok(match name {
            "Vars" => Some(self.vars.clone()),
            "Env" => {
                if let Some(env) = self.env.get() {
                    return Ok(Some(env.clone()));
                }
                let variables = cx.environment().iter().map(|(k, v)| (k.as_str().into(), v.as_str().into()));
                let env = cx.map_of_strings(variables)?;
                Some(self.env.get_or_init(|| env).clone())
            }
            _ => None,
        })
    }
}

/// A slice. Only [`Context::list`] makes one, which bounds its depth.
#[derive(Debug)]
pub(super) struct List {
    pub(super) element: Element,
    pub(super) items: Vec<Val>,
    /// Go's nil slice: empty, and `null` as JSON.
    pub(super) is_nil: bool,
    pub(super) depth: usize,
}

/// A map, shared by all who hold it: `set` is seen everywhere, as in Go.
///
/// A map can be made to hold itself. The [`Context`] knows all maps and empties them in the end, which frees such
/// cycles and keeps dropping from recursing.
#[derive(Debug)]
pub(super) struct Map {
    /// `map[string]string` rather than `map[string]interface{}`.
    pub(super) of_strings: bool,
    /// Go's nil map, which cannot be written.
    pub(super) is_nil: bool,
    pub(super) entries: RefCell<BTreeMap<Text, Val>>,
}

impl Map {
    pub(super) fn get(&self, key: &str) -> Option<Val> {
        self.entries.borrow().get(key).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// What the map holds now, so that the map may change while this is walked.
    pub(super) fn snapshot(&self) -> Vec<(Text, Val)> {
        self.entries.borrow().iter().map(|(key, value)| (Rc::clone(key), value.clone())).collect()
    }
}

/// How deep values may nest. Maps that hold themselves have no end.
pub(super) const MAX_DEPTH: usize = 100;

impl Val {
    pub(super) fn int(value: impl TryInto<i64>) -> Self {
        Self::Int(value.try_into().unwrap_or(i64::MAX), IntType::Int)
    }

    pub(super) fn text(text: impl Into<Text>) -> Self {
        Self::Str(text.into())
    }

    /// A variable of the user as a value of the template.
    pub(super) fn from_data(cx: &Context, value: &Value) -> Result<Self, Fault> {
        Self::from_data_at(cx, value, 0)
    }

    fn from_data_at(cx: &Context, value: &Value, depth: usize) -> Result<Self, Fault> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        Ok(match value {
            Value::Null => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::int(*value),
            Value::Float(value) => Self::Float(*value),
            Value::String(value) => Self::text(value.as_str()),
            Value::List(items) => {
                let items = items.iter().map(|item| Self::from_data_at(cx, item, depth + 1));
                cx.list(Element::Any, items.collect::<Result<_, _>>()?)?
            }
            Value::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok((Text::from(key.as_str()), Self::from_data_at(cx, value, depth + 1)?)));
                cx.map(entries.collect::<Result<_, Fault>>()?)?
            }
        })
    }

    /// The name of Go's type, as `%T` prints it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_, IntType::Int) => "int",
            Self::Int(_, IntType::Int64) => "int64",
            Self::Int(_, IntType::Uint8) => "uint8",
            Self::Int(_, IntType::Uint64) => "uint64",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::List(list) => match list.element {
                Element::Any => "[]interface {}",
                Element::Str => "[]string",
                Element::Int => "[]int",
                Element::Lists => "[][]interface {}",
            },
            Self::Map(map) if map.of_strings => "map[string]string",
            Self::Map(_) => "map[string]interface {}",
            Self::Time(_) => "time.Time",
            Self::Version(_) => "*semver.Version",
            Self::Data(_) => "*goss.TmplVars",
        }
    }

    /// The name of Go's kind of type.
    pub(super) fn kind_name(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Time(_) => "struct",
            Self::Version(_) | Self::Data(_) => "ptr",
            Self::Bool(_) | Self::Int(..) | Self::Float(_) | Self::Str(_) => self.type_name(),
        }
    }

    /// Whether `if` takes it for true.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value, _) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => map.len() > 0,
            Self::Time(_) | Self::Version(_) | Self::Data(_) => true,
        }
    }

    pub(super) fn is_nil(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::List(list) => list.is_nil,
            Self::Map(map) => map.is_nil,
            _ => false,
        }
    }

    /// Go's reflect.DeepEqual: types count, so that the int 1 is not the int64 1.
    pub(super) fn deep_equal(&self, other: &Self, cx: &Context) -> Result<bool, Fault> {
        self.deep_equal_at(other, cx, 0)
    }

    fn deep_equal_at(&self, other: &Self, cx: &Context, depth: usize) -> Result<bool, Fault> {
        cx.spend(1)?;
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        match (self, other) {
            (Self::List(a), Self::List(b)) => {
                if a.element != b.element || a.is_nil != b.is_nil || a.items.len() != b.items.len() {
                    return Ok(false);
                }
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !a.deep_equal_at(b, cx, depth + 1)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Self::Map(a), Self::Map(b)) => {
                if Rc::ptr_eq(a, b) {
                    return Ok(true);
                }
                if a.of_strings != b.of_strings || a.is_nil != b.is_nil || a.len() != b.len() {
                    return Ok(false);
                }
                for ((a_key, a), (b_key, b)) in a.snapshot().iter().zip(&b.snapshot()) {
                    if a_key != b_key || !a.deep_equal_at(b, cx, depth + 1)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Self::Nil, Self::Nil) => Ok(true),
            (Self::Bool(a), Self::Bool(b)) => Ok(a == b),
            (Self::Int(a, a_type), Self::Int(b, b_type)) => Ok(a == b && a_type == b_type),
            (Self::Float(a), Self::Float(b)) => Ok(a == b),
            (Self::Str(a), Self::Str(b)) => Ok(a == b),
            (Self::Time(a), Self::Time(b)) => Ok(a == b),
            (Self::Version(a), Self::Version(b)) => Ok(a == b),
            (Self::Data(a), Self::Data(b)) => Ok(Rc::ptr_eq(a, b)),
            _ => Ok(false),
        }
    }
}

pub(super) fn too_deep() -> Fault {
    Fault::new(format!("values nest deeper than {MAX_DEPTH} levels"))
}
