//! Versions and their constraints, as Sprig's library (Masterminds/semver) takes them.

use super::{Int, Registry, Text};
use crate::template::{
    context::Fault,
    value::{IntType, Val},
};
use std::{cmp::Ordering, fmt, rc::Rc};

pub(super) fn register(registry: &mut Registry) {
    registry.add("semver", |text: Text| Ok::<_, Fault>(Val::Version(Rc::new(Version::parse(&text)?))));
    registry.add("semverCompare", |constraint: Text, version: Text| {
        let alternatives = parse_constraints(&constraint)?;
        let version = Version::parse(&version)?;
        Ok::<_, Fault>(alternatives.iter().any(|all| all.iter().all(|constraint| constraint.allows(&version))))
    });
    const TYPE: &str = "*semver.Version";
    registry.method(TYPE, "Major", |version: Rc<Version>| unsigned(version.major));
    registry.method(TYPE, "Minor", |version: Rc<Version>| unsigned(version.minor));
    registry.method(TYPE, "Patch", |version: Rc<Version>| unsigned(version.patch));
    registry.method(TYPE, "Prerelease", |version: Rc<Version>| version.pre.clone());
    registry.method(TYPE, "Metadata", |version: Rc<Version>| version.metadata.clone());
    registry.method(TYPE, "Original", |version: Rc<Version>| version.original.clone());
    registry.method(TYPE, "String", |version: Rc<Version>| version.to_string());
    registry.method(TYPE, "Compare", |a: Rc<Version>, b: Rc<Version>| Int(a.order(&b) as i64));
    registry.method(TYPE, "Equal", |a: Rc<Version>, b: Rc<Version>| a.order(&b).is_eq());
    registry.method(TYPE, "LessThan", |a: Rc<Version>, b: Rc<Version>| a.order(&b).is_lt());
    registry.method(TYPE, "GreaterThan", |a: Rc<Version>, b: Rc<Version>| a.order(&b).is_gt());
}

fn unsigned(part: u64) -> Result<Val, Fault> {
    let part = i64::try_from(part).map_err(|_| Fault::new("the number is too large"))?;
    Ok(Val::Int(part, IntType::Uint64))
}

/// A version, of which minor and patch may be left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::template) struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    pre: String,
    metadata: String,
    original: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

/// The text of a version in its parts, of which numbers may still be wildcards.
struct Parts<'a> {
    major: &'a str,
    minor: Option<&'a str>,
    patch: Option<&'a str>,
    pre: &'a str,
    metadata: &'a str,
    /// What follows the version.
    rest: &'a str,
}

impl<'a> Parts<'a> {
    /// The version at the start of a text.
    fn scan(text: &'a str, is_number: fn(char) -> bool) -> Option<Self> {
        let mut rest = text.strip_prefix('v').unwrap_or(text);
        let major = word(&mut rest, is_number);
        if major.is_empty() {
            return None;
        }
        let mut next = |mark: char, is_part: &dyn Fn(char) -> bool| {
            let mut after = rest.strip_prefix(mark)?;
            let part = word(&mut after, is_part);
            if part.is_empty() {
                return None;
            }
            rest = after;
            Some(part)
        };
        let minor = next('.', &is_number);
        let patch = minor.and_then(|_| next('.', &is_number));
        let mut label = |mark: char| -> &'a str {
            let Some(after) = rest.strip_prefix(mark) else { return "" };
            let mut end = after;
            loop {
                if word(&mut end, |c| c.is_ascii_alphanumeric() || c == '-').is_empty() {
                    break;
                }
                let length = after.len() - end.len();
                rest = end;
                match end
                    .strip_prefix('.')
                    .filter(|tail| tail.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
                {
                    Some(tail) => end = tail,
                    None => return after.get(..length).unwrap_or(""),
                }
            }
            ""
        };
        let pre = label('-');
        let metadata = label('+');
        Some(Self { major, minor, patch, pre, metadata, rest })
    }
}

fn word<'a>(rest: &mut &'a str, part: impl Fn(char) -> bool) -> &'a str {
    let length = rest.find(|c| !part(c)).unwrap_or(rest.len());
    let (word, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
    *rest = tail;
    word
}

impl Version {
    fn parse(text: &str) -> Result<Self, Fault> {
        let invalid = || Fault::new("this is no semantic version");
        let parts = Parts::scan(text, |c| c.is_ascii_digit()).ok_or_else(invalid)?;
        if !parts.rest.is_empty() {
            return Err(invalid());
        }
        let number = |text: &str| text.parse::<u64>().map_err(|_| Fault::new("a number of the version is too large"));
        let zeros = |part: &str| part.len() > 1 && part.starts_with('0') && part.chars().all(|c| c.is_ascii_digit());
        if parts.pre.split('.').any(zeros) {
            return Err(Fault::new("a number of the pre-release begins with 0"));
        }
        Ok(Self {
            major: number(parts.major)?,
            minor: number(parts.minor.unwrap_or("0"))?,
            patch: number(parts.patch.unwrap_or("0"))?,
            pre: parts.pre.to_owned(),
            metadata: parts.metadata.to_owned(),
            original: text.to_owned(),
        })
    }

    /// Precedence, in which metadata has no part.
    fn order(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| match (self.pre.as_str(), other.pre.as_str()) {
            (a, b) if a == b => Ordering::Equal,
            // A release comes after its pre-releases.
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (a, b) => order_labels(a, b),
        })
    }
}

fn order_labels(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

/// All ways to write an operator, the longer first.
const OPERATORS: [(&str, Operator); 11] = [
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterEqual),
    ("=>", Operator::GreaterEqual),
    ("<=", Operator::LessEqual),
    ("=<", Operator::LessEqual),
    ("~>", Operator::Tilde),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
];

