//! Layers to one root filesystem, in two passes: who owns each name, then the contents of the owners.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Write};

use sha2::{Digest as _, Sha256};

use super::super::archive::Compression;
use super::super::digest::Digest;
use super::super::error::RootfsError;
use super::super::manifest::Manifest;
use super::super::normalize::{Budget, Limits, NormalizeOptions, Normalizer};
use super::super::path::{PathError, RootfsPath};
use super::super::tar::{CanonicalWriter, EndMarker, Member, MemberKind, TarReader};
use super::blob::Blob;
use super::error::OciError;
use super::layout::{OciImage, OciLayer, OciLayout};
use super::tree::{Inode, Node, NodeKind, Tree};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other names that begin so are the bookkeeping of AUFS, not files.
const BOOKKEEPING: &[u8] = b".wh..wh.";

impl OciLayout {
    /// Writes the image as one tar archive: directories first, then everything else in the order of the layers.
    ///
    /// Whoever extracts it must set the times and modes of directories last (GNU tar: `--delay-directory-restore`).
    ///
    /// Whiteouts are applied, and a hard link keeps the content it had when its layer was made, whatever later layers
    /// did to the other name. An entry below a symbolic link lands where a container runtime would put it. Each layer
    /// is read twice and proved both times, against its descriptor and the configuration; memory holds names only.
    ///
    /// # Errors
    /// See [`OciError`]. What was written is then incomplete and must be discarded.
    pub fn flatten(&self, image: &OciImage, output: impl Write) -> Result<(), OciError> {
        let mut writer = CanonicalWriter::new(output);
        self.each_member(image, &Limits::default(), &mut |member, content| writer.write(&member, content).map(drop))?;
        writer.finish().map(drop).map_err(|source| OciError::Rootfs { digest: None, source })
    }

    /// Writes the image as the canonical archive of [`normalize()`](super::super::normalize()), without an
    /// intermediate archive.
    ///
    /// # Errors
    /// As [`flatten`](Self::flatten) and [`normalize()`](super::super::normalize()).
    pub fn normalize(
        &self,
        image: &OciImage,
        output: impl Write,
        options: &NormalizeOptions,
    ) -> Result<Manifest, OciError> {
        let mut normalizer = Normalizer::new(output, options);
        self.each_member(image, &options.limits, &mut |member, content| normalizer.push(member, content))?;
        normalizer.finish().map_err(|source| OciError::Rootfs { digest: None, source })
    }

    fn each_member(&self, image: &OciImage, limits: &Limits, push: &mut Push<'_>) -> Result<(), OciError> {
        let mut budget = Budget::new(limits);
        let mut tree = Tree::default();
        for (number, layer) in image.layers.iter().enumerate() {
            self.apply(layer, number, &mut tree, &mut budget)?;
        }
        let (directories, mut owners) =
            split(tree.into_nodes(), &mut budget).map_err(|source| OciError::Rootfs { digest: None, source })?;
        for directory in directories {
            push(directory, &mut io::empty()).map_err(|source| OciError::Rootfs { digest: None, source })?;
        }
        for (number, layer) in image.layers.iter().enumerate() {
            let first = Inode { layer: number, index: 0 };
            if owners.range(first..).next().is_some_and(|(inode, _)| inode.layer == number) {
                self.copy(layer, number, &mut owners, push)?;
            }
        }
        Ok(())
    }

    /// The first pass over a layer. Whiteouts work on the layers below only, wherever in the layer they stand, so they
    /// are applied at once and the other entries afterwards.
    fn apply(&self, layer: &OciLayer, number: usize, tree: &mut Tree, budget: &mut Budget<'_>) -> Result<(), OciError> {
        let refused =
            |path: &RootfsPath, reason| OciError::Layer { digest: layer.digest, path: path.to_string(), reason };
        let mut members = Vec::new();
        let mut cleared = BTreeSet::new();
        let mut index = 0;
        self.read_layer(layer, &mut |member, _| {
            let inode = Inode { layer: number, index };
            index += 1;
            let rootfs = |source| OciError::Rootfs { digest: Some(layer.digest), source };
            budget.entry(&member).map_err(rootfs)?;
            match Whiteout::of(&member.path).map_err(|_| refused(&member.path, "the whiteout names no file"))? {
                Some(Whiteout::Bookkeeping) => {}
                Some(Whiteout::Opaque(directory)) => {
                    let directory = tree.resolve(&directory).map_err(|reason| refused(&member.path, reason))?;
                    if cleared.insert(directory.clone()) {
                        tree.clear(&directory);
                    }
                }
                Some(Whiteout::Removed(path)) => {
                    let path = tree.resolve(&path).map_err(|reason| refused(&member.path, reason))?;
                    tree.remove(&path);
                }
                None => {
                    let keeps_attributes = member.kind == MemberKind::Directory;
                    let member = if keeps_attributes { member } else { Member { xattrs: BTreeMap::new(), ..member } };
                    budget.xattrs(&member).map_err(rootfs)?;
                    members.push((member, inode));
                }
            }
            Ok(())
        })?;
        for (member, inode) in members {
            let path = member.path.clone();
            tree.apply(member, inode).map_err(|reason| refused(&path, reason))?;
        }
        Ok(())
    }

