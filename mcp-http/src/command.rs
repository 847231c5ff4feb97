//! The command line.

mod act;
mod alert;
mod answers;
mod audit;
mod backup;
mod call;
mod client;
mod completion;
mod config;
mod connect;
mod console;
mod doctor;
mod failure;
mod forget;
mod health;
mod help;
mod inspect;
mod keys;
mod list;
mod load;
mod migrate;
mod output;
mod progress;
mod runs;
mod serve;
mod signature;
mod target;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, SETTINGS};
use failure::Failure;
use output::Output;

/// An MCP server with its storage, and a client for it.
#[derive(Parser)]
#[command(name = "mcp-http", version, disable_help_subcommand = true, before_help = EXAMPLES, after_help = after_help())]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
}

/// What every command takes.
#[derive(Args)]
struct Common {
    /// Read settings from this JSON file (else ./config.json, if there is one)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON: results on stdout, an error as one line on stderr
    #[arg(long, global = true)]
    json: bool,
    /// Write results to this file
    #[arg(long, short, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until stopped (also with no command)
    #[command(before_help = serve::EXAMPLES)]
    Serve,
    /// List the tools of the local server, or of another one
    #[command(before_help = list::EXAMPLES)]
    List {
        /// Which server: a URL, 'stdio:command …', or a name that a client knows; the local server if left out
        target: Option<String>,
    },
    /// Call a tool
    #[command(before_help = call::EXAMPLES)]
    Call {
        /// [TARGET] TOOL, then arguments: name=value by the schema, name:=JSON as it is, @file or - for all of them
        #[arg(required = true, value_name = "[TARGET] TOOL [ARGUMENT]...")]
        words: Vec<String>,
        #[command(flatten)]
        answers: answers::Answers,
    },
    /// Show what a server is, and its tools, resources and prompts
    #[command(before_help = inspect::EXAMPLES)]
    Inspect {
        /// Which server: a URL, 'stdio:command …', or a name that a client knows; the local server if left out
        target: Option<String>,
    },
    /// Make the server known to a client on this machine, with a key of its own that expires
    #[command(before_help = connect::EXAMPLES)]
    Connect(connect::Connect),
    /// Say where the web console is; where it takes a key, by a link that lets in once
    #[command(before_help = console::EXAMPLES)]
    Console,
    /// Show each setting, its value and where that came from
    #[command(before_help = config::EXAMPLES)]
    Config,
    /// Make, list, replace and revoke API keys, also while the server serves
    #[command(before_help = keys::EXAMPLES)]
    Keys {
        #[command(subcommand)]
        what: keys::Keys,
        /// To which tenant they belong
        #[arg(long, global = true, default_value = "default", value_name = "TENANT")]
        tenant: String,
    },
    /// Start runs of agents, list, watch, answer and cancel runs
    #[command(before_help = runs::EXAMPLES)]
    Runs {
        #[command(subcommand)]
        what: runs::Runs,
        /// Where the server is; the local server if left out
        #[arg(long, global = true, value_name = "URL")]
        server: Option<String>,
    },
    /// Bring the database to this version, or show what would be done
    #[command(before_help = migrate::EXAMPLES)]
    Migrate {
        /// Only show which migrations are pending, or how much is to be sealed anew
        #[arg(long)]
        dry_run: bool,
        /// Bring what is kept to what ENCRYPT_CONTENT and INDEX_PLAINTEXT say, and seal it under the newest key
        #[arg(long)]
        reencrypt: bool,
    },
    /// Say how the local server is, or the one at a URL; it fails where that is down or not ready
    #[command(before_help = health::EXAMPLES)]
    Health {
        /// Where the server is: a URL; the local server if left out
        target: Option<String>,
    },
    /// Call a tool at a steady rate, whatever the answers take, and say how long they took and what failed
    #[command(before_help = load::EXAMPLES)]
    Load(load::Load),
    /// See whether people are told when something is wrong, and what fires
    #[command(before_help = alert::EXAMPLES)]
    Alert {
        #[command(subcommand)]
        what: alert::Alert,
    },
    /// Look at the configuration and all that it names, and say what to mend
    #[command(before_help = doctor::EXAMPLES)]
    Doctor,
    /// Remove what somebody has: calls, messages, notes, runs, files, sessions; proofs of what was recorded stay
    #[command(before_help = forget::EXAMPLES)]
    Forget {
        /// Whom to forget: the name under which they call
        principal: String,
        /// To which tenant they belong
        #[arg(long, default_value = "default", value_name = "TENANT")]
        tenant: String,
    },
    /// Copy all that is kept into a new folder, also while the server serves
    #[command(before_help = backup::EXAMPLES)]
    Backup {
        /// The folder, which is not there yet
        folder: PathBuf,
        /// Restore it for a trial, and compare
        #[arg(long)]
        verify: bool,
    },
    /// Make a database that is empty what it was in a backup
    #[command(before_help = backup::RESTORE_EXAMPLES)]
    Restore {
        /// The folder of the backup
        folder: PathBuf,
    },
    /// Prove what was recorded, and export it
    #[command(before_help = audit::EXAMPLES)]
    Audit {
        #[command(subcommand)]
        what: audit::Audit,
    },
    /// Print what a shell needs to complete these commands
    #[command(before_help = completion::EXAMPLES)]
    Completion {
        /// Which shell
        shell: completion::Of,
    },
    /// Explain a topic or a command, or list what there is
    #[command(before_help = help::EXAMPLES)]
    Help {
        /// Which one
        topic: Option<String>,
    },
}

