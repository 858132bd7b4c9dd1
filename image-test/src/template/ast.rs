//! A parsed template.

use super::number::Number;
use std::{collections::HashMap, ops::Range, rc::Rc};

/// A template and the templates that it defines.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) main: Vec<Node>,
    pub(super) templates: HashMap<Rc<str>, Rc<Vec<Node>>>,
}

/// A piece of a template. `at` is the byte of the source at which the action begins.
#[derive(Debug)]
pub(super) enum Node {
    /// Text as it stands in the source.
    Text(Range<usize>),
    /// `{{pipeline}}`
    Print {
        at: usize,
        pipeline: Pipeline,
    },
    If {
        at: usize,
        condition: Pipeline,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    With {
        at: usize,
        value: Pipeline,
        then: Vec<Self>,
        otherwise: Vec<Self>,
    },
    Range {
        at: usize,
        over: Pipeline,
        body: Vec<Self>,
        otherwise: Vec<Self>,
    },
    Break,
    Continue,
    Template {
        at: usize,
        name: Rc<str>,
        data: Option<Pipeline>,
    },
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// `$x, $y :=`
    pub(super) variables: Vec<Rc<str>>,
    /// `=` instead of `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand and its arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) first: Expr,
    pub(super) arguments: Vec<Expr>,
}

#[derive(Debug)]
pub(super) enum Expr {
    Bool(bool),
    Number(Number),
    Str(Rc<str>),
    Nil,
    Dot,
    /// `.a.b`
    Field(Vec<Rc<str>>),
    /// `$x.a.b`
    Variable(Rc<str>, Vec<Rc<str>>),
    Function(Rc<str>),
    /// `(pipeline)`
    Pipeline(Box<Pipeline>),
    /// `(pipeline).a.b`
    Chain(Box<Self>, Vec<Rc<str>>),
}
