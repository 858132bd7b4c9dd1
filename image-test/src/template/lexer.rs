//! From template text to tokens.

use super::number;
use std::{ops::Range, rc::Rc};

/// A syntax error at a byte of the source.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) at: usize,
    pub(super) message: String,
}

impl SyntaxError {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Text outside of actions.
    Text(Range<usize>),
    /// `{{`
    Open,
    /// `}}`
    Close,
    OpenParen,
    CloseParen,
    Pipe,
    Comma,
    /// `=`
    Assign,
    /// `:=`
    Declare,
    /// `.`
    Dot,
    /// `.name`
    Field(Rc<str>),
    /// `$` or `$name`, with the `$`.
    Variable(Rc<str>),
    Identifier(Rc<str>),
    Keyword(Keyword),
    Bool(bool),
    Str(Rc<str>),
    Number(Rc<str>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

impl Keyword {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "block" => Self::Block,
            "break" => Self::Break,
            "continue" => Self::Continue,
            "define" => Self::Define,
            "else" => Self::Else,
            "end" => Self::End,
            "if" => Self::If,
            "nil" => Self::Nil,
            "range" => Self::Range,
            "template" => Self::Template,
            "with" => Self::With,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Break => "break",
            Self::Continue => "continue",
            Self::Define => "define",
            Self::Else => "else",
            Self::End => "end",
            Self::If => "if",
            Self::Nil => "nil",
            Self::Range => "range",
            Self::Template => "template",
            Self::With => "with",
        }
    }
}

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Spanned {
    pub(super) token: Token,
    /// The byte of the source at which the token begins.
    pub(super) at: usize,
    /// White space precedes it, which separates arguments.
    pub(super) spaced: bool,
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// All tokens of a template.
pub(super) fn tokens(source: &str) -> Result<Vec<Spanned>, SyntaxError> {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Spanned>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, token: Token, at: usize, spaced: bool) {
        self.tokens.push(Spanned { token, at, spaced });
    }

    fn run(&mut self) -> Result<(), SyntaxError> {
        // Whether the action before asks to trim the text behind it.
        let mut trim_start = false;
        loop {
            let mut start = self.at;
            let open = self.rest().find(OPEN).map(|offset| start + offset);
            let mut end = open.unwrap_or(self.source.len());
            let text = self.source.get(start..end).unwrap_or("");
            if trim_start {
                start += text.len() - text.trim_start_matches(is_space).len();
            }
            let trims_end = open.is_some_and(|open| self.source.get(open + OPEN.len()..).is_some_and(opens_trimmed));
            if trims_end {
                end = start + self.source.get(start..end).unwrap_or("").trim_end_matches(is_space).len();
            }
            if start < end {
                self.push(Token::Text(start..end), start, false);
            }
            let Some(open) = open else { return Ok(()) };
            self.at = open + OPEN.len() + usize::from(trims_end);
            trim_start = match self.comment(open)? {
                Some(trim) => trim,
                None => {
                    self.push(Token::Open, open, false);
                    self.action(open)?
                }
            };
        }
    }

    /// The end of an action, if it is here: its length and whether it trims.
    fn close(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        if rest.starts_with(CLOSE) {
            return Some((CLOSE.len(), false));
        }
        let trimmed = rest.strip_prefix(is_space)?;
        trimmed.strip_prefix('-')?.starts_with(CLOSE).then_some((2 + CLOSE.len(), true))
    }

    /// Skips a comment, and tells whether it trims what follows.
    fn comment(&mut self, open: usize) -> Result<Option<bool>, SyntaxError> {
        let trimmed = self.rest().starts_with(is_space) && self.source.get(self.at - 1..self.at) == Some("-");
        let comment = if trimmed { self.rest().get(1..).unwrap_or("") } else { self.rest() };
        if !comment.starts_with("/*") {
            return Ok(None);
        }
        let start = self.source.len() - comment.len();
        let length = comment.find("*/").ok_or_else(|| SyntaxError::new(open, "unclosed comment"))?;
        self.at = start + length + 2;
        let (length, trim) =
            self.close().ok_or_else(|| SyntaxError::new(open, "a comment ends with `*/}}` or `*/ -}}`"))?;
        self.at += length;
        Ok(Some(trim))
    }

    /// The inside of an action up to its end. Tells whether that trims.
    fn action(&mut self, open: usize) -> Result<bool, SyntaxError> {
        let mut parens = 0_usize;
        let mut spaced = false;
        loop {
            if let Some((length, trim)) = self.close() {
                if parens > 0 {
                    return Err(SyntaxError::new(open, "unclosed left parenthesis"));
                }
                self.push(Token::Close, self.at, spaced);
                self.at += length;
                return Ok(trim);
            }
            let at = self.at;
            let Some(c) = self.peek() else { return Err(SyntaxError::new(open, "unclosed action")) };
            if is_space(c) {
                self.at += c.len_utf8();
                spaced = true;
                continue;
            }
            let token = match c {
                '(' => {
                    parens += 1;
                    self.single(Token::OpenParen)
                }
                ')' => {
                    parens =
                        parens.checked_sub(1).ok_or_else(|| SyntaxError::new(at, "unexpected right parenthesis"))?;
                    self.single(Token::CloseParen)
                }
                '|' => self.single(Token::Pipe),
                ',' => self.single(Token::Comma),
                '=' => self.single(Token::Assign),
                ':' if self.rest().starts_with(":=") => {
                    self.at += 2;
                    Token::Declare
                }
                '"' => self.quoted()?,
                '`' => self.raw()?,
                '\'' => self.character()?,
                '$' => Token::Variable(self.word(1)?),
                '.' if !self.rest().get(1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) => {
                    let word = self.word(1)?;
                    word.strip_prefix('.')
                        .filter(|name| !name.is_empty())
                        .map_or(Token::Dot, |n| Token::Field(n.into()))
                }
                '.' | '+' | '-' | '0'..='9' => self.number()?,
                c if is_word(c) => {
                    let word = self.word(0)?;
                    match &*word {
                        "true" => Token::Bool(true),
                        "false" => Token::Bool(false),
                        name => Keyword::parse(name).map_or_else(|| Token::Identifier(name.into()), Token::Keyword),
                    }
                }
                c => return Err(SyntaxError::new(at, format!("unexpected character {c:?} in an action"))),
            };
            self.push(token, at, spaced);
            spaced = false;
        }
    }

    fn single(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    /// A mark of `prefix` bytes and the word behind it, which must end properly.
    fn word(&mut self, prefix: usize) -> Result<Rc<str>, SyntaxError> {
        let start = self.at;
        self.at += prefix;
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_word).len();
        let ended = self.rest().is_empty()
            || self.rest().starts_with(CLOSE)
            || self.peek().is_some_and(|c| is_space(c) || matches!(c, '.' | ',' | '|' | ':' | '(' | ')'));
        if !ended {
            let c = self.peek().unwrap_or_default();
            return Err(SyntaxError::new(start, format!("unexpected character {c:?} behind a name")));
        }
        Ok(self.source.get(start..self.at).unwrap_or("").into())
    }

    fn quoted(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at;
        let end = self.quotes_end('"', "unclosed string")?;
        let inside = self.source.get(start + 1..end).unwrap_or("");
        let text = number::unquote(inside, '"').map_err(|message| SyntaxError::new(start, message))?;
        self.at = end + 1;
        Ok(Token::Str(text.into()))
    }

    fn character(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at;
        let end = self.quotes_end('\'', "unclosed character constant")?;
        self.at = end + 1;
        Ok(Token::Number(self.source.get(start..self.at).unwrap_or("").into()))
    }

    /// Where a quoted constant ends that begins here.
    fn quotes_end(&self, quote: char, unclosed: &str) -> Result<usize, SyntaxError> {
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                '\\' => {
                    chars.next();
                }
                '\n' => break,
                c if c == quote => return Ok(self.at + offset),
                _ => {}
            }
        }
        Err(SyntaxError::new(self.at, unclosed))
    }

    fn raw(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at;
        let inside = self.rest().get(1..).unwrap_or("");
        let length = inside.find('`').ok_or_else(|| SyntaxError::new(start, "unclosed raw string"))?;
        let text = inside.get(..length).unwrap_or("").replace('\r', "");
        self.at += length + 2;
        Ok(Token::Str(text.into()))
    }

    fn number(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at;
        self.at += number::scan(self.rest());
        if self.peek().is_some_and(is_word) || self.at == start {
            return Err(SyntaxError::new(start, "this is no number"));
        }
        Ok(Token::Number(self.source.get(start..self.at).unwrap_or("").into()))
    }
}

/// Whether an action begins with `- `, which trims the text before it.
fn opens_trimmed(inside: &str) -> bool {
    inside.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
}
