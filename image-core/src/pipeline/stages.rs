//! What a run does, in order. Cleanup is nowhere in here: whatever ends these stages, the supervisor unwinds.

use super::{evidence::Evidence, plan::Prepared, trace::Execution};
use crate::{
    ApprovedImage, Attestation, BuildRecord, Capture, Captured, Context, DistributionRecord, Distributor, Error,
    ErrorKind, EventBody, Guard, Image, ImageRecord, Keep, Launch, Launched, Layer, LayerRecord, Machine, Provisioner,
    Report, Result, Role, ScanReport, ScanTarget, Scanner, State, Step, StepKind, Subject, Validator,
};
use serde_json::json;
use std::sync::Arc;

impl Execution {
    pub(super) async fn stages(&self, cx: &Context) -> Result<Vec<Image>> {
        let prepared = self.stage(cx, "check", |cx| self.check(cx)).await?;
        let evidence = match &prepared.evidence {
            Some(evidence) => self.reuse_approval(cx, evidence),
            None => {
                let images = self.build(cx, &prepared).await?;
                self.test(cx, &prepared, images).await?;
                self.freeze(cx, &prepared).await?
            }
        };
        let approved = self.approve(&evidence)?;
        let copies = self.stage(cx, "distribute", |cx| self.distribute(cx, &approved)).await?;
        self.stage(cx, "commit", |cx| async move { cx.commit(&self.take_held(), Keep::FOREVER).await }).await?;
        self.file(cx, &prepared, &evidence).await;
        self.stage(cx, "publish", |cx| self.publish(cx, &copies)).await?;
        let images = approved.iter().map(ApprovedImage::image).chain(copies.iter().flat_map(|(_, copies)| copies));
        Ok(images.cloned().collect())
    }

    /// Everything that can be refused is refused here; nothing is created.
    async fn check(&self, cx: Context) -> Result<Prepared> {
        let prepared = self.pipeline.prepare(&cx).await?;
        {
            let mut report = self.report();
            report.record.source = Some(prepared.checked.source.clone());
            report.record.inputs = prepared.inputs.clone();
        }
        cx.record("checked", json!(prepared.plan)).await?;
        cx.message(prepared.plan.to_string());
        Ok(prepared)
    }

    /// Builds the layers that are not there, and imports the result where it was asked for.
    async fn build(&self, cx: &Context, prepared: &Prepared) -> Result<Vec<Image>> {
        let layers = &self.pipeline.definition.layers;
        let mut parent = prepared.parent.clone();
        for (n, layer) in layers.iter().enumerate() {
            let stage = format!("layer {}", layer.name);
            if n < prepared.build_from {
                self.skip(cx, &stage, "nothing of it has changed".into());
                let image = parent.clone().filter(|_| n + 1 == prepared.build_from);
                self.note_layer(prepared, n, true, (image, std::collections::BTreeMap::new()));
                continue;
            }
            let base = parent.as_ref();
            parent = Some(self.stage(cx, &stage, |cx| self.build_layer(cx, prepared, n, layer, base)).await?);
        }
        let image = parent.ok_or_else(|| Error::bug("a pipeline without layers was not refused"))?;
        let mut images = vec![image];
        for (importer, checked) in self.pipeline.definition.importers.iter().zip(&prepared.imports) {
            let disk = &images[0];
            let name = format!("import {}", importer.owner());
            let Captured { image, guards, .. } =
                self.stage(cx, &name, |cx| async move { importer.import(&cx, checked, disk).await }).await?;
            self.hold(guards);
            images.push(image);
        }
        cx.record("captured", json!(images)).await?;
        Ok(images)
    }

