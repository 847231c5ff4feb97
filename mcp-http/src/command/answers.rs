//! What a tool asks before it goes on: answered by the words of the command line, or at the prompt.

use std::io::{self, BufRead, IsTerminal, Write, stderr, stdin};

use serde_json::{Map, Value, json};

use super::failure::{Failure, Kind};
use super::output::plain;

/// The answers that somebody brings along.
#[derive(clap::Args)]
pub(super) struct Answers {
    /// Answer what the tool asks: a field of its question, by its schema
    #[arg(long = "answer", value_name = "NAME=VALUE")]
    given: Vec<String>,
    /// Say yes to what the tool asks, and take what it proposes
    #[arg(long)]
    yes: bool,
}

impl Answers {
    /// An answer to each of these requests (basic/patterns/mrtr, "Input Requests").
    pub(super) fn to(&self, requests: &Value) -> Result<Value, Failure> {
        let requests = requests.as_object().into_iter().flatten();
        let answers = requests.map(|(key, request)| Ok((key.clone(), self.answer(request)?)));
        answers.collect::<Result<Map<_, _>, Failure>>().map(Value::Object)
    }

    fn answer(&self, request: &Value) -> Result<Value, Failure> {
        let params = &request["params"];
        let message = plain(params["message"].as_str().unwrap_or_default());
        match (request["method"].as_str().unwrap_or_default(), params["mode"].as_str()) {
            ("elicitation/create", Some("url")) => {
                let url = plain(params["url"].as_str().unwrap_or_default());
                self.agree(&format!("{message} ({url})"))
            }
            ("elicitation/create", _) => self.fill(&message, &params["requestedSchema"]),
            (other, _) => {
                Err(Failure::new(Kind::Failed, format!("the tool asks for {other}, and there is nobody for that"))
                    .hint("call it from a client that can answer it"))
            }
        }
    }

    /// What takes no more than a yes.
    fn agree(&self, message: &str) -> Result<Value, Failure> {
        let agrees = match self.yes {
            true => Some(true),
            false if is_somebody_here() => asked(message, &json!({"type": "boolean"}), true)?.map(|yes| yes == true),
            false => return Err(nobody(message, "--yes")),
        };
        Ok(json!({"action": if agrees == Some(true) { "accept" } else { "decline" }}))
    }

    /// A form (client/elicitation, "Requested Schema").
    fn fill(&self, message: &str, form: &Value) -> Result<Value, Failure> {
        let Some(fields) = form["properties"].as_object().filter(|fields| !fields.is_empty()) else {
            return self.agree(message);
        };
        let is_needed = |name: &str| form["required"].as_array().is_some_and(|list| list.iter().any(|one| one == name));
        let mut content = Map::new();
        let mut told = false;
        for (name, field) in fields {
            let value = if let Some(given) = self.given(name, field)? {
                Some(given)
            } else if self.yes
                && let Some(agreed) = agreed(field)
            {
                Some(agreed)
            } else if is_somebody_here() {
                if !std::mem::replace(&mut told, true) {
                    writeln!(stderr(), "{message} (Ctrl-D declines)")?;
                }
                match asked(&label(name, field), field, is_needed(name))? {
                    Some(Value::Null) => None,
                    None => return Ok(json!({"action": "decline"})),
                    answer => answer,
                }
            } else if is_needed(name) {
                return Err(nobody(message, &format!("--answer {name}=…")));
            } else {
                None
            };
            content.extend(value.map(|value| (name.clone(), value)));
        }
        // That nothing was said is no answer.
        if content.is_empty() && !told && !self.yes {
            let first = fields.keys().next().map_or("", String::as_str);
            return Err(nobody(message, &format!("--answer {first}=…, or --yes")));
        }
        Ok(json!({"action": "accept", "content": content}))
    }

    /// What `--answer` says of a field.
    fn given(&self, name: &str, field: &Value) -> Result<Option<Value>, Failure> {
        let text = self.given.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let bad = |why| Failure::new(Kind::Usage, format!("--answer {name}: {why}"));
        text.map(|text| read(text, field).map_err(bad)).transpose()
    }
}

fn is_somebody_here() -> bool {
    stdin().is_terminal()
}

fn nobody(message: &str, mend: &str) -> Failure {
    Failure::new(Kind::Usage, format!("the tool asks, and nobody is here to answer: {message}"))
        .hint(format!("add {mend}"))
}

/// What a field has where somebody agrees to everything.
fn agreed(field: &Value) -> Option<Value> {
    if field["type"] == "boolean" { Some(true.into()) } else { field.get("default").cloned() }
}

/// What is to be said in a field: what it is called, what it is for, and from what it is chosen.
fn label(name: &str, field: &Value) -> String {
    let mut label = format!("  {}", field["title"].as_str().unwrap_or(name));
    let about = field["description"].as_str().map(str::to_owned);
    let choices = choices(field);
    let from = (!choices.is_empty()).then(|| choices.join(", "));
    let more: Vec<_> = about.into_iter().chain(from).collect();
    if !more.is_empty() {
        label.push_str(&format!(" ({})", more.join("; ")));
    }
    plain(&label)
}

