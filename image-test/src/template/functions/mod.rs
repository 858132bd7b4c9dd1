//! The functions of templates: Go's own, goss's and Sprig's.

mod builtins;
pub(super) mod dates;
mod dicts;
mod encoding;
mod goss;
mod json;
mod lists;
mod math;
mod paths;
mod random;
pub(super) mod regex;
pub(super) mod semver;
mod strings;
mod types;
mod unsupported;
mod urls;
mod words;

use super::{
    context::{Context, Fault},
    value::{Element, IntType, Map, Text, Val},
};
use dates::Time;
use semver::Version;
use std::{collections::HashMap, fmt, rc::Rc, sync::LazyLock};

/// The context as a parameter of a function that needs it.
type Cx = Rc<Context>;

/// The type of a parameter, which Go checks before the call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Type {
    Any,
    Bool,
    Int,
    Float,
    Str,
    /// `map[string]interface{}`
    Map,
    Time,
    Version,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Str => "string",
            Self::Map => "map[string]interface {}",
            Self::Time => "time.Time",
            Self::Version => "*semver.Version",
        }
    }
}

type Run = Box<dyn Fn(&Cx, Vec<Val>) -> Result<Val, Fault> + Send + Sync>;

/// A function with its signature.
pub(super) struct Function {
    parameters: Vec<Type>,
    rest: Option<Type>,
    run: Run,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("parameters", &self.parameters).field("rest", &self.rest).finish()
    }
}

impl Function {
    /// The parameters that must be given.
    pub(super) fn parameters(&self) -> &[Type] {
        &self.parameters
    }

    /// The type of all further arguments, if there may be any.
    pub(super) fn rest(&self) -> Option<Type> {
        self.rest
    }

    pub(super) fn parameter(&self, index: usize) -> Option<Type> {
        self.parameters.get(index).copied().or(self.rest)
    }

    /// Calls it with arguments of the right types.
    pub(super) fn call(&self, cx: &Cx, arguments: Vec<Val>) -> Result<Val, Fault> {
        (self.run)(cx, arguments)
    }
}

/// How a function of Rust takes a parameter.
trait Parameter: Sized {
    const SLOT: Slot;
    fn take(cx: &Cx, arguments: &mut std::vec::IntoIter<Val>) -> Result<Self, Fault>;
}

enum Slot {
    Context,
    One(Type),
    Rest(Type),
}

/// All further arguments.
struct Rest<T>(Vec<T>);

impl Parameter for Cx {
    const SLOT: Slot = Slot::Context;
    fn take(cx: &Cx, _: &mut std::vec::IntoIter<Val>) -> Result<Self, Fault> {
        Ok(Self::clone(cx))
    }
}

/// What a single argument becomes. The types were checked before the call.
trait FromVal: Sized {
    const TYPE: Type;
    fn from_val(value: Val) -> Option<Self>;
}

impl<T: FromVal> Parameter for T {
    const SLOT: Slot = Slot::One(T::TYPE);
    fn take(_: &Cx, arguments: &mut std::vec::IntoIter<Val>) -> Result<Self, Fault> {
        arguments.next().and_then(T::from_val).ok_or_else(|| Fault::new(format!("expected {}", T::TYPE.name())))
    }
}

impl<T: FromVal> Parameter for Rest<T> {
    const SLOT: Slot = Slot::Rest(T::TYPE);
    fn take(cx: &Cx, arguments: &mut std::vec::IntoIter<Val>) -> Result<Self, Fault> {
        let mut values = Vec::with_capacity(arguments.len());
        while arguments.len() > 0 {
            values.push(T::take(cx, arguments)?);
        }
        Ok(Self(values))
    }
}

macro_rules! from_val {
    ($($type:ty, $slot:ident, $pattern:pat => $value:expr;)*) => {$(
        impl FromVal for $type {
            const TYPE: Type = Type::$slot;
            fn from_val(value: Val) -> Option<Self> {
                if let $pattern = value { Some($value) } else { None }
            }
        }
    )*};
}

from_val! {
    bool, Bool, Val::Bool(value) => value;
    i64, Int, Val::Int(value, _) => value;
    f64, Float, Val::Float(value) => value;
    Text, Str, Val::Str(value) => value;
    Rc<Map>, Map, Val::Map(value) => value;
    Time, Time, Val::Time(value) => value;
    Rc<Version>, Version, Val::Version(value) => value;
}

impl FromVal for Val {
    const TYPE: Type = Type::Any;
    fn from_val(value: Val) -> Option<Self> {
        Some(value)
    }
}

/// What a function of Rust gives. An `i64` is Go's int64, [`Int`] its int.
trait Outcome {
    fn outcome(self, cx: &Context) -> Result<Val, Fault>;
}

struct Int(i64);

macro_rules! outcome {
    ($($type:ty, |$value:ident, $cx:pat_param| $outcome:expr;)*) => {$(
        impl Outcome for $type {
            fn outcome(self, $cx: &Context) -> Result<Val, Fault> {
                let $value = self;
                $outcome
            }
        }
    )*};
}

