//! Sprig's functions of maps.

use super::{Cx, Registry, Rest, Text, types::is_empty};
use crate::template::{
    context::{Context, Fault},
    format,
    value::{MAX_DEPTH, Map, Val, too_deep},
};
use std::{collections::BTreeMap, rc::Rc};

pub(super) fn register(registry: &mut Registry) {
    registry.add("dict", |cx: Cx, items: Rest<Val>| {
        let mut entries = BTreeMap::new();
        for pair in items.0.chunks(2) {
            if let [key, rest @ ..] = pair {
                let value = rest.first().cloned().unwrap_or_else(|| Val::text(""));
                entries.insert(format::display(&cx, key)?.into(), value);
            }
        }
        cx.map(entries)
    });
    registry.add("get", |map: Rc<Map>, key: Text| map.get(&key).unwrap_or_else(|| Val::text("")));
    registry.add("set", |cx: Cx, map: Rc<Map>, key: Text, value: Val| {
        cx.spend(1)?;
        write(&map, key, value)?;
        Ok::<_, Fault>(Val::Map(map))
    });
    registry.add("unset", |map: Rc<Map>, key: Text| {
        map.entries.borrow_mut().remove(&key);
        Val::Map(map)
    });
    registry.add("hasKey", |map: Rc<Map>, key: Text| map.get(&key).is_some());
    registry.add("pluck", |key: Text, maps: Rest<Rc<Map>>| {
        maps.0.iter().filter_map(|map| map.get(&key)).collect::<Vec<_>>()
    });
    // Go gives keys and values in any order; these are sorted by key.
    registry.add("keys", |cx: Cx, maps: Rest<Rc<Map>>| {
        cx.spend(maps.0.iter().map(|map| map.len() as u64).sum())?;
        let keys = maps.0.iter().flat_map(|map| map.snapshot()).map(|(key, _)| key.to_string());
        Ok::<_, Fault>(keys.collect::<Vec<_>>())
    });
    registry.add("values", |map: Rc<Map>| map.snapshot().into_iter().map(|(_, value)| value).collect::<Vec<_>>());
    registry.add("pick", |cx: Cx, map: Rc<Map>, keys: Rest<Text>| {
        cx.map(keys.0.into_iter().filter_map(|key| map.get(&key).map(|value| (key, value))).collect())
    });
    registry.add("omit", |cx: Cx, map: Rc<Map>, keys: Rest<Text>| {
        cx.map(map.snapshot().into_iter().filter(|(key, _)| !keys.0.contains(key)).collect())
    });
    registry.add_all(&["merge", "mustMerge"], |cx: Cx, map: Rc<Map>, others: Rest<Rc<Map>>| {
        merge_all(&cx, map, &others.0, false)
    });
    registry.add_all(&["mergeOverwrite", "mustMergeOverwrite"], |cx: Cx, map: Rc<Map>, others: Rest<Rc<Map>>| {
        merge_all(&cx, map, &others.0, true)
    });
    registry.add("dig", |path: Rest<Val>| dig(&path.0));
    registry.add_all(&["deepCopy", "mustDeepCopy"], |cx: Cx, value: Val| {
        if matches!(value, Val::Nil) { Err(Fault::new("nil cannot be copied")) } else { deep_copy(&cx, &value, 0) }
    });
}

fn write(map: &Map, key: Text, value: Val) -> Result<(), Fault> {
    if map.is_nil {
        return Err(Fault::new("the map is nil"));
    }
    map.entries.borrow_mut().insert(key, value);
    Ok(())
}

fn merge_all(cx: &Context, map: Rc<Map>, others: &[Rc<Map>], overwrites: bool) -> Result<Val, Fault> {
    for other in others {
        merge(cx, &map, other, overwrites, 0)?;
    }
    Ok(Val::Map(map))
}

/// Takes over what is missing or empty, or everything. Maps in maps are merged likewise.
fn merge(cx: &Context, map: &Map, other: &Map, overwrites: bool, depth: usize) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    for (key, value) in other.snapshot() {
        cx.spend(1)?;
        let old = map.get(&key);
        match (&old, &value) {
            (Some(Val::Map(old)), Val::Map(new)) => {
                merge(cx, old, new, overwrites, depth + 1)?;
                if old.len() > 0 {
                    continue;
                }
            }
            (_, Val::Nil) if !overwrites => continue,
            _ => {}
        }
        // A list is taken over as it is: Go's library merges its elements only on request.
        if overwrites || old.as_ref().is_none_or(is_empty) {
            write(map, key, value)?;
        }
    }
    Ok(())
}

/// `dig "a" "b" default map`: what the path of keys leads to.
fn dig(arguments: &[Val]) -> Result<Val, Fault> {
    let [path @ .., default, Val::Map(map)] = arguments else {
        return Err(Fault::new("takes keys, a default and a map"));
    };
    if path.is_empty() {
        return Err(Fault::new("takes at least one key, a default and a map"));
    }
    let mut value = Val::Map(Rc::clone(map));
    for key in path {
        let Val::Str(key) = key else { return Err(Fault::new("keys are strings")) };
        let Val::Map(map) = &value else {
            return Err(Fault::new(format!("expected a map at {key:?}, not {}", value.type_name())));
        };
        if map.of_strings {
            return Err(Fault::new(format!("expected map[string]interface {{}}, not {}", value.type_name())));
        }
        let Some(found) = map.get(key) else { return Ok(default.clone()) };
        value = found;
    }
    Ok(value)
}

fn deep_copy(cx: &Context, value: &Val, depth: usize) -> Result<Val, Fault> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    match value {
        Val::List(list) if list.is_nil => Ok(value.clone()),
        Val::List(list) => {
            let items = list.items.iter().map(|item| deep_copy(cx, item, depth + 1));
            cx.list(list.element, items.collect::<Result<_, _>>()?)
        }
        Val::Map(map) => {
            let entries = map.snapshot().into_iter().map(|(key, value)| Ok((key, deep_copy(cx, &value, depth + 1)?)));
            Ok(Val::Map(cx.new_map(entries.collect::<Result<_, Fault>>()?, map.of_strings)?))
        }
        value => Ok(value.clone()),
    }
}
