//! The few actions of EC2 and STS that an import needs, on loopback. Snapshots are those of the simulator's EBS service.

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use image_sim::Simulator;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::{net::TcpListener, task::JoinHandle};

pub(crate) const ACCOUNT: &str = "111122223333";

type Params = BTreeMap<String, String>;
type Tags = BTreeMap<String, String>;

/// What EC2 has besides the snapshots of the simulator.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// AMIs: what RegisterImage said, and the tags.
    pub(crate) images: BTreeMap<String, (Params, Tags)>,
    deleted: BTreeSet<String>,
    retagged: BTreeMap<String, Tags>,
    /// Replies that are lost yet, by action.
    pub(crate) lost: BTreeMap<String, u32>,
}

/// EC2 and STS.
#[derive(Debug)]
pub(crate) struct Ec2 {
    world: Arc<Mutex<World>>,
    simulator: Arc<Simulator>,
    pub(crate) endpoint: String,
    server: JoinHandle<()>,
}

impl Drop for Ec2 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Ec2 {
    pub(crate) async fn start(simulator: &Arc<Simulator>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(Mutex::new(World::default()));
        let (shared, state) = (Arc::clone(simulator), Arc::clone(&world));
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (simulator, world) = (Arc::clone(&shared), Arc::clone(&state));
                tokio::spawn(async move {
                    let answer = service_fn(|request| answer(request, &simulator, &world));
                    // A lost reply ends the connection.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Self { world, simulator: Arc::clone(simulator), endpoint, server }
    }
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
    /// Everything that is there: ids and tags.
    pub(crate) fn live(&self) -> BTreeMap<String, Tags> {
        let world = self.world();
        let images = world.images.iter().map(|(id, (_, tags))| (id.clone(), world.tags(id, tags)));
        images.chain(snapshots(&self.simulator, &world).map(|(id, (_, tags))| (id, tags))).collect()
    }
}

impl World {
    fn tags(&self, id: &str, tags: &Tags) -> Tags {
        self.retagged.get(id).unwrap_or(tags).clone()
    }
}

/// State and tags of the snapshots that were not deleted.
fn snapshots<'a>(
    simulator: &Simulator,
    world: &'a World,
) -> impl Iterator<Item = (String, (String, Tags))> + use<'a> {
    let all = simulator.state().into_iter().filter(|resource| !world.deleted.contains(&resource.id));
    all.map(|resource| {
        let tags = world.tags(&resource.id, &resource.tags);
        (resource.id, (resource.state, tags))
    })
}

#[derive(Debug, thiserror::Error)]
#[error("the reply is lost")]
struct Lost;

async fn answer(
    request: Request<Incoming>,
    simulator: &Simulator,
    world: &Mutex<World>,
) -> Result<Response<Full<bytes::Bytes>>, Lost> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let params = decode(std::str::from_utf8(&body).unwrap());
    let mut world = world.lock().unwrap();
    let action = params["Action"].clone();
    let (status, inside) = match act(&action, &params, simulator, &mut world) {
        Ok(inside) => (200, inside),
        Err(code) => (400, format!("<Errors><Error><Code>{code}</Code><Message>why</Message></Error></Errors>")),
    };
    if let Some(times) = world.lost.get_mut(&action).filter(|times| **times > 0) {
        *times -= 1;
        return Err(Lost);
    }
    let name = if status == 200 { format!("{action}Response") } else { "Response".to_owned() };
    let text = format!("<{name}>{inside}<RequestID>r-1</RequestID></{name}>");
    Ok(Response::builder().status(status).body(Full::from(text)).unwrap())
}