outcome! {
    Val, |value, _| Ok(value);
    bool, |value, _| Ok(Val::Bool(value));
    Int, |value, _| Ok(Val::Int(value.0, IntType::Int));
    i64, |value, _| Ok(Val::Int(value, IntType::Int64));
    f64, |value, _| Ok(Val::Float(value));
    Text, |value, cx| cx.text(value);
    String, |value, cx| cx.text(value);
    &str, |value, cx| cx.text(value);
    Time, |value, _| Ok(Val::Time(value));
    Vec<Val>, |value, cx| cx.list(Element::Any, value);
    Vec<String>, |value, cx| {
        cx.spend_text(value.iter().map(String::len).sum())?;
        cx.list(Element::Str, value.into_iter().map(Val::text).collect())
    };
}

impl<T: Outcome> Outcome for Result<T, Fault> {
    fn outcome(self, cx: &Context) -> Result<Val, Fault> {
        self?.outcome(cx)
    }
}

/// A function of Rust that templates can call. `P` is the tuple of its parameters.
trait Handler<P>: Send + Sync + 'static {
    fn function(self) -> Function;
}

macro_rules! handler {
    ($($parameter:ident),*) => {
        impl<F, R, $($parameter),*> Handler<($($parameter,)*)> for F
        where
            F: Fn($($parameter),*) -> R + Send + Sync + 'static,
            R: Outcome,
            $($parameter: Parameter),*
        {
            fn function(self) -> Function {
                let slots: &[Slot] = &[$($parameter::SLOT),*];
                let parameters = slots.iter().filter_map(|slot| if let Slot::One(kind) = slot { Some(*kind) } else { None });
                let rest = slots.iter().find_map(|slot| if let Slot::Rest(kind) = slot { Some(*kind) } else { None });
                let run = move |cx: &Cx, arguments: Vec<Val>| {
                    let mut arguments = arguments.into_iter();
                    (self)($($parameter::take(cx, &mut arguments)?),*).outcome(cx)
                };
                Function { parameters: parameters.collect(), rest, run: Box::new(run) }
            }
        }
    };
}

handler!(A);
handler!(A, B);
handler!(A, B, C);
handler!(A, B, C, D);
handler!(A, B, C, D, E);

/// All functions by name.
#[derive(Debug, Default)]
struct Registry {
    functions: HashMap<&'static str, Function>,
    /// By type and name.
    methods: HashMap<(&'static str, &'static str), Function>,
}

impl Registry {
    fn add<P>(&mut self, name: &'static str, handler: impl Handler<P>) {
        self.functions.insert(name, handler.function());
    }

    fn add_all<P>(&mut self, names: &[&'static str], handler: impl Handler<P> + Copy) {
        for name in names {
            self.add(name, handler);
        }
    }

    fn method<P>(&mut self, kind: &'static str, name: &'static str, handler: impl Handler<P>) {
        self.methods.insert((kind, name), handler.function());
    }
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::default();
    // The later a module, the stronger its names: Sprig replaces Go's `slice`, goss replaces Sprig's `regexMatch`.
    for register in [
        builtins::register,
        strings::register,
        words::register,
        types::register,
        math::register,
        lists::register,
        dicts::register,
        dates::register,
        encoding::register,
        json::register,
        paths::register,
        random::register,
        regex::register,
        semver::register,
        urls::register,
        unsupported::register,
        goss::register,
    ] {
        register(&mut registry);
    }
    registry
});

/// `and` and `or` do not evaluate all of their arguments, so they are no functions.
const SPECIAL: [&str; 2] = ["and", "or"];

/// Checks that a name is that of a function.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if SPECIAL.contains(&name) || REGISTRY.functions.contains_key(name) {
        return Ok(());
    }
    let names = REGISTRY.functions.keys().copied().chain(SPECIAL);
    let near = names.map(|known| (distance(name, known), known)).min();
    Err(match near {
        Some((distance, near)) if distance <= 2 && distance < near.len() => {
            format!("unknown function `{name}`; did you mean `{near}`?")
        }
        _ => format!("unknown function `{name}`"),
    })
}

/// The names of all functions, sorted.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = REGISTRY.functions.keys().copied().chain(SPECIAL).collect();
    names.sort_unstable();
    names
}

pub(super) fn find(name: &str) -> Result<&'static Function, Fault> {
    REGISTRY.functions.get(name).ok_or_else(|| Fault::new(format!("unknown function `{name}`")))
}

/// The method of a value by name.
pub(super) fn method(receiver: &Val, name: &str) -> Option<&'static Function> {
    if !matches!(receiver, Val::Time(_) | Val::Version(_)) {
        return None;
    }
    let (_, function) =
        REGISTRY.methods.iter().find(|((kind, known), _)| *kind == receiver.type_name() && *known == name)?;
    Some(function)
}

/// The number of edits between two names, where case does not count.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    // An edit distance is never below the difference in length, and long names are not worth the work.
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let change = at(&row, j) + usize::from(a != *b);
            next.push(change.min(at(&row, j + 1) + 1).min(at(&next, j) + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