    /// Launches, provisions, validates, scans, seals, captures, and lets go of the machine.
    async fn build_layer(
        &self,
        cx: Context,
        prepared: &Prepared,
        n: usize,
        layer: &Layer,
        parent: Option<&Image>,
    ) -> Result<Image> {
        let (builder, definition) = (&self.pipeline.state.builder, &self.pipeline.definition);
        let last = n + 1 == definition.layers.len();
        let launch = Launch::new(&prepared.checked, parent, &layer.name, layer.network);
        let Launched { machine, handle, guards } =
            self.stage(&cx, "launch", |cx| async move { builder.launch(&cx, launch).await }).await?;
        if let Err(error) = self.prepare_machine(&cx, layer, last, &*machine).await {
            self.pause(&cx, &*machine, &error).await;
            return Err(error);
        }
        drop(machine);

        let role = if last { Role::Image } else { Role::Layer };
        let fingerprint = prepared.plan.layers[n].fingerprint.as_ref();
        let capture =
            Capture::new(&prepared.checked, &definition.spec.name, &layer.name, role, &definition.spec.labels)
                .fingerprint(fingerprint)
                .parent(parent);
        let captured =
            self.stage(&cx, "capture", |cx| async move { builder.capture(&cx, handle, capture).await }).await?;
        self.stage(&cx, "release", |_| release(guards)).await?; // gone before anything else starts

        let Captured { image, guards, notes } = captured;
        let notes = notes.into_iter().map(|(key, note)| (key, cx.clean_value(note))).collect();
        if last {
            self.hold(guards);
        } else if fingerprint.is_some() {
            let keep = Keep::until(State::Layer, cx.now().after(definition.layer_ttl));
            cx.commit(&guards, keep).await?;
        } // else nothing could ever find it again: it is undone at the end of the run
        self.note_layer(prepared, n, false, (Some(image.clone()), notes));
        Ok(image)
    }

    async fn prepare_machine(&self, cx: &Context, layer: &Layer, last: bool, machine: &dyn Machine) -> Result<()> {
        let definition = &self.pipeline.definition;
        for provisioner in &layer.provisioners {
            self.provision(cx, "provision", provisioner, machine).await?;
        }
        let subject = Subject::BuildMachine(machine);
        for validator in &layer.validators {
            let report = self.validate(cx, &**validator, subject).await?;
            self.report().record.build_reports.push(report.clone());
            report.require()?;
        }
        let boots = definition.policy.without_boot_validation.is_none();
        for validator in definition.validators.iter().filter(|_| last) {
            let report = self.validate(cx, &**validator, subject).await?;
            // Whoever looks only at what a boot shows has a say after the boot, and must have one then.
            if boots && report.is_not_applicable() {
                continue;
            }
            self.report().record.build_reports.push(report.clone());
            report.require()?;
        }
        for scanner in definition.scanners.iter().filter(|_| last) {
            let target = ScanTarget::Machine(machine);
            if scanner.supports(&target) {
                let report = self.scan(cx, &**scanner, target).await?;
                self.report().record.build_scans.push(report.clone());
                definition.policy.scan.decide(std::slice::from_ref(&report))?;
            }
        }
        for provisioner in &definition.seal {
            self.provision(cx, "seal", provisioner, machine).await?;
        }
        Ok(())
    }

    /// Boots every image, validates it again, and scans it.
    async fn test(&self, cx: &Context, prepared: &Prepared, images: Vec<Image>) -> Result<()> {
        for (n, image) in images.into_iter().enumerate() {
            let stage = format!("test {}", image.provider);
            let record = self.stage(cx, &stage, |cx| self.test_image(cx, n, image)).await?;
            self.report().record.images.push(record);
        }
        cx.record("tested", json!({ "source": prepared.checked.source })).await
    }

    async fn test_image(&self, cx: Context, n: usize, image: Image) -> Result<ImageRecord> {
        let definition = &self.pipeline.definition;
        let mut record = ImageRecord { image, booted: vec![], scans: vec![] };
        let mut machine = None;
        if definition.policy.without_boot_validation.is_none() {
            let image = &record.image;
            let boot = |cx: Context| async move {
                match n.checked_sub(1) {
                    None => self.pipeline.state.builder.boot(&cx, image).await,
                    Some(n) => definition.importers[n].boot(&cx, image).await,
                }
            };
            machine = Some(self.stage(&cx, "boot", boot).await?);
        }
        let booted: Option<&dyn Machine> = machine.as_ref().map(|launched| &*launched.machine);
        let tested = self.test_booted(&cx, &mut record, booted).await;
        if let (Err(error), Some(booted)) = (&tested, booted) {
            self.pause(&cx, booted, error).await;
        }
        tested?;
        if let Some(Launched { machine, guards, .. }) = machine {
            drop(machine);
            self.stage(&cx, "release", |_| release(guards)).await?;
        }
        Ok(record)
    }

