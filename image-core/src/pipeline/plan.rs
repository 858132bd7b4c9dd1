//! What a run would do: everything is checked and resolved, nothing is created.

use super::{Definition, Pipeline, Ready, evidence::Evidence};
use crate::{
    Builder, Cached, Checked, Context, Error, ErrorKind, Fingerprint, Image, Platform, Provisioner, Result, Role,
    Source, VerifiedInput, machine::quote,
};
use serde::Serialize;
use std::{fmt, sync::Arc};

/// What happens to a layer.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerAction {
    /// It is built, because it or a layer below it is not there.
    Build,
    /// It is there: the image's id.
    Reuse(String),
}

/// A layer of a plan.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PlannedLayer {
    /// Its name.
    pub name: String,
    /// What decides its content; `None` when a provisioner does not declare its inputs.
    pub fingerprint: Option<Fingerprint>,
    /// What happens to it.
    pub action: LayerAction,
    /// Ids of its provisioners, in order.
    pub provisioners: Vec<String>,
}

/// What a run would do. `Display` is for people.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// The image's name.
    pub pipeline: String,
    /// The builder's id.
    pub builder: String,
    /// Where the image is built.
    pub location: String,
    /// The base.
    pub source: Source,
    /// What the image runs on.
    pub platform: Platform,
    /// The layers, lowest first.
    pub layers: Vec<PlannedLayer>,
    /// Ids of the validators of the image.
    pub validators: Vec<String>,
    /// Ids of the scanners.
    pub scanners: Vec<String>,
    /// Gates that are left out by name.
    pub opted_out: Vec<String>,
    /// The run whose approval is still good, so that nothing is tested again.
    pub approved_by_run: Option<String>,
    /// Ids of the distributors.
    pub distributors: Vec<String>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let Platform { os, architecture, .. } = &self.platform;
        writeln!(f, "image {} for {os}/{architecture}, by {} in {}", self.pipeline, self.builder, self.location)?;
        writeln!(f, "  from {} ({})", self.source.name, self.source.pinned)?;
        for layer in &self.layers {
            let fingerprint = layer.fingerprint.as_ref().map_or("undeclared inputs", Fingerprint::short);
            match &layer.action {
                LayerAction::Build => {
                    writeln!(f, "  build layer {} [{fingerprint}]: {}", layer.name, list(&layer.provisioners))?
                }
                LayerAction::Reuse(id) => writeln!(f, "  reuse layer {} [{fingerprint}]: {id}", layer.name)?,
            }
        }
        match &self.approved_by_run {
            Some(run) => writeln!(f, "  approved by run {run}, still good")?,
            None => {
                writeln!(f, "  validate on the build machine and after a boot: {}", list(&self.validators))?;
                writeln!(f, "  scan: {}", list(&self.scanners))?;
                for gate in &self.opted_out {
                    writeln!(f, "  WITHOUT {gate}")?;
                }
            }
        }
        write!(f, "  distribute by: {}", list(&self.distributors))
    }
}

/// A plan, with what the run needs to carry it out.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) inputs: Vec<VerifiedInput>,
    pub(super) checked: Checked,
    pub(super) imports: Vec<Checked>,
    /// The first layer that must be built, and the layer below it.
    pub(super) build_from: usize,
    pub(super) parent: Option<Image>,
    /// What approval is filed under; `None` when a part of it is not declared.
    pub(super) approval_key: Option<Fingerprint>,
    pub(super) evidence: Option<Evidence>,
}

impl Pipeline<Ready> {
    /// Checks and resolves everything, and says what a run would do. No side effects.
    ///
    /// # Errors
    /// `InvalidInput` and `Unsupported` for what a run would refuse; the plugins' own.
    pub async fn plan(&self, cx: &Context) -> Result<Plan> {
        Ok(self.prepare(cx).await?.plan)
    }

