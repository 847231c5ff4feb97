//! `completion`: what a shell needs to complete this command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use super::failure::Failure;
use super::output::Output;

pub(super) const EXAMPLES: &str = "\
Examples:
  source <(mcp-http completion bash)            in this shell
  mcp-http completion zsh > \"${fpath[1]}/_mcp-http\"
  mcp-http completion fish > ~/.config/fish/completions/mcp-http.fish";

/// The shells that are in use where a server is operated.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Of {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(shell: Of, output: &mut Output) -> Result<(), Failure> {
    let shell = match shell {
        Of::Bash => Shell::Bash,
        Of::Zsh => Shell::Zsh,
        Of::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mcp-http", &mut script);
    // For bash, clap_complete 4.6 takes the dash of a name for the end of a command in one of two places, and completes no subcommand.
    let script = String::from_utf8_lossy(&script).replace("mcp__subcmd__http", "mcp__http");
    output.lines(script.as_bytes()).map(drop)
}
