//! Go's package fmt, as far as templates reach it.

mod float;
mod verb;

use super::{
    context::{Context, Fault, MAX_TEXT},
    value::Val,
};
use verb::{Flags, Printer};

/// Text that grows within the limits of a rendering.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    cx: &'a Context,
    text: String,
}

impl<'a> Sink<'a> {
    pub(super) fn new(cx: &'a Context) -> Self {
        Self { cx, text: String::new() }
    }

    pub(super) fn cx(&self) -> &'a Context {
        self.cx
    }

    pub(super) fn push(&mut self, text: &str) -> Result<(), Fault> {
        if self.text.len() + text.len() > MAX_TEXT {
            return Err(Fault::new(format!("a text of more than {} MiB", MAX_TEXT >> 20)));
        }
        self.text.push_str(text);
        Ok(())
    }

    pub(super) fn push_char(&mut self, c: char) -> Result<(), Fault> {
        self.push(c.encode_utf8(&mut [0; 4]))
    }

    pub(super) fn repeat(&mut self, c: char, count: usize) -> Result<(), Fault> {
        if count > MAX_TEXT {
            return Err(Fault::new(format!("a text of more than {} MiB", MAX_TEXT >> 20)));
        }
        self.push(&String::from(c).repeat(count))
    }

    pub(super) fn finish(self) -> Result<String, Fault> {
        self.cx.spend_text(self.text.len())?;
        Ok(self.text)
    }
}

/// `%v`
pub(super) fn display(cx: &Context, value: &Val) -> Result<String, Fault> {
    if let Val::Str(text) = value {
        return Ok(text.to_string());
    }
    let mut printer = Printer { out: Sink::new(cx), flags: Flags::default() };
    printer.value(value, 'v', 0)?;
    printer.out.finish()
}

/// Go's Sprint: spaces between values of which neither is a string.
pub(super) fn print(cx: &Context, values: &[Val]) -> Result<String, Fault> {
    let mut out = Sink::new(cx);
    let mut before_text = true;
    for value in values {
        let is_text = matches!(value, Val::Str(_));
        if !before_text && !is_text {
            out.push(" ")?;
        }
        out.push(&display(cx, value)?)?;
        before_text = is_text;
    }
    out.finish()
}

/// Go's Sprintln.
pub(super) fn println(cx: &Context, values: &[Val]) -> Result<String, Fault> {
    let mut out = Sink::new(cx);
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(" ")?;
        }
        out.push(&display(cx, value)?)?;
    }
    out.push("\n")?;
    out.finish()
}

/// Go's strconv.Quote.
pub(super) fn quote(text: &str) -> String {
    verb::quote(text, '"', false)
}

/// The largest width and precision that Go takes. Of those in the format, it leaves the last digit out of account.
const MAX_NUMBER: usize = 1_000_000;

/// Go's Sprintf.
pub(super) fn printf(cx: &Context, format: &str, values: &[Val]) -> Result<String, Fault> {
    let mut printer = Printer { out: Sink::new(cx), flags: Flags::default() };
    let mut rest = format;
    let mut next = 0;
    let mut reordered = false;
    while let Some(start) = rest.find('%') {
        printer.out.push(rest.get(..start).unwrap_or(""))?;
        rest = rest.get(start + 1..).unwrap_or("");
        cx.spend(1)?;
        let mut directive = Directive { rest, next, values, good_index: true, reordered: false };
        printer.flags = directive.flags(&mut printer.out)?;
        let verb = directive.rest.chars().next();
        rest = directive.rest.get(verb.map_or(0, char::len_utf8)..).unwrap_or("");
        next = directive.next;
        reordered |= directive.reordered;
        match verb {
            None => {
                printer.out.push("%!(NOVERB)")?;
                break;
            }
            Some('%') => printer.out.push("%")?,
            Some(verb) if !directive.good_index => printer.out.push(&format!("%!{verb}(BADINDEX)"))?,
            Some(verb) => match values.get(next) {
                None => printer.out.push(&format!("%!{verb}(MISSING)"))?,
                Some(value) => {
                    next += 1;
                    printer.argument(value, verb)?;
                }
            },
        }
    }
    printer.out.push(rest)?;
    let extra = values.get(next..).unwrap_or(&[]);
    if !reordered && !extra.is_empty() {
        printer.flags = Flags::default();
        printer.out.push("%!(EXTRA ")?;
        for (i, value) in extra.iter().enumerate() {
            if i > 0 {
                printer.out.push(", ")?;
            }
            if !matches!(value, Val::Nil) {
                printer.out.push(value.type_name())?;
                printer.out.push("=")?;
            }
            printer.value(value, 'v', 0)?;
        }
        printer.out.push(")")?;
    }
    printer.out.finish()
}

/// What stands between a `%` and its verb.
struct Directive<'a> {
    rest: &'a str,
    /// The next argument.
    next: usize,
    values: &'a [Val],
    good_index: bool,
    reordered: bool,
}

impl Directive<'_> {
    fn eat(&mut self, c: char) -> bool {
        let after = self.rest.strip_prefix(c);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn flags(&mut self, out: &mut Sink<'_>) -> Result<Flags, Fault> {
        let mut flags = Flags::default();
        loop {
            if self.eat('#') {
                flags.sharp = true;
            } else if self.eat('0') {
                flags.zero = true;
            } else if self.eat('+') {
                flags.plus = true;
            } else if self.eat('-') {
                flags.minus = true;
            } else if self.eat(' ') {
                flags.space = true;
            } else {
                break;
            }
        }
        let mut indexed = self.index();
        if self.eat('*') {
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => out.push("%!(BADWIDTH)")?,
            }
            indexed = false;
        } else {
            flags.width = self.number();
            if indexed && flags.width.is_some() {
                self.good_index = false;
            }
        }
        if self.eat('.') {
            if indexed {
                self.good_index = false;
            }
            indexed = self.index();
            if self.eat('*') {
                match self.star() {
                    Some(precision) if precision >= 0 => flags.precision = usize::try_from(precision).ok(),
                    _ => out.push("%!(BADPREC)")?,
                }
                indexed = false;
            } else {
                flags.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !indexed {
            self.index();
        }
        Ok(flags)
    }

    fn number(&mut self) -> Option<usize> {
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (digits, rest) = self.rest.split_at_checked(digits).filter(|(digits, _)| !digits.is_empty())?;
        let number = digits.parse::<usize>().ok().filter(|number| number / 10 <= MAX_NUMBER);
        // Go gives up on the format where a number is too large.
        self.rest = if number.is_some() { rest } else { "" };
        number
    }

    /// `[n]`, which names an argument.
    fn index(&mut self) -> bool {
        let Some(inside) = self.rest.strip_prefix('[') else { return false };
        self.reordered = true;
        let Some(end) = inside.find(']') else {
            self.rest = inside;
            self.good_index = false;
            return true;
        };
        let index = inside.get(..end).and_then(|digits| digits.parse::<usize>().ok());
        self.rest = inside.get(end + 1..).unwrap_or("");
        match index.and_then(|index| index.checked_sub(1)).filter(|index| *index < self.values.len()) {
            Some(index) => self.next = index,
            None => self.good_index = false,
        }
        true
    }

    /// A width or precision that is an argument.
    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next);
        self.next += usize::from(value.is_some());
        match value {
            Some(Val::Int(number, _)) if number.unsigned_abs() <= MAX_NUMBER as u64 => Some(*number),
            _ => None,
        }
    }
}
