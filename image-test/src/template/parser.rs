//! From tokens to a [`Program`].

use super::{
    ast::{Command, Expr, Node, Pipeline, Program},
    functions,
    lexer::{Keyword, Spanned, SyntaxError, Token, tokens},
    number,
};
use std::rc::Rc;

/// How deep blocks, parentheses and `else if` may nest.
const MAX_NESTING: usize = 100;

pub(super) fn parse(source: &str) -> Result<Program, SyntaxError> {
    let tokens = tokens(source)?;
    let mut parser =
        Parser { tokens: &tokens, next: 0, action: 0, nesting: 0, scope: Scope::new(), program: Program::default() };
    parser.program()?;
    Ok(parser.program)
}

/// What a template can refer to at some place.
#[derive(Debug)]
struct Scope {
    variables: Vec<Rc<str>>,
    /// The number of `range` blocks around.
    ranges: usize,
}

impl Scope {
    fn new() -> Self {
        Self { variables: vec!["$".into()], ranges: 0 }
    }
}

struct Parser<'a> {
    tokens: &'a [Spanned],
    next: usize,
    /// Where the current action begins.
    action: usize,
    nesting: usize,
    scope: Scope,
    program: Program,
}

/// What ends a list of nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Else,
    End,
    Eof,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Spanned> {
        self.tokens.get(self.next)
    }

    fn advance(&mut self) -> Option<&'a Spanned> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn eat(&mut self, token: &Token) -> bool {
        let found = self.peek().is_some_and(|next| next.token == *token);
        self.next += usize::from(found);
        found
    }

    fn eat_keyword(&mut self, keyword: Keyword) -> bool {
        self.eat(&Token::Keyword(keyword))
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.action, message)
    }

    fn unexpected(&self, place: &str) -> SyntaxError {
        let found = match self.peek().map(|next| &next.token) {
            None => "the end of the template".into(),
            Some(Token::Keyword(keyword)) => format!("`{}`", keyword.name()),
            Some(Token::Close) => "`}}`".into(),
            Some(Token::Comma) => "`,`".into(),
            Some(Token::Assign) => "`=`".into(),
            Some(Token::Declare) => "`:=`".into(),
            Some(Token::Pipe) => "`|`".into(),
            Some(Token::CloseParen) => "`)`".into(),
            Some(Token::Field(name)) => format!("`.{name}`"),
            Some(Token::Identifier(name) | Token::Variable(name) | Token::Number(name)) => format!("`{name}`"),
            Some(Token::Str(_)) => "a string".into(),
            Some(_) => "a value".into(),
        };
        self.error(format!("unexpected {found} in {place}"))
    }

    fn close(&mut self, place: &str) -> Result<(), SyntaxError> {
        if self.eat(&Token::Close) { Ok(()) } else { Err(self.unexpected(place)) }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, SyntaxError>) -> Result<T, SyntaxError> {
        if self.nesting >= MAX_NESTING {
            return Err(self.error(format!("the template nests deeper than {MAX_NESTING} levels")));
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    fn program(&mut self) -> Result<(), SyntaxError> {
        let (nodes, ending) = self.nodes(true)?;
        if ending != Ending::Eof {
            return Err(self.error(format!("unexpected `{}`", if ending == Ending::End { "end" } else { "else" })));
        }
        self.program.main = nodes;
        Ok(())
    }

    /// Nodes up to what ends them. Of `{{else}}`, only the keyword is consumed.
    fn nodes(&mut self, top: bool) -> Result<(Vec<Node>, Ending), SyntaxError> {
        let mut nodes = Vec::new();
        loop {
            let Some(next) = self.advance() else { return Ok((nodes, Ending::Eof)) };
            if let Token::Text(range) = &next.token {
                nodes.push(Node::Text(range.clone()));
                continue;
            }
            let at = next.at;
            self.action = at;
            let Some(Token::Keyword(keyword)) = self.peek().map(|next| &next.token) else {
                let pipeline = self.pipeline("an action", false)?;
                self.close("an action")?;
                nodes.push(Node::Print { at, pipeline });
                continue;
            };
            if *keyword == Keyword::Nil {
                return Err(self.error("nil is not a command"));
            }
            self.next += 1;
            match keyword {
                Keyword::End => {
                    self.close("end")?;
                    return Ok((nodes, Ending::End));
                }
                Keyword::Else => return Ok((nodes, Ending::Else)),
                Keyword::Define if top => self.define(at)?,
                Keyword::Define => return Err(self.error("a template can only be defined outside of other blocks")),
                Keyword::If | Keyword::With | Keyword::Range => {
                    nodes.push(self.nested(|parser| parser.control(*keyword, at))?);
                }
                Keyword::Template => nodes.push(self.template(at)?),
                Keyword::Block => nodes.push(self.nested(|parser| parser.block(at))?),
                Keyword::Break | Keyword::Continue => {
                    let name = keyword.name();
                    if self.scope.ranges == 0 {
                        return Err(self.error(format!("`{name}` outside of `range`")));
                    }
                    self.close(name)?;
                    nodes.push(if *keyword == Keyword::Break { Node::Break } else { Node::Continue });
                }
                Keyword::Nil => {}
            }
        }
    }

    /// `if`, `with` or `range` up to its `end`. The keyword is consumed.
    fn control(&mut self, keyword: Keyword, at: usize) -> Result<Node, SyntaxError> {
        let known = self.scope.variables.len();
        let is_range = keyword == Keyword::Range;
        let pipeline = self.pipeline(keyword.name(), is_range)?;
        self.close(keyword.name())?;
        self.scope.ranges += usize::from(is_range);
        let (then, mut ending) = self.nodes(false)?;
        self.scope.ranges -= usize::from(is_range);
        let mut otherwise = Vec::new();
        if ending == Ending::Else {
            let start = self.action;
            if !is_range && self.eat_keyword(keyword) {
                // `else if` shares its `end` with the `if` that it belongs to.
                otherwise.push(self.nested(|parser| parser.control(keyword, start))?);
                ending = Ending::End;
            } else {
                self.close("else")?;
                (otherwise, ending) = self.nodes(false)?;
            }
        }
        match ending {
            Ending::End => {}
            Ending::Else => return Err(self.error("a second `else`")),
            Ending::Eof => return Err(SyntaxError::new(at, format!("`{}` without `end`", keyword.name()))),
        }
        self.scope.variables.truncate(known);
        Ok(match keyword {
            Keyword::Range => Node::Range { at, over: pipeline, body: then, otherwise },
            Keyword::With => Node::With { at, value: pipeline, then, otherwise },
            _ => Node::If { at, condition: pipeline, then, otherwise },
        })
    }

    fn template_name(&mut self, place: &str) -> Result<Rc<str>, SyntaxError> {
        let Some(Token::Str(name)) = self.peek().map(|next| &next.token) else {
            return Err(self.unexpected(place));
        };
        self.next += 1;
        Ok(Rc::clone(name))
    }

    fn template(&mut self, at: usize) -> Result<Node, SyntaxError> {
        let name = self.template_name("template")?;
        let mut data = None;
        if !self.eat(&Token::Close) {
            data = Some(self.pipeline("template", false)?);
            self.close("template")?;
        }
        Ok(Node::Template { at, name, data })
    }

    fn define(&mut self, at: usize) -> Result<(), SyntaxError> {
        let name = self.template_name("define")?;
        self.close("define")?;
        self.body(at, name, "define")
    }

    fn block(&mut self, at: usize) -> Result<Node, SyntaxError> {
        let name = self.template_name("block")?;
        let data = Some(self.pipeline("block", false)?);
        self.close("block")?;
        self.body(at, Rc::clone(&name), "block")?;
        Ok(Node::Template { at, name, data })
    }

    /// The body of a defined template, which sees no variable but its own.
    fn body(&mut self, at: usize, name: Rc<str>, keyword: &str) -> Result<(), SyntaxError> {
        let outer = std::mem::replace(&mut self.scope, Scope::new());
        let (nodes, ending) = self.nodes(false)?;
        self.scope = outer;
        match ending {
            Ending::End => {}
            Ending::Else => return Err(self.error("unexpected `else`")),
            Ending::Eof => return Err(SyntaxError::new(at, format!("`{keyword}` without `end`"))),
        }
        // As in Go, an empty template neither replaces another nor forbids one.
        let old = self.program.templates.get(&name);
        let is_new = old.is_none_or(|old| old.is_empty());
        if !is_new && !nodes.is_empty() {
            return Err(SyntaxError::new(at, format!("a second definition of the template {name:?}")));
        }
        if is_new {
            self.program.templates.insert(name, Rc::new(nodes));
        }
        Ok(())
    }

    /// A pipeline up to, and without, what ends it.
    fn pipeline(&mut self, place: &str, is_range: bool) -> Result<Pipeline, SyntaxError> {
        let (variables, assigns) = self.declarations(place, is_range)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            match self.peek().map(|next| &next.token) {
                Some(Token::Close | Token::CloseParen) if !commands.is_empty() => break,
                Some(Token::Close | Token::CloseParen) => {
                    return Err(self.error(format!("missing value for {place}")));
                }
                _ => {}
            }
            let command = self.command(place)?;
            let is_callable =
                !matches!(command.first, Expr::Bool(_) | Expr::Number(_) | Expr::Str(_) | Expr::Nil | Expr::Dot);
            if !commands.is_empty() && !is_callable {
                return Err(self.error("only a function or a method can follow `|`"));
            }
            commands.push(command);
        }
        Ok(Pipeline { variables, assigns, commands })
    }

    /// `$x :=`, `$x =`, and in a range `$i, $x :=`.
    fn declarations(&mut self, place: &str, is_range: bool) -> Result<(Vec<Rc<str>>, bool), SyntaxError> {
        let mut variables = Vec::new();
        while let Some(Token::Variable(name)) = self.peek().map(|next| &next.token) {
            match self.tokens.get(self.next + 1).map(|next| &next.token) {
                Some(token @ (Token::Declare | Token::Assign)) => {
                    self.next += 2;
                    variables.push(Rc::clone(name));
                    self.scope.variables.push(Rc::clone(name));
                    return Ok((variables, *token == Token::Assign));
                }
                Some(Token::Comma) if is_range && variables.is_empty() => {
                    self.next += 2;
                    variables.push(Rc::clone(name));
                    self.scope.variables.push(Rc::clone(name));
                }
                Some(Token::Comma) => return Err(self.error(format!("too many variables in {place}"))),
                _ => break,
            }
        }
        if variables.is_empty() { Ok((variables, false)) } else { Err(self.error("range can only declare variables")) }
    }

    /// An operand and its arguments, and the `|` behind them.
    fn command(&mut self, place: &str) -> Result<Command, SyntaxError> {
        let Some(first) = self.operand()? else { return Err(self.unexpected(place)) };
        let mut arguments = Vec::new();
        loop {
            let Some(next) = self.peek() else { return Err(self.unexpected(place)) };
            match next.token {
                Token::Close | Token::CloseParen => break,
                Token::Pipe => {
                    self.next += 1;
                    break;
                }
                _ if next.spaced => match self.operand()? {
                    Some(operand) => arguments.push(operand),
                    None => return Err(self.unexpected(place)),
                },
                _ => return Err(self.unexpected(place)),
            }
        }
        Ok(Command { first, arguments })
    }

    /// A term and the fields behind it.
    fn operand(&mut self) -> Result<Option<Expr>, SyntaxError> {
        let Some(term) = self.term()? else { return Ok(None) };
        let mut fields = Vec::new();
        while let Some(Spanned { token: Token::Field(name), spaced: false, .. }) = self.peek() {
            self.next += 1;
            fields.push(Rc::clone(name));
        }
        if fields.is_empty() {
            return Ok(Some(term));
        }
        Ok(Some(match term {
            Expr::Field(mut path) => {
                path.append(&mut fields);
                Expr::Field(path)
            }
            Expr::Variable(name, _) => Expr::Variable(name, fields),
            Expr::Function(_) | Expr::Pipeline(_) => Expr::Chain(Box::new(term), fields),
            _ => return Err(self.error("a constant has no fields")),
        }))
    }

    fn term(&mut self) -> Result<Option<Expr>, SyntaxError> {
        let Some(next) = self.peek() else { return Ok(None) };
        let term = match &next.token {
            Token::Bool(value) => Expr::Bool(*value),
            Token::Number(text) => Expr::Number(number::constant(text).map_err(|message| self.error(message))?),
            Token::Str(text) => Expr::Str(Rc::clone(text)),
            Token::Keyword(Keyword::Nil) => Expr::Nil,
            Token::Dot => Expr::Dot,
            Token::Field(name) => Expr::Field(vec![Rc::clone(name)]),
            Token::Variable(name) => {
                if !self.scope.variables.contains(name) {
                    return Err(self.error(format!("undefined variable {name}")));
                }
                Expr::Variable(Rc::clone(name), Vec::new())
            }
            Token::Identifier(name) => {
                functions::check_name(name).map_err(|message| self.error(message))?;
                Expr::Function(Rc::clone(name))
            }
            Token::OpenParen => {
                self.next += 1;
                let pipeline = self.nested(|parser| parser.pipeline("parentheses", false))?;
                if !self.eat(&Token::CloseParen) {
                    return Err(self.unexpected("parentheses"));
                }
                return Ok(Some(Expr::Pipeline(Box::new(pipeline))));
            }
            _ => return Ok(None),
        };
        self.next += 1;
        Ok(Some(term))
    }
}
