//! What every `Describe` action does: ids, filters with wildcards, pages.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::ids::Kind;
use super::tags::{TagMap, Tags};
use crate::consistency::Unsettled;
use crate::error::ApiError;
use crate::query::Params;

/// `Filter.N`: all must match, each by any of its values.
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    /// Filters with these names, and the `tag:` ones that every kind has.
    pub(crate) fn parse(params: &Params<'_>, known: &[&str]) -> Result<Self, ApiError> {
        let mut filters = Vec::new();
        for filter in params.list("Filter")? {
            let name = filter.required("Name")?;
            if !known.contains(&name.as_str()) && !name.starts_with("tag:") && name != "tag-key" {
                return Err(ApiError::new("InvalidParameterValue", format!("The filter '{name}' is invalid")));
            }
            let values = filter.texts("Value")?;
            if values.is_empty() {
                let message = format!("The filter '{name}' must contain at least one value");
                return Err(ApiError::new("InvalidParameterValue", message));
            }
            filters.push((name, values));
        }
        Ok(Self(filters))
    }

    /// Whether a resource with these tags matches. `field` gives its values for a filter's name.
    pub(crate) fn match_all(&self, tags: &Tags, field: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, patterns)| {
            let values = match name.strip_prefix("tag:") {
                Some(key) => tags.get(key).cloned().into_iter().collect(),
                None if name == "tag-key" => tags.keys().cloned().collect(),
                None => field(name),
            };
            values.iter().any(|value| patterns.iter().any(|pattern| wildcard(pattern, value)))
        })
    }
}

/// `*` is any text, `?` any character, and a backslash takes the next one literally.
fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to resume when what follows the last `*` does not match.
    let mut star = None;
    while t < text.len() {
        let (literal, width) = match pattern.get(p) {
            Some('\\') if p + 1 < pattern.len() => (pattern.get(p + 1), 2),
            other => (other, 1),
        };
        match literal {
            Some('*') if width == 1 => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some('?') if width == 1 => (p, t) = (p + 1, t + 1),
            Some(c) if text.get(t) == Some(c) => (p, t) = (p + width, t + 1),
            _ => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// `MaxResults` and `NextToken`. A token is the key of the last item that was shown, so what is created or deleted
/// meanwhile shifts nothing.
#[derive(Debug, Default)]
pub(crate) struct Page {
    size: Option<usize>,
    after: Option<String>,
}

impl Page {
    /// `ids`: whether the request names ids, with which pages do not go.
    pub(crate) fn parse(params: &Params<'_>, ids: bool) -> Result<Self, ApiError> {
        let size: Option<usize> = params.parse("MaxResults")?;
        if ids && size.is_some() {
            let message = "The parameter MaxResults cannot be used together with ids";
            return Err(ApiError::new("InvalidParameterCombination", message));
        }
        if let Some(size) = size.filter(|size| !(5..=1000).contains(size)) {
            let message =
                format!("Value ( {size} ) for parameter maxResults is invalid. Expecting a value from 5 to 1000.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        let decode = |token: String| {
            let bytes = URL_SAFE_NO_PAD.decode(&token).ok();
            bytes
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| ApiError::new("InvalidNextToken", format!("The token '{token}' is invalid")))
        };
        let after = params.text("NextToken").map(decode).transpose()?;
        Ok(Self { size, after })
    }

    /// The items of this page, and the token of the next. Items come with keys, by which they are ordered.
    pub(crate) fn cut<T>(&self, mut items: Vec<(String, T)>) -> (Vec<T>, Option<String>) {
        items.sort_by(|(a, _), (b, _)| a.cmp(b));
        items.retain(|(key, _)| self.after.as_ref().is_none_or(|after| key > after));
        let mut next = None;
        if let Some(size) = self.size.filter(|size| *size < items.len()) {
            items.truncate(size);
            next = items.last().map(|(key, _)| URL_SAFE_NO_PAD.encode(key));
        }
        (items.into_iter().map(|(_, item)| item).collect(), next)
    }
}

/// The parameters that every `Describe` of resources has.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) ids: Vec<String>,
    pub(crate) filters: Filters,
    page: Page,
    kind: &'static Kind,
}

impl Query {
    pub(crate) fn parse(
        params: &Params<'_>,
        kind: &'static Kind,
        ids: &str,
        filters: &[&str],
    ) -> Result<Self, ApiError> {
        let ids = kind.list(params, ids)?;
        let page = Page::parse(params, !ids.is_empty())?;
        Ok(Self { filters: Filters::parse(params, filters)?, page, ids, kind })
    }

    /// Those of `items` that are asked for, by id, and the token of the next page.
    pub(crate) fn select<'a, T>(
        &self,
        items: impl IntoIterator<Item = (&'a String, T)>,
        tags: &TagMap,
        unsettled: &mut Unsettled,
        now: Timestamp,
        field: impl Fn(&T, &str) -> Vec<String>,
    ) -> Result<(Vec<T>, Option<String>), ApiError> {
        let mut found = BTreeMap::new();
        for (id, item) in items {
            if (self.ids.is_empty() || self.ids.contains(id)) && unsettled.visible(id, now) {
                found.insert(id.clone(), item);
            }
        }
        if let Some(id) = self.ids.iter().find(|id| !found.contains_key(*id)) {
            return Err(self.kind.missing(id));
        }
        found.retain(|id, item| self.filters.match_all(tags.of(id), |name| field(item, name)));
        Ok(self.page.cut(found.into_iter().collect()))
    }
}

/// One value, for a filter.
pub(crate) fn one(value: impl ToString) -> Vec<String> {
    vec![value.to_string()]
}

/// A value that may be absent, for a filter.
pub(crate) fn maybe(value: Option<impl ToString>) -> Vec<String> {
    value.map(|value| value.to_string()).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Form, decode};

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "abcb", false),
            ("a*b*c", "axxbyyc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            (r"a\*c", "a*c", true),
            (r"a\*c", "abc", false),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("ab*", "a", false),
            ("*-x86_64-*", "al2023-x86_64-1", true),
            (r"a\", r"a\", true),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }

    fn page(text: &str) -> Result<Page, ApiError> {
        Page::parse(&Form::new(decode(text)).params(), false)
    }

    #[test]
    fn pages_go_on_after_the_last_key() {
        let items = || (0..12).map(|n| (format!("k{n:02}"), n)).collect::<Vec<_>>();
        let (first, next) = page("MaxResults=5").unwrap().cut(items());
        assert_eq!(first, [0, 1, 2, 3, 4]);
        let (second, next) = page(&format!("MaxResults=5&NextToken={}", next.unwrap())).unwrap().cut(items());
        assert_eq!(second, [5, 6, 7, 8, 9]);
        let (third, next) = page(&format!("MaxResults=5&NextToken={}", next.unwrap())).unwrap().cut(items());
        assert_eq!((third, next), (vec![10, 11], None));
        assert_eq!(page("MaxResults=4").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(page("NextToken=%21").unwrap_err().code, "InvalidNextToken");
    }
}
