//! The script that gathers facts, made of what is wanted.

use super::{
    Nonce, ProbeError, ProbeOptions,
    frame::{HEADER_ROOM, STORES},
    http, network,
};
use crate::{
    Wanted,
    facts::{FileWanted, parse},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use image_core::{Secret, quote};
use std::{collections::BTreeMap, fmt, fmt::Write as _, io::Write as _, time::Duration};

const BASE: &str = include_str!("sh/base.sh");
const ANSWER: &str = include_str!("sh/answer.sh");
const RUN: &str = include_str!("sh/run.sh");
const PAGE: &str = include_str!("sh/page.sh");
/// Larger scripts are sent compressed.
const LARGE: usize = 8 * 1024;
/// Files that one call of `stat` is given, by number and by bytes of their names.
const BATCH: (usize, usize) = (100, 16 * 1024);
/// A page holds a header and something.
const LEAST_PAGE: usize = 2 * HEADER_ROOM;

/// A POSIX shell script that gathers what is wanted and nothing else.
///
/// It needs a POSIX shell and, for each kind of fact, some program that tells it; where there is none, the fact is
/// unknown with that reason. It leaves nothing on the machine, unless its answer is paged.
#[derive(Clone)]
pub struct Script {
    plain: String,
    sent: String,
    pub(super) page: usize,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) timeout: Duration,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("size", &self.size()).field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

impl Script {
    /// Compiles what is wanted into a script.
    ///
    /// # Errors
    /// [`ProbeError::ScriptTooLarge`] where the channel does not take it even when compressed,
    /// [`ProbeError::PageTooSmall`] where it takes no header of an answer.
    pub fn compile(wanted: &Wanted, nonce: &Nonce, options: &ProbeOptions) -> Result<Self, ProbeError> {
        let page = match options.max_stdout {
            Some(given) if given < LEAST_PAGE => return Err(ProbeError::PageTooSmall { given, least: LEAST_PAGE }),
            Some(given) => given - HEADER_ROOM,
            None => options.max_answer,
        };
        let mut body = Body::new(options.max_output);
        body.files(wanted);
        body.accounts(wanted);
        body.packages(wanted);
        body.services(wanted);
        body.network(wanted);
        body.kernel(wanted);
        body.commands(wanted);
        body.names(wanted);
        let mut plain = String::new();
        for part in [BASE, RUN, ANSWER].into_iter().chain(body.parts.iter().copied()) {
            plain.push_str(&bare(part));
        }
        let (nonce, limit, stores) = (nonce.as_str(), options.max_output.saturating_add(1), STORES.join(" "));
        let _ = writeln!(plain, "nonce={nonce} page={page} limit={limit} stores='{stores}' fractions=");
        plain.push_str(&body.functions);
        let _ = write!(plain, "gather() {{\n{}out \"end $records\"\n}}\n", body.calls);
        plain.push_str("main() {\nbody=$(gather)\nanswer \"$body\"\n}\nmain </dev/null\n");
        let mut sent = plain.clone();
        if plain.len() > LARGE {
            let packed = packed(&plain, nonce);
            if packed.len() < plain.len() {
                sent = packed;
            }
        }
        if sent.len() > options.max_script {
            return Err(ProbeError::ScriptTooLarge { size: sent.len(), limit: options.max_script });
        }
        Ok(Self { plain, sent, page, secrets: body.secrets, timeout: body.timeout })
    }

    /// The text to run with `/bin/sh`.
    pub fn text(&self) -> &str {
        &self.sent
    }

    /// Bytes of [`text`](Self::text).
    pub fn size(&self) -> usize {
        self.sent.len()
    }

    /// The script without compression, for machines that cannot decompress it.
    pub(super) fn plain(&self) -> &str {
        &self.plain
    }
}

/// The command for a further page of a stored answer.
pub(super) fn page(nonce: &Nonce, store: &str, page: usize, number: usize, last: bool) -> String {
    let (nonce, last) = (nonce.as_str(), if last { "yes" } else { "no" });
    let settings =
        format!("nonce={nonce} directory={store}/image-test-{nonce} page={page} number={number} last={last}");
    format!("{settings}\n{PAGE}")
}

/// The command that removes a stored answer.
pub(super) fn remove(nonce: &Nonce, store: &str) -> String {
    format!("rm -rf {store}/image-test-{}", nonce.as_str())
}

/// Without comments and indentation, which the shell does not need.
fn bare(part: &str) -> String {
    let lines = part.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

fn packed(plain: &str, nonce: &str) -> String {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    // Writing to memory does not fail; if it did, the script would be empty and its answer none.
    let bytes = encoder.write_all(plain.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
    let text = BASE64_STANDARD.encode(bytes);
    format!(
        "if command -v base64 >/dev/null 2>&1 && command -v gzip >/dev/null 2>&1; then\n\
         probe=$(printf %s '{text}' | base64 -d | gzip -dc) && eval \"$probe\"\n\
         else\nprintf 'image-test-probe/1 %s undecoded\\n' {nonce}\nfi\n"
    )
}

/// What can be a word of a shell: all but what no argument can hold.
fn word(text: &str) -> Option<String> {
    (!text.contains('\0')).then(|| quote(text))
}

/// Seconds for the shell, with three decimals.
pub(super) fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// A path as a word in which the shell puts a home directory in place of its tilde. Relative ones begin with a dot, so
/// that none is taken for an option.
fn path(path: &str) -> Option<String> {
    if let Some(rest) = path.strip_prefix('~') {
        let (user, rest) = rest.split_once('/').map_or((rest, None), |(user, rest)| (user, Some(rest)));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if user.bytes().all(plain)
            && !user.starts_with(['-', '.', '+'])
            && !user.starts_with(|c: char| c.is_ascii_digit())
        {
            return Some(match rest {
                Some(rest) => format!("~{user}/{}", word(rest)?),
                None => format!("~{user}"),
            });
        }
        return word(path);
    }
    // As goss cleans it: a slash at the end would follow a link.
    let path = if path.starts_with('/') { path.into() } else { format!("./{path}") };
    let trimmed = path.trim_end_matches('/');
    word(if trimmed.is_empty() { "/" } else { trimmed })
}

fn flag(file: FileWanted) -> char {
    let digit =
        u32::from(file.contents) | u32::from(file.md5) << 1 | u32::from(file.sha256) << 2 | u32::from(file.sha512) << 3;
    char::from_digit(digit, 16).unwrap_or('0')
}

/// The calls, in the order of [`Kind::place`](super::record::Kind), and what they need.
struct Body {
    parts: Vec<&'static str>,
    functions: String,
    calls: String,
    secrets: BTreeMap<String, Secret>,
    timeout: Duration,
    max_output: usize,
}

impl Body {
    fn new(max_output: usize) -> Self {
        let timeout = Duration::from_secs(120);
        let (parts, secrets) = (vec![], BTreeMap::new());
        Self { parts, functions: String::new(), calls: String::new(), secrets, timeout, max_output }
    }

    fn call(&mut self, words: impl IntoIterator<Item = String>) {
        let words: Vec<String> = words.into_iter().collect();
        self.calls.push_str(&words.join(" "));
        self.calls.push('\n');
    }

    /// A function that tells whether a line begins with one of the names and a separator, or what the pattern says.
    fn lines(&mut self, function: &str, patterns: Vec<String>) {
        let patterns = if patterns.is_empty() { "''".into() } else { patterns.join("|") };
        let _ = write!(self.functions, "{function}() {{\ncase $1 in\n{patterns}) return 0 ;;\nesac\nreturn 1\n}}\n");
    }

    fn files(&mut self, wanted: &Wanted) {
        if wanted.files.is_empty() {
            return;
        }
        self.parts.push(include_str!("sh/files.sh"));
        let mut batch: Vec<String> = vec![];
        let (mut first, mut bytes, mut flags) = (0, 0, String::new());
        let end = [None];
        for (index, file) in wanted.files.iter().map(Some).chain(end).enumerate() {
            let word = file.and_then(|(name, _)| path(name));
            let is_full = batch.len() == BATCH.0 || bytes > BATCH.1;
            if !batch.is_empty() && (is_full || word.is_none()) {
                let head = ["files".into(), first.to_string(), std::mem::take(&mut flags)];
                self.call(head.into_iter().chain(std::mem::take(&mut batch)));
                bytes = 0;
            }
            if let (Some((_, wanted)), Some(word)) = (file, word) {
                if batch.is_empty() {
                    first = index;
                }
                self.timeout = self.timeout.saturating_add(Duration::from_millis(100));
                bytes += word.len();
                flags.push(flag(*wanted));
                batch.push(word);
            }
        }
    }

    fn accounts(&mut self, wanted: &Wanted) {
        if wanted.users.is_empty() && wanted.groups.is_empty() {
            return;
        }
        self.parts.push(include_str!("sh/accounts.sh"));
        let starts = |name: &String| word(name).map(|word| format!("{word}:*"));
        self.lines("is_user", wanted.users.iter().filter_map(starts).collect());
        self.lines("is_group", wanted.groups.iter().filter_map(starts).collect());
        let holds = |name: &String| word(name).map(|word| format!("*{word}*"));
        self.lines("is_member", wanted.users.iter().filter(|name| !name.is_empty()).filter_map(holds).collect());
        self.call(["accounts".into()]);
    }

    fn packages(&mut self, wanted: &Wanted) {
        let names: Vec<&String> = wanted.packages.iter().filter(|name| super::system::is_package_name(name)).collect();
        if names.is_empty() {
            return;
        }
        self.parts.push(include_str!("sh/packages.sh"));
        self.lines("is_package", names.iter().map(|name| format!("P:{}", quote(name))).collect());
        let _ = writeln!(self.functions, "rpm_format={}", quote(parse::RPM_QUERY_FORMAT));
        self.call(["packages".into()].into_iter().chain(names.iter().map(|name| quote(name))));
    }

    fn services(&mut self, wanted: &Wanted) {
        if wanted.services.is_empty() {
            return;
        }
        self.parts.push(include_str!("sh/services.sh"));
        self.timeout = self.timeout.saturating_add(Duration::from_secs(30));
        // All of them, so that an index is that of the wanted ones.
        let name = |name: &String| match super::system::is_unit_pattern(name) {
            true => quote(name),
            false => "no.service".into(),
        };
        self.call(["services".into()].into_iter().chain(wanted.services.iter().map(name)));
    }

    fn network(&mut self, wanted: &Wanted) {
        if wanted.ports.is_empty() && wanted.interfaces.is_empty() {
            return;
        }
        self.add_net();
        for network in ["tcp", "tcp6", "udp", "udp6"] {
            let ports = wanted.ports.iter().filter_map(|port| network::port(port)).filter(|(name, _)| *name == network);
            let ports: Vec<String> = ports.map(|(_, port)| format!("{port:04X}")).collect();
            if !ports.is_empty() {
                let state = if network.starts_with("tcp") { "0A" } else { "[0-9A-F]+" };
                self.call(["sockets".into(), network.into(), quote(&ports.join("|")), quote(state)]);
            }
        }
        for (index, name) in wanted.interfaces.iter().enumerate() {
            if let Some(name) = word(name).filter(|_| network::is_interface_name(name)) {
                self.call(["interface".into(), index.to_string(), name]);
            }
        }
    }

    fn add_net(&mut self) {
        let net = include_str!("sh/net.sh");
        if !self.parts.contains(&net) {
            self.parts.push(net);
        }
    }

    fn kernel(&mut self, wanted: &Wanted) {
        if wanted.kernel_params.is_empty() && wanted.processes.is_empty() && wanted.mounts.is_empty() {
            return;
        }
        self.parts.push(include_str!("sh/kernel.sh"));
        for (index, name) in wanted.kernel_params.iter().enumerate() {
            if let Some(path) = word(&parse::sysctl_path(name)) {
                self.call(["parameter".into(), index.to_string(), path]);
            }
        }
        // Text for grep has no line feeds: each would part two patterns.
        let pattern = |text: String| word(&text).filter(|_| !text.contains('\n')).map(|word| format!("-e {word}"));
        let names: Vec<String> = wanted.processes.iter().filter_map(|name| pattern(format!("({name})"))).collect();
        if !names.is_empty() {
            self.call(["processes".into()].into_iter().chain(names));
        }
        // Some characters are escaped in the table: what is before them is enough to filter.
        let plain = |path: &String| match path.find([' ', '\t', '\n', '\\', '#']) {
            Some(at) => format!(" {}", path.get(..at).unwrap_or_default()),
            None => format!(" {path} "),
        };
        let paths: Vec<String> = wanted.mounts.keys().filter_map(|path| pattern(plain(path))).collect();
        if !paths.is_empty() {
            self.call(["mounts".into()].into_iter().chain(paths));
        }
        for (index, (mountpoint, usage)) in wanted.mounts.iter().enumerate() {
            if let Some(path) = path(mountpoint).filter(|_| *usage) {
                self.timeout = self.timeout.saturating_add(Duration::from_secs(5));
                self.call(["usage".into(), index.to_string(), path]);
            }
        }
    }

    fn commands(&mut self, wanted: &Wanted) {
        if !wanted.commands.is_empty() {
            self.parts.push(include_str!("sh/commands.sh"));
        }
        for (index, command) in wanted.commands.values().enumerate() {
            if let Some(exec) = word(&command.exec) {
                self.timeout = self.timeout.saturating_add(command.timeout);
                self.call(["shell".into(), index.to_string(), seconds(command.timeout), exec]);
            }
        }
    }

    fn names(&mut self, wanted: &Wanted) {
        if wanted.addrs.is_empty() && wanted.dns.is_empty() && wanted.http.is_empty() {
            return;
        }
        self.add_net();
        for (index, addr) in wanted.addrs.values().enumerate() {
            if let Some((host, port)) = network::tcp(&addr.address) {
                self.timeout = self.timeout.saturating_add(addr.timeout);
                let local = addr.local_address.as_deref().unwrap_or_default();
                // The machine knows its services better.
                let known = parse::port(&[], "tcp", port).map(|number| number.to_string()).unwrap_or_default();
                let words = [host, port, local, &known].map(quote);
                let head = ["address".into(), index.to_string(), seconds(addr.timeout)];
                self.call(head.into_iter().chain(words));
            }
        }
        let own = wanted.dns.values().filter_map(|dns| network::Question::of(dns)?.own_host()).map(quote);
        let patterns: Vec<String> = own.map(|host| format!("-e {host}")).collect();
        if !patterns.is_empty() {
            self.call(["hosts".into()].into_iter().chain(patterns));
        }
        for (index, dns) in wanted.dns.values().enumerate() {
            let Some(question) = network::Question::of(dns) else { continue };
            for (kind, words) in question.calls() {
                self.timeout = self.timeout.saturating_add(dns.timeout);
                self.call([kind.into(), index.to_string()].into_iter().chain(words));
            }
        }
        for (index, request) in wanted.http.values().enumerate() {
            let timeout = http::timeout(request);
            if let Some(mut configuration) = http::configuration(request, self.max_output).as_deref().and_then(word) {
                if let Some(secret) = http::credentials(request) {
                    let name = format!("IMAGE_TEST_CREDENTIALS_{index}");
                    let _ = write!(configuration, "\"${name}\"");
                    self.secrets.insert(name, secret);
                }
                self.timeout = self.timeout.saturating_add(timeout);
                let wget = http::wget(request).map_or_else(
                    |why| vec![why.to_owned()],
                    |arguments| [String::new()].into_iter().chain(arguments).collect(),
                );
                let head = ["request".into(), index.to_string(), seconds(timeout), configuration];
                self.call(head.into_iter().chain(wget.iter().map(|word| quote(word))));
            }
        }
        // What the suite's programs are started with is no place for secrets.
        for name in self.secrets.keys() {
            let _ =
                write!(self.functions, "credentials=${name}\nunset {name}\n{name}=$credentials\nunset credentials\n");
        }
    }
}
