//! Runs a [`Program`].

use super::{
    ast::{Command, Expr, Node, Pipeline, Program},
    context::{Context, Fault},
    format,
    functions::{self, Function, Type},
    output::Output,
    value::{IntType, Map, Text, Val},
};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// How deep blocks, parentheses and templates may call each other.
const MAX_CALLS: usize = 250;

/// A failed action.
#[derive(Debug)]
pub(super) struct Failure {
    /// The byte of the source at which it begins.
    pub(super) at: usize,
    pub(super) fault: Fault,
}

/// What follows a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// A value and whether it came straight out of an interface. Go takes nil for a map or not by that.
struct Operand {
    value: Val,
    is_interface: bool,
}

pub(super) struct Executor<'a> {
    pub(super) source: &'a str,
    pub(super) program: &'a Program,
    pub(super) cx: Rc<Context>,
    output: Output,
    /// Bytes at which the lines of the source begin.
    lines: &'a [usize],
    variables: Vec<(Rc<str>, Val)>,
    calls: usize,
}

impl<'a> Executor<'a> {
    pub(super) fn new(source: &'a str, lines: &'a [usize], program: &'a Program, cx: Rc<Context>) -> Self {
        Self { source, program, cx, output: Output::default(), lines, variables: Vec::new(), calls: 0 }
    }

    pub(super) fn run(mut self, data: Val) -> Result<Output, Failure> {
        self.variables.push(("$".into(), data.clone()));
        let program = self.program;
        self.nodes(&data, &program.main)?;
        Ok(self.output)
    }

    fn line(&self, at: usize) -> u32 {
        u32::try_from(self.lines.partition_point(|start| *start <= at)).unwrap_or(u32::MAX)
    }

