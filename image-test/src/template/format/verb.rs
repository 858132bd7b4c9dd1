//! One value with one verb.

use super::{
    super::{
        context::{Fault, STEPS_PER_WRITE},
        value::{IntType, MAX_DEPTH, Text, Val, too_deep},
    },
    Sink, float,
};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%#v`: values as Go's source.
    pub(super) source: bool,
}

pub(super) struct Printer<'a> {
    pub(super) out: Sink<'a>,
    pub(super) flags: Flags,
}

impl Printer<'_> {
    /// An argument of printf.
    pub(super) fn argument(&mut self, value: &Val, verb: char) -> Result<(), Fault> {
        if verb == 'v' {
            self.flags.source = self.flags.sharp;
            (self.flags.sharp, self.flags.plus) = (false, false);
        }
        match (value, verb) {
            (value, 'T') => self.string(value.type_name(), 's'),
            (Val::Nil, 'v') => self.pad("<nil>"),
            (Val::Nil, verb) => self.out.push(&format!("%!{verb}(<nil>)")),
            (value, verb) => self.value(value, verb, 0),
        }
    }

    pub(super) fn value(&mut self, value: &Val, verb: char, depth: usize) -> Result<(), Fault> {
        self.out.cx().spend(STEPS_PER_WRITE)?;
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        match value {
            Val::Nil if self.flags.source => self.out.push("interface {}(nil)"),
            Val::Nil => self.out.push("<nil>"),
            Val::Bool(truth) if matches!(verb, 't' | 'v') => self.pad(if *truth { "true" } else { "false" }),
            Val::Int(number, kind) => self.integer(value, *number, *kind, verb),
            Val::Float(number) => self.float(value, *number, verb),
            Val::Str(text) if matches!(verb, 's' | 'v' | 'q' | 'x' | 'X') => self.string(text, verb),
            Val::Time(time) if matches!(verb, 's' | 'v' | 'q' | 'x' | 'X') => self.string(&time.to_string(), verb),
            Val::Version(version) if matches!(verb, 's' | 'v' | 'q' | 'x' | 'X') => {
                self.string(&version.to_string(), verb)
            }
            Val::List(list) if verb != 'p' => {
                let (open, separator, close) = if self.flags.source {
                    if list.is_nil {
                        return self.out.push(&format!("{}(nil)", value.type_name()));
                    }
                    self.out.push(value.type_name())?;
                    ("{", ", ", "}")
                } else {
                    ("[", " ", "]")
                };
                self.out.push(open)?;
                for (i, item) in list.items.iter().enumerate() {
                    if i > 0 {
                        self.out.push(separator)?;
                    }
                    self.value(item, verb, depth + 1)?;
                }
                self.out.push(close)
            }
            Val::Map(map) if verb != 'p' => {
                let (open, separator, close) = if self.flags.source {
                    if map.is_nil {
                        return self.out.push(&format!("{}(nil)", value.type_name()));
                    }
                    self.out.push(value.type_name())?;
                    ("{", ", ", "}")
                } else {
                    ("map[", " ", "]")
                };
                self.out.push(open)?;
                for (i, (key, item)) in map.snapshot().iter().enumerate() {
                    if i > 0 {
                        self.out.push(separator)?;
                    }
                    self.value(&Val::Str(Text::clone(key)), verb, depth + 1)?;
                    self.out.push(":")?;
                    self.value(item, verb, depth + 1)?;
                }
                self.out.push(close)
            }
            Val::Data(root) if verb == 'v' => {
                self.out.push("&{")?;
                self.value(&root.vars, verb, depth + 1)?;
                self.out.push("}")
            }
            value => self.bad_verb(value, verb),
        }
    }

    fn bad_verb(&mut self, value: &Val, verb: char) -> Result<(), Fault> {
        self.out.push(&format!("%!{verb}({}=", value.type_name()))?;
        self.value(value, 'v', 1)?;
        self.out.push(")")
    }

    /// Fills up to the width, with zeros if asked.
    fn pad(&mut self, text: &str) -> Result<(), Fault> {
        let missing = self.flags.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.flags.minus {
            self.out.push(text)?;
            return self.out.repeat(' ', missing);
        }
        self.out.repeat(if self.flags.zero { '0' } else { ' ' }, missing)?;
        self.out.push(text)
    }

    fn string(&mut self, text: &str, verb: char) -> Result<(), Fault> {
        if matches!(verb, 'x' | 'X') {
            return self.hex(text.as_bytes(), verb == 'X');
        }
        let cut = self.flags.precision.and_then(|precision| text.char_indices().nth(precision));
        let text = cut.and_then(|(end, _)| text.get(..end)).unwrap_or(text);
        if verb == 'q' && self.flags.sharp && !text.contains(|c: char| c == '`' || (c.is_control() && c != '\t')) {
            self.pad(&format!("`{text}`"))
        } else if verb == 'q' || self.flags.source {
            self.pad(&quote(text, '"', self.flags.plus))
        } else {
            self.pad(text)
        }
    }

    fn hex(&mut self, bytes: &[u8], upper: bool) -> Result<(), Fault> {
        let bytes = bytes.get(..self.flags.precision.unwrap_or(bytes.len())).unwrap_or(bytes);
        self.out.cx().spend_text(bytes.len() * 3)?;
        let prefix = match (self.flags.sharp && !bytes.is_empty(), upper) {
            (false, _) => "",
            (true, false) => "0x",
            (true, true) => "0X",
        };
        let mut text = String::from(prefix);
        for (i, byte) in bytes.iter().enumerate() {
            if i > 0 && self.flags.space {
                text.push(' ');
                text.push_str(prefix);
            }
            text.push_str(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        }
        self.pad(&text)
    }

    fn integer(&mut self, value: &Val, number: i64, kind: IntType, verb: char) -> Result<(), Fault> {
        let magnitude = number.unsigned_abs();
        let (digits, prefix) = match verb {
            'v' if self.flags.source && matches!(kind, IntType::Uint8 | IntType::Uint64) => {
                (format!("{magnitude:x}"), "0x")
            }
            'v' | 'd' => (magnitude.to_string(), ""),
            'b' => (format!("{magnitude:b}"), if self.flags.sharp { "0b" } else { "" }),
            'o' => (format!("{magnitude:o}"), if self.flags.sharp { "0" } else { "" }),
            'O' => (format!("{magnitude:o}"), "0o"),
            'x' => (format!("{magnitude:x}"), if self.flags.sharp { "0x" } else { "" }),
            'X' => (format!("{magnitude:X}"), if self.flags.sharp { "0X" } else { "" }),
            'c' | 'q' => {
                let c = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                let text =
                    if verb == 'c' { c.into() } else { quote(c.encode_utf8(&mut [0; 4]), '\'', self.flags.plus) };
                return self.pad(&text);
            }
            'U' => {
                let text = format!("U+{number:04X}");
                let shown = u32::try_from(number).ok().and_then(char::from_u32).filter(|_| self.flags.sharp);
                return self.pad(&shown.map_or_else(|| text.clone(), |c| format!("{text} '{c}'")));
            }
            verb => return self.bad_verb(value, verb),
        };
        let sign = match (number < 0, self.flags.plus, self.flags.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) => "",
        };
        let mut least = 0;
        if let Some(precision) = self.flags.precision {
            if precision == 0 && number == 0 {
                return self.out.repeat(' ', self.flags.width.unwrap_or(0));
            }
            least = precision;
        } else if self.flags.zero && !self.flags.minus {
            least = self.flags.width.unwrap_or(0).saturating_sub(sign.len());
        }
        let zeros = "0".repeat(least.saturating_sub(digits.len()));
        let prefix = if prefix == "0" && (zeros.starts_with('0') || digits.starts_with('0')) { "" } else { prefix };
        let zero = std::mem::take(&mut self.flags.zero);
        let padded = self.pad(&format!("{sign}{prefix}{zeros}{digits}"));
        self.flags.zero = zero;
        padded
    }

    fn float(&mut self, value: &Val, number: f64, verb: char) -> Result<(), Fault> {
        let (style, default) = match verb {
            'v' => ('g', None),
            'g' | 'G' => (verb, None),
            'e' | 'E' | 'f' | 'F' => (verb, Some(6)),
            'b' | 'x' | 'X' => return Err(Fault::new(format!("%{verb} of a float is not supported"))),
            verb => return self.bad_verb(value, verb),
        };
        let zero = self.flags.zero;
        let digits = if number.is_finite() {
            let digits = float::positive(number.abs(), style, self.flags.precision.or(default));
            if self.flags.sharp { float::with_point(&digits, style, self.flags.precision) } else { digits }
        } else {
            self.flags.zero = false;
            if number.is_nan() { "NaN".into() } else { "Inf".into() }
        };
        let negative = number.is_sign_negative() && !number.is_nan();
        let sign = match (negative, self.flags.plus, self.flags.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            (false, false, false) if number.is_infinite() => "+",
            (false, false, false) => "",
        };
        let width = self.flags.width.unwrap_or(0);
        let padded = if self.flags.zero && !self.flags.minus {
            self.out
                .push(sign)
                .and_then(|()| self.out.repeat('0', width.saturating_sub(sign.len() + digits.len())))
                .and_then(|()| self.out.push(&digits))
        } else {
            self.pad(&format!("{sign}{digits}"))
        };
        self.flags.zero = zero;
        padded
    }
}

/// Text in quotes, with the escape sequences of Go.
pub(super) fn quote(text: &str, quote: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if c.is_ascii() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            // Debug output escapes what cannot be printed, by the same categories of Unicode.
            c if !ascii && c.escape_debug().len() == 1 => out.push(c),
            c if u32::from(c) <= 0xffff => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(quote);
    out
}