/// Asks at the prompt until the answer fits: `null`, where it is left out, and nothing, where it is declined.
fn asked(label: &str, field: &Value, is_needed: bool) -> Result<Option<Value>, Failure> {
    Ok(prompt(label, field, is_needed, &mut stdin().lock(), &mut stderr())?)
}

fn prompt(
    label: &str,
    field: &Value,
    is_needed: bool,
    from: &mut impl BufRead,
    to: &mut impl Write,
) -> io::Result<Option<Value>> {
    let default = field.get("default");
    let hint = match (default, field["type"] == "boolean") {
        (Some(default), _) => format!(" [{}]", default.as_str().map_or_else(|| default.to_string(), str::to_owned)),
        (None, true) => " [y/n]".to_owned(),
        (None, false) => String::new(),
    };
    loop {
        write!(to, "{label}{}: ", plain(&hint))?;
        to.flush()?;
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            writeln!(to)?;
            return Ok(None);
        }
        let why = match (line.trim(), default) {
            ("", Some(default)) => return Ok(Some(default.clone())),
            ("", None) if !is_needed => return Ok(Some(Value::Null)),
            ("", None) => "it is needed".to_owned(),
            (text, _) => match read(text, field) {
                Ok(value) => return Ok(Some(value)),
                Err(why) => why,
            },
        };
        writeln!(to, "  {why}")?;
    }
}

/// A text as what a field holds.
fn read(text: &str, field: &Value) -> Result<Value, String> {
    let choices = choices(field);
    let chosen = |text: &str| match choices.is_empty() || choices.iter().any(|choice| choice == text) {
        true => Ok(Value::from(text)),
        false => Err(format!("expected one of {}, got {text:?}", choices.join(", "))),
    };
    let number = |expected: &str, fits: fn(&Value) -> bool| {
        let value = serde_json::from_str(text).ok().filter(fits);
        value.ok_or_else(|| format!("expected {expected}, got {text:?}"))
    };
    match field["type"].as_str() {
        Some("boolean") => match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" => Ok(true.into()),
            "n" | "no" | "false" => Ok(false.into()),
            _ => Err(format!("expected yes or no, got {text:?}")),
        },
        Some("integer") => number("a whole number", |value| value.is_i64() || value.is_u64()),
        Some("number") => number("a number", Value::is_number),
        Some("array") => text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(chosen).collect(),
        _ => chosen(text),
    }
}

/// From what a field is chosen, if it is.
fn choices(field: &Value) -> Vec<String> {
    let lists = [&field["enum"], &field["oneOf"], &field["items"]["enum"], &field["items"]["anyOf"]];
    let listed = lists.iter().filter_map(|list| list.as_array()).flatten();
    listed.filter_map(|choice| choice.as_str().or(choice["const"].as_str()).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(field: &Value, is_needed: bool, typed: &str) -> (Option<Value>, String) {
        let mut told = Vec::new();
        let answer = prompt("  field", field, is_needed, &mut typed.as_bytes(), &mut told).unwrap();
        (answer, String::from_utf8(told).unwrap())
    }

    #[test]
    fn a_field_is_asked_for_until_the_answer_fits() {
        let (answer, told) = said(&json!({"type": "integer"}), true, "\nten\n10\n");
        assert_eq!(answer, Some(json!(10)));
        let lines: Vec<_> = told.split("  field: ").skip(1).collect();
        assert_eq!(lines, ["  it is needed\n", "  expected a whole number, got \"ten\"\n", ""]);
        assert_eq!(said(&json!({"type": "string"}), false, "\n").0, Some(Value::Null), "it is left out");
        assert_eq!(said(&json!({"type": "string"}), true, "").0, None, "it is declined");
        let (answer, told) = said(&json!({"type": "string", "default": "milk"}), true, "\n");
        assert_eq!((answer, told.as_str()), (Some(json!("milk")), "  field [milk]: "));
        assert_eq!(said(&json!({"type": "boolean"}), true, "y\n"), (Some(json!(true)), "  field [y/n]: ".to_owned()));
    }

    #[test]
    fn a_text_becomes_what_the_field_holds() {
        let colours = json!({"type": "string", "enum": ["red", "blue"]});
        let sizes = json!({"type": "array", "items": {"anyOf": [{"const": "S"}, {"const": "M"}]}});
        assert_eq!(read("blue", &colours).unwrap(), "blue");
        assert_eq!(read("green", &colours).unwrap_err(), "expected one of red, blue, got \"green\"");
        assert_eq!(read("S, M", &sizes).unwrap(), json!(["S", "M"]));
        assert!(read("S,L", &sizes).is_err());
        assert_eq!(read("1.5", &json!({"type": "number"})).unwrap(), 1.5);
        assert!(read("1.5", &json!({"type": "integer"})).is_err());
        assert_eq!(label("size", &sizes), "  size (S, M)");
        let field = json!({"type": "string", "title": "Name\u{1b}[2J", "description": "Who you are."});
        assert_eq!(label("name", &field), "  Name [2J (Who you are.)");
    }
}
