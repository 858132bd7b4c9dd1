use std::io::ErrorKind;
use std::path::Path;

use super::{DebianError, Distribution};

/// Where a distribution lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a release has these two archives")]
pub struct Mirrors {
    /// Has the release and its updates.
    pub archive: String,
    /// Has the security updates.
    pub security: String,
}

impl Mirrors {
    /// The public mirrors.
    #[must_use]
    pub fn public(distribution: Distribution, architecture: &str) -> Self {
        let (archive, security) = match (distribution, architecture) {
            (Distribution::Debian, _) => ("http://deb.debian.org/debian", "http://security.debian.org/debian-security"),
            (Distribution::Ubuntu, "amd64" | "i386") => {
                ("http://archive.ubuntu.com/ubuntu", "http://security.ubuntu.com/ubuntu")
            }
            (Distribution::Ubuntu, _) => {
                ("http://ports.ubuntu.com/ubuntu-ports", "http://ports.ubuntu.com/ubuntu-ports")
            }
        };
        Self { archive: archive.into(), security: security.into() }
    }
}

/// The mirrors that this host uses, if it is of that distribution and names both.
///
/// # Errors
/// Sources that cannot be read.
pub fn of_host(distribution: Distribution) -> Result<Option<Mirrors>, DebianError> {
    let os_release = read(Path::new("/etc/os-release"))?;
    match is_of(&os_release, distribution) {
        true => in_sources(Path::new("/etc/apt")),
        false => Ok(None),
    }
}

fn is_of(os_release: &str, distribution: Distribution) -> bool {
    let id = os_release.lines().find_map(|line| line.strip_prefix("ID="));
    id.is_some_and(|id| id.trim_matches(['"', '\'']) == distribution.id())
}

/// The mirrors of `sources.list` and `sources.list.d`, as sources.list(5) defines them.
pub(super) fn in_sources(apt: &Path) -> Result<Option<Mirrors>, DebianError> {
    let mut entries = one_line_entries(&read(&apt.join("sources.list"))?);
    let dir = apt.join("sources.list.d");
    let mut files = match std::fs::read_dir(&dir) {
        Ok(files) => files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>, _>>(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
    .map_err(DebianError::io("read", dir))?;
    files.sort();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => entries.extend(one_line_entries(&read(&file)?)),
            Some("sources") => entries.extend(deb822_entries(&read(&file)?)),
            _ => {}
        }
    }
    // Third parties have neither updates nor security updates.
    let url = |end: &str| {
        let of = |(url, suite): &(String, String)| suite.ends_with(end).then(|| url.trim_end_matches('/').to_owned());
        entries.iter().find_map(of)
    };
    Ok(url("-updates").zip(url("-security")).map(|(archive, security)| Mirrors { archive, security }))
}

/// `deb [option=value ...] url suite component...`
fn one_line_entries(text: &str) -> Vec<(String, String)> {
    let entry = |line: &str| {
        let line = line.split('#').next()?.trim().strip_prefix("deb")?;
        let rest = line.strip_prefix([' ', '\t'])?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_whitespace();
        let (url, suite) = (words.next()?, words.next()?);
        is_remote(url).then(|| (url.to_owned(), suite.to_owned()))
    };
    text.lines().filter_map(entry).collect()
}

/// Stanzas of `Types:`, `URIs:` and `Suites:`, with continued lines.
fn deb822_entries(text: &str) -> Vec<(String, String)> {
    let mut entries = Vec::new();
    for stanza in text.lines().map(str::trim_end).collect::<Vec<_>>().split(|line| line.is_empty()) {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in stanza.iter().filter(|line| !line.starts_with('#')) {
            match (line.starts_with([' ', '\t']), line.split_once(':'), fields.last_mut()) {
                (true, _, Some((_, value))) => value.push_str(line),
                (false, Some((name, value)), _) => fields.push((name.to_ascii_lowercase(), value.to_owned())),
                _ => {}
            }
        }
        let words = |name: &str| {
            let value = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
            value.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        if words("enabled").first().is_some_and(|value| value == "no") || !words("types").contains(&"deb".to_owned()) {
            continue;
        }
        for url in words("uris").into_iter().filter(|url| is_remote(url)) {
            entries.extend(words("suites").into_iter().map(|suite| (url.clone(), suite)));
        }
    }
    entries
}

fn is_remote(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

fn read(path: &Path) -> Result<String, DebianError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(DebianError::io("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_sources() {
        let text = "# deb http://commented/x bookworm-updates main\n\
                    deb-src http://source/debian bookworm-updates main\n\
                    deb cdrom:[Debian]/ bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://m.example/debian/ bookworm-updates main # note\n\
                    deb http://s.example/debian-security bookworm-security main\n";
        let entry = |url: &str, suite: &str| (url.to_owned(), suite.to_owned());
        assert_eq!(
            one_line_entries(text),
            [
                entry("https://m.example/debian/", "bookworm-updates"),
                entry("http://s.example/debian-security", "bookworm-security"),
            ]
        );
    }

    #[test]
    fn deb822_sources_of_a_host() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(in_sources(dir.path()).unwrap(), None);
        let files = dir.path().join("sources.list.d");
        std::fs::create_dir(&files).unwrap();
        let text = "Types: deb deb-src\nURIs: http://m.example/ubuntu/\n# comment\nSuites: noble\n noble-updates\n\
                    Components: main\n\nTypes: deb\nEnabled: no\nURIs: http://off.example/\nSuites: noble-security\n\n\
                    types: deb\nuris: http://s.example/ubuntu\nsuites: noble-security\n";
        std::fs::write(files.join("ubuntu.sources"), text).unwrap();
        std::fs::write(files.join("a.list"), "deb http://third.example/ stable main\n").unwrap();
        std::fs::write(files.join("b.sources.off"), "deb http://off.example/ noble-security main\n").unwrap();
        let expected =
            Mirrors { archive: "http://m.example/ubuntu".into(), security: "http://s.example/ubuntu".into() };
        assert_eq!(in_sources(dir.path()).unwrap(), Some(expected));
    }

    #[test]
    fn a_host_is_of_one_distribution() {
        assert!(is_of("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n", Distribution::Ubuntu));
        assert!(!is_of("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n", Distribution::Debian));
        assert!(is_of("ID=\"debian\"\n", Distribution::Debian));
        assert!(!is_of("", Distribution::Debian));
    }
}