/// One operator and version of a constraint.
struct Constraint {
    operator: Operator,
    version: Version,
    /// Some number was left out or is a wildcard.
    is_partial: bool,
    any_minor: bool,
    any_patch: bool,
}

impl Constraint {
    fn new(operator: Operator, parts: &Parts<'_>) -> Result<Self, Fault> {
        let wild = |part: Option<&str>| matches!(part, None | Some("x" | "X" | "*"));
        let any_major = wild(Some(parts.major));
        let any_minor = !any_major && wild(parts.minor);
        let any_patch = !any_major && !any_minor && wild(parts.patch);
        let is_partial = any_major || any_minor || any_patch;
        let number = |part: Option<&str>, any: bool| if any { "0".to_owned() } else { part.unwrap_or("0").to_owned() };
        let mut text = format!(
            "{}.{}.{}",
            number(Some(parts.major), any_major),
            number(parts.minor, any_major || any_minor),
            number(parts.patch, is_partial)
        );
        if !parts.pre.is_empty() {
            text = format!("{text}-{}", parts.pre);
        }
        Ok(Self { operator, version: Version::parse(&text)?, is_partial, any_minor, any_patch })
    }

    fn allows(&self, version: &Version) -> bool {
        let wanted = &self.version;
        // Pre-releases count only where a constraint names one, except that an exact version differs from them.
        let hidden = !version.pre.is_empty() && wanted.pre.is_empty();
        if hidden && (self.operator != Operator::NotEqual || self.is_partial) {
            return false;
        }
        let order = version.order(wanted);
        match self.operator {
            Operator::Equal if self.is_partial => self.tilde(version),
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => self.differs(version),
            Operator::Greater if self.any_minor => version.major > wanted.major,
            Operator::Greater if self.any_patch => (version.major, version.minor) > (wanted.major, wanted.minor),
            Operator::Greater => order.is_gt(),
            Operator::Less => order.is_lt(),
            Operator::GreaterEqual => order.is_ge(),
            Operator::LessEqual if self.is_partial => {
                version.major < wanted.major
                    || version.major == wanted.major && (self.any_minor || version.minor <= wanted.minor)
            }
            Operator::LessEqual => order.is_le(),
            Operator::Tilde => self.tilde(version),
            Operator::Caret => self.caret(version),
        }
    }

    fn differs(&self, version: &Version) -> bool {
        let wanted = &self.version;
        if !self.is_partial {
            return version.order(wanted).is_ne();
        }
        if version.major != wanted.major {
            return true;
        }
        if self.any_minor {
            return false;
        }
        if version.minor != wanted.minor {
            return true;
        }
        if self.any_patch {
            return (!version.pre.is_empty() || !wanted.pre.is_empty()) && version.pre != wanted.pre;
        }
        version.patch != wanted.patch || version.order(wanted).is_ne()
    }

    /// At least this version, with the same major and minor as far as they are given.
    fn tilde(&self, version: &Version) -> bool {
        let wanted = &self.version;
        if version.order(wanted).is_lt() {
            return false;
        }
        let any = (wanted.major, wanted.minor, wanted.patch) == (0, 0, 0) && !self.any_minor && !self.any_patch;
        any || version.major == wanted.major && (self.any_minor || version.minor == wanted.minor)
    }

    /// At least this version, with the same first number that is not 0.
    fn caret(&self, version: &Version) -> bool {
        let wanted = &self.version;
        if version.order(wanted).is_lt() || version.major != wanted.major {
            return false;
        }
        if wanted.major > 0 || self.any_minor {
            return true;
        }
        if version.minor != wanted.minor {
            return false;
        }
        wanted.minor > 0 || self.any_patch || version.patch == wanted.patch
    }
}

/// Alternatives between `||`, each of constraints that hold together.
fn parse_constraints(text: &str) -> Result<Vec<Vec<Constraint>>, Fault> {
    text.split("||").map(parse_all).collect()
}

fn parse_all(text: &str) -> Result<Vec<Constraint>, Fault> {
    let invalid = || Fault::new("this is no constraint of versions");
    let number = |c: char| c.is_ascii_digit() || matches!(c, 'x' | 'X' | '*');
    let mut constraints = Vec::new();
    let mut rest = text.trim();
    loop {
        let operator =
            OPERATORS.iter().find_map(|(text, operator)| Some((rest.strip_prefix(text)?.trim_start(), *operator)));
        let (from, operator) = operator.map_or((rest, None), |(rest, operator)| (rest, Some(operator)));
        let parts = Parts::scan(from, number).ok_or_else(invalid)?;
        rest = parts.rest;
        // `1.2 - 1.4`
        let after = rest.trim_start();
        let upper =
            after.strip_prefix('-').filter(|tail| after.len() < rest.len() && tail.starts_with(char::is_whitespace));
        match (upper, operator) {
            (Some(_), Some(_)) => return Err(invalid()),
            (Some(upper), None) => {
                constraints.push(Constraint::new(Operator::GreaterEqual, &parts)?);
                let upper = Parts::scan(upper.trim_start(), number).ok_or_else(invalid)?;
                rest = upper.rest;
                constraints.push(Constraint::new(Operator::LessEqual, &upper)?);
            }
            (None, operator) => constraints.push(Constraint::new(operator.unwrap_or(Operator::Equal), &parts)?),
        }
        if rest.is_empty() {
            return Ok(constraints);
        }
        let after = rest.trim_start();
        let comma = after.strip_prefix(',').map(str::trim_start);
        if after.len() == rest.len() && comma.is_none() {
            return Err(invalid());
        }
        rest = comma.unwrap_or(after);
    }
}