    pub(super) async fn prepare(&self, cx: &Context) -> Result<Prepared> {
        let (builder, definition) = (&self.state.builder, &self.definition);
        definition.check(&**builder)?;
        let mut inputs = vec![];
        for verifier in &definition.verifiers {
            let verified = verifier.verify(&cx.enter(&format!("verify/{}", verifier.id()))).await?;
            if verified.is_empty() {
                let message = format!("verifier {} verified nothing", verifier.id());
                return Err(Error::new(ErrorKind::PolicyViolation, message));
            }
            inputs.extend(verified);
        }
        for distributor in &definition.distributors {
            distributor.check(cx).await?;
        }
        let checked = builder.check(cx, &definition.spec).await?;
        let mut imports = vec![];
        for importer in &definition.importers {
            imports.push(importer.check(cx, &definition.spec).await?);
        }
        let fingerprints = self.fingerprints(cx, &checked, &inputs).await?;
        let found = deepest(cx, &**builder, &checked, &fingerprints).await?;
        let approval_key = self.approval_key(cx, fingerprints.last(), &imports).await?;
        let build_from = found.as_ref().map_or(0, |(n, _)| n + 1);
        let parent = found.map(|(_, cached)| cached.image);
        let evidence = match (&approval_key, &parent) {
            (Some(key), Some(image)) if build_from == fingerprints.len() => {
                Evidence::find(cx, key, image, &definition.policy).await?
            }
            _ => None,
        };
        let plan = self.describe(&checked, &fingerprints, build_from, parent.as_ref(), evidence.as_ref());
        Ok(Prepared { plan, inputs, checked, imports, build_from, parent, approval_key, evidence })
    }

    /// One per layer: of its base, its own inputs, and the library's version, whose change may change what comes out.
    async fn fingerprints(
        &self,
        cx: &Context,
        checked: &Checked,
        inputs: &[VerifiedInput],
    ) -> Result<Vec<Option<Fingerprint>>> {
        let base = (&checked.fingerprint, &checked.source, &checked.platform, inputs, env!("CARGO_PKG_VERSION"));
        let mut below = match &checked.fingerprint {
            Some(_) => Some(Fingerprint::of("base", &base)?),
            None => None,
        };
        let seal = declared(cx, &self.definition.seal).await?;
        let mut all = vec![];
        for layer in &self.definition.layers {
            let own = declared(cx, &layer.provisioners).await?;
            below = match (below, own, &seal) {
                (Some(below), Some(own), Some(seal)) => {
                    Some(Fingerprint::of("layer", &(below, &layer.name, own, seal, layer.network, &layer.refresh))?)
                }
                _ => None,
            };
            all.push(below.clone());
        }
        Ok(all)
    }

    /// What an approval is good for: the content, and everything that judged it.
    async fn approval_key(
        &self,
        cx: &Context,
        content: Option<&Option<Fingerprint>>,
        imports: &[Checked],
    ) -> Result<Option<Fingerprint>> {
        let Some(Some(content)) = content else { return Ok(None) };
        let Definition { validators, scanners, attestors, approvers, policy, layers, .. } = &self.definition;
        let mut judges = vec![];
        for validator in validators.iter().chain(layers.iter().flat_map(|layer| &layer.validators)) {
            let Some(fingerprint) = validator.fingerprint(cx).await? else { return Ok(None) };
            judges.push((validator.id(), fingerprint));
        }
        for scanner in scanners {
            let Some(fingerprint) = scanner.fingerprint(cx).await? else { return Ok(None) };
            judges.push((scanner.id(), fingerprint));
        }
        let mut imported = vec![];
        for import in imports {
            let Some(fingerprint) = &import.fingerprint else { return Ok(None) };
            imported.push(fingerprint);
        }
        let signers: Vec<&str> = attestors.iter().map(|a| a.id()).chain(approvers.iter().map(|a| a.id())).collect();
        let demands = (policy.scan.describe(), policy.opted_out(), policy.require_digest);
        Fingerprint::of("approval", &(content, judges, imported, signers, demands)).map(Some)
    }

    fn describe(
        &self,
        checked: &Checked,
        fingerprints: &[Option<Fingerprint>],
        build_from: usize,
        parent: Option<&Image>,
        evidence: Option<&Evidence>,
    ) -> Plan {
        let definition = &self.definition;
        let layer = |(n, layer): (usize, &super::Layer)| {
            let reused = parent.filter(|_| n < build_from);
            // Only the deepest one is looked up; those below it are part of it.
            let id =
                reused.map(|image| if n + 1 == build_from { image.id.clone() } else { format!("in {}", image.id) });
            PlannedLayer {
                name: layer.name.clone(),
                fingerprint: fingerprints[n].clone(),
                action: id.map_or(LayerAction::Build, LayerAction::Reuse),
                provisioners: layer.provisioners.iter().map(|p| p.id().to_owned()).collect(),
            }
        };
        Plan {
            pipeline: self.name().to_owned(),
            builder: self.state.builder.owner().to_owned(),
            location: checked.location.clone(),
            source: checked.source.clone(),
            platform: checked.platform.clone(),
            layers: definition.layers.iter().enumerate().map(layer).collect(),
            validators: definition.validators.iter().map(|v| v.id().to_owned()).collect(),
            scanners: definition.scanners.iter().map(|s| s.id().to_owned()).collect(),
            opted_out: definition.policy.opted_out(),
            approved_by_run: evidence.map(|evidence| evidence.record.run.clone()),
            distributors: definition.distributors.iter().map(|d| d.owner().to_owned()).collect(),
        }
    }
}