fn act(action: &str, params: &Params, simulator: &Simulator, world: &mut World) -> Result<String, &'static str> {
    let known = |world: &World, id: &str| {
        world.images.contains_key(id) || snapshots(simulator, world).any(|(known, _)| known == id)
    };
    match action {
        "GetCallerIdentity" => Ok(format!(
            "<GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/t</Arn><Account>{ACCOUNT}</Account>\
             </GetCallerIdentityResult>"
        )),
        "DescribeSnapshots" => {
            let shown = snapshots(simulator, world).filter(|(id, (_, tags))| wanted(params, "snapshot-id", id, tags));
            let xml = shown.map(|(id, (state, tags))| {
                format!("<item><snapshotId>{id}</snapshotId><status>{state}</status>{}</item>", tag_set(&tags))
            });
            Ok(format!("<snapshotSet>{}</snapshotSet>", xml.collect::<String>()))
        }
        "DescribeImages" => {
            let images = world.images.iter().map(|(id, (_, tags))| (id, world.tags(id, tags)));
            let xml = images.filter(|(id, tags)| wanted(params, "image-id", id, tags)).map(|(id, tags)| {
                format!("<item><imageId>{id}</imageId><imageState>available</imageState>{}</item>", tag_set(&tags))
            });
            Ok(format!("<imagesSet>{}</imagesSet>", xml.collect::<String>()))
        }
        "RegisterImage" => {
            if world.images.values().any(|(image, _)| image["Name"] == params["Name"]) {
                return Err("InvalidAMIName.Duplicate");
            }
            if !known(world, &params["BlockDeviceMapping.1.Ebs.SnapshotId"]) {
                return Err("InvalidSnapshot.NotFound");
            }
            let id = format!("ami-{:017x}", world.images.len() + 1);
            world.images.insert(id.clone(), (params.clone(), pairs(params, "TagSpecification.1.Tag")));
            Ok(format!("<imageId>{id}</imageId>"))
        }
        "DeregisterImage" => match world.images.remove(&params["ImageId"]) {
            Some(_) => Ok("<return>true</return>".to_owned()),
            None => Err("InvalidAMIID.NotFound"),
        },
        "DeleteSnapshot" => {
            let id = &params["SnapshotId"];
            if world.images.values().any(|(image, _)| image["BlockDeviceMapping.1.Ebs.SnapshotId"] == *id) {
                return Err("InvalidSnapshot.InUse");
            }
            if !known(world, id) {
                return Err("InvalidSnapshot.NotFound");
            }
            world.deleted.insert(id.clone());
            Ok("<return>true</return>".to_owned())
        }
        "CreateTags" | "DeleteTags" => {
            let id = &params["ResourceId.1"];
            let image = world.images.get(id).map(|(_, tags)| tags.clone());
            let before = image.or_else(|| snapshots(simulator, world).find(|(known, _)| known == id).map(|s| s.1.1));
            let mut tags = world.retagged.get(id).cloned().or(before).ok_or("InvalidID")?;
            for (key, value) in pairs(params, "Tag") {
                if action == "CreateTags" { tags.insert(key, value) } else { tags.remove(&key) };
            }
            world.retagged.insert(id.clone(), tags);
            Ok("<return>true</return>".to_owned())
        }
        _ => Err("InvalidAction"),
    }
}

/// Whether the filters of a Describe call let a thing through.
fn wanted(params: &Params, id_filter: &str, id: &str, tags: &Tags) -> bool {
    (1..).map_while(|n| Some((n, params.get(&format!("Filter.{n}.Name"))?))).all(|(n, name)| {
        let value = &params[&format!("Filter.{n}.Value.1")];
        match name.strip_prefix("tag:") {
            Some(key) => tags.get(key) == Some(value),
            None => name == id_filter && value == id,
        }
    })
}

fn tag_set(tags: &Tags) -> String {
    let item = |(key, value): (&String, &String)| format!("<item><key>{key}</key><value>{value}</value></item>");
    format!("<tagSet>{}</tagSet>", tags.iter().map(item).collect::<String>())
}

/// `PREFIX.1.Key` and `PREFIX.1.Value`, and so on.
fn pairs(params: &Params, prefix: &str) -> Tags {
    let pair = |n: u32| {
        let key = params.get(&format!("{prefix}.{n}.Key"))?.clone();
        Some((key, params.get(&format!("{prefix}.{n}.Value")).cloned().unwrap_or_default()))
    };
    (1..).map_while(pair).collect()
}

fn decode(form: &str) -> Params {
    let one = |text: &str| {
        let mut parts = text.split('%');
        let mut bytes = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
            bytes.extend(part[2..].bytes());
        }
        String::from_utf8(bytes).unwrap().replace('+', " ")
    };
    form.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (one(key), one(value))).collect()
}

