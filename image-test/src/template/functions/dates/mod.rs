//! Sprig's functions of dates, with the layouts of Go.

mod duration;
mod layout;

use super::{Cx, Int, Registry, Text};
use crate::template::{
    context::{Context, Fault},
    number,
    value::{IntType, Val},
};
use jiff::{Timestamp, Zoned, civil, tz::TimeZone};
use std::fmt;

/// A moment in a time zone.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::template) struct Time(Zoned);

impl Time {
    fn now(cx: &Context) -> Self {
        Self(Timestamp::now().to_zoned(cx.zone().clone()))
    }

    /// Go's zero time: the start of the year 1.
    fn zero() -> Result<Self, Fault> {
        let start = civil::date(1, 1, 1).to_zoned(TimeZone::UTC);
        start.map(Self).map_err(|_| out_of_range())
    }

    fn from_seconds(cx: &Context, seconds: i64) -> Result<Self, Fault> {
        let timestamp = Timestamp::from_second(seconds).map_err(|_| out_of_range())?;
        Ok(Self(timestamp.to_zoned(cx.zone().clone())))
    }

    fn in_zone(&self, zone: TimeZone) -> Self {
        Self(self.0.with_time_zone(zone))
    }

    fn format(&self, layout: &str) -> String {
        layout::format(&self.0, layout)
    }

    pub(super) fn rfc3339(&self) -> String {
        self.format("2006-01-02T15:04:05.999999999Z07:00")
    }

    fn plus(&self, nanoseconds: i64) -> Result<Self, Fault> {
        let sum = self.0.checked_add(jiff::SignedDuration::from_nanos(nanoseconds));
        sum.map(Self).map_err(|_| out_of_range())
    }

    /// The time since then in nanoseconds, as far as Go can hold it.
    fn age(&self) -> i64 {
        let age = Timestamp::now().as_nanosecond() - self.0.timestamp().as_nanosecond();
        i64::try_from(age).unwrap_or(if age < 0 { i64::MIN } else { i64::MAX })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

fn out_of_range() -> Fault {
    Fault::new("the date is out of range")
}

pub(super) fn register(registry: &mut Registry) {
    registry.add("now", |cx: Cx| Time::now(&cx));
    registry.add("date", |cx: Cx, layout: Text, date: Val| format(&cx, &layout, &date, "Local"));
    registry.add_all(&["dateInZone", "date_in_zone"], |cx: Cx, layout: Text, date: Val, zone: Text| {
        format(&cx, &layout, &date, &zone)
    });
    registry.add("htmlDate", |cx: Cx, date: Val| format(&cx, "2006-01-02", &date, "Local"));
    registry.add("htmlDateInZone", |cx: Cx, date: Val, zone: Text| format(&cx, "2006-01-02", &date, &zone));
    registry.add_all(&["dateModify", "date_modify"], |change: Text, date: Time| match duration::parse(&change) {
        Some(nanoseconds) => date.plus(nanoseconds),
        None => Ok(date),
    });
    registry.add_all(&["mustDateModify", "must_date_modify"], |change: Text, date: Time| {
        date.plus(duration::parse(&change).ok_or_else(|| Fault::new(format!("{change:?} is no duration")))?)
    });
    registry.add("toDate", |cx: Cx, layout: Text, text: Text| match layout::parse(&layout, &text, cx.zone()) {
        Ok(date) => Ok(Time(date)),
        Err(_) => Time::zero(),
    });
    registry.add("mustToDate", |cx: Cx, layout: Text, text: Text| layout::parse(&layout, &text, cx.zone()).map(Time));
    registry.add("unixEpoch", |date: Time| date.0.timestamp().as_second().to_string());
    registry.add("ago", |cx: Cx, date: Val| {
        const SECOND: i64 = 1_000_000_000;
        let age = moment(&cx, &date)?.age();
        let rounded = (age.saturating_add(age.signum() * (SECOND / 2)) / SECOND).saturating_mul(SECOND);
        Ok::<_, Fault>(duration::format(rounded))
    });
    registry.add("duration", |seconds: Val| {
        let seconds = match &seconds {
            Val::Str(text) => number::parse_int(text, 10).unwrap_or(0),
            // Sprig takes no other integer.
            Val::Int(seconds, IntType::Int64) => *seconds,
            _ => 0,
        };
        duration::format(seconds.wrapping_mul(1_000_000_000))
    });
    registry.add("durationRound", |value: Val| {
        duration::round(match &value {
            Val::Str(text) => duration::parse(text).unwrap_or(0),
            Val::Int(nanoseconds, IntType::Int64) => *nanoseconds,
            Val::Time(time) => time.age(),
            _ => 0,
        })
    });
    register_methods(registry);
}

fn register_methods(registry: &mut Registry) {
    const TYPE: &str = "time.Time";
    registry.method(TYPE, "Format", |time: Time, layout: Text| time.format(&layout));
    registry.method(TYPE, "String", |time: Time| time.to_string());
    registry.method(TYPE, "Unix", |time: Time| time.0.timestamp().as_second());
    registry.method(TYPE, "Year", |time: Time| Int(time.0.year().into()));
    registry.method(TYPE, "Month", |time: Time| time.format("January"));
    registry.method(TYPE, "Day", |time: Time| Int(time.0.day().into()));
    registry.method(TYPE, "Weekday", |time: Time| time.format("Monday"));
    registry.method(TYPE, "YearDay", |time: Time| Int(time.0.day_of_year().into()));
    registry.method(TYPE, "Hour", |time: Time| Int(time.0.hour().into()));
    registry.method(TYPE, "Minute", |time: Time| Int(time.0.minute().into()));
    registry.method(TYPE, "Second", |time: Time| Int(time.0.second().into()));
    registry.method(TYPE, "Nanosecond", |time: Time| Int(time.0.subsec_nanosecond().into()));
    registry.method(TYPE, "UTC", |time: Time| time.in_zone(TimeZone::UTC));
    registry.method(TYPE, "Local", |cx: Cx, time: Time| time.in_zone(cx.zone().clone()));
    registry.method(TYPE, "Before", |a: Time, b: Time| a.0.timestamp() < b.0.timestamp());
    registry.method(TYPE, "After", |a: Time, b: Time| a.0.timestamp() > b.0.timestamp());
    registry.method(TYPE, "Equal", |a: Time, b: Time| a.0.timestamp() == b.0.timestamp());
}

/// A date, or seconds since 1970. Anything else is now.
fn moment(cx: &Context, date: &Val) -> Result<Time, Fault> {
    match date {
        Val::Time(time) => Ok(time.clone()),
        Val::Int(seconds, IntType::Int | IntType::Int64) => Time::from_seconds(cx, *seconds),
        _ => Ok(Time::now(cx)),
    }
}

/// A date in a time zone, of which an unknown one is UTC.
fn format(cx: &Context, layout: &str, date: &Val, zone: &str) -> Result<String, Fault> {
    let zone = match zone {
        "Local" => cx.zone().clone(),
        "" | "UTC" => TimeZone::UTC,
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    Ok(moment(cx, date)?.in_zone(zone).format(layout))
}