    async fn test_booted(&self, cx: &Context, record: &mut ImageRecord, booted: Option<&dyn Machine>) -> Result<()> {
        let definition = &self.pipeline.definition;
        if let Some(booted) = booted {
            for validator in &definition.validators {
                let report = self.validate(cx, &**validator, Subject::Booted(booted)).await?;
                report.require()?;
                record.booted.push(report);
            }
        }
        for scanner in &definition.scanners {
            let mut targets = vec![ScanTarget::Image(&record.image)];
            targets.extend(booted.map(ScanTarget::Machine));
            let Some(target) = targets.into_iter().find(|target| scanner.supports(target)) else {
                let message = format!("scanner {} can look neither at {} nor at a machine", scanner.id(), record.image);
                return Err(Error::new(ErrorKind::Unsupported, message));
            };
            let report = self.scan(cx, &**scanner, target).await?;
            record.scans.push(report);
        }
        Ok(())
    }

    /// Freezes the record, has it signed, and asks whoever must agree.
    async fn freeze(&self, cx: &Context, prepared: &Prepared) -> Result<Evidence> {
        let definition = &self.pipeline.definition;
        for approver in &definition.approvers {
            let record = self.gated_record();
            let name = format!("approve {}", approver.id());
            let approval = self.stage(cx, &name, |cx| async move { approver.approve(&cx, &record).await }).await?;
            let approval = crate::Approval { at: cx.now(), ..approval };
            self.report().record.approvals.push(approval);
        }
        let record = self.gated_record();
        let mut attestations: Vec<Attestation> = vec![];
        for attestor in &definition.attestors {
            let (name, record) = (format!("attest {}", attestor.id()), &record);
            attestations.push(self.stage(cx, &name, |cx| async move { attestor.attest(&cx, record).await }).await?);
        }
        self.report().attestations = attestations.clone();
        cx.record("frozen", json!({ "record": record, "approval_key": prepared.approval_key })).await?;
        Ok(Evidence { at: cx.now(), record, attestations })
    }
    fn gated_record(&self) -> BuildRecord {
        let report = self.report();
        BuildRecord { stages: report.stages.clone(), ..report.record.clone() }
    }

    fn reuse_approval(&self, cx: &Context, evidence: &Evidence) -> Evidence {
        let reason = format!("run {} built and approved it", evidence.record.run);
        for layer in &self.pipeline.definition.layers {
            self.skip(cx, &format!("layer {}", layer.name), reason.clone());
        }
        self.skip(cx, "test", reason);
        let mut report = self.report();
        report.approved_by_run = Some(evidence.record.run.clone());
        report.record = evidence.record.clone();
        report.attestations = evidence.attestations.clone();
        evidence.clone()
    }

    fn approve(&self, evidence: &Evidence) -> Result<Vec<ApprovedImage>> {
        let (record, attestations) = (Arc::new(evidence.record.clone()), evidence.attestations.clone().into());
        let policy = &self.pipeline.definition.policy;
        let mint = |found: &ImageRecord| ApprovedImage::mint(&found.image, &record, &attestations, policy);
        record.images.iter().map(mint).collect()
    }

    /// All copies are made, then all are verified; nobody has seen any of them yet.
    async fn distribute(
        &self,
        cx: Context,
        approved: &[ApprovedImage],
    ) -> Result<Vec<(&Arc<dyn Distributor>, Vec<Image>)>> {
        let mut made = vec![];
        for distributor in &self.pipeline.definition.distributors {
            let cx = cx.enter(distributor.owner());
            let (mut all, mut created) = (vec![], 0);
            for image in approved {
                let captured = distributor.distribute(&cx, image).await?;
                let mut copies = vec![];
                for Captured { image, guards, .. } in captured {
                    created += usize::from(!guards.is_empty());
                    self.hold(guards);
                    copies.push(image);
                }
                all.push((image, copies));
            }
            made.push((distributor, all, created));
        }
        let mut distributed = vec![];
        for (distributor, all, created) in made {
            let cx = cx.enter(distributor.owner());
            for (image, copies) in &all {
                distributor.verify(&cx, image, copies).await?;
            }
            let copies: Vec<Image> = all.into_iter().flat_map(|(_, copies)| copies).collect();
            let record = DistributionRecord {
                distributor: distributor.owner().to_owned(),
                copies: copies.clone(),
                created,
                published: vec![],
            };
            self.report().distribution.push(record);
            distributed.push((distributor, copies));
        }
        cx.record("distributed", json!(distributed.iter().map(|(_, copies)| copies).collect::<Vec<_>>())).await?;
        Ok(distributed)
    }

