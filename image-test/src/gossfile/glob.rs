//! Paths by pattern, as Go's `filepath.Glob` finds them: `*`, `?`, `[a-z]`, `[^a-z]` and `\` within one component.

use crate::wildcard::{Dialect, Pattern, UnfinishedPattern};
use std::path::{Component, Path, PathBuf};

/// Why a pattern finds nothing.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum GlobError {
    /// A `[` or `\` without its end.
    Syntax(UnfinishedPattern),
    /// More paths than this.
    TooMany(usize),
}

/// What exists and matches a pattern, sorted by component. The base is not part of the pattern.
pub(super) fn glob(base: &Path, pattern: &str, most: usize) -> Result<Vec<PathBuf>, GlobError> {
    let (base, components) = clean(base, pattern);
    let mut found = vec![base];
    for component in components {
        let component = Pattern::parse(component, Dialect::Go).map_err(GlobError::Syntax)?;
        let mut next = vec![];
        for path in found {
            match component.literal() {
                Some(name) => next.extend(Some(join(&path, &name)).filter(|path| path.symlink_metadata().is_ok())),
                None => next.extend(entries(&path, &component)),
            }
            if next.len() > most {
                return Err(GlobError::TooMany(most));
            }
        }
        found = next;
    }
    Ok(found)
}

/// The components of a pattern, with `..` taken from what it stands behind, as Go does without a look at links.
fn clean<'a>(base: &Path, pattern: &'a str) -> (PathBuf, Vec<&'a str>) {
    let mut base = if pattern.starts_with('/') { PathBuf::from("/") } else { base.to_path_buf() };
    let mut components = vec![];
    for component in pattern.split('/') {
        match component {
            "" | "." => {}
            ".." if components.pop().is_some() => {}
            ".." => match base.components().next_back() {
                Some(Component::Normal(_)) => _ = base.pop(),
                Some(Component::RootDir | Component::Prefix(_)) => {}
                Some(Component::ParentDir) => base.push(".."),
                Some(Component::CurDir) | None => base = PathBuf::from(".."),
            },
            component => components.push(component),
        }
    }
    (base, components)
}

fn join(base: &Path, name: &str) -> PathBuf {
    match base.components().eq([Component::CurDir]) {
        true => PathBuf::from(name),
        false => base.join(name),
    }
}

/// What cannot be listed has no matches, as in Go.
fn entries(directory: &Path, pattern: &Pattern) -> Vec<PathBuf> {
    let listed = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = listed.read_dir() else { return vec![] };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| pattern.matches(name))
        .collect();
    names.sort_unstable();
    names.iter().map(|name| join(directory, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_taken_from_what_is_there() {
        for (base, pattern, expected) in [
            ("a/b", "../c", "a|c"),
            ("a/b", "../../c", "|c"),
            ("a/b", "../../../c", "..|c"),
            (".", "../c", "..|c"),
            ("", "../c", "..|c"),
            ("..", "../c", "../..|c"),
            ("/a", "../../c", "/|c"),
            ("a", "/x/../c/./d", "/|c/d"),
            ("a", "*/../c", "a|c"),
        ] {
            let (base, components) = clean(Path::new(base), pattern);
            assert_eq!(format!("{}|{}", base.display(), components.join("/")), expected, "{pattern}");
        }
    }

    #[test]
    fn finds_sorted_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/x.yaml", "a/y.yaml", "a/x.yaml", "a/z.txt"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names = |pattern: &str| {
            let found = glob(dir.path(), pattern, 10).unwrap();
            found.iter().map(|p| p.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("*/*.yaml"), ["a/x.yaml", "a/y.yaml", "b/x.yaml"]);
        assert_eq!(names("./a/z.txt"), ["a/z.txt"]);
        assert_eq!(names("c/*"), [""; 0]);
        assert_eq!(names("nowhere/../a/../b/*"), ["b/x.yaml"]);
        assert_eq!(glob(dir.path(), "*/*", 2), Err(GlobError::TooMany(2)));
    }
}
