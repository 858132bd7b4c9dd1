//! Sprig's functions of paths, which are those of Unix.

use super::{Registry, Text};

pub(super) fn register(registry: &mut Registry) {
    registry.add_all(&["base", "osBase"], |path: Text| base(&path).to_owned());
    registry.add_all(&["dir", "osDir"], |path: Text| {
        let end = path.rfind('/').map_or(0, |slash| slash + 1);
        clean(path.get(..end).unwrap_or(""))
    });
    registry.add_all(&["clean", "osClean"], |path: Text| clean(&path));
    registry.add_all(&["ext", "osExt"], |path: Text| {
        let name = path.rsplit('/').next().unwrap_or("");
        name.rfind('.').and_then(|dot| name.get(dot..)).unwrap_or("").to_owned()
    });
    registry.add_all(&["isAbs", "osIsAbs"], |path: Text| path.starts_with('/'));
}

fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let path = path.trim_end_matches('/');
    if path.is_empty() { "/" } else { path.rsplit('/').next().unwrap_or(path) }
}

/// The shortest path that means the same, by its text alone.
fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    let clean = format!("{}{}", if is_absolute { "/" } else { "" }, parts.join("/"));
    if clean.is_empty() { ".".into() } else { clean }
}