/// The fingerprints of provisioners; `None` when one of them does not declare its inputs.
async fn declared(cx: &Context, provisioners: &[Arc<dyn Provisioner>]) -> Result<Option<Vec<Fingerprint>>> {
    let mut all = vec![];
    for provisioner in provisioners {
        let Some(fingerprint) = provisioner.fingerprint(cx).await? else { return Ok(None) };
        all.push(fingerprint);
    }
    Ok(Some(all))
}

/// The highest layer that is there, so that nothing below it is looked at.
async fn deepest(
    cx: &Context,
    builder: &dyn Builder,
    checked: &Checked,
    fingerprints: &[Option<Fingerprint>],
) -> Result<Option<(usize, Cached)>> {
    for (n, fingerprint) in fingerprints.iter().enumerate().rev() {
        let Some(fingerprint) = fingerprint else { continue };
        let wanted = if n + 1 == fingerprints.len() { Role::Image } else { Role::Layer };
        if let Some(cached) = builder.lookup(cx, checked, fingerprint).await?.filter(|cached| cached.role == wanted) {
            return Ok(Some((n, cached)));
        }
    }
    Ok(None)
}

impl Definition {
    /// Refuses what cannot work, before anything is created.
    fn check(&self, builder: &dyn Builder) -> Result<()> {
        let name = &self.spec.name;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(3..=60).contains(&name.len()) || !name.bytes().all(plain) || name.starts_with('-') {
            return Err(Error::invalid("pipeline name", name, "3 to 60 of a-z, 0-9 and `-`, not starting with `-`"));
        }
        if self.layers.is_empty() {
            return Err(Error::invalid("layers", "empty", "at least one layer"));
        }
        for (n, layer) in self.layers.iter().enumerate() {
            if layer.name.is_empty() || quote(&layer.name) != layer.name || layer.name.contains('/') {
                return Err(Error::invalid("layer name", &layer.name, "letters, digits and `-._`"));
            }
            if self.layers[..n].iter().any(|other| other.name == layer.name) {
                return Err(Error::invalid("layer name", &layer.name, "a name that no other layer has"));
            }
        }
        if self.validators.is_empty() && self.policy.without_boot_validation.is_none() {
            let accepted = "at least one validator, or `without_boot_validation(reason)`";
            return Err(Error::invalid("validators", "empty", accepted));
        }
        if self.scanners.is_empty() && self.policy.without_scan.is_none() {
            return Err(Error::invalid("scanners", "empty", "at least one scanner, or `without_scan(reason)`"));
        }
        self.check_capabilities(builder)
    }

    fn check_capabilities(&self, builder: &dyn Builder) -> Result<()> {
        let (capabilities, owner) = (builder.capabilities(), builder.owner());
        let unsupported = |what: String| Err(Error::new(ErrorKind::Unsupported, what));
        if !capabilities.boot && self.policy.without_boot_validation.is_none() {
            return unsupported(format!(
                "builder {owner} cannot boot an image; opt out with `without_boot_validation(reason)`"
            ));
        }
        for layer in &self.layers {
            if layer.network == crate::Network::Offline && !capabilities.offline {
                return unsupported(format!("builder {owner} cannot cut layer {} off the network", layer.name));
            }
            for provisioner in layer.provisioners.iter().chain(&self.seal) {
                let (needs, id) = (provisioner.requirements(), provisioner.id());
                if needs.reboot && !capabilities.reboot {
                    return unsupported(format!("provisioner {id} restarts the machine; builder {owner} cannot"));
                }
                if needs.secrets && !capabilities.secrets {
                    let why = "cannot carry them without a trace";
                    return unsupported(format!(
                        "provisioner {id} sends secrets; the machines of builder {owner} {why}"
                    ));
                }
            }
        }
        Ok(())
    }
}
