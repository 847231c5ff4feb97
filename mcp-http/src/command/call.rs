//! `call`: one call of a tool.

use std::io::{BufRead, Read};

use mcp_core::nearest::named;
use serde_json::{Map, Value, json};

use super::answers::Answers;
use super::client::{Client, Reply, escape};
use super::failure::{Failure, Kind};
use super::output::Output;
use super::progress::Progress;
use super::signature::argument;
use super::target::{Mcp, Target, is_target, is_url};
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http call time.now zone=Europe/Lisbon
  mcp-http call notes.write name=list text='milk, bread'
  echo '{\"query\": \"milk\"}' | mcp-http call http://127.0.0.1:8000 notes.search -
  mcp-http call 'stdio:npx -y @modelcontextprotocol/server-everything' echo message=hello";

/// The largest file of arguments that is read.
const MAX_ARGUMENTS: u64 = 64 * 1024 * 1024;

pub(super) fn run(config: &Config, words: Vec<String>, answers: &Answers, output: &mut Output) -> Result<(), Failure> {
    let (target, words) = target(&words);
    let Some((tool, words)) = words.split_first() else {
        return Err(Failure::new(Kind::Usage, "the tool's name is missing").hint("`mcp-http list` shows them"));
    };
    let client = match Target::of(config, target)? {
        Target::Rest(client) => client,
        Target::Mcp(mcp) => return by_mcp(&mcp, tool, words, output),
    };
    let described = known(tool, client.get(&format!("/api/v1/tools/{}", escape(tool)))?)?;
    let arguments = arguments(words, &described["inputSchema"])?;
    let mut result = performed(&client, tool, "call", &arguments, output)?;
    while result["resultType"] == "input_required" {
        let answered = json!({
            "arguments": arguments, "inputResponses": answers.to(&result["inputRequests"])?,
            "requestState": result["requestState"],
        });
        result = performed(&client, tool, "answer", &answered, output)?;
    }
    said(tool, &result, output)
}

/// What comes of a call, or of going on with one; how far it is, is shown meanwhile.
fn performed(client: &Client, tool: &str, how: &str, body: &Value, output: &Output) -> Result<Value, Failure> {
    let events = match client.post_events(&format!("/api/v1/tools/{}/{how}", escape(tool)), body)? {
        Ok(events) => events,
        Err(reply) => return known(tool, reply),
    };
    let (mut progress, mut kind) = (Progress::new("call", output), String::new());
    for line in events.lines().map_while(Result::ok) {
        if let Some(event) = line.strip_prefix("event: ") {
            event.clone_into(&mut kind);
        }
        let data = line.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok());
        match (kind.as_str(), data) {
            ("progress", Some(told)) => progress.at(count(&told["progress"]), told.get("total").map(count)),
            ("result", Some(result)) => return Ok(result),
            ("problem", Some(problem)) => {
                let status = problem["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                return known(tool, Reply { status: status.unwrap_or(500), body: problem });
            }
            _ => {}
        }
    }
    Err(Failure::new(Kind::Unreachable, "the connection ended before the call did, which may have been performed"))
}

/// How far a tool is, in whole steps.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is shown to people")]
fn count(number: &Value) -> u64 {
    number.as_f64().unwrap_or_default() as u64
}

/// Writes what a tool said.
fn said(tool: &str, result: &Value, output: &mut Output) -> Result<(), Failure> {
    output.write(result, || text(result))?;
    if result["isError"] == true {
        return Err(Failure::new(Kind::ToolFailed, format!("{tool} says that it failed")));
    }
    Ok(())
}

/// The same of a server that is none of ours.
fn by_mcp(mcp: &Mcp, tool: &str, words: &[String], output: &mut Output) -> Result<(), Failure> {
    let told = mcp.ask(async |client| {
        let tools = client.tools().await?;
        let Some(described) = tools.iter().find(|described| described["name"] == *tool) else {
            let names = tools.iter().filter_map(|described| described["name"].as_str());
            return Ok(Err(Failure::new(Kind::Failed, format!("there is no tool {}", named(tool, names)))));
        };
        match arguments(words, &described["inputSchema"]) {
            Ok(Value::Object(arguments)) => client.call(tool, arguments).await.map(Ok),
            Ok(_) => Ok(Err(Failure::new(Kind::Usage, "the arguments are no JSON object"))),
            Err(failure) => Ok(Err(failure)),
        }
    })??;
    said(tool, &told, output)
}

/// The server with whose URL, command or name the words begin, where they do; and the others.
pub(super) fn target(words: &[String]) -> (Option<&str>, &[String]) {
    match words.split_first() {
        Some((first, rest)) if is_target(first) && (is_url(first) || !rest.is_empty()) => (Some(first), rest),
        _ => (None, words),
    }
}

/// The body of an answer about a tool that is there, and was called as it should be.
pub(super) fn known(tool: &str, reply: Reply) -> Result<Value, Failure> {
    let detail = reply.body["detail"].as_str().unwrap_or("no reason given");
    match reply.status {
        200..300 => Ok(reply.body),
        422 => {
            let faults = reply.body["errors"].as_array().into_iter().flatten();
            let lines: Vec<String> = faults
                .map(|fault| {
                    let (place, detail) =
                        (fault["pointer"].as_str().unwrap_or(""), fault["detail"].as_str().unwrap_or(""));
                    if place.is_empty() { detail.to_owned() } else { format!("{place}: {detail}") }
                })
                .collect();
            Err(Failure::new(Kind::Failed, format!("arguments of {tool}: {}", lines.join("; "))))
        }
        _ => Err(Failure::new(Kind::Failed, detail).hint("`mcp-http list` shows what there is")),
    }
}

pub(super) fn arguments(words: &[String], schema: &Value) -> Result<Value, Failure> {
    let usage = |message: String| Failure::new(Kind::Usage, message);
    let whole =
        |text: &str| serde_json::from_str(text).map_err(|error| usage(format!("the arguments are not JSON: {error}")));
    if let [word] = words {
        if word == "-" {
            let mut text = String::new();
            std::io::stdin().take(MAX_ARGUMENTS).read_to_string(&mut text)?;
            return whole(&text);
        }
        if let Some(path) = word.strip_prefix('@') {
            return whole(&std::fs::read_to_string(path).map_err(|error| usage(format!("{path}: {error}")))?);
        }
    }
    let mut arguments = Map::new();
    for word in words {
        argument(word, schema, &mut arguments).map_err(usage)?;
    }
    Ok(Value::Object(arguments))
}

/// A result as people read it: its texts, and what stands for the rest.
fn text(result: &Value) -> String {
    if let Some(structured) = result.get("structuredContent") {
        return match structured {
            Value::String(text) => text.clone(),
            value => serde_json::to_string_pretty(value).unwrap_or_default(),
        };
    }
    let part = |content: &Value| match content["text"].as_str() {
        Some(text) => text.to_owned(),
        None => format!(
            "({} {}, {} characters of base64; --json shows it)",
            content["type"].as_str().unwrap_or("content"),
            content["mimeType"].as_str().unwrap_or(""),
            content["data"].as_str().unwrap_or("").len()
        ),
    };
    result["content"].as_array().into_iter().flatten().map(part).collect::<Vec<_>>().join("\n")
}