    /// The second pass over a layer: the entries that still have a name.
    fn copy(&self, layer: &OciLayer, number: usize, owners: &mut Owners, push: &mut Push<'_>) -> Result<(), OciError> {
        let mut index = 0;
        self.read_layer(layer, &mut |member, content| {
            let names = owners.remove(&Inode { layer: number, index }).unwrap_or_default();
            index += 1;
            let mut names = names.into_iter();
            let Some(first) = names.next() else { return Ok(()) };
            let rootfs = |source| OciError::Rootfs { digest: Some(layer.digest), source };
            let link = Member { kind: MemberKind::HardLink(first.clone()), size: 0, ..member.clone() };
            push(Member { path: first, ..member }, content).map_err(rootfs)?;
            for path in names {
                push(Member { path, ..link.clone() }, &mut io::empty()).map_err(rootfs)?;
            }
            Ok(())
        })
    }

    /// Hands every entry of a layer to `visit`, and proves the layer in both forms.
    fn read_layer(&self, layer: &OciLayer, visit: &mut Visit<'_>) -> Result<(), OciError> {
        let mut blob = Blob::open(&self.directory, layer.digest, layer.size)?;
        let found = match visit_archive(&mut blob, layer, visit) {
            Ok(found) => found,
            // Damage shows in many ways; that the blob is not the one the manifest names says it best.
            Err(error) => return Err(blob.prove().err().unwrap_or(error)),
        };
        blob.prove()?;
        if found != layer.diff_id {
            return Err(OciError::DiffId { digest: layer.digest, found, expected: layer.diff_id });
        }
        Ok(())
    }
}

type Push<'a> = dyn FnMut(Member, &mut dyn Read) -> Result<(), RootfsError> + 'a;
type Visit<'a> = dyn FnMut(Member, &mut dyn Read) -> Result<(), OciError> + 'a;
/// The names of each entry that is not a directory, sorted.
type Owners = BTreeMap<Inode, Vec<RootfsPath>>;

fn visit_archive(blob: &mut Blob, layer: &OciLayer, visit: &mut Visit<'_>) -> Result<Digest, OciError> {
    let read = |source| OciError::Rootfs { digest: Some(layer.digest), source: RootfsError::Read { source } };
    let mut start = Vec::with_capacity(512);
    blob.take(512).read_to_end(&mut start).map_err(read)?;
    let compression = Compression::detect(&start).unwrap_or(Compression::None);
    let input = BufReader::with_capacity(128 << 10, io::Cursor::new(start).chain(blob));
    let mut input = HashReader { input: compression.decoder(input).map_err(read)?, hasher: Sha256::new() };
    // The digest proves that nothing is cut off, and some builders leave the end marker out.
    let mut archive = TarReader::new(BufReader::with_capacity(128 << 10, &mut input), EndMarker::Optional);
    let malformed =
        |error: super::super::tar::TarError| OciError::Rootfs { digest: Some(layer.digest), source: error.into() };
    while let Some(member) = archive.next_member().map_err(malformed)? {
        visit(member, &mut archive.content())?;
    }
    Ok(Digest::finish(input.hasher))
}

struct HashReader<R> {
    input: R,
    hasher: Sha256,
}

impl<R: Read> Read for HashReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// Directories, also those that are only implied, in an order in which they can be made; and the names of the rest.
fn split(nodes: BTreeMap<RootfsPath, Node>, budget: &mut Budget<'_>) -> Result<(Vec<Member>, Owners), RootfsError> {
    let mut implied: BTreeSet<&[u8]> = BTreeSet::new();
    for path in nodes.keys() {
        for parent in path.ancestors().take_while(|parent| !nodes.contains_key(*parent)) {
            if !implied.insert(parent) {
                break;
            }
            budget.name(path, parent.len())?;
        }
    }
    let implied = implied.into_iter().map(RootfsPath::from_ancestor);
    let mut directories: Vec<_> = implied.map(|path| Member::implied_directory(path, 0)).collect();
    let mut owners = Owners::new();
    for (path, node) in nodes {
        match node.kind {
            NodeKind::Directory(member) => directories.push(*member),
            NodeKind::Symlink(_) | NodeKind::Other => owners.entry(node.inode).or_default().push(path),
        }
    }
    directories.sort_by(|one, other| one.path.cmp(&other.path));
    Ok((directories, owners))
}

enum Whiteout {
    Bookkeeping,
    Opaque(RootfsPath),
    Removed(RootfsPath),
}

impl Whiteout {
    fn of(path: &RootfsPath) -> Result<Option<Self>, PathError> {
        let Some((name, parent)) = path.file_name().zip(path.parent()) else { return Ok(None) };
        if path.as_bytes().split(|&byte| byte == b'/').any(|part| part.starts_with(BOOKKEEPING) && part != OPAQUE) {
            return Ok(Some(Self::Bookkeeping));
        }
        if name == OPAQUE {
            return Ok(Some(Self::Opaque(parent)));
        }
        let Some(removed) = name.strip_prefix(WHITEOUT) else { return Ok(None) };
        if removed.is_empty() || removed == b"." {
            return Err(PathError::Empty);
        }
        let above = if parent.is_root() { Vec::new() } else { [parent.as_bytes(), b"/"].concat() };
        RootfsPath::parse([&above, removed].concat()).map(Self::Removed).map(Some)
    }
}
