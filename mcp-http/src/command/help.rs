//! `help`: a command's help, or a short text on a topic.

use clap::CommandFactory;
use mcp_core::nearest::named;
use serde_json::json;

use super::Cli;
use super::failure::{Failure, Kind};
use super::output::{Output, table};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http help                                 all topics
  mcp-http help exit-codes
  mcp-http help runs                            the same as mcp-http runs --help";

/// What is no command: its name, what it is about, and its text. Another one is a line here.
const TOPICS: &[(&str, &str, &str)] = &[
    ("arguments", "how the arguments of a tool are written", include_str!("help/arguments.txt")),
    ("embedding", "tools and a server of your own", include_str!("help/embedding.txt")),
    ("exit-codes", "what a command ends with", include_str!("help/exit-codes.txt")),
    ("output", "results, errors and JSON", include_str!("help/output.txt")),
    ("production", "from a first start to a server that others use", include_str!("help/production.txt")),
    ("secrets", "API keys, and the keys that seal what is kept", include_str!("help/secrets.txt")),
    ("settings", "where settings come from", include_str!("help/settings.txt")),
    ("targets", "which server a command asks", include_str!("help/targets.txt")),
];

pub(super) fn run(topic: Option<&str>, output: &mut Output) -> Result<(), Failure> {
    let mut cli = Cli::command();
    // What all commands take is in the help of each only then.
    cli.build();
    let commands: Vec<(String, String)> = cli
        .get_subcommands()
        .map(|command| {
            (command.get_name().to_owned(), command.get_about().map(ToString::to_string).unwrap_or_default())
        })
        .collect();
    let Some(topic) = topic else { return list(&commands, output) };
    let text = match TOPICS.iter().find(|(name, ..)| *name == topic) {
        Some((_, _, text)) => (*text).to_owned(),
        None => match cli.find_subcommand_mut(topic) {
            Some(command) => command.render_long_help().to_string(),
            None => {
                let names = TOPICS.iter().map(|(name, ..)| *name).chain(commands.iter().map(|(name, _)| name.as_str()));
                return Err(Failure::new(Kind::Usage, format!("there is no help on {}", named(topic, names))));
            }
        },
    };
    output.write(&json!({"topic": topic, "text": text}), || text.clone())
}

fn list(commands: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let topics: Vec<_> = TOPICS.iter().map(|(name, about, _)| ((*name).to_owned(), (*about).to_owned())).collect();
    let names = |topics: &[(String, String)]| topics.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    output.write(&json!({"topics": names(&topics), "commands": names(commands)}), || {
        let rows = |topics: &[(String, String)]| {
            table(&topics.iter().map(|(name, about)| vec![format!("  {name}"), about.clone()]).collect::<Vec<_>>())
        };
        format!("Topics:\n{}\nCommands:\n{}", rows(&topics), rows(commands))
    })
}
