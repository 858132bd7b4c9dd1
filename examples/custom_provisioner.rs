//! A provisioner of one's own: `cargo run -p examples --example custom_provisioner`.
//!
//! It says what it does with `fingerprint`, so that a layer is built again only when that changes, and does it with
//! `provision`. Nothing in it knows where the machine is: a sandbox here, an instance in a cloud elsewhere.

use image_core::{Context, Fingerprint, Machine, MachineExt, Provisioner, Result, Upload, async_trait, quote};

/// Sets the time zone.
#[derive(Debug)]
struct TimeZone(String);

#[async_trait]
impl Provisioner for TimeZone {
    fn id(&self) -> &str {
        "time zone"
    }
    async fn fingerprint(&self, _cx: &Context) -> Result<Option<Fingerprint>> {
        Fingerprint::of("time zone", &self.0).map(Some)
    }
    async fn provision(&self, cx: &Context, machine: &dyn Machine) -> Result<()> {
        let zone = format!("/usr/share/zoneinfo/{}", self.0);
        machine.run(cx, &format!("ln -sfn {} /etc/localtime", quote(&zone))).await?;
        machine.upload(cx, Upload::bytes(format!("{}\n", self.0), "/etc/timezone")).await
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    use image_core::{Architecture, Layer, MemoryStore, Pipeline, validate::Command};
    let directory = std::path::Path::new("target/custom-provisioner");
    let source =
        image_local::Source::suite_of("bookworm", Architecture::host().ok_or("unknown architecture")?, ["tzdata"])?;
    let pipeline = Pipeline::new("time-zone")
        .builder(image_local::LocalBuilder::open(directory, source)?.not_bootable())
        .layer(Layer::new("zone").provision(TimeZone("Europe/Berlin".into())).offline())
        .validator(
            Command::new("zone").check("the zone is known", "[ \"$(date +%Z)\" != UTC ] && [ -e /etc/localtime ]"),
        )
        .without_boot_validation("there is no kernel in it")
        .without_scan("an example");
    let cx = Context::builder(MemoryStore::default()).sink(examples::Terminal::new()).open().await?;
    let outcome = pipeline.run(&cx).await?;
    examples::say(&format!("built {}", outcome.images[0]));
    Ok(())
}
