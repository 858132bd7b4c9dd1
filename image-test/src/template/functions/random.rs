//! Sprig's random values. They come from the system, which suits secrets too.

use super::{Cx, Int, Registry, Text};
use crate::template::context::{Context, Fault};

const DIGITS: &str = "0123456789";
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

pub(super) fn register(registry: &mut Registry) {
    registry.add("uuidv4", |_: Cx| uuid::Uuid::new_v4().to_string());
    registry.add("randNumeric", |cx: Cx, count: i64| characters(&cx, count, DIGITS));
    registry.add("randAlpha", |cx: Cx, count: i64| characters(&cx, count, LETTERS));
    registry.add("randAlphaNum", |cx: Cx, count: i64| characters(&cx, count, &format!("{DIGITS}{LETTERS}")));
    registry.add("randAscii", |cx: Cx, count: i64| characters(&cx, count, &(' '..='~').collect::<String>()));
    registry.add("randBytes", |cx: Cx, count: i64| {
        let mut bytes = vec![0; length(&cx, count)?];
        fill(&mut bytes)?;
        Ok::<_, Fault>(super::encoding::base64(&bytes))
    });
    registry.add("randInt", |least: i64, limit: i64| {
        let span = u64::try_from(i128::from(limit) - i128::from(least)).unwrap_or(0);
        if span == 0 {
            return Err(Fault::new("the limit is above the least number"));
        }
        Ok(Int(least.wrapping_add_unsigned(below(span)?)))
    });
    registry.add("shuffle", |cx: Cx, text: Text| {
        let mut characters: Vec<char> = text.chars().collect();
        cx.spend(characters.len() as u64)?;
        for last in (1..characters.len()).rev() {
            let other = below(last as u64 + 1)?;
            characters.swap(last, usize::try_from(other).unwrap_or(last));
        }
        Ok::<_, Fault>(characters.into_iter().collect::<String>())
    });
}

fn fill(bytes: &mut [u8]) -> Result<(), Fault> {
    getrandom::fill(bytes).map_err(|error| Fault::new(format!("the system gives no random bytes: {error}")))
}

fn length(cx: &Context, count: i64) -> Result<usize, Fault> {
    let count = usize::try_from(count).map_err(|_| Fault::new("the count is negative"))?;
    cx.spend_text(count)?;
    cx.spend(count as u64)?;
    Ok(count)
}

/// A number below a limit, every one as likely as the other.
fn below(limit: u64) -> Result<u64, Fault> {
    // Numbers beyond the last whole multiple of the limit would make the first ones likelier.
    let fair = u64::MAX - u64::MAX % limit;
    loop {
        let mut bytes = [0; 8];
        fill(&mut bytes)?;
        let number = u64::from_ne_bytes(bytes);
        if number < fair {
            return Ok(number % limit);
        }
    }
}

fn characters(cx: &Context, count: i64, alphabet: &str) -> Result<String, Fault> {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let pick = || {
        let at = usize::try_from(below(alphabet.len() as u64)?).unwrap_or(0);
        Ok(alphabet.get(at).copied().unwrap_or_default())
    };
    (0..length(cx, count)?).map(|_| pick()).collect()
}