    fn nodes(&mut self, dot: &Val, nodes: &[Node]) -> Result<Flow, Failure> {
        for node in nodes {
            let flow = self.node(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, dot: &Val, node: &Node) -> Result<Flow, Failure> {
        match node {
            Node::Text(range) => {
                let line = self.line(range.start);
                let text = self.source.get(range.clone()).unwrap_or("");
                self.cx
                    .spend_text(text.len())
                    .and_then(|()| self.output.copy(text, line))
                    .map_err(|fault| Failure { at: range.start, fault })?;
                Ok(Flow::Next)
            }
            Node::Print { at, pipeline } => {
                self.print(dot, pipeline, *at).map_err(|fault| Failure { at: *at, fault })?;
                Ok(Flow::Next)
            }
            Node::If { at, condition, then, otherwise } => self.scoped(*at, |run| {
                let value = run.pipeline(dot, condition).map_err(|fault| Failure { at: *at, fault })?;
                run.nodes(dot, if value.truth() { then } else { otherwise })
            }),
            Node::With { at, value, then, otherwise } => self.scoped(*at, |run| {
                let value = run.pipeline(dot, value).map_err(|fault| Failure { at: *at, fault })?;
                if value.truth() { run.nodes(&value, then) } else { run.nodes(dot, otherwise) }
            }),
            Node::Range { at, over, body, otherwise } => {
                self.scoped(*at, |run| run.range(dot, *at, over, body, otherwise))
            }
            Node::Break => Ok(Flow::Break),
            Node::Continue => Ok(Flow::Continue),
            Node::Template { at, name, data } => {
                let failure = |fault| Failure { at: *at, fault };
                let data = match data {
                    Some(data) => self.pipeline(dot, data).map_err(failure)?,
                    None => Val::Nil,
                };
                let program = self.program;
                let nodes = program
                    .templates
                    .get(name)
                    .ok_or_else(|| failure(Fault::new(format!("the template {name:?} is not defined"))))?;
                let outer = std::mem::replace(&mut self.variables, vec![("$".into(), data.clone())]);
                self.scoped(*at, |run| run.nodes(&data, nodes))?;
                self.variables = outer;
                Ok(Flow::Next)
            }
        }
    }

    /// Runs a block, whose variables end with it.
    fn scoped(&mut self, at: usize, block: impl FnOnce(&mut Self) -> Result<Flow, Failure>) -> Result<Flow, Failure> {
        self.enter().map_err(|fault| Failure { at, fault })?;
        let known = self.variables.len();
        let flow = block(self);
        self.variables.truncate(known);
        self.calls -= 1;
        flow
    }

    fn enter(&mut self) -> Result<(), Fault> {
        if self.calls >= MAX_CALLS {
            return Err(Fault::new(format!("templates and blocks call each other more than {MAX_CALLS} levels deep")));
        }
        self.calls += 1;
        Ok(())
    }

    fn print(&mut self, dot: &Val, pipeline: &Pipeline, at: usize) -> Result<(), Fault> {
        let value = self.pipeline(dot, pipeline)?;
        if !pipeline.variables.is_empty() {
            return Ok(());
        }
        let line = self.line(at);
        match &value {
            Val::Nil => self.output.print("<no value>", line),
            Val::Str(text) => {
                self.cx.spend_text(text.len())?;
                self.output.print(text, line)
            }
            value => self.output.print(&format::display(&self.cx, value)?, line),
        }
    }

    fn range(
        &mut self,
        dot: &Val,
        at: usize,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
    ) -> Result<Flow, Failure> {
        let failure = |fault| Failure { at, fault };
        let value = self.commands(dot, over).map_err(failure)?;
        let two = over.variables.len() > 1;
        let items: Box<dyn Iterator<Item = (Val, Val)>> = match value {
            Val::Nil => Box::new(std::iter::empty()),
            Val::Int(..) if two => {
                return Err(failure(Fault::new("range over a number has one variable")));
            }
            Val::Int(count, kind) => Box::new((0..count).map(move |i| (Val::Nil, Val::Int(i, kind)))),
            Val::List(list) => Box::new(
                (0..list.items.len()).map(move |i| (Val::int(i), list.items.get(i).cloned().unwrap_or(Val::Nil))),
            ),
            Val::Map(map) => Box::new(map.snapshot().into_iter().map(|(key, value)| (Val::Str(key), value))),
            other => {
                let fault = format!("range cannot iterate over {}", other.type_name());
                return Err(failure(Fault::new(fault)));
            }
        };
        let mut is_empty = true;
        let known = self.variables.len();
        for (index, item) in items {
            is_empty = false;
            self.cx.spend(1).map_err(failure)?;
            let values = if two { vec![index, item.clone()] } else { vec![item.clone()] };
            for (name, value) in over.variables.iter().zip(values) {
                self.bind(name, value, over.assigns).map_err(failure)?;
            }
            let flow = self.nodes(&item, body)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        if is_empty { self.nodes(dot, otherwise) } else { Ok(Flow::Next) }
    }

    fn bind(&mut self, name: &Rc<str>, value: Val, assigns: bool) -> Result<(), Fault> {
        if !assigns {
            self.variables.push((Rc::clone(name), value));
            return Ok(());
        }
        let variable = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        variable.ok_or_else(|| Fault::new(format!("undefined variable {name}")))?.1 = value;
        Ok(())
    }

    fn pipeline(&mut self, dot: &Val, pipeline: &Pipeline) -> Result<Val, Fault> {
        let value = self.commands(dot, pipeline)?;
        for name in &pipeline.variables {
            self.bind(name, value.clone(), pipeline.assigns)?;
        }
        Ok(value)
    }

    fn commands(&mut self, dot: &Val, pipeline: &Pipeline) -> Result<Val, Fault> {
        self.enter()?;
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(dot, command, piped)?);
        }
        self.calls -= 1;
        Ok(piped.unwrap_or(Val::Nil))
    }

    fn command(&mut self, dot: &Val, command: &Command, piped: Option<Val>) -> Result<Val, Fault> {
        self.cx.spend(1)?;
        match &command.first {
            Expr::Function(name) => return self.function(dot, name, &command.arguments, piped),
            Expr::Field(path) => return self.fields(dot, dot.clone(), path, &command.arguments, piped),
            Expr::Variable(name, path) if !path.is_empty() => {
                let receiver = self.variable(name)?;
                return self.fields(dot, receiver, path, &command.arguments, piped);
            }
            Expr::Chain(receiver, path) => {
                let receiver = self.operand(dot, receiver)?.value;
                return self.fields(dot, receiver, path, &command.arguments, piped);
            }
            _ => {}
        }
        if !command.arguments.is_empty() || piped.is_some() {
            return Err(Fault::new("arguments are given to what is not a function"));
        }
        match &command.first {
            Expr::Nil => Err(Fault::new("nil is not a command")),
            first => Ok(self.operand(dot, first)?.value),
        }
    }

    fn variable(&self, name: &str) -> Result<Val, Fault> {
        let variable = self.variables.iter().rev().find(|(known, _)| **known == *name);
        variable.map(|(_, value)| value.clone()).ok_or_else(|| Fault::new(format!("undefined variable {name}")))
    }

    /// The value of an expression that any type will do for.
    fn operand(&mut self, dot: &Val, expr: &Expr) -> Result<Operand, Fault> {
        self.cx.spend(1)?;
        let (value, is_interface) = match expr {
            Expr::Bool(value) => (Val::Bool(*value), false),
            Expr::Number(number) => match number.int {
                Some(int) if !number.is_float => (Val::int(int), false),
                _ => (Val::Float(number.float), false),
            },
            Expr::Str(text) => (Val::Str(Rc::clone(text)), false),
            Expr::Nil => (Val::Nil, false),
            Expr::Dot => (dot.clone(), true),
            Expr::Field(path) => (self.fields(dot, dot.clone(), path, &[], None)?, true),
            Expr::Variable(name, path) => {
                let value = self.variable(name)?;
                if path.is_empty() { (value, false) } else { (self.fields(dot, value, path, &[], None)?, true) }
            }
            Expr::Function(name) => (self.function(dot, name, &[], None)?, false),
            Expr::Pipeline(pipeline) => (self.pipeline(dot, pipeline)?, false),
            Expr::Chain(receiver, path) => {
                let receiver = self.operand(dot, receiver)?.value;
                (self.fields(dot, receiver, path, &[], None)?, true)
            }
        };
        Ok(Operand { value, is_interface })
    }

    /// `.a.b`, where the last may be a method with arguments.
    fn fields(
        &mut self,
        dot: &Val,
        receiver: Val,
        path: &[Rc<str>],
        arguments: &[Expr],
        piped: Option<Val>,
    ) -> Result<Val, Fault> {
        let mut value = receiver;
        let Some((last, path)) = path.split_last() else { return Ok(value) };
        for name in path {
            value = self.field(dot, &value, name, &[], None)?;
        }
        self.field(dot, &value, last, arguments, piped)
    }

    fn field(
        &mut self,
        dot: &Val,
        receiver: &Val,
        name: &str,
        arguments: &[Expr],
        piped: Option<Val>,
    ) -> Result<Val, Fault> {
        if let Some(method) = functions::method(receiver, name) {
            return self.call(dot, name, method, Some(receiver.clone()), arguments, piped);
        }
        let found = match receiver {
            Val::Data(data) => data.field(&self.cx, name)?,
            Val::Map(map) => {
                Some(map.get(name).ok_or_else(|| Fault::new(format!(".{name}: the map has no such key")))?)
            }
            Val::Nil => return Err(Fault::new(format!(".{name}: there is no value to take it from"))),
            _ => None,
        };
        let Some(found) = found else {
            return Err(Fault::new(format!(".{name}: a value of type {} has no such field", receiver.type_name())));
        };
        if !arguments.is_empty() || piped.is_some() {
            return Err(Fault::new(format!(".{name} is not a method but has arguments")));
        }
        Ok(found)
    }

    fn function(&mut self, dot: &Val, name: &str, arguments: &[Expr], piped: Option<Val>) -> Result<Val, Fault> {
        if matches!(name, "and" | "or") {
            return self.logic(dot, name, arguments, piped);
        }
        let function = functions::find(name)?;
        self.call(dot, name, function, None, arguments, piped)
    }

    /// `and` and `or`, which evaluate no more arguments than it takes.
    fn logic(&mut self, dot: &Val, name: &str, arguments: &[Expr], piped: Option<Val>) -> Result<Val, Fault> {
        let mut value = None;
        for argument in arguments {
            let found = self.operand(dot, argument)?.value;
            if found.truth() == (name == "or") {
                return Ok(found);
            }
            value = Some(found);
        }
        piped.or(value).ok_or_else(|| Fault::new(format!("{name}: at least one argument is needed")))
    }

    fn call(
        &mut self,
        dot: &Val,
        name: &str,
        function: &Function,
        receiver: Option<Val>,
        arguments: &[Expr],
        piped: Option<Val>,
    ) -> Result<Val, Fault> {
        let given = arguments.len() + usize::from(piped.is_some());
        let hidden = usize::from(receiver.is_some());
        let wanted = function.parameters().len().saturating_sub(hidden);
        if given < wanted || (given > wanted && function.rest().is_none()) {
            let least = if function.rest().is_some() { "at least " } else { "" };
            return Err(Fault::new(format!("{name}: takes {least}{wanted} arguments, not {given}")));
        }
        let mut values: Vec<Val> = receiver.into_iter().collect();
        let labelled = |fault: Fault, i: usize| Fault::new(format!("{name}: argument {}: {fault}", i + 1));
        for (i, argument) in arguments.iter().enumerate() {
            let Some(kind) = function.parameter(hidden + i) else { break };
            let value = self.argument(dot, argument, kind).map_err(|fault| labelled(fault, i))?;
            values.push(value);
        }
        if let Some(piped) = piped
            && let Some(kind) = function.parameter(hidden + arguments.len())
        {
            let operand = Operand { value: piped, is_interface: false };
            values.push(check_type(operand, kind).map_err(|fault| labelled(fault, arguments.len()))?);
        }
        self.cx.spend(values.len() as u64)?;
        function.call(&self.cx, values).map_err(|fault| Fault::new(format!("{name}: {fault}")))
    }

    fn argument(&mut self, dot: &Val, expr: &Expr, kind: Type) -> Result<Val, Fault> {
        // Constants take the type of the parameter.
        match (expr, kind) {
            (Expr::Number(number), Type::Int) => {
                return number.int.map(Val::int).ok_or_else(|| Fault::new("expected a whole number"));
            }
            (Expr::Number(number), Type::Float) => return Ok(Val::Float(number.float)),
            _ => {}
        }
        let operand = self.operand(dot, expr)?;
        check_type(operand, kind)
    }
}

/// A value for a parameter, if Go would take it: nothing is converted.
fn check_type(operand: Operand, kind: Type) -> Result<Val, Fault> {
    let Operand { value, is_interface } = operand;
    let fits = match (kind, &value) {
        (Type::Map, Val::Nil) if !is_interface => return Ok(nil_map()),
        (Type::Any, _)
        | (Type::Bool, Val::Bool(_))
        | (Type::Int, Val::Int(_, IntType::Int))
        | (Type::Float, Val::Float(_))
        | (Type::Str, Val::Str(_))
        | (Type::Time, Val::Time(_))
        | (Type::Version, Val::Version(_)) => true,
        (Type::Map, Val::Map(map)) => !map.of_strings,
        _ => false,
    };
    if fits {
        return Ok(value);
    }
    let found = if matches!(value, Val::Nil) { "nil" } else { value.type_name() };
    Err(Fault::new(format!("expected {}, not {found}", kind.name())))
}

fn nil_map() -> Val {
    let entries: RefCell<BTreeMap<Text, Val>> = RefCell::default();
    Val::Map(Rc::new(Map { of_strings: false, is_nil: true, entries }))
}
