//! Sprig's functions of lists.

use super::{
    Cx, Registry, Rest,
    strings::to_strings,
    types::{is_empty, to_int},
};
use crate::template::{
    context::{Context, Fault},
    value::{Element, List, Val},
};
use std::rc::Rc;

pub(super) fn register(registry: &mut Registry) {
    registry.add_all(&["list", "tuple"], |items: Rest<Val>| items.0);
    registry.add_all(&["append", "push", "mustAppend", "mustPush"], |list: Val, item: Val| {
        let mut items = list_of(&list)?.items.clone();
        items.push(item);
        Ok::<_, Fault>(items)
    });
    registry.add_all(&["prepend", "mustPrepend"], |list: Val, item: Val| {
        let list = list_of(&list)?;
        Ok::<_, Fault>(std::iter::once(item).chain(list.items.iter().cloned()).collect::<Vec<_>>())
    });
    registry.add_all(&["first", "mustFirst"], |list: Val| {
        Ok::<_, Fault>(list_of(&list)?.items.first().cloned().unwrap_or(Val::Nil))
    });
    registry.add_all(&["last", "mustLast"], |list: Val| {
        Ok::<_, Fault>(list_of(&list)?.items.last().cloned().unwrap_or(Val::Nil))
    });
    registry.add_all(&["rest", "mustRest"], |cx: Cx, list: Val| match list_of(&list)?.items.split_first() {
        Some((_, rest)) => cx.list(Element::Any, rest.to_vec()),
        None => Ok(cx.nil_list(Element::Any)),
    });
    registry.add_all(&["initial", "mustInitial"], |cx: Cx, list: Val| match list_of(&list)?.items.split_last() {
        Some((_, initial)) => cx.list(Element::Any, initial.to_vec()),
        None => Ok(cx.nil_list(Element::Any)),
    });
    registry.add_all(&["reverse", "mustReverse"], |list: Val| {
        Ok::<_, Fault>(list_of(&list)?.items.iter().rev().cloned().collect::<Vec<_>>())
    });
    registry.add_all(&["compact", "mustCompact"], |list: Val| {
        Ok::<_, Fault>(list_of(&list)?.items.iter().filter(|item| !is_empty(item)).cloned().collect::<Vec<_>>())
    });
    registry.add_all(&["uniq", "mustUniq"], |cx: Cx, list: Val| {
        let mut unique = Vec::new();
        for item in &list_of(&list)?.items {
            if !holds(&cx, &unique, item)? {
                unique.push(item.clone());
            }
        }
        Ok::<_, Fault>(unique)
    });
    registry.add_all(&["without", "mustWithout"], |cx: Cx, list: Val, omitted: Rest<Val>| {
        let mut kept = Vec::new();
        for item in &list_of(&list)?.items {
            if !holds(&cx, &omitted.0, item)? {
                kept.push(item.clone());
            }
        }
        Ok::<_, Fault>(kept)
    });
    registry.add_all(&["has", "mustHas"], |cx: Cx, item: Val, list: Val| match list {
        Val::Nil => Ok(false),
        list => holds(&cx, &list_of(&list)?.items, &item),
    });
    registry.add_all(&["slice", "mustSlice"], |cx: Cx, list: Val, ends: Rest<Val>| slice(&cx, &list, &ends.0));
    registry.add("concat", |cx: Cx, lists: Rest<Val>| {
        let mut items = Vec::new();
        for list in &lists.0 {
            let list = list_of(list)?;
            cx.spend(list.items.len() as u64)?;
            items.extend_from_slice(&list.items);
        }
        if items.is_empty() { Ok(cx.nil_list(Element::Any)) } else { cx.list(Element::Any, items) }
    });
    registry.add_all(&["chunk", "mustChunk"], |cx: Cx, size: i64, list: Val| {
        let list = list_of(&list)?;
        let size = usize::try_from(size).ok().filter(|size| *size > 0);
        let size = size.ok_or_else(|| Fault::new("the size of a chunk is at least 1"))?;
        let chunks = list.items.chunks(size).map(|chunk| cx.list(Element::Any, chunk.to_vec()));
        cx.list(Element::Lists, chunks.collect::<Result<_, _>>()?)
    });
    registry.add("sortAlpha", |cx: Cx, list: Val| {
        let mut texts = match &list {
            Val::Nil => vec!["<nil>".to_owned()],
            list => to_strings(&cx, list)?,
        };
        texts.sort();
        Ok::<_, Fault>(texts)
    });
}

fn list_of(value: &Val) -> Result<&Rc<List>, Fault> {
    match value {
        Val::List(list) => Ok(list),
        other => Err(Fault::new(format!("expected a list, not {}", other.type_name()))),
    }
}

fn holds(cx: &Context, items: &[Val], wanted: &Val) -> Result<bool, Fault> {
    for item in items {
        if item.deep_equal(wanted, cx)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn slice(cx: &Context, list: &Val, ends: &[Val]) -> Result<Val, Fault> {
    let list = list_of(list)?;
    if list.items.is_empty() {
        return Ok(Val::Nil);
    }
    let length = list.items.len();
    let at = |end: Option<&Val>, default: usize| match end {
        None => Some(default),
        Some(end) => usize::try_from(to_int(end)).ok(),
    };
    let part = at(ends.first(), 0).zip(at(ends.get(1), length)).and_then(|(start, end)| list.items.get(start..end));
    let part = part.ok_or_else(|| Fault::new(format!("the ends are out of range of {length} elements")))?;
    cx.list(list.element, part.to_vec())
}
