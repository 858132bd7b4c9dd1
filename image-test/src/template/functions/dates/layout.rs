//! Go's layouts: a reference moment, written as the moments are to be.

use crate::template::context::Fault;
use jiff::{
    Zoned, civil,
    tz::{Offset, TimeZone},
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part<'a> {
    Literal(&'a str),
    LongMonth,
    ShortMonth,
    /// A number with at least this many digits; `_` fills up with spaces.
    Month(usize),
    LongWeekday,
    ShortWeekday,
    Day(usize),
    SpacedDay,
    YearDay,
    SpacedYearDay,
    Year,
    ShortYear,
    Hour,
    Hour12(usize),
    Minute(usize),
    Second(usize),
    /// `PM`, or `pm`.
    Half {
        upper: bool,
    },
    /// The name of the time zone.
    Zone,
    /// `Z` for UTC, colons, and how many of hours, minutes and seconds.
    Offset {
        z: bool,
        colons: bool,
        fields: usize,
    },
    /// Separator and digits; nines leave zeros out.
    Fraction {
        comma: bool,
        digits: usize,
        fixed: bool,
    },
}

/// What layouts can hold, of which the longer come first where one begins another.
const PARTS: [(&str, Part<'static>); 33] = [
    ("January", Part::LongMonth),
    ("Jan", Part::ShortMonth),
    ("Monday", Part::LongWeekday),
    ("Mon", Part::ShortWeekday),
    ("MST", Part::Zone),
    ("002", Part::YearDay),
    ("01", Part::Month(2)),
    ("02", Part::Day(2)),
    ("03", Part::Hour12(2)),
    ("04", Part::Minute(2)),
    ("05", Part::Second(2)),
    ("06", Part::ShortYear),
    ("15", Part::Hour),
    ("1", Part::Month(1)),
    ("2006", Part::Year),
    ("2", Part::Day(1)),
    ("__2", Part::SpacedYearDay),
    ("_2", Part::SpacedDay),
    ("3", Part::Hour12(1)),
    ("4", Part::Minute(1)),
    ("5", Part::Second(1)),
    ("PM", Part::Half { upper: true }),
    ("pm", Part::Half { upper: false }),
    ("-07:00:00", Part::Offset { z: false, colons: true, fields: 3 }),
    ("-070000", Part::Offset { z: false, colons: false, fields: 3 }),
    ("-07:00", Part::Offset { z: false, colons: true, fields: 2 }),
    ("-0700", Part::Offset { z: false, colons: false, fields: 2 }),
    ("-07", Part::Offset { z: false, colons: false, fields: 1 }),
    ("Z07:00:00", Part::Offset { z: true, colons: true, fields: 3 }),
    ("Z070000", Part::Offset { z: true, colons: false, fields: 3 }),
    ("Z07:00", Part::Offset { z: true, colons: true, fields: 2 }),
    ("Z0700", Part::Offset { z: true, colons: false, fields: 2 }),
    ("Z07", Part::Offset { z: true, colons: false, fields: 1 }),
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The part at the start of a layout, and its length.
fn part_at(layout: &str) -> Option<(Part<'static>, usize)> {
    if let Some(digits) = layout.strip_prefix(['.', ',']) {
        let first = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
        let count = digits.len() - digits.trim_start_matches(first).len();
        let ends = !digits.get(count..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let part = Part::Fraction { comma: layout.starts_with(','), digits: count, fixed: first == '0' };
        return ends.then_some((part, count + 1));
    }
    if layout.starts_with("_2006") {
        return None;
    }
    let (text, part) = PARTS.iter().find(|(text, _)| layout.starts_with(text))?;
    // `Jan` and `Mon` do not begin other words.
    let is_word = matches!(part, Part::ShortMonth | Part::ShortWeekday);
    let continues = layout.get(text.len()..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    (!is_word || !continues).then_some((*part, text.len()))
}

fn parts(layout: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut literal = layout;
    let mut at = 0;
    while let Some(c) = literal.get(at..).and_then(|rest| rest.chars().next()) {
        match literal.get(at..).and_then(part_at) {
            Some((part, length)) => {
                if at > 0 {
                    parts.push(Part::Literal(literal.get(..at).unwrap_or("")));
                }
                parts.push(part);
                literal = literal.get(at + length..).unwrap_or("");
                at = 0;
            }
            None => at += c.len_utf8(),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

fn name<const N: usize>(names: [&'static str; N], number: i8) -> &'static str {
    usize::try_from(number - 1).ok().and_then(|at| names.get(at).copied()).unwrap_or("")
}

pub(super) fn format(time: &Zoned, layout: &str) -> String {
    parts(layout).into_iter().map(|part| format_part(time, part)).collect()
}

fn format_part(time: &Zoned, part: Part<'_>) -> String {
    let weekday = || name(WEEKDAYS, time.weekday().to_monday_one_offset());
    let short = |name: &str| name.get(..3).unwrap_or(name).to_owned();
    let hour12 = if time.hour() % 12 == 0 { 12 } else { time.hour() % 12 };
    match part {
        Part::Literal(text) => text.to_owned(),
        Part::LongMonth => name(MONTHS, time.month()).to_owned(),
        Part::ShortMonth => short(name(MONTHS, time.month())),
        Part::Month(width) => format!("{:0width$}", time.month()),
        Part::LongWeekday => weekday().to_owned(),
        Part::ShortWeekday => short(weekday()),
        Part::Day(width) => format!("{:0width$}", time.day()),
        Part::SpacedDay => format!("{:2}", time.day()),
        Part::YearDay => format!("{:03}", time.day_of_year()),
        Part::SpacedYearDay => format!("{:3}", time.day_of_year()),
        Part::Year => format!("{}{:04}", if time.year() < 0 { "-" } else { "" }, time.year().unsigned_abs()),
        Part::ShortYear => format!("{:02}", time.year().rem_euclid(100)),
        Part::Hour => format!("{:02}", time.hour()),
        Part::Hour12(width) => format!("{hour12:0width$}"),
        Part::Minute(width) => format!("{:0width$}", time.minute()),
        Part::Second(width) => format!("{:0width$}", time.second()),
        Part::Half { upper } => match (time.hour() >= 12, upper) {
            (true, true) => "PM".into(),
            (true, false) => "pm".into(),
            (false, true) => "AM".into(),
            (false, false) => "am".into(),
        },
        Part::Zone => zone_name(time),
        Part::Offset { z, colons, fields } => format_offset(time.offset().seconds(), z, colons, fields),
        Part::Fraction { comma, digits, fixed } => {
            let nanoseconds = format!("{:09}", time.subsec_nanosecond());
            let digits = format!("{:0<digits$}", nanoseconds.get(..digits.min(9)).unwrap_or(""));
            let digits = if fixed { digits.as_str() } else { digits.trim_end_matches('0') };
            let separator = if comma { "," } else { "." };
            if digits.is_empty() { String::new() } else { format!("{separator}{digits}") }
        }
    }
}

fn zone_name(time: &Zoned) -> String {
    let zone = time.time_zone();
    if zone.iana_name().is_none() && zone.to_fixed_offset().is_ok_and(|offset| offset != Offset::UTC) {
        // A zone without a name is written as its offset.
        return format_offset(time.offset().seconds(), false, false, 2);
    }
    zone.to_offset_info(time.timestamp()).abbreviation().to_owned()
}

fn format_offset(seconds: i32, z: bool, colons: bool, fields: usize) -> String {
    if z && seconds == 0 {
        return "Z".into();
    }
    let size = seconds.unsigned_abs();
    let numbers = [size / 3600, size / 60 % 60, size % 60];
    let numbers: Vec<String> = numbers.iter().take(fields).map(|number| format!("{number:02}")).collect();
    format!("{}{}", if seconds < 0 { '-' } else { '+' }, numbers.join(if colons { ":" } else { "" }))
}

/// What a text says of a moment.
#[derive(Debug)]
struct Fields {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    year_day: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    /// Afternoon, or morning.
    half: Option<bool>,
    offset: Option<i32>,
    zone: Option<String>,
}

/// Takes a text apart. A moment without a time zone is in the local one.
pub(super) fn parse(layout: &str, text: &str, local: &TimeZone) -> Result<Zoned, Fault> {
    let wrong = || Fault::new(format!("the text does not fit the layout {layout:?}"));
    let mut fields = Fields {
        year: 0,
        month: None,
        day: None,
        year_day: None,
        hour: 0,
        minute: 0,
        second: 0,
        nanosecond: 0,
        half: None,
        offset: None,
        zone: None,
    };
    let mut reader = Reader { rest: text };
    let parts = parts(layout);
    for (i, part) in parts.iter().enumerate() {
        reader.part(*part, &mut fields).ok_or_else(wrong)?;
        // A fraction of a second needs no place in the layout.
        let has_fraction = matches!(parts.get(i + 1), Some(Part::Fraction { .. }));
        if matches!(part, Part::Second(_)) && !has_fraction {
            reader.optional_fraction(&mut fields).ok_or_else(wrong)?;
        }
    }
    if !reader.rest.is_empty() {
        return Err(wrong());
    }
    fields.resolve(local).ok_or_else(|| Fault::new("the text is of no date that exists"))
}

impl Fields {
    fn resolve(self, local: &TimeZone) -> Option<Zoned> {
        let hour = match self.half {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = match self.year_day {
            Some(day) => {
                let date = civil::Date::new(self.year, 1, 1).ok()?;
                let date = date.checked_add(jiff::Span::new().try_days(i64::from(day) - 1).ok()?).ok()?;
                let agrees = date.year() == self.year
                    && self.month.is_none_or(|month| month == date.month())
                    && self.day.is_none_or(|day| day == date.day());
                agrees.then_some(date)?
            }
            None => civil::Date::new(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()?,
        };
        let time = civil::Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        let moment = date.to_datetime(time);
        let zone = match (self.offset, self.zone.as_deref()) {
            (Some(0), None | Some("UTC")) | (None, Some("UTC")) => TimeZone::UTC,
            (Some(seconds), _) => {
                let offset = Offset::from_seconds(seconds).ok()?;
                let here = local.to_offset(offset.to_timestamp(moment).ok()?);
                if here == offset { local.clone() } else { TimeZone::fixed(offset) }
            }
            (None, Some(name)) => {
                let here = moment.to_zoned(local.clone()).ok()?;
                // An abbreviation tells nothing elsewhere.
                if zone_name(&here) == *name { local.clone() } else { TimeZone::fixed(Offset::UTC) }
            }
            (None, None) => local.clone(),
        };
        moment.to_zoned(zone).ok()
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// A number of one or two digits, or of exactly as many as asked.
    fn number(&mut self, least: usize, most: usize) -> Option<i16> {
        let digits = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if digits < least {
            return None;
        }
        let (number, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        number.parse().ok()
    }

    fn small(&mut self, least: usize, range: std::ops::RangeInclusive<i16>) -> Option<i8> {
        let number = self.number(least, 2).filter(|number| range.contains(number))?;
        i8::try_from(number).ok()
    }

    /// The place of a name in a list of names, from 1.
    fn name(&mut self, names: &[&str], length: Option<usize>) -> Option<i8> {
        for (i, name) in names.iter().enumerate() {
            let name = length.and_then(|length| name.get(..length)).unwrap_or(name);
            if self.rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
                self.rest = self.rest.get(name.len()..)?;
                return i8::try_from(i + 1).ok();
            }
        }
        None
    }

    fn part(&mut self, part: Part<'_>, fields: &mut Fields) -> Option<()> {
        match part {
            Part::Literal(text) => self.eat(text)?,
            Part::LongMonth => fields.month = Some(self.name(&MONTHS, None)?),
            Part::ShortMonth => fields.month = Some(self.name(&MONTHS, Some(3))?),
            Part::Month(width) => fields.month = Some(self.small(width, 1..=12)?),
            Part::LongWeekday => {
                self.name(&WEEKDAYS, None)?;
            }
            Part::ShortWeekday => {
                self.name(&WEEKDAYS, Some(3))?;
            }
            Part::Day(width) => fields.day = Some(self.small(width, 1..=31)?),
            Part::SpacedDay => {
                self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
                fields.day = Some(self.small(1, 1..=31)?);
            }
            Part::YearDay => fields.year_day = Some(self.number(3, 3).filter(|day| (1..=366).contains(day))?),
            Part::SpacedYearDay => {
                self.rest = self.rest.trim_start_matches(' ');
                fields.year_day = Some(self.number(1, 3).filter(|day| (1..=366).contains(day))?);
            }
            Part::Year => fields.year = self.number(4, 4)?,
            Part::ShortYear => {
                let year = self.number(2, 2)?;
                fields.year = year + if year >= 69 { 1900 } else { 2000 };
            }
            Part::Hour => fields.hour = self.small(1, 0..=23)?,
            Part::Hour12(width) => fields.hour = self.small(width, 0..=12)?,
            Part::Minute(width) => fields.minute = self.small(width, 0..=59)?,
            Part::Second(width) => fields.second = self.small(width, 0..=59)?,
            Part::Half { upper } => {
                let (am, pm) = if upper { ("AM", "PM") } else { ("am", "pm") };
                fields.half = Some(self.rest.starts_with(pm));
                self.eat(pm).or_else(|| self.eat(am))?;
            }
            Part::Zone => fields.zone = Some(self.zone()?.to_owned()),
            Part::Offset { z: true, .. } if self.rest.starts_with('Z') => {
                self.eat("Z")?;
                fields.offset = Some(0);
            }
            Part::Offset { colons, fields: count, .. } => fields.offset = Some(self.offset(colons, count)?),
            Part::Fraction { digits, fixed: true, .. } => fields.nanosecond = self.fraction(Some(digits))?,
            Part::Fraction { .. } => self.optional_fraction(fields)?,
        }
        Some(())
    }

    /// Three to five capitals.
    fn zone(&mut self) -> Option<&'a str> {
        let length = self.rest.bytes().take_while(u8::is_ascii_uppercase).count();
        let (name, rest) = self.rest.split_at_checked(length).filter(|_| (3..=5).contains(&length))?;
        self.rest = rest;
        Some(name)
    }

    fn offset(&mut self, colons: bool, fields: usize) -> Option<i32> {
        let sign = match self.rest.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.rest = self.rest.get(1..)?;
        let mut seconds = 0;
        for (i, (unit, limit)) in [(3600, 24), (60, 60), (1, 60)].into_iter().take(fields).enumerate() {
            if colons && i > 0 {
                self.eat(":")?;
            }
            seconds += i32::from(self.number(2, 2).filter(|number| *number <= limit)?) * unit;
        }
        Some(sign * seconds)
    }

    fn optional_fraction(&mut self, fields: &mut Fields) -> Option<()> {
        let digits = self.rest.strip_prefix(['.', ',']);
        if digits.is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit())) {
            fields.nanosecond = self.fraction(None)?;
        }
        Some(())
    }

    /// Decimals of a second behind a separator, as nanoseconds.
    fn fraction(&mut self, count: Option<usize>) -> Option<i32> {
        let digits = self.rest.strip_prefix(['.', ','])?;
        let found = digits.bytes().take_while(u8::is_ascii_digit).count();
        if count.is_some_and(|count| found < count) || found == 0 {
            return None;
        }
        let (digits, rest) = digits.split_at_checked(count.unwrap_or(found))?;
        self.rest = rest;
        format!("{:0<9}", digits.get(..9).unwrap_or(digits)).parse().ok()
    }
}
