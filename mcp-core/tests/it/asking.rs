//! Questions in the middle of a call: how it ends with them, and goes on when it is sent again with answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp_core::{
    Arguments, ClientCapability, Context, Elicited, Endpoint, NoInput, Question, Sampling, Server, ServerBuilder,
    ToolError, ToolOutput, prompt_fn, resource_fn, tool_fn, tool_with,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{House, Reply, Request, local, look, send};

#[derive(Debug, Deserialize, JsonSchema)]
struct Name {
    name: String,
}

fn name(message: &str) -> Question<Name> {
    Question::form(message)
}

fn all() -> Value {
    json!({"elicitation": {}, "sampling": {}, "roots": {}})
}

/// A request of a client with these capabilities; `more` is merged into the parameters.
fn request(method: &str, params: &Value, capabilities: &Value, more: Value) -> Request {
    let mut params = params.clone();
    for (key, value) in more.as_object().into_iter().flatten() {
        params[key] = value.clone();
    }
    let request = Request::modern(method, params);
    let mut body: Value = serde_json::from_slice(&request.body).unwrap();
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
    Request { body: body.to_string().into(), ..request }
}

fn call(tool: &str, more: Value) -> Request {
    request("tools/call", &json!({"name": tool, "arguments": {}}), &all(), more)
}