    /// Files the approval for later runs. It is only a shortcut: without it they test again.
    async fn file(&self, cx: &Context, prepared: &Prepared, evidence: &Evidence) {
        if let (Some(key), None) = (&prepared.approval_key, &prepared.evidence)
            && let Err(e) = evidence.file(cx, key).await
        {
            cx.warn(format!("the approval was not filed, the next run tests again: {}", e.chain()));
        }
    }

    async fn publish(&self, cx: Context, copies: &[(&Arc<dyn Distributor>, Vec<Image>)]) -> Result<()> {
        let mut pointers: Vec<Guard> = vec![];
        for (n, (distributor, copies)) in copies.iter().enumerate() {
            let moved = distributor.publish(&cx.enter(distributor.owner()), copies).await?;
            self.report().distribution[n].published = moved.iter().map(|guard| guard.id().to_owned()).collect();
            pointers.extend(moved);
        }
        cx.keep_changes(&pointers).await
    }

    async fn provision(
        &self,
        cx: &Context,
        verb: &str,
        provisioner: &Arc<dyn Provisioner>,
        machine: &dyn Machine,
    ) -> Result<()> {
        let step = Step::new(StepKind::Provision, provisioner.id(), Some(machine));
        let attempt = |cx: Context| async move { provisioner.provision(&cx, machine).await };
        self.stage(cx, &format!("{verb}/{}", provisioner.id()), |cx| async move { self.step(&cx, step, attempt).await })
            .await
    }

    async fn validate(&self, cx: &Context, validator: &dyn Validator, subject: Subject<'_>) -> Result<Report> {
        let machine = match subject {
            Subject::BuildMachine(machine) | Subject::Booted(machine) => Some(machine),
            Subject::Rootfs(_) => None,
        };
        let step = Step::new(StepKind::Validate, validator.id(), machine);
        let attempt = |cx: Context| async move { validator.validate(&cx, subject).await };
        let body = |cx: Context| async move {
            let mut report = cx.clean_report(self.step(&cx, step, attempt).await?);
            report.at = cx.now();
            cx.emit(EventBody::Report { report: report.clone() });
            Ok(report)
        };
        self.stage(cx, &format!("validate/{}", validator.id()), body).await
    }

    async fn scan(&self, cx: &Context, scanner: &dyn Scanner, target: ScanTarget<'_>) -> Result<ScanReport> {
        let machine = if let ScanTarget::Machine(machine) = target { Some(machine) } else { None };
        let step = Step::new(StepKind::Scan, scanner.id(), machine);
        let attempt = |cx: Context| async move { scanner.scan(&cx, target).await };
        let body = |cx: Context| async move {
            let mut report = self.step(&cx, step, attempt).await?;
            report.at = cx.now();
            report.require_coverage()?;
            Ok(report)
        };
        self.stage(cx, &format!("scan/{}", scanner.id()), body).await
    }

    fn note_layer(&self, prepared: &Prepared, n: usize, reused: bool, found: LayerNotes) {
        let planned = &prepared.plan.layers[n];
        let (image, notes) = found;
        self.report().record.layers.push(LayerRecord {
            name: planned.name.clone(),
            fingerprint: planned.fingerprint.clone(),
            reused,
            image,
            provisioners: planned.provisioners.clone(),
            notes,
        });
    }
}

type LayerNotes = (Option<Image>, std::collections::BTreeMap<String, serde_json::Value>);

/// Undoes what a machine was made of, newest first.
async fn release(guards: Vec<Guard>) -> Result<()> {
    for guard in guards.into_iter().rev() {
        guard.release().await?;
    }
    Ok(())
}