const EXAMPLES: &str = "\
Examples:
  mcp-http                                      serve on 127.0.0.1:8000
  mcp-http list                                 list the local server's tools
  mcp-http call time.now zone=Europe/Lisbon     call one of them
  mcp-http keys create ci --expires 90d         make a key for another caller";

fn after_help() -> String {
    let width = SETTINGS.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    let settings = SETTINGS.iter().map(|setting| {
        let default = setting.default.map(|default| format!(" [{default}]")).unwrap_or_default();
        format!("  {:width$}  {}{default}\n", setting.key, setting.about)
    });
    format!(
        "Environment (each may also stand in the JSON file, in any case):\n{}\n\
         Exit codes:\n  0 well   1 failed   2 usage   3 configuration   4 unreachable   5 the tool said that it failed\n  \
         6 findings   7 refused   130 interrupted",
        settings.collect::<String>()
    )
}

/// Runs the command line, and gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is no failure; a closed pipe is nobody's.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let json = cli.common.json;
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(json);
            ExitCode::from(failure.exit())
        }
    }
}

/// The bundled server for one client, over the standard streams.
#[derive(Parser)]
#[command(name = "mcp-stdio", version)]
struct StdioCli {
    /// Read settings from this JSON file (else ./config.json, if there is one)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command line of `mcp-stdio`, and gives the exit code.
pub fn run_stdio(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = StdioCli::parse_from(arguments);
    let serve = || {
        let config = configured(cli.config.as_deref())?;
        let _log = crate::log::init_on_stderr(&config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let served = runtime.block_on(async { crate::bundled(config).await?.run_stdio().await });
        // A thread that reads stdin may be left; nobody waits for it.
        runtime.shutdown_background();
        Ok(served?)
    };
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let failure: Failure = failure;
            failure.tell(false);
            ExitCode::from(failure.exit())
        }
    }
}

fn configured(file: Option<&Path>) -> Result<Config, Failure> {
    Ok(match file {
        Some(file) => Config::load_file(file)?,
        None => Config::load()?,
    })
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let config = configured(cli.common.config.as_deref());
    let mut output = Output::open(cli.common.json, cli.common.output.as_deref())?;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(config?),
        Command::List { target } => list::run(&config?, target.as_deref(), &mut output),
        Command::Inspect { target } => inspect::run(&config?, target.as_deref(), &mut output),
        Command::Call { words, answers } => call::run(&config?, words, &answers, &mut output),
        Command::Connect(connect) => connect::run(&config?, &connect, &mut output),
        Command::Console => console::run(&config?, &mut output),
        Command::Config => config::run(&config?, &mut output),
        Command::Alert { what } => alert::run(&config?, &what, &mut output),
        Command::Audit { what } => audit::run(&config?, &what, &mut output),
        Command::Forget { principal, tenant } => forget::run(&config?, &tenant, &principal, &mut output),
        Command::Keys { what, tenant } => keys::run(&config?, &tenant, what, &mut output),
        Command::Runs { what, server } => runs::run(&config?, server.as_deref(), what, &mut output),
        Command::Migrate { dry_run, reencrypt: false } => migrate::run(&config?, dry_run, &mut output),
        Command::Migrate { dry_run, reencrypt: true } => migrate::reencrypt(&config?, dry_run, &mut output),
        Command::Health { target } => health::run(&config?, target.as_deref(), &mut output),
        Command::Load(load) => load::run(&config?, &load, &mut output),
        // That it cannot be read is what it finds.
        Command::Doctor => doctor::run(config, &mut output),
        Command::Backup { folder, verify } => backup::run(&config?, &folder, verify, &mut output),
        Command::Restore { folder } => backup::restore(&config?, &folder, &mut output),
        // A configuration that cannot be read may be what somebody wants help with.
        Command::Help { topic } => help::run(topic.as_deref(), &mut output),
        Command::Completion { shell } => completion::run(shell, &mut output),
    }
}
