//! What a command in a sandbox costs, and how fast its output is taken. Memory is one row of output against none.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use benches::Usage;
use image_local::{
    qemu::agent::find_busybox,
    sandbox::{Network, Output, Privilege, Request, Sandbox, remove_tree},
};
use std::{error::Error, fs, future::pending, os::unix::fs::symlink, process::Command, time::Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const COMMANDS: u32 = 100;
const OUTPUT: u64 = 1 << 30;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, what] = arguments.as_slice()
        && flag == "--row"
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let cell = runtime.block_on(row(what))?;
        let Usage { cpu, peak_rss_kib, .. } = Usage::of_this_process()?;
        println!("| {what} | {cell} | {cpu:.2} | {:.1} |", peak_rss_kib / 1024);
        return Ok(());
    }
    println!("| what | result | CPU s | peak MiB |");
    println!("|---|--:|--:|--:|");
    for what in ["commands", "output"] {
        let row = Command::new(std::env::current_exe()?).args(["--row", what]).output()?;
        print!("{}{}", String::from_utf8_lossy(&row.stdout), String::from_utf8_lossy(&row.stderr));
    }
    Ok(())
}

/// Measures in a sandbox of busybox alone, which is removed in the end.
async fn row(what: &str) -> Result<String> {
    let privilege = Privilege::probe().await?;
    let directory = tempfile::tempdir()?;
    let (rootfs, work) = (directory.path().join("rootfs"), directory.path().join("work"));
    fs::create_dir_all(rootfs.join("bin"))?;
    fs::copy(find_busybox()?, rootfs.join("bin/busybox"))?;
    symlink("busybox", rootfs.join("bin/sh"))?;
    let measured = measure(&Sandbox::new(&rootfs, &work, Network::Host, privilege)?, what).await;
    remove_tree(privilege, &rootfs).await?;
    remove_tree(privilege, &work).await?;
    measured
}

async fn measure(sandbox: &Sandbox, what: &str) -> Result<String> {
    let began = Instant::now();
    if what == "commands" {
        for _ in 0..COMMANDS {
            sandbox.run(Request::argv(["/bin/busybox", "true"]), &mut |_, _| {}, pending()).await?;
        }
        return Ok(format!("{:.1} ms each", began.elapsed().as_secs_f64() * 1e3 / f64::from(COMMANDS)));
    }
    let mut request = Request::script(format!("/bin/busybox head -c {OUTPUT} /dev/zero"));
    request.output = Output::Limit(1 << 20);
    let finished = sandbox.run(request, &mut |_, _| {}, pending()).await?;
    if !(finished.exit.success() && finished.truncated) {
        return Err(format!("the output was not what was asked for: {finished:?}").into());
    }
    Ok(format!("{:.0} MiB/s", (OUTPUT >> 20) as f64 / began.elapsed().as_secs_f64()))
}