fn accept(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

/// The keys that are asked, and the state.
fn asked(reply: &Reply) -> (Vec<String>, Value) {
    let result = reply.result();
    assert_eq!(result["resultType"], "input_required", "{result}");
    let keys = result["inputRequests"].as_object().unwrap().keys().cloned().collect();
    (keys, result["requestState"].clone())
}

fn text(reply: &Reply) -> String {
    let result = reply.result();
    assert_eq!(result["resultType"], "complete", "{result}");
    result["content"][0]["text"].as_str().unwrap().to_owned()
}

fn error(reply: &Reply) -> (u16, i64) {
    (reply.status, reply.json()["error"]["code"].as_i64().unwrap())
}

async fn greet(_: NoInput, cx: Context) -> Result<String, ToolError> {
    Ok(format!("Hello, {}!", cx.ask("who", name("Who are you?")).await?.name))
}

#[tokio::test]
async fn a_call_ends_with_its_question_and_goes_on_with_the_answer() {
    let house = House::new(|builder| builder.tool(tool_fn("greet", "Greets.", greet)));
    let first = house.send(&call("greet", json!({}))).await;
    let (keys, state) = asked(&first);
    assert_eq!(keys, ["who"]);
    assert_eq!(
        first.result()["inputRequests"]["who"],
        json!({"method": "elicitation/create", "params": {
            "mode": "form", "message": "Who are you?",
            "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        }})
    );
    assert_eq!(first.result().get("ttlMs"), None);
    let answers = json!({"who": accept(json!({"name": "Ada"})), "else": 1});
    let again = call("greet", json!({"inputResponses": answers, "requestState": state}));
    assert_eq!(text(&house.send(&again).await), "Hello, Ada!");
    let at_once = call("greet", json!({"inputResponses": answers}));
    assert_eq!(text(&house.send(&at_once).await), "Hello, Ada!", "who knows the question may answer at once");
    let outcomes: Vec<_> = house.outcomes().await.into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, ["input_required", "ok", "ok"]);
}

#[tokio::test]
async fn what_is_no_answer_is_asked_for_again() {
    let house = House::new(|builder| builder.tool(tool_fn("greet", "Greets.", greet)));
    for answers in [
        json!({}),
        json!({"other": accept(json!({"name": "Ada"}))}),
        json!({"who": accept(json!({"name": 12_345}))}),
        json!({"who": {"action": "perhaps"}}),
        json!({"who": null}),
    ] {
        let reply = house.send(&call("greet", json!({"inputResponses": answers}))).await;
        assert_eq!(asked(&reply).0, ["who"], "{answers}");
    }
    for answers in [Value::Null, json!([]), json!("x")] {
        let reply = house.send(&call("greet", json!({"inputResponses": answers}))).await;
        assert_eq!(error(&reply), (200, -32602), "{answers}");
    }
    for (action, told) in [("decline", "the user has declined the question \"who\""), ("cancel", "the user has left")] {
        let reply = house.send(&call("greet", json!({"inputResponses": {"who": {"action": action}}}))).await;
        assert!(text(&reply).starts_with(told), "{reply:?}");
        assert_eq!(reply.result()["isError"], true);
    }
}

#[tokio::test]
async fn state_opens_for_its_caller_its_request_and_its_time_alone() {
    let greet_with = |builder: ServerBuilder| {
        builder.tool(tool_fn("greet", "Greets.", greet)).tool(tool_fn("other", "Greets.", greet)).secret_keys([[7; 32]])
    };
    let house = House::new(greet_with);
    let (_, state) = asked(&house.send(&call("greet", json!({}))).await);
    let answers = json!({"who": accept(json!({"name": "Ada"}))});
    let with = |state: &Value| json!({"inputResponses": answers, "requestState": state});
    let good = call("greet", with(&state));
    assert_eq!(text(&house.send(&good).await), "Hello, Ada!");

    // Another replica, which has the same key, and one that has not.
    let replica = House::new(greet_with);
    assert_eq!(text(&replica.send(&good).await), "Hello, Ada!");
    let stranger = House::new(|builder| greet_with(builder).secret_keys([[8; 32]]));
    assert_eq!(error(&stranger.send(&good).await), (200, -32602));
    let rotated = House::new(|builder| greet_with(builder).secret_keys([[8; 32], [7; 32]]));
    assert_eq!(text(&rotated.send(&good).await), "Hello, Ada!");

    let tampered = format!("{}-TAMPERED", state.as_str().unwrap());
    for state in [json!(tampered), json!(""), json!("AQ"), json!(5), Value::Null] {
        let reply = house.send(&call("greet", with(&state))).await;
        assert_eq!(error(&reply), (200, -32602), "{state}");
    }
    assert_eq!(error(&house.send(&call("other", with(&state))).await), (200, -32602), "another tool");
    let arguments = json!({"name": "greet", "arguments": {"a": 1}});
    let other = request("tools/call", &arguments, &all(), with(&state));
    assert_eq!(error(&house.send(&other).await), (200, -32602), "other arguments");
    let caller = mcp_core::Caller::new("default", "somebody else");
    let other = house.endpoint.answer(&good, caller, good.body.clone().into()).await;
    assert_eq!(error(&Reply::of(other).await), (200, -32602), "another caller");
    house.clock.advance(Duration::from_secs(60 * 60 + 1));
    assert_eq!(error(&house.send(&good).await), (200, -32602), "too late");
}

#[tokio::test]
async fn answers_that_are_taken_once_are_not_taken_again() {
    let done = Arc::new(AtomicUsize::new(0));
    let pay = async |done: Arc<AtomicUsize>, _: NoInput, cx: Context| {
        let first = cx.ask("first", name("First?")).await?;
        let second = cx.ask("second", name("Second?")).await?;
        Ok::<_, ToolError>(format!("{} {} {}", first.name, second.name, done.fetch_add(1, Ordering::Relaxed)))
    };
    let house = House::new(|builder| builder.tool(tool_with("pay", "Pays.", done.clone(), pay).answered_once()));
    let (_, one) = asked(&house.send(&call("pay", json!({}))).await);
    let first = json!({"inputResponses": {"first": accept(json!({"name": "A"}))}, "requestState": one});
    // The first round may be sent twice: each asks for the second, and nothing is done.
    let states =
        [asked(&house.send(&call("pay", first.clone())).await).1, asked(&house.send(&call("pay", first)).await).1];
    assert_eq!(done.load(Ordering::Relaxed), 0);
    for name in ["B", "C", "B"] {
        for state in &states {
            let second = json!({"inputResponses": {"second": accept(json!({"name": name}))}, "requestState": state});
            assert_eq!(text(&house.send(&call("pay", second)).await), "A B 0", "{name}");
        }
    }
    assert_eq!(done.load(Ordering::Relaxed), 1);
    // A new call is another one.
    let (_, one) = asked(&house.send(&call("pay", json!({}))).await);
    let both = json!({"first": accept(json!({"name": "A"})), "second": accept(json!({"name": "D"}))});
    let again = json!({"inputResponses": both, "requestState": one});
    assert_eq!(text(&house.send(&call("pay", again)).await), "A D 1");
}

async fn twice(_: NoInput, cx: Context) -> Result<String, ToolError> {
    let first = cx.ask("first", name("First?")).await?;
    let second = cx.ask("second", name(&format!("And after {}?", first.name))).await?;
    Ok(format!("{} {}", first.name, second.name))
}

#[tokio::test]
async fn answers_of_earlier_rounds_are_carried_in_the_state() {
    let house = House::new(|builder| builder.tool(tool_fn("twice", "Asks twice.", twice)));
    let (keys, one) = asked(&house.send(&call("twice", json!({}))).await);
    assert_eq!(keys, ["first"]);
    let answer = json!({"inputResponses": {"first": accept(json!({"name": "Ada"}))}, "requestState": one});
    let (keys, two) = asked(&house.send(&call("twice", answer)).await);
    assert_eq!(keys, ["second"]);
    assert_ne!(one, two);
    // The answer is to this question, and to no other that has its key.
    let early = json!({"inputResponses": {
        "first": accept(json!({"name": "Eve"})), "second": accept(json!({"name": "B"})),
    }, "requestState": two});
    assert_eq!(text(&house.send(&call("twice", early)).await), "Ada B", "what was answered stays");
}

#[tokio::test]
async fn questions_that_are_alive_together_are_sent_together() {
    async fn both(_: NoInput, cx: Context) -> Result<String, ToolError> {
        let sampling = Question::sample(Sampling::new("Say.", 5).system_prompt("Be brief."));
        let (user, said, roots) = tokio::try_join!(
            cx.ask("user", name("Who?")),
            cx.ask("said", sampling),
            cx.ask("roots", Question::roots())
        )?;
        Ok(format!("{} {} {}", user.name, said.text(), roots[0].uri()))
    }
    let house = House::new(|builder| builder.tool(tool_fn("both", "Asks for all.", both)));
    let first = house.send(&call("both", json!({}))).await;
    let (keys, state) = asked(&first);
    assert_eq!(keys, ["roots", "said", "user"]);
    assert_eq!(
        first.result()["inputRequests"]["said"]["params"],
        json!({
            "messages": [{"role": "user", "content": {"type": "text", "text": "Say."}}],
            "maxTokens": 5, "systemPrompt": "Be brief.",
        })
    );
    let some = json!({"inputResponses": {"user": accept(json!({"name": "Ada"}))}, "requestState": state});
    let (keys, state) = asked(&house.send(&call("both", some)).await);
    assert_eq!(keys, ["roots", "said"], "what is missing is asked for again");
    let rest = json!({"inputResponses": {
        "said": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "Hi"}},
        "roots": {"roots": [{"uri": "file:///a"}]},
    }, "requestState": state});
    assert_eq!(text(&house.send(&call("both", rest)).await), "Ada Hi file:///a");
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_what_it_lacks() {
    let house = House::new(|builder| {
        let late = async |_: NoInput, cx: Context| {
            cx.ask("x", Question::roots()).await?;
            Ok::<_, ToolError>(())
        };
        let can = async |_: NoInput, cx: Context| Ok::<_, ToolError>(cx.client_can(ClientCapability::Elicitation));
        builder
            .tool(tool_fn("early", "Asks.", greet).asks(ClientCapability::Sampling))
            .tool(tool_fn("late", "Asks.", late))
            .tool(tool_fn("can", "Tells.", can))
    });
    let with = |tool: &str, capabilities: Value| {
        request("tools/call", &json!({"name": tool, "arguments": {}}), &capabilities, json!({}))
    };
    for (tool, capabilities, lacking) in [
        ("early", json!({"elicitation": {}}), json!({"sampling": {}})),
        ("early", json!({"sampling": {}}), json!({"elicitation": {}})),
        ("early", json!({"sampling": {}, "elicitation": {"url": {}}}), json!({"elicitation": {}})),
        ("late", json!({}), json!({"roots": {}})),
    ] {
        let reply = house.send(&with(tool, capabilities)).await;
        assert_eq!(error(&reply), (400, -32021));
        assert_eq!(reply.json()["error"]["data"], json!({"requiredCapabilities": lacking}));
    }
    for (capabilities, can) in
        [(json!({}), "false"), (json!({"elicitation": {}}), "true"), (json!({"elicitation": {"form": {}}}), "true")]
    {
        assert_eq!(text(&house.send(&with("can", capabilities)).await), can);
    }
    let legacy = house.send(&Request::legacy("tools/call", json!({"name": "late"}))).await.result();
    assert_eq!(legacy["isError"], true);
}

#[tokio::test]
async fn what_is_done_once_is_not_done_again_with_the_answers() {
    async fn work(done: Arc<AtomicUsize>, _: NoInput, cx: Context) -> Result<String, ToolError> {
        let n = cx.once("work", async { Ok::<_, ToolError>(done.fetch_add(1, Ordering::SeqCst)) }).await?;
        let who = cx.ask("who", name("Who?")).await?;
        Ok(format!("{n} {}", who.name))
    }
    let done = Arc::new(AtomicUsize::new(0));
    let house = House::new(|builder| builder.tool(tool_with("work", "Works.", done.clone(), work)));
    let (_, state) = asked(&house.send(&call("work", json!({}))).await);
    let answers = json!({"inputResponses": {"who": accept(json!({"name": "Ada"}))}, "requestState": state});
    assert_eq!(text(&house.send(&call("work", answers)).await), "0 Ada");
    assert_eq!(done.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_does_not_end_while_something_is_done_once() {
    async fn beside(clock: Arc<dyn mcp_core::clock::Clock>, _: NoInput, cx: Context) -> Result<String, ToolError> {
        let slow = async {
            clock.sleep(Duration::from_secs(1)).await;
            Ok::<_, ToolError>("slow".to_owned())
        };
        let (slow, who) = tokio::try_join!(cx.once("slow", slow), cx.ask("who", name("Who?")))?;
        Ok(format!("{slow} {}", who.name))
    }
    let clock = Arc::new(mcp_core::clock::simulated::SimulatedClock::new());
    let seam: Arc<dyn mcp_core::clock::Clock> = clock.clone();
    let server = Server::builder("s", "1").clock(clock.clone()).tool(tool_with("beside", "Does two.", seam, beside));
    let endpoint = Endpoint::new(server.build().unwrap());
    let request = call("beside", json!({}));
    let mut sent = Box::pin(send(&endpoint, &request));
    assert!(look(sent.as_mut()).await.is_pending(), "what was begun once is driven to its end first");
    clock.advance(Duration::from_secs(1));
    let (keys, state) = asked(&sent.await);
    assert_eq!(keys, ["who"]);
    let answers = json!({"inputResponses": {"who": accept(json!({"name": "Ada"}))}, "requestState": state});
    assert_eq!(text(&send(&endpoint, &call("beside", answers)).await), "slow Ada");
}

#[tokio::test]
async fn a_tool_within_a_tool_asks_under_keys_of_its_own() {
    async fn outer(_: NoInput, cx: Context) -> Result<String, ToolError> {
        let mut said = Vec::new();
        for _ in 0..2 {
            // What an inner tool asks is not lost where its error is passed over.
            if let Ok(output) = cx.call("greet", Arguments::none()).await {
                said.push(output.first_text().unwrap_or_default().to_owned());
            }
        }
        let own = cx.scope("own").ask("who", name("And you?")).await?;
        Ok(format!("{} {}", said.join(" "), own.name))
    }
    let house =
        House::new(|builder| builder.tool(tool_fn("outer", "Calls.", outer)).tool(tool_fn("greet", "Greets.", greet)));
    let mut more = json!({});
    for key in ["greet.0/who", "greet.1/who", "own/who"] {
        let (keys, state) = asked(&house.send(&call("outer", more)).await);
        assert_eq!(keys, [key]);
        more = json!({"inputResponses": {key: accept(json!({"name": key}))}, "requestState": state});
    }
    let said = text(&house.send(&call("outer", more)).await);
    assert_eq!(said, "Hello, greet.0/who! Hello, greet.1/who! own/who");
}

#[tokio::test]
async fn what_cannot_be_asked_is_the_tools_fault() {
    async fn same_key(_: NoInput, cx: Context) -> Result<(), ToolError> {
        cx.ask("key", name("One?").or_declined()).await?;
        cx.ask("key", name("Two?").or_declined()).await?;
        Ok(())
    }
    async fn no_key(_: NoInput, cx: Context) -> Result<(), ToolError> {
        cx.ask("", name("?")).await.map(drop)
    }
    async fn nested(_: NoInput, cx: Context) -> Result<(), ToolError> {
        #[derive(Deserialize, JsonSchema)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Nested {
            name: Name,
        }
        cx.ask("nested", Question::<Nested>::form("?")).await.map(drop)
    }
    let house = House::new(|builder| {
        builder
            .tool(tool_fn("same_key", "Asks.", same_key))
            .tool(tool_fn("no_key", "Asks.", no_key))
            .tool(tool_fn("nested", "Asks.", nested))
            .tool(tool_fn("cached", "Asks.", greet).cached(Duration::from_secs(9), "tag"))
    });
    let answers = json!({"inputResponses": {"key": {"action": "decline"}}});
    for (tool, more) in [("same_key", answers), ("no_key", json!({})), ("nested", json!({})), ("cached", json!({}))] {
        let told = text(&house.send(&call(tool, more)).await);
        assert!(told.starts_with("the tool failed inside"), "{tool}: {told}");
    }
    let refused = Server::builder("s", "1")
        .clock(house.clock.clone())
        .tool(tool_fn("t", "T.", greet).cached(Duration::from_secs(9), "t").asks(ClientCapability::Sampling));
    assert!(refused.build().err().unwrap().to_string().contains("its results are cached"));
    let rest = house.server.call_tool(local(), "no_key", Arguments::none()).await;
    assert!(rest.is_err());
}

#[tokio::test]
async fn a_call_does_not_ask_for_ever() {
    async fn again(_: NoInput, cx: Context) -> Result<(), ToolError> {
        for n in 0.. {
            cx.ask(&n.to_string(), name("And?").or_declined()).await?;
        }
        Ok(())
    }
    let house = House::new(|builder| builder.tool(tool_fn("again", "Asks.", again)));
    let mut more = json!({});
    for n in 0..32 {
        let (keys, state) = asked(&house.send(&call("again", more)).await);
        assert_eq!(keys, [n.to_string()]);
        more = json!({"inputResponses": {n.to_string(): {"action": "decline"}}, "requestState": state});
    }
    let told = text(&house.send(&call("again", more)).await);
    assert_eq!(told, "this call has asked in 32 rounds, and asks again");
}

#[tokio::test]
async fn prompts_and_resources_ask_as_well_and_nothing_else_does() {
    let house = House::new(|builder| {
        builder
            .prompt(prompt_fn("greet", "Greets.", greet))
            .resource(resource_fn("docs://greet", "Greeting", greet))
            .tool(tool_fn("plain", "Plain.", async || Ok::<_, ToolError>(ToolOutput::empty())))
    });
    let prompt = json!({"name": "greet"});
    let (keys, state) = asked(&house.send(&request("prompts/get", &prompt, &all(), json!({}))).await);
    assert_eq!(keys, ["who"]);
    let more = json!({"inputResponses": {"who": accept(json!({"name": "Ada"}))}, "requestState": state});
    let given = house.send(&request("prompts/get", &prompt, &all(), more.clone())).await.result();
    assert_eq!(given["messages"][0]["content"]["text"], "Hello, Ada!");
    let resource = json!({"uri": "docs://greet"});
    let read = |more| request("resources/read", &resource, &all(), more).with("mcp-name", "docs://greet");
    let (_, state) = asked(&house.send(&read(json!({}))).await);
    assert_eq!(error(&house.send(&read(more)).await), (200, -32602), "the state is a prompt's");
    let more = json!({"inputResponses": {"who": accept(json!({"name": "Ada"}))}, "requestState": state});
    assert_eq!(house.send(&read(more)).await.result()["contents"][0]["text"], "Hello, Ada!");
    let lacking = request("prompts/get", &prompt, &json!({}), json!({}));
    assert_eq!(error(&house.send(&lacking).await), (400, -32021));
}

#[tokio::test]
async fn under_a_key_the_last_round_is_what_is_kept() {
    let house = House::new(|builder| builder.tool(tool_fn("greet", "Greets.", greet)));
    let keyed = |more| call("greet", more).with("idempotency-key", "a");
    let (_, state) = asked(&house.send(&keyed(json!({}))).await);
    let answers = json!({"inputResponses": {"who": accept(json!({"name": "Ada"}))}, "requestState": state});
    assert_eq!(text(&house.send(&keyed(answers)).await), "Hello, Ada!");
    let replayed = house.send(&keyed(json!({}))).await;
    assert_eq!(text(&replayed), "Hello, Ada!");
    assert_eq!(replayed.result()["_meta"]["io.github.mcp-embed/replayed"], true);
}

#[tokio::test]
async fn a_form_that_was_declined_may_be_an_answer() {
    async fn tell(_: NoInput, cx: Context) -> Result<String, ToolError> {
        Ok(match cx.ask("who", name("Who?").or_declined()).await? {
            Elicited::Accepted(who) => who.name,
            Elicited::Declined => "declined".to_owned(),
            Elicited::Cancelled => "cancelled".to_owned(),
        })
    }
    let house = House::new(|builder| builder.tool(tool_fn("tell", "Tells.", tell)));
    for (answer, told) in [
        (accept(json!({"name": "Ada"})), "Ada"),
        (json!({"action": "decline"}), "declined"),
        (json!({"action": "cancel"}), "cancelled"),
    ] {
        let reply = house.send(&call("tell", json!({"inputResponses": {"who": answer}}))).await;
        assert_eq!(text(&reply), told);
    }
}
