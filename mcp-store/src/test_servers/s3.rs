//! A store that speaks as S3 does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::authority::{Authority, Identity};
use super::process::{Process, folder, free_port, run};

/// A server of moto's with one bucket, which lets nobody in but who has its key. It holds what it is given in its memory.
pub struct S3Server {
    _process: Process,
    python: PathBuf,
    url: String,
    port: u16,
    authority: Option<PathBuf>,
    /// Its id, and its secret.
    key: (String, String),
    places: AtomicUsize,
}

/// What the bucket is called.
const BUCKET: &str = "files";

/// Makes a user with a key that may do everything, and the bucket; and prints the key. From then on nobody else may do anything.
const SET_UP: &str = "
import boto3, json, requests, sys
url, bucket = sys.argv[1:]
at = dict(endpoint_url=url, region_name='us-east-1', aws_access_key_id='-', aws_secret_access_key='-', verify=False)
iam = boto3.client('iam', **at)
iam.create_user(UserName='mcp')
key = iam.create_access_key(UserName='mcp')['AccessKey']
all = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': '*', 'Resource': '*'}]}
iam.put_user_policy(UserName='mcp', PolicyName='all', PolicyDocument=json.dumps(all))
boto3.client('s3', **at).create_bucket(Bucket=bucket)
requests.post(url + '/moto-api/reset-auth', data=b'0', verify=False).raise_for_status()
print(key['AccessKeyId'], key['SecretAccessKey'])
";

/// Prints how many uploads in parts there are whose keys begin so, and that were neither completed nor aborted.
const COUNT_UNFINISHED: &str = "
import boto3, sys
url, bucket, prefix, id, secret = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=url, region_name='us-east-1', aws_access_key_id=id, aws_secret_access_key=secret)
print(len(s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get('Uploads', [])))
";

impl S3Server {
    /// Starts one with an empty bucket.
    pub fn start() -> Self {
        Self::start_in(folder(), None)
    }

    /// Starts one that speaks TLS alone, and shows a certificate for `name`.
    pub fn start_with_tls(authority: &Authority, name: &str) -> Self {
        let folder = folder();
        authority.vouch(name, &folder);
        Self::start_in(folder, Some((authority.file(), name)))
    }

    fn start_in(folder: PathBuf, tls: Option<(PathBuf, &str)>) -> Self {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/tools");
        let (python, port) = (PathBuf::from(run(Command::new(tools).arg("moto"))), free_port());
        let mut server = python_with(&python, &["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        server.current_dir(&folder);
        let (url, authority) = match tls {
            None => (format!("http://127.0.0.1:{port}"), None),
            Some((authority, name)) => {
                let identity = Identity::of(&folder);
                server.arg("--ssl-cert").arg(&identity.certificate).arg("--ssl-key").arg(&identity.key);
                (format!("https://{name}:{port}"), Some(authority))
            }
        };
        let process = Process::start(server, folder);
        process.wait_until(|| authority.is_some() && TcpStream::connect(("127.0.0.1", port)).is_ok() || answers(port));
        let key = run(&mut python_with(&python, &["-c", SET_UP, &url, BUCKET]));
        let (id, secret) = key.split_once(' ').expect("a key is an id and a secret");
        let key = (id.to_owned(), secret.to_owned());
        Self { _process: process, python, url, port, authority, key, places: AtomicUsize::new(0) }
    }

    /// The one that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<S3Server> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A place in the bucket in which there is nothing yet: `s3://BUCKET/PREFIX`.
    pub fn place(&self) -> String {
        format!("s3://{BUCKET}/some/place-{}", self.places.fetch_add(1, Ordering::Relaxed))
    }

    /// Where it is: `http://127.0.0.1:PORT`, or `https://NAME:PORT` where it speaks TLS.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What a client has in its environment.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", self.key.0.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.key.1.clone()),
        ];
        if let Some(authority) = &self.authority {
            variables.push(("AWS_CA_BUNDLE", authority.display().to_string()));
        }
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// How many uploads to a [place](S3Server::place) were begun, and neither completed nor taken back.
    pub fn unfinished(&self, place: &str) -> usize {
        let (_, prefix) = place.rsplit_once(&format!("{BUCKET}/")).expect("it is a place in the bucket");
        let (prefix, (id, secret)) = (format!("{prefix}/"), &self.key);
        let count =
            run(&mut python_with(&self.python, &["-c", COUNT_UNFINISHED, &self.url, BUCKET, &prefix, id, secret]));
        count.parse().expect("it is a number")
    }
}

/// A command of moto's Python, without proxies and what else the environment has for clients of S3.
fn python_with(python: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.args(["-W", "ignore"]).args(arguments).env_clear();
    command
}

/// Whether a server on this port of 127.0.0.1 answers.
fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET /moto-api/ HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains(" 200 "))
}
